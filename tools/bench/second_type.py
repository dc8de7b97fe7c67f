#!/usr/bin/env python3
"""What a second calibration type costs with --load-stats: second_type.py BENCH_DIR XSLIM [MODEL...]

At finetune level 0, without and with report: processor seconds of a run of calibration_type default that saves its statistics, and
of one of minmax that loads them (the less of two), and their ratio, as a Markdown table. Needs onnxruntime, NumPy, OpenCV and Pillow.
"""
import os
import sys
import tempfile

from bench_models import bench_models
from whole_runs import run


def main():
    bench, program, only = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:]
    print("| model | report | first run, processor s | second | ratio |\n|---|---|---|---|---|")
    for model in bench_models(bench, only):
        with tempfile.TemporaryDirectory() as folder:
            statistics = os.path.join(folder, "statistics")

            def processor_seconds(kind, report, option):
                model.config["calibration_parameters"]["calibration_type"] = kind
                settings = os.path.join(folder, "c.json")
                model.write_config(settings, precision_level=0, finetune_level=0, analysis_enable=report)
                return run([program, "-q", "-c", settings, "-i", model.path, "-o", os.path.join(folder, "o.onnx"), option, statistics],
                           bench)[1]

            for report in (False, True):
                first = processor_seconds("default", report, "--save-stats")
                second = min(processor_seconds("minmax", report, "--load-stats") for _ in range(2))
                print(f"| {model.name} | {'yes' if report else 'no'} | {first:.2f} | {second:.2f} | {second / first:.2f} |", flush=True)


if __name__ == "__main__":
    main()
