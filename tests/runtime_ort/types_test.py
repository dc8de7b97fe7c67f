#!/usr/bin/env python3
"""Every element type that an operator's text allows runs. Usage: types_test.py RUN_CASES [SEEDS]

The cases of differential/ (the first 12 seeds of each family, or SEEDS), once with each type that the schema of the onnx package
allows for the first input: what docs/operators.md says is true. Values are judged by differential_test.py and ONNX's node tests.
"""
import os
import subprocess
import sys
import tempfile

import ml_dtypes  # comes with onnx
import numpy as np
from onnx import defs, numpy_helper

from differential.draw import Const, Draw
from differential_test import FAMILIES

TYPES = {"tensor(%s)" % name: np.dtype(dtype) for name, dtype in dict(
    float=np.float32, double=np.float64, float16=np.float16, bfloat16=ml_dtypes.bfloat16, int8=np.int8, int16=np.int16,
    int32=np.int32, int64=np.int64, uint8=np.uint8, uint16=np.uint16, uint32=np.uint32, uint64=np.uint64, bool=bool).items()}


def array_of(value):
    return value.value if isinstance(value, Const) else value


def converted(array, dtype):
    with np.errstate(all="ignore"):
        return np.asarray(np.abs(array.astype(np.float64)) if dtype.kind == "u" else array).astype(dtype)


def variants(family, seed):
    """(type, case) for each further type of the case's first input."""
    case = FAMILIES[family](Draw(family, seed))
    given = [i for i, value in enumerate(case.inputs) if value is not None]
    if case.domain or case.then or not given:
        return
    schema = defs.get_schema(case.op, case.opset, "")
    formals = [schema.inputs[min(i, len(schema.inputs) - 1)].type_str for i in range(len(case.inputs))]
    now = array_of(case.inputs[given[0]]).dtype
    for constraint in schema.type_constraints:
        if constraint.type_param_str != formals[given[0]]:
            continue
        for dtype in (TYPES[name] for name in constraint.allowed_type_strs if name in TYPES):
            other = FAMILIES[family](Draw(family, seed))
            for i in given:
                value = other.inputs[i]
                if formals[i] == constraint.type_param_str and array_of(value).dtype == now:
                    array = converted(array_of(value), dtype)
                    other.inputs[i] = Const(array) if isinstance(value, Const) else array
            yield dtype, other


def main(program, seeds=12):
    with tempfile.TemporaryDirectory() as folder:
        cases = {}
        for family in FAMILIES:
            for seed in range(int(seeds)):
                for dtype, case in variants(family, seed):
                    name = "%s_%d_%s" % (family, seed, dtype)
                    cases[name] = case.describe()
                    with open(os.path.join(folder, name + ".onnx"), "wb") as file:
                        file.write(case.model().SerializeToString())
                    for i, value in enumerate(case.feeds().values()):
                        with open(os.path.join(folder, "%s.in%d.pb" % (name, i)), "wb") as file:
                            file.write(numpy_helper.from_array(value).SerializeToString())
        status = subprocess.run([os.path.abspath(program), folder], stdout=subprocess.DEVNULL, check=False, timeout=600).returncode
        failed = 0
        for name, text in cases.items():
            if os.path.exists(os.path.join(folder, name + ".out")):
                continue
            failed += 1
            error = os.path.join(folder, name + ".error")
            print("FAILED: %s %s\n    %s" % (name, text, open(error).read().strip() if os.path.exists(error) else "no result"))
    print("%d cases, %d failed" % (len(cases), failed))
    return 1 if failed or status or not cases else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
