#!/usr/bin/env python3
"""Whether int8 files hold under ONNX Runtime's graph optimisations: deployed.py BENCH_DIR XSLIM [MODEL...]

Every model is quantized at finetune levels 0 and 1 and run on the evaluation data with optimisations off, on, and on with products
that do not saturate on processors without VNNI (session.x64quantprecision). Prints noise/signal of the first output against the
float model as a Markdown table. Needs onnxruntime, NumPy, OpenCV and Pillow.
"""
import os
import sys
import tempfile

from bench_models import bench_models, first_outputs, noise, session

WAYS = [{}, {"optimised": True}, {"optimised": True, "session__x64quantprecision": "1"}]


def main():
    bench, program, only = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:]
    print("| model | finetune_level | off | on | on, x64quantprecision |\n|---|---|---|---|---|")
    for model in bench_models(bench, only):
        reference = first_outputs(session(model.path), model.feeds)
        for level in (0, 1):
            with tempfile.TemporaryDirectory() as folder:
                made = model.quantize(program, folder, finetune_level=level)
                row = [noise(first_outputs(session(made, **way), model.feeds), reference) for way in WAYS]
            print(f"| {model.name} | {level} | " + " | ".join(f"{n:.5f}" for n in row) + " |", flush=True)


if __name__ == "__main__":
    main()
