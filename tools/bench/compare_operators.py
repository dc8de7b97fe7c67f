#!/usr/bin/env python3
"""Times single operators of our executor against ONNX Runtime's, on one thread, as compare_forward.py does models.

Usage: compare_operators.py XSLIM_BENCH [NAME...] [--rounds N] [--runs N]

Prints the ratio ours / ONNX Runtime's of processor time. Operators on codes include the QuantizeLinear in front and what
makes floats of the result.
"""
import argparse
import os
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compare_forward import compare

RNG = np.random.default_rng(1)
CODES = ["x_scale", "x_zero"]
PADS = {"pads": [1, 1, 1, 1]}
VOLUME = {"kernel_shape": [3, 3, 3], "strides": [2, 2, 2], "pads": [1] * 6}


def real(*shape):
    return (RNG.standard_normal(shape) * 0.1).astype(np.float32)


def codes(*shape, dtype=np.int8):
    return RNG.integers(-127 if dtype == np.int8 else 0, 128, shape).astype(dtype)


def on_codes(op_type, inputs, weight, attributes, domain=""):
    """x to codes, the operator, its codes or sums to floats."""
    nodes = [helper.make_node("QuantizeLinear", ["x"] + CODES, ["x_codes"]),
             helper.make_node(op_type, inputs, ["sums"], domain=domain, **attributes)]
    if "y_scale" in inputs:
        nodes.append(helper.make_node("DequantizeLinear", ["sums", "y_scale", "y_zero"], ["y"]))
    else:
        nodes.append(helper.make_node("Cast", ["sums"], ["y"], to=TensorProto.FLOAT))
    constants = {"x_scale": np.float32(0.01), "x_zero": np.uint8(128), "y_scale": np.float32(0.05),
                 "y_zero": np.uint8(120), "w_scale": np.float32(0.01), "w_zero": np.int8(0), "w": weight}
    return nodes, {name: value for name, value in constants.items() if any(name in node.input for node in nodes)}


def plain(op_type, constants, attributes, outputs=("y",), domain=""):
    return [helper.make_node(op_type, ["x"] + list(constants), list(outputs), domain=domain, **attributes)], constants


def recurrent(op_type, gates):
    return plain(op_type, {"w": real(1, gates * 256, 256), "r": real(1, gates * 256, 256), "b": real(1, gates * 512)},
                 {"hidden_size": 256}, ("", "y"))


def quantized(weight_first=True):
    weight = ["w", "w_scale", "w_zero"] if weight_first else ["x_codes"] + CODES
    return ["x_codes"] + CODES + weight + ["y_scale", "y_zero"]


CASES = {
    "Einsum bshd,hde->bse": ([2, 128, 8, 64], plain("Einsum", {"w": real(8, 64, 512)}, {"equation": "bshd,hde->bse"})),
    "ConvInteger 3x3": ([1, 64, 56, 56], on_codes("ConvInteger", ["x_codes", "w", "x_zero"], codes(64, 64, 3, 3), PADS)),
    "QLinearConv 3x3": ([1, 64, 56, 56], on_codes("QLinearConv", quantized(), codes(64, 64, 3, 3), PADS)),
    "QLinearConv depthwise": ([1, 64, 56, 56], on_codes("QLinearConv", quantized(), codes(64, 1, 3, 3),
                                                        {"group": 64, **PADS})),
    "MatMulInteger": ([256, 512], on_codes("MatMulInteger", ["x_codes", "w", "x_zero"], codes(512, 512), {})),
    "QLinearMatMul": ([256, 512], on_codes("QLinearMatMul", quantized(), codes(512, 512), {})),
    "QLinearAdd": ([1, 64, 112, 112], on_codes("QLinearAdd", quantized(False), None, {}, "com.microsoft")),
    "MatMulNBits": ([16, 1024], plain("MatMulNBits", {"w": codes(1024, 32, 16, dtype=np.uint8), "s": real(1024 * 32)},
                                      {"K": 1024, "N": 1024, "bits": 4, "block_size": 32}, domain="com.microsoft")),
    "MaxPool 3x3x3": ([1, 32, 16, 56, 56], plain("MaxPool", {}, VOLUME)),
    "AveragePool 3x3x3": ([1, 32, 16, 56, 56], plain("AveragePool", {}, VOLUME)),
    "LSTM": ([64, 1, 256], recurrent("LSTM", 4)),
    "LSTM, 16 sequences": ([64, 16, 256], recurrent("LSTM", 4)),
    "GRU": ([64, 1, 256], recurrent("GRU", 3)),
    "GRU, 16 sequences": ([64, 16, 256], recurrent("GRU", 3)),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in given.names or CASES:
            shape, (nodes, constants) = CASES[name]
            graph = helper.make_graph(nodes, "operator", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                                      [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                                      [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()])
            imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
            path = os.path.join(folder, "model.onnx")
            onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
            (_, own), (_, other) = compare(given.program, path, "x=" + ",".join(map(str, shape)), 1, given.rounds,
                                           given.runs)
            print("%-24s %8.2f ms, %8.2f ms, ratio %.2f" % (name, own, other, own / other), flush=True)


if __name__ == "__main__":
    main()
