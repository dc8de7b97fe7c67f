#!/usr/bin/env python3
"""Makes the model and the data of this folder (numpy and onnx; fixed seeds)."""
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLES, LENGTH, STATE = 24, 64, 6


def make_model():
    rng = np.random.default_rng(1)

    def weights(name, *shape):
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else shape[0]
        return numpy_helper.from_array((rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["signal", "w1", "b1"], ["c1"], "conv1", kernel_shape=[7], pads=[3, 3], strides=[2]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "conv2", kernel_shape=[5], pads=[2, 2], strides=[2]),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["features"], "flatten"),
        helper.make_node("Gemm", ["state", "w3", "b3"], ["embedded"], "embed", transB=1),
        helper.make_node("Relu", ["embedded"], ["r3"], "relu3"),
        helper.make_node("Concat", ["features", "r3"], ["joined"], "join", axis=1),
        helper.make_node("Gemm", ["joined", "w4", "b4"], ["estimate"], "head", transB=1),
    ]
    graph = helper.make_graph(
        nodes, "two_inputs",
        [helper.make_tensor_value_info("signal", TensorProto.FLOAT, ["N", 1, LENGTH]),
         helper.make_tensor_value_info("state", TensorProto.FLOAT, ["N", STATE])],
        [helper.make_tensor_value_info("estimate", TensorProto.FLOAT, ["N", 4])],
        [weights("w1", 16, 1, 7), weights("b1", 16), weights("w2", 32, 16, 5), weights("b2", 32), weights("w3", 16, STATE),
         weights("b3", 16), weights("w4", 4, 48), weights("b4", 4)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, os.path.join(HERE, "two_inputs.onnx"))


def make_data():
    rng = np.random.default_rng(2)
    for folder in ("signals", "states"):
        os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    time = np.arange(LENGTH) / 100
    for i in range(SAMPLES):
        value = 3 + rng.uniform(0.5, 2) * np.sin(2 * np.pi * rng.uniform(1, 12) * time + rng.uniform(0, 6))
        value += 0.2 * rng.standard_normal(LENGTH)
        with open(os.path.join(HERE, "signals", "%02d.csv" % i), "w", encoding="utf-8") as file:
            file.write("time,value\n" + "".join("%.2f,%.3f\n" % pair for pair in zip(time, value)))
        np.save(os.path.join(HERE, "states", "%02d.npy" % i), rng.uniform(-1, 1, STATE).astype(np.float32))
    for folder, ending in (("signals", "csv"), ("states", "npy")):
        with open(os.path.join(HERE, folder + ".txt"), "w", encoding="utf-8") as file:
            file.write("".join("%s/%02d.%s\n" % (folder, i, ending) for i in range(SAMPLES)))


if __name__ == "__main__":
    make_model()
    make_data()
