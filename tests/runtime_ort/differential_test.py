#!/usr/bin/env python3
"""Random single-node models: our executor against ONNX Runtime, whose optimisations are off.

Usage: differential_test.py RUN_CASES [--all | --count N] [--times] [--refused] [FAMILY[:SEED] ...]

A family of operators has a generator in differential/, which makes one case of a seed, with its tolerance. Without arguments
the cases of KEPT_SEEDS run (each once showed a fault) and the first 25 seeds of every family; --all takes 200. A case that
ONNX Runtime refuses is not judged; at least half of a family must be.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from onnx import numpy_helper

from helpers import onnxruntime

from differential import compute, control, elementwise, move
from differential.draw import Draw

FAMILIES = {**compute.FAMILIES, **elementwise.FAMILIES, **move.FAMILIES, **control.FAMILIES}
DEFAULT_COUNT, ALL_COUNT = 25, 200
KEPT_SEEDS = {"conv_transpose": (36, 43, 62), "pool": (6,), "resize": (25, 26, 37), "unary": (188,)}


def ours(folder, name):
    """Our outputs, or the text of the error."""
    stem = os.path.join(folder, name)
    if os.path.exists(stem + ".error"):
        with open(stem + ".error") as file:
            return file.read().strip()
    if not os.path.exists(stem + ".out"):
        return "no result"
    outputs = []
    with open(stem + ".out", "rb") as file:
        while line := file.readline():
            dtype, _, dims = line.decode().rstrip("\n").partition(" ")
            if dtype == "undefined":
                return "output %d has no value" % len(outputs)
            if dtype == "bfloat16":
                import ml_dtypes  # comes with onnx
                dtype = ml_dtypes.bfloat16
            shape = [int(dim) for dim in dims.split(",") if dim]
            count = int(np.prod(shape, dtype=np.int64))
            outputs.append(np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype).reshape(shape))
    return outputs


def theirs(case, model, timed):
    """ONNX Runtime's outputs and seconds of the second run; (None, reason) when it refuses the model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2 if timed else 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feeds, seconds = case.feeds(), 0.0
        outputs = session.run(None, feeds)
        if timed:
            begin = time.perf_counter()
            session.run(None, feeds)
            seconds = time.perf_counter() - begin
        return outputs, seconds
    except Exception as error:  # pylint: disable=broad-except
        return None, str(error).strip().splitlines()[0][-200:]


def difference(case, got, want):
    """What is wrong with our outputs, or ""."""
    if isinstance(got, str):
        return got
    if len(got) != len(want):
        return "%d outputs, expected %d" % (len(got), len(want))
    for i, (a, b) in enumerate(zip(got, want)):
        b = np.asarray(b)
        if str(a.dtype) != str(b.dtype) or a.shape != b.shape:
            return "output %d is %s%s, expected %s%s" % (i, a.dtype, list(a.shape), b.dtype, list(b.shape))
        if not a.size:
            continue
        if b.dtype.kind in "biu":
            wrong = np.abs(a.astype(np.float64) - b.astype(np.float64)) > case.steps if case.steps else a != b
        else:
            x, y = a.astype(np.float64), b.astype(np.float64)
            finite = np.isfinite(y)
            size = np.max(np.abs(y[finite]), initial=0) if case.scaled else np.where(finite, np.abs(y), 0)
            with np.errstate(invalid="ignore"):
                wrong = ~((x == y) | (np.isnan(x) & np.isnan(y)) |
                          (finite & (np.abs(x - y) <= case.absolute + case.relative * size)))
        if wrong.any():
            at = tuple(int(k) for k in np.argwhere(wrong)[0])
            return "output %d%s: element %s is %s, expected %s; %d of %d differ" % (
                i, list(b.shape), list(at), a[at], b[at], int(wrong.sum()), wrong.size)
    return ""


def tolerance(cases):
    """What the widest of the cases allows."""
    scaled = any(case.scaled for case in cases)
    text = "%g of %s + %g" % (max(case.relative for case in cases), "the largest" if scaled else "each value",
                              max(case.absolute for case in cases))
    steps = max(case.steps for case in cases)
    return text + (" (codes: %d)" % steps if steps else "")


def run(program, chosen, timed):
    """Runs the (family, seed) pairs; returns [(family, seed, case, refusal, complaint, our time, their time)]."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cases = {}
        for family, seed in chosen:
            case = FAMILIES[family](Draw(family, seed))
            name = "%s_%d" % (family, seed)
            cases[name] = (family, seed, case, case.model().SerializeToString())
            with open(os.path.join(folder, name + ".onnx"), "wb") as file:
                file.write(cases[name][3])
            for i, value in enumerate(case.feeds().values()):
                with open(os.path.join(folder, "%s.in%d.pb" % (name, i)), "wb") as file:
                    file.write(numpy_helper.from_array(value).SerializeToString())
        done = subprocess.run([program, folder], stdout=subprocess.PIPE, text=True, timeout=3000)
        times = {}
        for line in done.stdout.splitlines():
            name, seconds = line.split()
            times[name] = float(seconds)
        if done.returncode != 0:
            left = [name for name in sorted(cases) if isinstance(ours(folder, name), str) and not
                    os.path.exists(os.path.join(folder, name + ".error"))]
            print("FAILED: run_cases ended with status %d at %s: %s" % (
                done.returncode, left[:1], cases[left[0]][2].describe() if left else ""))
        for name, (family, seed, case, model) in cases.items():
            want, extra = theirs(case, model, timed)
            got = ours(folder, name)
            if want is None:
                crashed = got == "no result"
                rows.append((family, seed, case, extra, "no result" if crashed else "", 0, 0))
            else:
                rows.append((family, seed, case, None, difference(case, got, want), times.get(name, 0), extra))
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("only", nargs="*")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--count", type=int, default=DEFAULT_COUNT)
    parser.add_argument("--times", action="store_true", help="list the cases that are far slower than ONNX Runtime")
    parser.add_argument("--refused", action="store_true", help="list what ONNX Runtime refuses")
    options = parser.parse_intermixed_args()
    count = ALL_COUNT if options.all else options.count
    chosen = []
    for item in options.only or FAMILIES:
        family, _, seed = item.partition(":")
        seeds = [int(seed)] if seed else sorted(set(range(count)) | set(KEPT_SEEDS.get(family, ())))
        chosen += [(family, seed) for seed in seeds]
    rows = run(os.path.abspath(options.program), chosen, options.times)
    failed = 0
    for family in dict.fromkeys(row[0] for row in rows):
        own = [row for row in rows if row[0] == family]
        refused = [row for row in own if row[3] is not None]
        wrong = [row for row in own if row[4]]
        for _, seed, case, _, complaint, _, _ in wrong:
            print("FAILED: %s:%d %s\n    %s" % (family, seed, case.describe(), complaint))
        if options.refused:
            for _, seed, case, reason, _, _, _ in refused:
                print("refused: %s:%d %s\n    %s" % (family, seed, case.describe(), reason))
        if len(own) >= 10 and 2 * len(refused) > len(own):
            wrong.append(None)
            print("FAILED: %s: only %d of %d cases can be judged" % (family, len(own) - len(refused), len(own)))
        failed += len(wrong)
        print("%s: %d cases within %s, %d refused by ONNX Runtime, %d failed" % (
            family, len(own), tolerance([row[2] for row in own]), len(refused), len(wrong)))
        if options.times:
            for _, seed, case, _, _, mine, other in own:
                if mine > 1e-4 and mine > 5 * other > 0:
                    print("slow: %s:%d %s: %.3f ms, ONNX Runtime %.3f ms" % (family, seed, case.describe(), mine * 1e3,
                                                                            other * 1e3))
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
