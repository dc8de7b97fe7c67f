#!/usr/bin/env python3
"""Accuracy of the modes without calibration: modes.py BENCH_DIR XSLIM [MODEL...]

BENCH_DIR holds models/, configs/, data/, bench.json and prep.py (see docs/benchmarks.md). Every model is converted in each mode, and its first
output on the evaluation data is compared with the float model's by ONNX Runtime, optimisations off. Prints a Markdown table.
Needs onnxruntime, NumPy, OpenCV and Pillow.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

MODES = [("--dynq", ["--dynq"]), ("--dynq --weight-bits 4", ["--dynq", "--weight-bits", "4"]), ("--fp16", ["--fp16"])]
SAMPLES = 16


def outputs(path, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [session.run(None, feed)[0].astype(np.float64).ravel() for feed in feeds]


def agreement(values, references):
    """Mean over the samples of the cosine, and of noise power / signal power."""
    cosines = [a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in zip(values, references)]
    noises = [((a - b) ** 2).sum() / (b ** 2).sum() for a, b in zip(values, references)]
    return np.mean(cosines), np.mean(noises)


def main():
    bench, program, only = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:]
    sys.path.insert(0, bench)
    import prep  # pylint: disable=import-outside-toplevel
    with open(os.path.join(bench, "bench.json")) as file:
        listed = json.load(file)
    print("| model | mode | bytes | of float | cosine | SNR |\n|---|---|---|---|---|---|")
    for name, entry in listed.items():
        if only and name not in only:
            continue
        config = prep.read_config(os.path.join(bench, "configs", name + ".json"))
        feeds = prep.load_inputs(config, lists=entry["eval"], n=SAMPLES, base=bench)
        model = os.path.join(bench, config["model_parameters"]["onnx_model"])
        reference = outputs(model, feeds)
        for mode, arguments in MODES:
            with tempfile.TemporaryDirectory() as folder:
                made = os.path.join(folder, "o.onnx")
                subprocess.run([program, "-q", "-i", model, "-o", made, *arguments], check=True)
                cosine, noise = agreement(outputs(made, feeds), reference)
                size = os.path.getsize(made)
                print(f"| {name} | {mode} | {size} | {size / os.path.getsize(model):.2f} | {cosine:.6f} | {noise:.3g} |", flush=True)


if __name__ == "__main__":
    main()
