#!/usr/bin/env python3
"""Accuracy of the modes without calibration: modes.py BENCH_DIR XSLIM [MODEL...]

Every model is converted in each mode, and its first output on the evaluation data is compared with the float model's by ONNX
Runtime, optimisations off. Prints a Markdown table. Needs onnxruntime, NumPy, OpenCV and Pillow.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np

from bench_models import bench_models, first_outputs, noise, session

MODES = [("--dynq", ["--dynq"]), ("--dynq --weight-bits 4", ["--dynq", "--weight-bits", "4"]), ("--fp16", ["--fp16"])]


def cosine(values, references):
    return np.mean([a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in zip(values, references)])


def main():
    bench, program, only = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:]
    print("| model | mode | bytes | of float | cosine | SNR |\n|---|---|---|---|---|---|")
    for model in bench_models(bench, only, samples=16):
        reference = first_outputs(session(model.path), model.feeds)
        for mode, arguments in MODES:
            with tempfile.TemporaryDirectory() as folder:
                made = os.path.join(folder, "o.onnx")
                subprocess.run([program, "-q", "-i", model.path, "-o", made, *arguments], check=True)
                values = first_outputs(session(made), model.feeds)
                size = os.path.getsize(made)
            print(f"| {model.name} | {mode} | {size} | {size / os.path.getsize(model.path):.2f} | {cosine(values, reference):.6f} | "
                  f"{noise(values, reference):.3g} |", flush=True)


if __name__ == "__main__":
    main()
