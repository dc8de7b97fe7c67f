#!/usr/bin/env python3
"""Times float forwards of our executor against ONNX Runtime's default CPU session, both with the same threads and input shape.

Usage: compare_forward.py XSLIM_BENCH MODEL NAME=SHAPE [--threads N] [--rounds N] [--runs N]
e.g.   compare_forward.py build/xslim_bench model.onnx input=1,3,224,224 --threads 2

The two take turns, a round each; the quickest forward of each is compared, so that other load on the machine
disturbs both alike and as little as can be. Prints both times and the ratio ours / ONNX Runtime's.
"""
import argparse
import re
import subprocess
import time

import numpy as np
import onnxruntime


def ours(program, model, shape, threads, runs):
    done = subprocess.run([program, model, "--shape", shape, "--threads", str(threads), "--runs", str(runs),
                           "--simplify", "--brief"], stdout=subprocess.PIPE, check=True, text=True)
    return float(re.search(r": ([0-9.]+) ms", done.stdout).group(1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("shape")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20)
    given = parser.parse_args()
    name, sizes = given.shape.split("=")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = given.threads
    session = onnxruntime.InferenceSession(given.model, options, providers=["CPUExecutionProvider"])
    feed = {name: np.random.default_rng(3).random([int(s) for s in sizes.split(",")], dtype=np.float32) - 0.5}
    best = {"ours": float("inf"), "ort": float("inf")}
    for _ in range(given.rounds):
        best["ours"] = min(best["ours"], ours(given.program, given.model, given.shape, given.threads, given.runs))
        for _ in range(given.runs):
            begin = time.perf_counter()
            session.run(None, feed)
            best["ort"] = min(best["ort"], 1e3 * (time.perf_counter() - begin))
    print("%s, %d thread(s): ours %.3f ms, ONNX Runtime %.3f ms, ratio %.2f" %
          (given.model, given.threads, best["ours"], best["ort"], best["ours"] / best["ort"]))


if __name__ == "__main__":
    main()
