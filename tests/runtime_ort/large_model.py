#!/usr/bin/env python3
"""A model of GIGABYTES of weights through xslim -i -o: time and peak memory. Not part of ctest: it needs the disk twice.

    large_model.py XSLIM FOLDER [GIGABYTES]
"""
import os
import resource
import subprocess
import sys
import time

import numpy as np
import onnx
from onnx import TensorProto, helper

SIDE = 8192  # one weight is SIDE x SIDE float32, 256 MiB


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
            for _ in range(16):
                data.write(rng.standard_normal((SIDE // 16, SIDE), np.float32).tobytes())
            weights.append(tensor)
            nodes.append(helper.make_node("MatMul", [f"t{i}" if i else "x", f"w{i}"], [f"t{i + 1}"]))
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, SIDE])],
                              [helper.make_tensor_value_info(f"t{count}", TensorProto.FLOAT, [1, SIDE])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    return count * 4 * SIDE * SIDE


def main(program, folder, gigabytes=3.0):
    source, output = os.path.join(folder, "large.onnx"), os.path.join(folder, "large.slim.onnx")
    size = make(source, float(gigabytes))
    begin = time.time()
    subprocess.run([program, "-i", source, "-o", output], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"{size / 1e9:.2f} GB of weights: {time.time() - begin:.1f} s, peak memory {peak / 1e9:.3f} GB, {peak / size:.3f} of the size")
    onnx.checker.check_model(output)
    with open(source + ".data", "rb") as a, open(output + ".data", "rb") as b:
        while True:
            one, other = a.read(1 << 24), b.read(1 << 24)
            if one != other:
                print("the weights differ")
                return 1
            if not one:
                break
    return 0 if peak < 1.3 * size else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
