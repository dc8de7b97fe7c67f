#!/usr/bin/env python3
"""Times float forwards of our executor against ONNX Runtime's default CPU session, both with the same threads and input shape.

Usage: compare_forward.py XSLIM_BENCH MODEL NAME=SHAPE [--threads N] [--rounds N] [--runs N]
e.g.   compare_forward.py build/xslim_bench model.onnx input=1,3,224,224 --threads 2

The two take turns, a round each; the quickest forward of each is compared, so that other load on the machine
disturbs both alike and as little as can be. Prints both times and the ratio ours / ONNX Runtime's, then the same of
the processor time of all threads, which tells more where other programs keep the processors busy (with several threads
it counts waiting in a loop as work, too).
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
    return [float(t) for t in re.search(r": ([0-9.]+) ms, ([0-9.]+) ms", done.stdout).groups()]


def compare(program, model, shape, threads, rounds, runs):
    """[ours, ONNX Runtime's]: the quickest forward's milliseconds on the clock and of the processors."""
    name, sizes = shape.split("=")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {name: np.random.default_rng(3).random([int(s) for s in sizes.split(",")], dtype=np.float32) - 0.5}
    best = [[float("inf")] * 2 for _ in range(2)]
    for _ in range(rounds):
        times = ours(program, model, shape, threads, runs)
        best[0] = [min(pair) for pair in zip(best[0], times)]
        for _ in range(runs):
            begin = time.perf_counter(), time.process_time()
            session.run(None, feed)
            times = 1e3 * (time.perf_counter() - begin[0]), 1e3 * (time.process_time() - begin[1])
            best[1] = [min(pair) for pair in zip(best[1], times)]
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("shape")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20)
    given = parser.parse_args()
    (wall, processor), (ort_wall, ort_processor) = compare(given.program, given.model, given.shape, given.threads,
                                                           given.rounds, given.runs)
    print("%s, %d thread(s): ours %.3f ms, ONNX Runtime %.3f ms, ratio %.2f; processor time %.3f ms, %.3f ms, ratio %.2f" %
          (given.model, given.threads, wall, ort_wall, wall / ort_wall, processor, ort_processor,
           processor / ort_processor))


if __name__ == "__main__":
    main()
