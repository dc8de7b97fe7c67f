#!/usr/bin/env python3
"""Slimming, --fp16 and --dynq of graphs as exporters write them, judged by ONNX Runtime. Usage: exporter_test.py XSLIM [NAME...]

Slimmed outputs agree to 1e-5 of the largest number, with and without ONNX Runtime's own optimisations, at the model's opset and at 21; the
others by their cosine. NODES: most nodes that slimming may leave.
"""
import os
import sys
import tempfile

import numpy as np
import onnx

import exporter_models
from helpers import Checks, run_xslim, session

SLIM, FP16, DYNQ = 1e-5, 0.9999, 0.985
MODES = {"slim": [], "slim21": ["--opset", "21"], "fp16": ["--fp16"], "dynq": ["--dynq"], "int4": ["--dynq", "--weight-bits", "4"]}
COSINE = {"fp16": FP16, "dynq": DYNQ, "int4": 0.95}
NODES = {"decoder_block": 72, "swin": 40, "yolo8": 31, "yolo5": 29, "ssd": 38, "tf2onnx_nhwc": 18, "paddle_ocr": 22, "sklearn": 6, "conformer": 53,
         "gru_speech": 18, "unet": 20, "super_resolution": 13, "qdq": 16, "half_model": 14, "embeddings": 47, "initializers_as_inputs": 7,
         "dynamo_functions": 5, "jax_norm": 13, "spectra": 11}


def run(path, samples, optimised):
    runner = session(path, optimised)
    return [runner.run(None, sample) for sample in samples]


def difference(wanted, got):
    worst = 0.0
    for a, b in ((a, b) for x, y in zip(wanted, got) for a, b in zip(x, y)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return float("inf")
        worst = max(worst, float(np.abs(a.astype(np.float64) - b).max()) / (float(np.abs(a).max()) or 1.0))
    return worst


def cosine(wanted, got):
    worst = 1.0
    for a, b in zip(zip(*wanted), zip(*got)):
        a, b = (np.concatenate([x.astype(np.float64).ravel() for x in values]) for values in (a, b))
        if a.shape != b.shape:
            return float("nan")
        worst = min(worst, float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))))
    return worst


def judge(checks, program, build, folder):
    made, samples = build()
    name, source = build.__name__, os.path.join(folder, "m.onnx")
    onnx.save(made, source)
    wanted = run(source, samples, False)
    opset = {entry.domain: entry.version for entry in made.opset_import}[""]
    for mode, arguments in MODES.items():
        if mode == "slim21" and opset > 21:
            continue
        out = os.path.join(folder, mode + ".onnx")
        try:
            run_xslim(program, ["-i", source, "-o", out, *arguments], folder)
            onnx.checker.check_model(onnx.load(out), full_check=True)
        except Exception as error:  # pylint: disable=broad-except
            checks.that(False, f"{name} {mode}: {str(error)[:600]}")
            continue
        for optimised in (False, True):
            try:
                got = run(out, samples, optimised)
            except Exception as error:  # pylint: disable=broad-except
                checks.that(False, f"{name} {mode}, optimised {optimised}: {str(error)[:600]}")
                continue
            if mode.startswith("slim"):
                worst = difference(wanted, got)
                checks.that(worst <= SLIM, f"{name} {mode}, optimised {optimised}: differs by {worst:.3g}")
            else:
                close = cosine(wanted, got)
                checks.that(close >= COSINE[mode], f"{name} {mode}, optimised {optimised}: cosine {close:.6f}")
        if mode == "slim":
            nodes = len(onnx.load(out).graph.node)
            checks.that(nodes <= NODES[name], f"{name}: {nodes} nodes, {NODES[name]} are enough")
            print(f"{name}: {len(made.graph.node)} nodes, slimmed {nodes}", flush=True)


def main(program, *names):
    checks = Checks()
    for build in exporter_models.MODELS:
        if names and build.__name__ not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            judge(checks, os.path.abspath(program), build, folder)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
