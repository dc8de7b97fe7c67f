#!/usr/bin/env python3
"""Which tensors of small models carry Q/DQ, which operators go, which weights are per channel. Usage: placement_test.py XSLIM [NAME]

CASES says what each model is and what structure.py must read in the exported file (as a set of lines with repetitions);
VARIANTS the same with settings.
"""
import json
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper

import structure
from helpers import Checks, noise, run_all, run_xslim
from node_list import NodeList

IMAGE = [1, 3, 8, 8]


class Builder(NodeList):
    """A model with one input `x` and one output `y`; every method returns the name of its result."""

    def __init__(self, shape, opset=17):
        super().__init__(seed=7)
        self.shape, self.opset = shape, opset

    def positive(self, *shape):
        return self.constant(self.rng.uniform(0.5, 1.5, shape))

    def conv(self, x, cin, cout, kernel=3, group=1, bias=True):
        inputs = [x, self.random(cout, cin // group, kernel, kernel)] + ([self.random(cout)] if bias else [])
        return self.op("Conv", *inputs, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, group=group)

    def batch_norm(self, x, n):
        return self.op("BatchNormalization", x, self.positive(n), self.random(n), self.random(n), self.positive(n))

    def model(self, output):
        last = next(n for n in self.nodes if output in n.output)
        last.output[list(last.output).index(output)] = "y"
        for node in self.nodes:
            for i, name in enumerate(node.input):
                node.input[i] = "y" if name == output else name
        graph = helper.make_graph(self.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        made.ir_version = 8
        return onnx.shape_inference.infer_shapes(made, strict_mode=True)  # gives the output its shape


def conv_relu(b):
    return b.conv(b.op("Relu", b.conv("x", 3, 8)), 8, 4, 1)


def conv_clip6(b):
    x = b.op("Clip", b.conv("x", 3, 8), b.constant(0), b.constant(6))
    return b.op("Clip", b.conv(x, 8, 4, 1), b.constant(-0.1), b.constant(0.1))


def residual_add(b):
    a = b.op("Relu", b.conv("x", 3, 8))
    c = b.op("Relu", b.op("Add", a, b.conv(a, 8, 8)))
    return b.conv(c, 8, 4)


def sigmoid_mul(b):
    a = b.conv("x", 3, 8)
    return b.conv(b.op("Mul", a, b.op("Sigmoid", a)), 8, 4)


def concat_mixed(b):
    s = b.op("Relu", b.conv("x", 3, 8))
    pool = b.op("MaxPool", s, kernel_shape=[3, 3], pads=[1] * 4)
    return b.conv(b.op("Concat", b.op("Sigmoid", b.conv(s, 8, 4)), pool, b.op("Softmax", s, axis=1), axis=1), 20, 4, 1)


def attention(b):
    def head(perm):
        y = b.op("Reshape", b.linear("x", 16, 16), b.ints(1, 8, 2, 8))
        return b.op("Transpose", y, perm=perm)
    scores = b.op("Div", b.op("MatMul", head([0, 2, 1, 3]), head([0, 2, 3, 1])), b.constant(2.828427))
    y = b.op("MatMul", b.op("Softmax", scores, axis=-1), head([0, 2, 1, 3]))
    y = b.op("Reshape", b.op("Transpose", y, perm=[0, 2, 1, 3]), b.ints(1, 8, 16))
    return b.op("Add", b.linear(y, 16, 16), "x")


def layernorm_gelu(b):
    h = b.linear("x", 16, 16)
    d = b.op("Sub", h, b.op("ReduceMean", h, axes=[-1], keepdims=1))
    v = b.op("ReduceMean", b.op("Pow", d, b.constant(2)), axes=[-1], keepdims=1)
    y = b.op("Div", d, b.op("Sqrt", b.op("Add", v, b.constant(1e-5))))
    y = b.linear(b.op("Add", b.op("Mul", y, b.positive(16)), b.random(16)), 16, 32)
    e = b.op("Add", b.op("Erf", b.op("Div", y, b.constant(1.4142135))), b.constant(1))
    return b.linear(b.op("Mul", b.op("Mul", y, e), b.constant(0.5)), 32, 16)


def depthwise_bn(b):
    x = b.op("Relu", b.batch_norm(b.conv("x", 3, 8, bias=False), 8))
    x = b.op("Relu", b.batch_norm(b.conv(x, 8, 16, group=8), 16))
    return b.op("GlobalAveragePool", b.op("Mul", b.conv(x, 16, 8, 1), b.constant(1.5)))


def pad_first(b):
    x = b.op("Pad", "x", b.ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
    return b.conv(x, 3, 4)


def passive_chain(b):
    x = b.op("Reshape", b.conv("x", 3, 8), b.ints(1, 8, 64))
    x = b.op("Gather", b.op("Transpose", x, perm=[0, 2, 1]), b.ints(0, 5, 9, 63), axis=1)
    return b.op("Transpose", b.op("MatMul", x, b.random(8, 6)), perm=[0, 2, 1])


def split_slice(b):
    p, q, r = b.op("Split", b.op("Relu", b.conv("x", 3, 12)), b.ints(4, 4, 4), outputs=3, axis=1)
    q = b.op("Slice", q, b.ints(0), b.ints(7), b.ints(3))
    q = b.op("Pad", q, b.ints(0, 0, 0, 0, 0, 0, 0, 1), b.constant(0), mode="constant")
    return b.conv(b.op("Concat", b.conv(p, 4, 4), q, r, axis=1), 12, 4, 1)


def prelu_leaky(b):
    x = b.op("PRelu", b.conv("x", 3, 8), b.constant(np.linspace(.05, .4, 8).reshape(8, 1, 1)))
    x = b.op("LeakyRelu", b.conv(x, 8, 8), alpha=0.1)
    return b.op("Tanh", b.conv(x, 8, 4, 1))


def resize_pool_gemm(b):
    x = b.op("Resize", b.op("Relu", b.conv("x", 3, 8)), "", b.constant([1, 1, 2, 2]), mode="nearest",
             coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    x = b.op("GlobalAveragePool", b.op("AveragePool", b.conv(x, 8, 8), kernel_shape=[2, 2], strides=[2, 2]))
    return b.op("Gemm", b.op("Flatten", x, axis=1), b.random(5, 8), b.random(5), transB=1)


def cubic_shrinks(b):
    x = b.op("Resize", b.op("Relu", b.conv("x", 3, 8)), "", b.constant([1, 1, 0.5, 0.5]), mode="cubic")
    return b.conv(x, 8, 4, 1)


def cubic_of_two(b):
    x = b.conv("x", 3, 8)
    small = b.conv(b.op("Resize", x, "", b.constant([1, 1, 0.5, 0.5]), mode="cubic"), 8, 4, 1)
    return b.op("Concat", small, b.op("MaxPool", b.conv(x, 8, 4), kernel_shape=[2, 2], strides=[2, 2]), axis=1)


def gemm_matmul(b):
    x = b.op("Relu", b.op("Gemm", "x", b.random(16, 24), b.random(24)))
    x = b.op("Relu", b.op("MatMul", x, b.random(24, 20)))
    return b.op("Gemm", x, b.random(10, 20), b.random(10), transB=1)


def conv_transpose(b):
    x = b.op("Relu", b.conv("x", 3, 8))
    x = b.op("ConvTranspose", x, b.random(8, 6, 2, 2), b.random(6), kernel_shape=[2, 2], strides=[2, 2])
    return b.op("LeakyRelu", x, alpha=0.1)


def hswish(b):
    x = b.conv(b.op("HardSwish", b.conv("x", 3, 8)), 8, 8)
    return b.conv(b.op("Mul", x, b.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)), 8, 4, 1)


CONV, LAST = "Conv(q, w0, c) -> q", "Conv(q, w0, c) -> q!"
MATMUL, BIAS = "MatMul(q, w1) -> q", "Add(q, w) -> q"
TOKENS, ROW = [1, 8, 16], [1, 16]

# builder: (input shape, expected lines, greatest noise/signal of the output)
CASES = {
    conv_relu: (IMAGE, [CONV, LAST], 0.002),
    # The codes of 0..max do not leave 0..6. Those of -0.1..0.1 reach half a step past the bounds: ONNX Runtime refuses the Clip.
    conv_clip6: (IMAGE, [CONV, LAST], 0.002),
    residual_add: (IMAGE, [CONV, CONV, "Add(q, q) -> q", LAST], 0.002),
    sigmoid_mul: (IMAGE, [CONV, "Sigmoid(q) -> q", "Mul(q, q) -> q", LAST], 0.002),
    concat_mixed: (IMAGE, [CONV, CONV, "Sigmoid(q) -> q", "MaxPool(q) -> f", "Softmax(q) -> q", "Concat(q, g, q) -> q", LAST], 0.002),
    attention: (TOKENS, [MATMUL, BIAS, "Reshape(q, i) -> f", "Transpose(g) -> f"] * 3 +
                ["MatMul(g, g) -> q", "Mul(q, w) -> q", "Softmax(q) -> q", "MatMul(q, g) -> q", "Transpose(q) -> f",
                 "Reshape(g, i) -> f", "MatMul(g, w1) -> q", BIAS, "Add(q, q) -> q!"], 0.002),
    layernorm_gelu: (TOKENS, [MATMUL, BIAS, "LayerNormalization(q, c, c) -> q", MATMUL, BIAS, "Gelu(q) -> q", MATMUL,
                              "Add(q, w) -> q!"], 0.002),
    depthwise_bn: (IMAGE, [CONV, CONV, CONV, "GlobalAveragePool(q) -> q!"], 0.002),
    pad_first: (IMAGE, ["Pad(f, i) -> q", LAST], 0.002),
    passive_chain: (IMAGE, [CONV, "Reshape(q, i) -> f", "Transpose(g) -> f", "Gather(g, i) -> f", "MatMul(g, w1) -> q",
                            "Transpose(q) -> f!"], 0.002),
    split_slice: (IMAGE, [CONV, "Split(q, i) -> f, f, f", "Conv(g, w0, c) -> q", "Slice(g, i, i, i) -> f", "Pad(g, i, c) -> f",
                          "Concat(q, g, g) -> q", LAST], 0.002),
    prelu_leaky: (IMAGE, [CONV, "PRelu(q, w) -> q", CONV, "LeakyRelu(q) -> q", CONV, "Tanh(q) -> f!"], 0.002),
    resize_pool_gemm: (IMAGE, [CONV, "Resize(q, -, c) -> q", CONV, "AveragePool(q) -> q", "GlobalAveragePool(q) -> q",
                               "Flatten(q) -> f", "Gemm(g, w0, c) -> q!"], 0.002),
    # ONNX Runtime refuses a cubic Resize with pairs on both sides.
    cubic_shrinks: (IMAGE, ["Conv(q, w0, c) -> f", "Relu(f) -> f", "Resize(f, -, c) -> q", LAST], 0.002),
    cubic_of_two: (IMAGE, [CONV, "Resize(q, -, c) -> f", "Conv(f, c, c) -> q", CONV, "MaxPool(q) -> f", "Concat(q, g) -> q!"], 0.002),
    gemm_matmul: (ROW, ["Gemm(q, w1, c) -> q", MATMUL, "Gemm(q, w0, c) -> q!"], 0.002),
    conv_transpose: (IMAGE, [CONV, "ConvTranspose(q, w1, c) -> q", "LeakyRelu(q) -> q!"], 0.002),
    hswish: (IMAGE, [CONV, "HardSwish(q) -> q", CONV, "HardSigmoid(q) -> q", "Mul(q, q) -> q", LAST], 0.002),
}


def two_heads(b):
    x = b.op("Relu", b.conv("x", 3, 8))
    boxes, scores = b.conv(x, 8, 4), b.op("Sigmoid", b.conv(x, 8, 4))
    return b.op("Concat", b.op("Mul", boxes, b.constant(4)), b.op("Pow", scores, b.constant(2)), axis=1)


def custom(inputs, outputs, **settings):
    return {"custom_setting": [{"input_names": inputs, "output_names": outputs, **settings}]}


FUSED = {"placement": "fused"}
INT8 = ("own_ranges", "default_ranges", "all_above", "fused")  # variants in which no operator is left float
# (name, builder): settings, expected lines, greatest noise/signal
VARIANTS = {
    # The inner Conv and its weights are float; around it nothing changes.
    ("float_block", residual_add): (custom(["t1_0"], ["t2_0"], precision_level=3),
                                    [CONV, "Conv(q, c, c) -> q", "Add(q, q) -> q", LAST], 0.002),
    ("float_start", conv_relu): (custom(["x"], ["t1_0"], precision_level=3),
                                 ["Conv(f, c, c) -> f", "Relu(f) -> q", LAST], 0.002),
    ("float_to_batch_norm", depthwise_bn): (custom(["x"], ["t0_0"], precision_level=3),
                                            ["Conv(f, c, c) -> f", "Relu(f) -> q", CONV, CONV, "GlobalAveragePool(q) -> q!"],
                                            0.002),
    ("own_ranges", residual_add): (custom(["x"], ["t4_0"], max_percentile=0.99, calibration_type="percentile"),
                                   [CONV, CONV, "Add(q, q) -> q", LAST], 0.2),
    ("default_ranges", residual_add): (custom(["x"], ["t4_0"], precision_level=0, calibration_type="default"),
                                       [CONV, CONV, "Add(q, q) -> q", LAST], 0.002),
    ("level2_block", sigmoid_mul): (custom(["x"], ["y"], precision_level=2),
                                    [CONV, "Sigmoid(q) -> f", "Mul(q, f) -> q", LAST], 0.002),
    ("level2", sigmoid_mul): ({"precision_level": 2}, [CONV, "Sigmoid(q) -> f", "Mul(q, f) -> q", LAST], 0.002),
    ("level2", residual_add): ({"precision_level": 2}, [CONV, CONV, "Add(q, q) -> f", "Relu(f) -> q", LAST], 0.002),
    ("level2", attention): ({"precision_level": 2},
                            [MATMUL, BIAS, "Reshape(q, i) -> f", "Transpose(g) -> f"] * 3 +
                            ["MatMul(g, g) -> q", "Mul(q, w) -> q", "Softmax(q) -> q", "MatMul(q, g) -> q",
                             "Transpose(q) -> f", "Reshape(g, i) -> f", "MatMul(g, w1) -> q", BIAS, "Add(q, f) -> f!"], 0.002),
    ("truncated", two_heads): ({"truncate_var_names": ["t2_0", "t4_0"]},
                               [CONV, "Conv(q, w0, c) -> q", "Conv(q, w0, c) -> q", "Sigmoid(q) -> q", "Mul(q, c) -> f",
                                "Pow(q, c) -> f", "Concat(f, f) -> f!"], 0.002),
    ("one_head", two_heads): ({"truncate_var_names": ["t2_0"]},
                              [CONV, "Conv(q, w0, c) -> q", "Conv(q, c, c) -> f", "Sigmoid(f) -> f", "Mul(q, c) -> f",
                               "Pow(f, c) -> f", "Concat(f, f) -> f!"], 0.002),
    ("fused", hswish): (FUSED, ["Conv(q, w0, c) -> f", "HardSwish(f) -> q", "Conv(q, w0, c) -> f", "HardSigmoid(f) -> f",
                                "Mul(f, f) -> q", LAST], 0.002),
    ("fused", prelu_leaky): (FUSED, ["Conv(q, w0, c) -> f", "PRelu(f, c) -> q", "Conv(q, w0, c) -> f", "LeakyRelu(f) -> q", CONV,
                                     "Tanh(q) -> f!"], 0.002),
    ("fused", residual_add): (FUSED, [CONV, "Conv(q, w0, c) -> f", "Add(q, f) -> q", LAST], 0.002),
    ("fused", layernorm_gelu): (FUSED, ["MatMul(q, w1) -> f", "Add(f, c) -> f", "LayerNormalization(f, c, c) -> q", "MatMul(q, w1) -> f",
                                        "Add(f, c) -> f", "Gelu(f) -> q", "MatMul(q, w1) -> f", "Add(f, c) -> q!"], 0.002),
    ("fused", attention): (FUSED, ["MatMul(q, w1) -> f", "Add(f, c) -> q", "Reshape(q, i) -> f", "Transpose(g) -> f"] * 3 +
                           ["MatMul(g, g) -> f", "Mul(f, c) -> f", "Softmax(f) -> q", "MatMul(q, g) -> q", "Transpose(q) -> f",
                            "Reshape(g, i) -> f", "MatMul(g, w1) -> f", "Add(f, c) -> f", "Add(f, q) -> q!"], 0.002),
    ("all_above", conv_relu): ({"truncate_var_names": ["y"]}, [CONV, LAST], 0.002),
}


def check(checks, program, build, shape, expected, bar, variant="", settings=None):
    name = build.__name__ + (" " + variant if variant else "")
    with tempfile.TemporaryDirectory() as folder:
        builder = Builder(shape)
        onnx.save(builder.model(build(builder)), os.path.join(folder, "m.onnx"))
        rng = np.random.default_rng(3)
        samples = [rng.standard_normal(shape).astype(np.float32) for _ in range(12)]
        for i, sample in enumerate(samples):
            np.save(os.path.join(folder, f"{i}.npy"), sample)
        with open(os.path.join(folder, "list.txt"), "w") as file:
            file.write("".join(f"{i}.npy\n" for i in range(len(samples))))
        config = {"model_parameters": {"onnx_model": "m.onnx"},
                  "calibration_parameters": {"calibration_type": "default", "input_parameters": [
                      {"input_name": "x", "input_shape": shape, "file_type": "npy", "data_list_path": "list.txt"}]},
                  "quantization_parameters": {"finetune_level": 0, "analysis_enable": settings is not None, **(settings or {})}}
        with open(os.path.join(folder, "c.json"), "w") as file:
            json.dump(config, file)
        output = os.path.join(folder, "q.onnx")
        run_xslim(program, ["-c", "c.json", "-o", output], folder)
        onnx.checker.check_model(output, full_check=True)
        lines, model = structure.load(output)
        if settings is not None:
            with open(os.path.join(folder, "q_report.md")) as file:
                text = file.read()
            told = "float: " in text
            all_int8 = "Multiply-adds in int8: 100.0 %" in text
            checks.that(all_int8 == (variant not in ("float_block", "float_start", "float_to_batch_norm", "one_head")),
                        f"{name}: the report says that {'all' if all_int8 else 'not all'} multiply-adds are int8")
            checks.that(told == (variant not in INT8),
                        f"{name}: the report {'names' if told else 'does not name'} float operators")
        reference = run_all(os.path.join(folder, "m.onnx"), samples)
        power = noise(run_all(output, samples), reference)
        if build in (conv_clip6, cubic_shrinks, cubic_of_two):
            optimised = noise(run_all(output, samples, optimised=True), reference)
            checks.that(optimised <= bar, f"{name}: noise/signal {optimised:.6f} over {bar} as ONNX Runtime optimises it")
    missing, extra = list(expected), []
    for line in lines:
        if line in missing:
            missing.remove(line)
        else:
            extra.append(line)
    checks.that(not missing and not extra, f"{name}: missing {missing}, unexpected {extra}")
    pairs = sum(n.op_type == "QuantizeLinear" and n.input[0] == "x" for n in model.graph.node)
    wanted = 0 if build is pad_first or variant in ("float_start", "float_to_batch_norm") else 1
    checks.that(pairs == wanted, f"{name}: {pairs} pairs at the input")
    checks.that([o.name for o in model.graph.output] == ["y"], f"{name}: the output lost its name")
    checks.that(power <= bar, f"{name}: noise/signal {power:.6f} over {bar}")
    print(f"{name}: {len(lines)} operators, noise/signal {power:.6f}")


def main(program, only=None):
    checks = Checks()
    for build, (shape, expected, bar) in CASES.items():
        if only in (None, build.__name__):
            check(checks, program, build, shape, expected, bar)
    for (variant, build), (settings, expected, bar) in VARIANTS.items():
        if only in (None, variant):
            check(checks, program, build, CASES.get(build, [IMAGE])[0], expected, bar, variant, settings)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
