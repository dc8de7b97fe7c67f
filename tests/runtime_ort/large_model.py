#!/usr/bin/env python3
"""A model of GIGABYTES of weights through xslim -i -o, --fp16 and --dynq: time and peak memory. Not part of ctest: it needs the disk twice.

    large_model.py XSLIM FOLDER [GIGABYTES [MODE...]]        at least 2 (default: 3); MODE: --fp16, --dynq, or "" for slimming

Every result must pass ONNX's checker and hold what the weights become; the peak must stay under 1.3 times their size.
"""
import os
import subprocess
import sys
import time

import numpy as np
import onnx
from onnx import TensorProto, helper

SIDE = 8192  # one weight is SIDE x SIDE float32, 256 MiB
ROWS = SIDE // 16  # read at a time
BOUND = 1.3
TYPES = {"": TensorProto.FLOAT, "--fp16": TensorProto.FLOAT16, "--dynq": TensorProto.INT8}


def make(path, gigabytes):
    count = max(1, round(gigabytes * 2 ** 30 / (4 * SIDE * SIDE)))
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    with open(path + ".data", "wb") as data:
        for i in range(count):
            tensor = TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=[SIDE, SIDE])
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", os.path.basename(path) + ".data"), ("offset", data.tell()), ("length", 4 * SIDE * SIDE)):
                tensor.external_data.add(key=key, value=str(value))
            for _ in range(SIDE // ROWS):
                data.write(rng.standard_normal((ROWS, SIDE), np.float32).tobytes())
            weights.append(tensor)
            nodes.append(helper.make_node("MatMul", [f"t{i}" if i else "x", f"w{i}"], [f"t{i + 1}"]))
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, SIDE])],
                              [helper.make_tensor_value_info(f"t{count}", TensorProto.FLOAT, [1, SIDE])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    return count


def measured(command):
    """(seconds, peak memory in bytes) of a program."""
    begin = time.time()
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)}: status {status}")
    return time.time() - begin, usage.ru_maxrss * 1024


def tensors(path, kind):
    """Large tensors of an element type in the file's order: open file, offset and name."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        if tensor.data_type == kind and list(tensor.dims) == [SIDE, SIDE]:
            where = {entry.key: entry.value for entry in tensor.external_data}
            yield os.path.join(os.path.dirname(path), where["location"]), int(where.get("offset", 0))


def rows(place, dtype):
    """A matrix in pieces of ROWS rows."""
    name, offset = place
    with open(name, "rb") as file:
        file.seek(offset)
        for _ in range(SIDE // ROWS):
            yield np.frombuffer(file.read(ROWS * SIDE * dtype().itemsize), dtype).reshape(ROWS, SIDE)


def close(mode, original, place):
    """Whether a tensor of the result is what the mode makes of the original."""
    if mode == "--dynq":  # per column: no code but the last ones' rounding away from its own scale
        largest = np.zeros(SIDE, np.float32)
        for piece in rows(original, np.float32):
            largest = np.maximum(largest, np.abs(piece).max(axis=0))
        worst = 0.0
        sums, squares = np.zeros(SIDE), np.zeros(SIDE)
        for piece, codes in zip(rows(original, np.float32), rows(place, np.int8)):
            sums += (piece.astype(np.float64) * codes).sum(axis=0)
            squares += (codes.astype(np.float64) ** 2).sum(axis=0)
        scale = sums / squares
        for piece, codes in zip(rows(original, np.float32), rows(place, np.int8)):
            worst = max(worst, float((np.abs(piece - codes * scale) / scale).max()))
        return worst < 0.6 and float((scale / largest * 127).max()) < 2
    dtype = np.float16 if mode == "--fp16" else np.float32
    return all(np.array_equal(a.astype(dtype), b) for a, b in zip(rows(original, np.float32), rows(place, dtype)))


def main(program, folder, gigabytes=3.0, *modes):
    source = os.path.join(folder, "large.onnx")
    count = make(source, float(gigabytes))
    size = count * 4 * SIDE * SIDE
    originals = list(tensors(source, TensorProto.FLOAT))
    bad = 0
    for mode in modes or TYPES:
        output = os.path.join(folder, f"large{mode}.out.onnx")
        # Slimming must choose external data by itself; the others are smaller than the limit.
        seconds, peak = measured([program, "-q", "-i", source, "-o", output, *([mode, "--external-data"] if mode else [])])
        print(f"{size / 1e9:.2f} GB of weights, {mode or 'slimming'}: {seconds:.1f} s, peak memory {peak / 1e9:.3f} GB, "
              f"{peak / size:.3f} of the size", flush=True)
        onnx.checker.check_model(output)
        made = list(tensors(output, TYPES[mode]))
        if len(made) != count or not all(close(mode, *pair) for pair in zip(originals, made)):
            print(f"{mode or 'slimming'}: the weights are not right")
            bad = 1
        bad |= peak >= BOUND * size
        for name in {output} | {name for name, _ in made}:
            if os.path.exists(name):
                os.remove(name)
    os.remove(source)
    os.remove(source + ".data")
    return bad


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
