#!/usr/bin/env python3
"""Whether int8 files hold under ONNX Runtime's graph optimisations: deployed.py BENCH_DIR XSLIM [MODEL...]

BENCH_DIR holds models/, configs/, data/, bench.json and prep.py (see docs/benchmarks.md). Every model is quantized at finetune levels
0 and 1 and run on the evaluation data with optimisations off, on, and on with products that do not saturate on processors without
VNNI (session.x64quantprecision). Prints noise/signal of the first output against the float model as a Markdown table.
Needs onnxruntime, NumPy, OpenCV and Pillow.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

SAMPLES = 64


def outputs(path, feeds, optimised=False, precise=False):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if precise:
        options.add_session_config_entry("session.x64quantprecision", "1")
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [session.run(None, feed)[0].astype(np.float64) for feed in feeds]


def noise(values, references):
    return np.mean([((a - b) ** 2).sum() / (b ** 2).sum() for a, b in zip(values, references)])


def main():
    bench, program, only = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:]
    sys.path.insert(0, bench)
    import prep  # pylint: disable=import-outside-toplevel
    with open(os.path.join(bench, "bench.json")) as file:
        listed = json.load(file)
    print("| model | finetune_level | off | on | on, x64quantprecision |\n|---|---|---|---|---|")
    for name, entry in listed.items():
        if only and name not in only:
            continue
        config = prep.read_config(os.path.join(bench, "configs", name + ".json"))
        feeds = prep.load_inputs(config, lists=entry["eval"], n=SAMPLES, base=bench)
        model = os.path.join(bench, config["model_parameters"]["onnx_model"])
        reference = outputs(model, feeds)
        for level in (0, 1):
            config["quantization_parameters"].update(precision_level=0, finetune_level=level, analysis_enable=False)
            with tempfile.TemporaryDirectory() as folder:
                settings, made = os.path.join(folder, "c.json"), os.path.join(folder, "o.onnx")
                with open(settings, "w") as file:
                    json.dump(config, file)
                subprocess.run([program, "-q", "-c", settings, "-i", model, "-o", made], cwd=bench, check=True)
                row = [noise(outputs(made, feeds, *how), reference) for how in ((), (True,), (True, True))]
            print(f"| {name} | {level} | " + " | ".join(f"{n:.5f}" for n in row) + " |", flush=True)


if __name__ == "__main__":
    main()
