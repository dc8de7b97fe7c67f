#!/usr/bin/env python3
"""Damaged single-node models on our executor: each gives outputs or an error, whatever its attributes and inputs say.

Usage: operator_test.py RUN_CASES [--cases N] [--first SEED] [--sanitized]

Case SEED is a case of tests/runtime_ort/differential with one to three changes of mutations.py: other attributes, other input
shapes, types and values, inputs too many or too few. The cases run hundreds to a process, which may use MEMORY of address
space (--sanitized: not limited) and must live to its end.
"""
import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from onnx import helper, numpy_helper

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "runtime_ort"))
from differential import compute, control, elementwise, move  # noqa: E402
from differential.draw import Const, Draw  # noqa: E402
from mutation_test import MEMORY, SANITIZERS  # noqa: E402
from mutations import FLOATS, Mutator  # noqa: E402

FAMILIES = {**compute.FAMILIES, **elementwise.FAMILIES, **move.FAMILIES, **control.FAMILIES}
BATCH, SECONDS = 200, 600


def change_input(case, mutate):
    """Another shape, type, value or number of inputs."""
    index = mutate.int(0, len(case.inputs) - 1)
    value = case.inputs[index]
    kind = mutate.int(0, 9)
    if kind == 0:
        case.inputs[index] = None
    elif kind == 1:
        del case.inputs[index]
    elif kind == 2:
        case.inputs.append(mutate.pick(case.inputs))
    elif value is not None:
        array = np.array(value.value if isinstance(value, Const) else value)
        if kind == 3:
            array = array.astype(mutate.pick([np.float32, np.int64, np.int32, np.uint8, np.int8, bool, np.float64, np.float16]))
        elif kind <= 5 and array.size:
            flat = array.reshape(-1)
            at = mutate.int(0, flat.size - 1)
            if array.dtype.kind in "iu":
                flat[at] = np.int64(np.clip(mutate.number(), np.iinfo(array.dtype).min, min(np.iinfo(array.dtype).max, 2**63 - 1)))
            elif array.dtype.kind == "f":
                flat[at] = mutate.pick(FLOATS)
        elif kind == 6:
            array = array.reshape([*array.shape, 1] if mutate.int(0, 1) else [1, *array.shape])
        elif kind == 7:
            array = array.reshape(-1)
        elif kind == 8 and array.ndim:
            array = array.take(range(mutate.int(0, array.shape[0])), 0)
        elif array.ndim:
            array = array.take(range(mutate.int(0, array.shape[-1])), -1)
        case.inputs[index] = Const(array) if isinstance(value, Const) else array


def damaged(seed):
    """The case's name, its description and the parts to write."""
    mutate = Mutator(np.random.Generator(np.random.PCG64([20260102, seed])))
    family = mutate.pick(list(FAMILIES))
    case = FAMILIES[family](Draw(family, mutate.int(0, 10**6)))
    graph_changes = 0
    for _ in range(mutate.pick([1, 1, 2, 3])):
        if mutate.int(0, 1) and case.inputs:
            change_input(case, mutate)
        else:
            graph_changes += 1
    text = case.describe()
    with np.errstate(all="ignore"):
        model = case.model()
    for _ in range(graph_changes):
        mutate.attribute(model.graph)
    text += " then " + str([(a.name, helper.get_attribute_value(a) if a.type in (1, 2, 3, 6, 7, 8) else a.type)
                            for a in model.graph.node[0].attribute])
    return text, model.SerializeToString(), list(case.feeds().values())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--cases", type=int, default=1500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--sanitized", action="store_true")
    options = parser.parse_args()
    program, failed, good, bad = os.path.abspath(options.program), 0, 0, 0

    def limit():
        if not options.sanitized:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as top:
        for first in range(options.first, options.first + options.cases, BATCH):
            folder, texts = os.path.join(top, "cases"), {}
            os.makedirs(folder)
            for seed in range(first, min(first + BATCH, options.first + options.cases)):
                name = "%08d" % seed
                texts[name], model, inputs = damaged(seed)
                with open(os.path.join(folder, name + ".onnx"), "wb") as file:
                    file.write(model)
                for i, value in enumerate(inputs):
                    with open(os.path.join(folder, "%s.in%d.pb" % (name, i)), "wb") as file:
                        file.write(numpy_helper.from_array(value).SerializeToString())
            while texts:
                try:
                    done = subprocess.run([program, folder], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=SECONDS,
                                          env={**os.environ, **SANITIZERS}, preexec_fn=limit, check=False)
                    status, report = "status %d" % done.returncode, done.stderr.decode(errors="replace")
                    ended = done.returncode == 0
                except subprocess.TimeoutExpired:
                    status, report, ended = "no end within %d s" % SECONDS, "", False
                # What has no result is the case that it died of, and those behind it.
                for name in sorted(texts):
                    stem = os.path.join(folder, name)
                    has_error, has_output = os.path.exists(stem + ".error"), os.path.exists(stem + ".out")
                    if not has_error and not has_output:
                        break
                    good, bad = good + has_output, bad + has_error
                    if has_error and "differs between runs" in open(stem + ".error").read():
                        failed += 1
                        print("FAILED case %d: %s\n    differs between runs" % (int(name), texts[name]))
                    os.remove(stem + ".onnx")
                    del texts[name]
                if ended and not texts:
                    break
                if not texts:
                    failed += 1
                    print("FAILED after the last case: %s\n%s" % (status, report[-3000:]))
                    break
                name = min(texts)
                text = texts.pop(name)
                os.remove(os.path.join(folder, name + ".onnx"))
                if not (options.sanitized and ("allocation-size-too-big" in report or "out-of-memory" in report)):
                    failed += 1
                    print("FAILED case %d: %s\n    %s\n    %s" % (int(name), text, status,
                                                              report.strip()[-3000:].replace("\n", "\n    ")))
            shutil.rmtree(folder)
    print("%d cases: %d with outputs, %d with an error; %d failed" % (options.cases, good, bad, failed))
    return 1 if failed or good == 0 or bad == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
