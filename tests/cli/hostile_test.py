#!/usr/bin/env python3
"""Hostile and odd graphs in every mode of the program. Usage: hostile_test.py XSLIM [--sanitized] [CASE ...]

Each model goes through static quantization at finetune_level 0 and 1, simplification, --dynq and --fp16. The program must end
by itself, with status 0 or 1, within SECONDS and MEMORY of address space (--sanitized: not limited), and say one clear error
when it fails. Models of RUN must succeed in every mode. Static quantization, which runs the model, must name the culprit of
those of FAULTY, in an error or where it leaves out what cannot be computed; the other modes may leave it as it is.
"""
import concurrent.futures
import json
import os
import resource
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F, I, B, S = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING
MEMORY, SECONDS = 2 << 30, 120
HUGE = 1 << 62
RNG = np.random.default_rng(5)


def node(op, inputs, outputs, name=None, **attributes):
    return helper.make_node(op, inputs, outputs, name or op.lower(), **attributes)


def info(name, kind=F, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def real(*shape):
    return (RNG.standard_normal(shape) * 0.3).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def model(nodes, weights=(), shape=(1, 3, 8, 8), outputs=("y",), inputs=(), opset=17, functions=(), domains=()):
    """`weights` is a dict of initializers, `inputs` are inputs beside x."""
    graph = helper.make_graph(nodes, "g", [info("x", F, shape), *inputs],
                              [name if not isinstance(name, str) else helper.make_empty_tensor_value_info(name) for name in outputs],
                              [numpy_helper.from_array(np.asarray(v), k) for k, v in dict(weights).items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)] + [helper.make_opsetid(d, 1) for d in domains],
                             functions=list(functions))
    made.ir_version = 10
    return made


def body(nodes, outputs, inputs=(), weights=()):
    return helper.make_graph(nodes, "body", list(inputs), [helper.make_empty_tensor_value_info(o) for o in outputs],
                             [numpy_helper.from_array(np.asarray(v), k) for k, v in dict(weights).items()])


def behind_conv(*nodes, weights=(), **more):
    """`nodes` read c, the result of a convolution of x, and make y."""
    return model([node("Conv", ["x", "w"], ["c"], pads=[1] * 4), *nodes], {"w": real(4, 3, 3, 3), **dict(weights)}, **more)


# ---- what must work

def zero_batch():
    return behind_conv(node("Relu", ["c"], ["y"]), shape=(0, 3, 8, 8))


def zero_channels_slice():
    return behind_conv(node("Slice", ["c", "a", "a", "one"], ["e"]), node("Concat", ["c", "e"], ["y"], axis=1),
                       weights={"a": ints(2), "one": ints(1)})


def zero_everywhere():
    steps = [("Relu", {}), ("Sigmoid", {}), ("Softmax", dict(axis=-1)), ("MaxPool", dict(kernel_shape=[2, 2])), ("Transpose", dict(perm=[0, 2, 3, 1])),
             ("Flatten", {})]
    nodes, last = [node("Slice", ["c", "a", "a"], ["v"])], "v"
    for i, (op, attributes) in enumerate(steps):
        nodes.append(node(op, [last], ["v%d" % i], "n%d" % i, **attributes))
        last = "v%d" % i
    return behind_conv(*nodes, node("MatMul", [last, "m"], ["y"]), weights={"a": ints(0), "m": real(7 * 7 * 4, 5)})


def empty_reduce():
    return behind_conv(node("Slice", ["c", "a", "a"], ["v"]), node("ReduceSum", ["v"], ["s"]), node("Add", ["c", "s"], ["y"]),
                       weights={"a": ints(0)})


def if_of_other_ranks():
    return behind_conv(node("ReduceMean", ["c"], ["m"], keepdims=0), node("Greater", ["m", "zero"], ["go"]),
                       node("If", ["go"], ["y"], then_branch=body([node("Relu", ["c"], ["t"])], ["t"]),
                            else_branch=body([node("Flatten", ["c"], ["e"])], ["e"])), weights={"zero": np.float32(0)})


def if_constant():
    return behind_conv(node("If", ["yes"], ["y"], then_branch=body([node("Relu", ["c"], ["t"])], ["t"]),
                            else_branch=body([node("Flatten", ["c"], ["e"])], ["e"])), weights={"yes": np.bool_(True)})


def nested_ifs(depth):
    inner = body([node("Relu", ["c"], ["r0"])], ["r0"])
    for i in range(1, depth):
        inner = body([node("If", ["yes"], ["r%d" % i], "if%d" % i, then_branch=inner, else_branch=body(
            [node("Neg", ["c"], ["n%d" % i], "neg%d" % i)], ["n%d" % i]))], ["r%d" % i])
    return behind_conv(node("If", ["yes"], ["y"], then_branch=inner, else_branch=body([node("Neg", ["c"], ["e"])], ["e"])),
                       weights={"yes": np.bool_(True)})


def loop_of_none():
    step = body([node("Identity", ["go"], ["go_on"]), node("Relu", ["s"], ["t"])], ["go_on", "t", "t"],
                [info("i", I, []), info("go", B, []), info("s")])
    return behind_conv(node("Loop", ["zero", "", "c"], ["last", "all"], body=step), node("Add", ["last", "c"], ["y"]),
                       weights={"zero": np.int64(0)}, outputs=("y", "all"))


def loop_negative():
    step = body([node("Identity", ["go"], ["go_on"]), node("Relu", ["s"], ["t"])], ["go_on", "t"],
                [info("i", I, []), info("go", B, []), info("s")])
    return behind_conv(node("Loop", ["n", "", "c"], ["y"], body=step), weights={"n": np.int64(-(1 << 63))})


def strings():
    words = np.array(["a", "", "long " * 50], object)
    return behind_conv(node("Relu", ["c"], ["y"]), node("Identity", ["words"], ["z"]), weights={"words": words}, outputs=("y", "z"))


def optionals():
    return behind_conv(node("Optional", ["c"], ["o"]), node("OptionalHasElement", ["o"], ["h"]),
                       node("OptionalGetElement", ["o"], ["y"]), outputs=("y", "h"))


def sequences():
    return behind_conv(node("SplitToSequence", ["c"], ["s"], axis=1), node("ConcatFromSequence", ["s"], ["y"], axis=1))


def float8_weights():
    made = behind_conv(node("DequantizeLinear", ["q", "s"], ["d"]), node("Conv", ["c", "d"], ["y"]), weights={"s": np.float32(0.1)}, opset=21)
    made.graph.initializer.append(helper.make_tensor("q", TensorProto.FLOAT8E4M3FN, [2, 4, 1, 1], bytes([0x38, 0xb8, 0x7e, 0x01] * 2), raw=True))
    return made


def float4_carried():
    made = behind_conv(node("Cast", ["q"], ["d"], to=F), node("Conv", ["c", "d"], ["y"]), opset=23)
    made.graph.initializer.append(helper.make_tensor("q", TensorProto.FLOAT4E2M1, [1, 4, 1, 1], bytes([0x21, 0xf7]), raw=True))
    return made


def scalar_everywhere():
    return model([node("ReduceSum", ["x"], ["s"], keepdims=0), node("Relu", ["s"], ["r"]), node("Add", ["r", "c"], ["a"]),
                  node("Mul", ["x", "a"], ["y"])], {"c": np.float32(0.5)})


def same_twice():
    return behind_conv(node("Add", ["c", "c"], ["a"]), node("Concat", ["a", "a", "a"], ["y"], axis=1))


def output_is_input():
    return behind_conv(node("Relu", ["c"], ["y"]), outputs=("y", "x"))


def output_is_constant():
    return behind_conv(node("Relu", ["c"], ["y"]), outputs=("y", "w"))


def unused_input():
    return behind_conv(node("Relu", ["c"], ["y"]), inputs=[info("left", F, [0])])


def no_names():
    made = behind_conv(node("Relu", ["c"], ["y"]))
    for each in made.graph.node:
        each.name = ""
    return made


def same_names():
    made = behind_conv(node("Relu", ["c"], ["a"]), node("Neg", ["a"], ["b"]), node("Abs", ["b"], ["y"]))
    for each in made.graph.node:
        each.name = "n"
    return made


def odd_names():
    made = behind_conv(node("Relu", ["c"], ["y"]))
    for each in made.graph.node:
        each.name = "a/b:c \"d\" \n\t\\ \u00e4\u4e2d"
    return made


def infinite_weights():
    w = real(4, 3, 3, 3)
    w[0, 0, 0, 0], w[1, 0, 0, 0], w[2, 0, 0, 0] = np.inf, -np.inf, np.nan
    return model([node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])], {"w": w})


def zero_weights():
    return model([node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])], {"w": np.zeros((4, 3, 3, 3), np.float32)})


def tiny_and_huge_weights():
    w = real(4, 3, 3, 3)
    w[0], w[1] = 1e-42, 3e38
    return model([node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])], {"w": w})


def deep_chain():
    nodes, last = [], "c"
    for i in range(3000):
        nodes.append(node("Relu" if i % 2 else "Neg", [last], ["v%d" % i], "n%d" % i))
        last = "v%d" % i
    return behind_conv(*nodes, node("Abs", [last], ["y"]))


def unknown_operator():
    return behind_conv(node("Strange", ["c"], ["s"], domain="no.such"), node("Relu", ["c"], ["y"]), outputs=("y", "s"), domains=("no.such",))


def negative_input():
    """Older exporters write unknown dimensions so."""
    return model([node("Relu", ["x"], ["y"])], shape=(-1, 3, 8, 8))


def computes_alone():
    """Calibrated by its one run; folding would leave nothing of it, were it not for the random numbers."""
    made = behind_conv(node("RandomNormal", [], ["x"], shape=[1, 3, 8, 8], seed=1.0), node("Relu", ["c"], ["y"]))
    del made.graph.input[:]
    made.graph.node.insert(0, made.graph.node.pop(1))
    return made


def constant_alone():
    made = model([node("MatMul", ["a", "b"], ["y"])], {"a": real(4, 8), "b": real(8, 2)})
    del made.graph.input[:]
    return made


def sparse_weights():
    made = behind_conv(node("MatMul", ["c", "s"], ["y"]))
    values = helper.make_tensor("s", F, [3], [1.0, -2.0, 3.0])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([[0, 1], [2, 0], [7, 4]]), "i"), [8, 5]))
    return made


def function_in_function():
    inner = helper.make_function("f", "Inner", ["a"], ["b"], [node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 17)])
    outer = helper.make_function("f", "Outer", ["a"], ["b"], [node("Inner", ["a"], ["m"], domain="f"), node("Neg", ["m"], ["b"])],
                                 [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)])
    return behind_conv(node("Outer", ["c"], ["y"], domain="f"), functions=[inner, outer], domains=("f",))


# ---- what is faulty

LARGEST_OF_FILL = [node("ConstantOfShape", ["dims"], ["f"], "fill"), node("ReduceMax", ["f"], ["r"], "largest", keepdims=0),
                   node("Add", ["c", "r"], ["y"])]


def huge_fill():
    return behind_conv(*LARGEST_OF_FILL, weights={"dims": ints(1 << 40, 1 << 40)})


def huge_wrapping():
    return behind_conv(*LARGEST_OF_FILL, weights={"dims": ints(HUGE, 4)})


def huge_expand():
    return behind_conv(node("Expand", ["c", "dims"], ["y"], "expand"), weights={"dims": ints(HUGE, 1, 1, 1)})


def huge_tile():
    return behind_conv(node("Tile", ["c", "dims"], ["y"], "tile"), weights={"dims": ints(1, HUGE, HUGE, 1)})


def huge_pad():
    return behind_conv(node("Pad", ["c", "pads"], ["y"], "pad"), weights={"pads": ints(0, 0, 0, HUGE, 0, 0, 0, HUGE)})


def huge_resize():
    return behind_conv(node("Resize", ["c", "", "scales"], ["y"], "resize"), weights={"scales": np.array([1, 1, 1e18, 1e18], np.float32)})


def huge_range():
    return behind_conv(node("Range", ["a", "b", "d"], ["r"], "range"), node("Cast", ["r"], ["f"], to=F), node("ReduceSum", ["f"], ["s"], keepdims=0),
                       node("Add", ["c", "s"], ["y"]), weights={"a": np.int64(-HUGE), "b": np.int64(HUGE), "d": np.int64(1)})


def huge_onehot():
    return behind_conv(node("OneHot", ["i", "depth", "v"], ["h"], "onehot"), node("ReduceSum", ["h"], ["s"], keepdims=0), node("Add", ["c", "s"], ["y"]),
                       weights={"i": ints(1), "depth": np.int64(1 << 60), "v": np.array([0, 1], np.float32)})


def huge_window():
    return behind_conv(node("HannWindow", ["n"], ["h"], "window"), node("ReduceSum", ["h"], ["s"], keepdims=0), node("Add", ["c", "s"], ["y"]),
                       weights={"n": np.int64(1 << 61)})


def huge_eye():
    return behind_conv(node("ConstantOfShape", ["n"], ["s"], "fill"), node("EyeLike", ["s"], ["e"], "eye"), node("ReduceSum", ["e"], ["t"], keepdims=0),
                       node("Add", ["c", "t"], ["y"]), weights={"n": ints(1 << 31, 1 << 31)})


def huge_dilation():
    return model([node("Conv", ["x", "w"], ["y"], "conv", dilations=[HUGE, HUGE])], {"w": real(4, 3, 3, 3)})


def huge_pads():
    return model([node("Conv", ["x", "w"], ["y"], "conv", pads=[HUGE] * 4)], {"w": real(4, 3, 3, 3)})


def zero_stride():
    return model([node("Conv", ["x", "w"], ["y"], "conv", strides=[0, 0])], {"w": real(4, 3, 3, 3)})


def negative_reshape():
    return behind_conv(node("Reshape", ["c", "dims"], ["y"], "reshape"), weights={"dims": ints(-1, -1)})


def wrong_reshape():
    return behind_conv(node("Reshape", ["c", "dims"], ["y"], "reshape"), weights={"dims": ints(7, 13)})


def wrong_channels():
    return model([node("Conv", ["x", "w"], ["y"], "conv")], {"w": real(4, 5, 3, 3)})


def index_outside():
    return behind_conv(node("Gather", ["c", "i"], ["y"], "gather", axis=1), weights={"i": ints(99)})


def wrong_attribute_type():
    return model([node("Conv", ["x", "w"], ["y"], "conv", strides="two")], {"w": real(4, 3, 3, 3)})


def missing_input():
    return model([node("Conv", ["x", "nowhere"], ["y"], "conv")])


def no_inputs():
    return model([node("Conv", [], ["y"], "conv")])


def cycle():
    return model([node("Add", ["x", "b"], ["a"], "first"), node("Relu", ["a"], ["b"], "second"), node("Neg", ["b"], ["y"])])


def cycle_through_body():
    return model([node("If", ["yes"], ["a"], "if", then_branch=body([node("Relu", ["b"], ["t"])], ["t"]),
                       else_branch=body([node("Neg", ["b"], ["e"])], ["e"])), node("Add", ["a", "x"], ["b"], "add"), node("Neg", ["b"], ["y"])],
                 {"yes": np.bool_(True)})


def defined_twice():
    return model([node("Relu", ["x"], ["y"], "first"), node("Neg", ["x"], ["y"], "second")])


def no_output():
    return model([node("Relu", ["x"], ["a"])], outputs=("y",))


def function_calls_itself():
    own = helper.make_function("f", "Self", ["a"], ["b"], [node("Self", ["a"], ["b"], domain="f")], [helper.make_opsetid("f", 1)])
    return behind_conv(node("Self", ["c"], ["y"], domain="f"), functions=[own], domains=("f",))


def functions_call_each_other():
    opsets = [helper.make_opsetid("f", 1)]
    pair = [helper.make_function("f", one, ["a"], ["b"], [node(other, ["a"], ["b"], domain="f")], opsets)
            for one, other in (("Ping", "Pong"), ("Pong", "Ping"))]
    return behind_conv(node("Ping", ["c"], ["y"], domain="f"), functions=pair, domains=("f",))


def functions_that_double():
    """60 functions, each calling the next twice: 2^60 nodes when opened."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    made = [helper.make_function("f", "F%d" % i, ["a"], ["b"], [node("F%d" % (i + 1), ["a"], ["m"], "one", domain="f"),
                                                               node("F%d" % (i + 1), ["m"], ["b"], "two", domain="f")], opsets)
            for i in range(60)]
    made.append(helper.make_function("f", "F60", ["a"], ["b"], [node("Relu", ["a"], ["b"])], opsets))
    return behind_conv(node("F0", ["c"], ["y"], domain="f"), functions=made, domains=("f",))


def endless_loop():
    step = body([node("Identity", ["go"], ["go_on"]), node("Relu", ["s"], ["t"])], ["go_on", "t"],
                [info("i", I, []), info("go", B, []), info("s")])
    return behind_conv(node("Loop", ["", "yes", "c"], ["y"], "loop", body=step), weights={"yes": np.bool_(True)})


def growing_loop():
    """Doubles its state in each of 200 steps."""
    step = body([node("Identity", ["go"], ["go_on"]), node("Concat", ["s", "s"], ["t"], axis=0)], ["go_on", "t"],
                [info("i", I, []), info("go", B, []), info("s")])
    return behind_conv(node("Loop", ["n", "", "c"], ["y"], "loop", body=step), weights={"n": np.int64(200)})


def if_on_float():
    return behind_conv(node("If", ["c"], ["y"], "if", then_branch=body([node("Relu", ["c"], ["t"])], ["t"]),
                            else_branch=body([node("Neg", ["c"], ["e"])], ["e"])))


def body_missing():
    return behind_conv(node("If", ["yes"], ["y"], "if"), weights={"yes": np.bool_(True)})


def if_of_two_counts():
    return behind_conv(node("If", ["yes"], ["y"], "if", then_branch=body([node("Relu", ["c"], ["t"])], ["t"]),
                            else_branch=body([node("Neg", ["c"], ["e"]), node("Relu", ["c"], ["f"])], ["e", "f"])), weights={"yes": np.bool_(True)})


def loop_of_two_counts():
    step = body([node("Identity", ["go"], ["go_on"]), node("Relu", ["s"], ["t"]), node("Neg", ["s"], ["u"])], ["go_on", "t", "u"],
                [info("i", I, []), info("go", B, []), info("s")])
    return behind_conv(node("Loop", ["n", "", "c"], ["y"], "loop", body=step), weights={"n": np.int64(2)})


def scan_of_two_counts():
    step = body([node("Relu", ["s"], ["t"])], ["t"], [info("s"), info("more")])
    return behind_conv(node("Scan", ["c"], ["y"], "scan", body=step, num_scan_inputs=1))


def sequence_as_tensor():
    return behind_conv(node("SequenceConstruct", ["c"], ["s"]), node("Relu", ["s"], ["y"], "relu"))


def strings_added():
    return behind_conv(node("Add", ["words", "words"], ["z"], "add"), node("Relu", ["c"], ["y"]), weights={"words": np.array(["a"], object)},
                       outputs=("y", "z"))


def short_weight():
    made = behind_conv(node("Relu", ["c"], ["y"]))
    made.graph.initializer[0].raw_data = made.graph.initializer[0].raw_data[:-4]
    return made


def negative_weight_dim():
    made = behind_conv(node("Relu", ["c"], ["y"]))
    made.graph.initializer[0].dims[0] = -4
    return made


def overflowing_weight():
    made = behind_conv(node("Relu", ["c"], ["y"]))
    made.graph.initializer[0].dims[:] = [1 << 32, 1 << 32, 3, 3]
    return made


def outside_data():
    made = behind_conv(node("Relu", ["c"], ["y"]))
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    return made


RUN = {f.__name__: f for f in (zero_batch, zero_channels_slice, zero_everywhere, empty_reduce, if_of_other_ranks, if_constant, loop_of_none,
                               loop_negative, strings, optionals, sequences, float4_carried, scalar_everywhere, same_twice,
                               output_is_input, output_is_constant, unused_input, no_names, same_names, odd_names, zero_weights, tiny_and_huge_weights, deep_chain, unknown_operator, function_in_function, negative_input,
                               computes_alone, constant_alone, sparse_weights)}
RUN["nested_ifs"] = lambda: nested_ifs(20)
# What static quantization must name; True: the model is refused in every mode.
FAULTY = {
    "huge_fill": (huge_fill, "fill", True), "huge_wrapping": (huge_wrapping, "fill", True), "huge_expand": (huge_expand, "expand", True),
    "huge_tile": (huge_tile, "tile", True), "huge_pad": (huge_pad, "pad", True), "huge_resize": (huge_resize, "resize", True),
    "huge_range": (huge_range, "range", True), "huge_onehot": (huge_onehot, "onehot", True), "huge_window": (huge_window, "window", True),
    "huge_eye": (huge_eye, "fill", True), "huge_dilation": (huge_dilation, "conv", True), "huge_pads": (huge_pads, "conv", True),
    "zero_stride": (zero_stride, "conv", True), "infinite_weights": (infinite_weights, "conv", False),
    "float8_weights": (float8_weights, "dequantizelinear", False), "negative_reshape": (negative_reshape, "reshape", True),
    "wrong_reshape": (wrong_reshape, "reshape", True), "wrong_channels": (wrong_channels, "conv", True),
    "index_outside": (index_outside, "gather", True), "wrong_attribute_type": (wrong_attribute_type, "strides", True),
    "missing_input": (missing_input, "nowhere", True), "no_inputs": (no_inputs, "conv", True), "cycle": (cycle, "second", True),
    "cycle_through_body": (cycle_through_body, "add", True), "defined_twice": (defined_twice, "y", True), "no_output": (no_output, "y", True),
    "function_calls_itself": (function_calls_itself, "Self", True), "functions_call_each_other": (functions_call_each_other, "P", True),
    "functions_that_double": (functions_that_double, "F", False), "endless_loop": (endless_loop, "loop", False),
    "growing_loop": (growing_loop, "loop", False), "if_on_float": (if_on_float, "if", True), "body_missing": (body_missing, "if", True),
    "if_of_two_counts": (if_of_two_counts, "else_branch has 2 outputs", True), "loop_of_two_counts": (loop_of_two_counts, "body has 3 outputs", True),
    "scan_of_two_counts": (scan_of_two_counts, "body has 2 inputs", True),
    "sequence_as_tensor": (sequence_as_tensor, "relu", False), "strings_added": (strings_added, "add", True),
    "short_weight": (short_weight, "initializer w", True), "negative_weight_dim": (negative_weight_dim, "initializer w", True),
    "overflowing_weight": (overflowing_weight, "initializer w", True), "outside_data": (outside_data, "initializer w", True)}
# Attributes that contradict the shapes of what the node reads: one node behind a convolution of [1,4,8,8].
MISFITS = {
    "kernel_of_other_weights": ("Conv", dict(kernel_shape=[5, 5]), {"v": real(2, 4, 3, 3)}), "stride_backwards": ("Conv", dict(strides=[-1, 1]), {"v": real(2, 4, 3, 3)}),
    "no_dilation": ("Conv", dict(dilations=[0, 0]), {"v": real(2, 4, 3, 3)}), "two_pads": ("Conv", dict(pads=[1, 1]), {"v": real(2, 4, 3, 3)}),
    "bias_too_long": ("Conv", {}, {"v": real(2, 4, 3, 3), "b": real(3)}), "transposed_stride": ("ConvTranspose", dict(strides=[0, 0]), {"v": real(4, 2, 3, 3)}),
    "pool_of_one_size": ("MaxPool", dict(kernel_shape=[2]), {}), "pool_of_stride_0": ("AveragePool", dict(kernel_shape=[2, 2], strides=[0, 0]), {}),
    "axis_twice": ("Transpose", dict(perm=[0, 0, 1, 2]), {}), "axes_left_out": ("Transpose", dict(perm=[0, 1]), {}),
    "joined_along_7": ("Concat", dict(axis=7), {}), "softmax_along_4": ("Softmax", dict(axis=4), {}), "flat_from_6": ("Flatten", dict(axis=6), {}),
    "squeeze_of_4": ("Squeeze", {}, {"v": ints(1)}), "gather_along_9": ("Gather", dict(axis=9), {"v": ints(0)}),
    "scale_of_7": ("LayerNormalization", {}, {"v": real(7)})}
for misfit, (kind, attributes, constants) in MISFITS.items():
    FAULTY[misfit] = ((lambda k=kind, a=attributes, c=constants: behind_conv(node(k, ["c", *c], ["y"], "misfit", **a), weights=c)), "misfit", True)
MODES = ("level0", "level1", "slim", "dynq", "fp16")
SLOW = ("growing_loop", "functions_that_double")  # they run into a limit, which takes seconds: only two modes


def prepare(folder, made):
    """The model, its data and a config for both levels."""
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.write(made.SerializeToString())
    inputs = []
    for k, value in enumerate(made.graph.input):
        shape = [1 if d.dim_value < 0 else d.dim_value for d in value.type.tensor_type.shape.dim]
        with open(os.path.join(folder, "list%d.txt" % k), "w") as file:
            for i in range(2):
                np.save(os.path.join(folder, "s%d_%d.npy" % (k, i)), real(*shape))
                file.write("s%d_%d.npy\n" % (k, i))
        inputs.append({"input_name": value.name, "input_shape": shape, "file_type": "npy", "dtype": "float32", "data_list_path": "list%d.txt" % k})
    for level in (0, 1):
        config = {"model_parameters": {"onnx_model": "model.onnx", "output_prefix": "out", "working_dir": "w%d" % level},
                  "calibration_parameters": {"calibration_step": 2, "calibration_device": "cpu", "input_parametres": inputs},
                  "quantization_parameters": {"finetune_level": level, "analysis_enable": True}}
        with open(os.path.join(folder, "config%d.json" % level), "w") as file:
            json.dump(config, file)


def run(program, folder, mode, sanitized):
    """Status (negative: a signal, None: no end) and what was written to standard error."""
    arguments = {"level0": ["-c", "config0.json"], "level1": ["-c", "config1.json"], "slim": ["-i", "model.onnx", "-o", "slim.onnx"],
                 "dynq": ["-i", "model.onnx", "-o", "dynq.onnx", "--dynq"], "fp16": ["-i", "model.onnx", "-o", "fp16.onnx", "--fp16"]}[mode]

    def limit():
        if not sanitized:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    environment = {**os.environ, "ASAN_OPTIONS": "allocator_may_return_null=1:max_allocation_size_mb=2048:detect_leaks=0"}
    try:
        done = subprocess.run([program, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=limit,
                              timeout=SECONDS * (5 if sanitized else 1), check=False, env=environment)
        return done.returncode, done.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired:
        return None, ""


def complaint(name, mode, status, text):
    """What is wrong with how a run ended, or ""."""
    if status not in (0, 1) or "AddressSanitizer" in text or "runtime error:" in text:
        return "ended with %s" % status
    if name in RUN:
        return "" if status == 0 else "was refused"
    _, wanted, always = FAULTY[name]
    if status == 0 and always:
        return "was not refused"
    return "" if wanted in text or (status == 0 and mode not in ("level0", "level1")) else "does not name %s" % wanted


def main(arguments):
    sanitized = "--sanitized" in arguments
    program, *chosen = [a for a in arguments if a != "--sanitized"]
    program, names = os.path.abspath(program), chosen or [*RUN, *FAULTY]
    with tempfile.TemporaryDirectory() as top:
        for name in names:
            os.mkdir(os.path.join(top, name))
            prepare(os.path.join(top, name), RUN[name]() if name in RUN else FAULTY[name][0]())

        def one(job):
            name, mode = job
            status, text = run(program, os.path.join(top, name), mode, sanitized)
            return name, mode, complaint(name, mode, status, text), text
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(one, [(name, mode) for name in names for mode in MODES
                                           if name not in SLOW or mode in ("level0", "dynq")]))
    wrong = [result for result in results if result[2]]
    for name, mode, why, text in wrong:
        print("FAILED: %s, %s: %s\n    %s" % (name, mode, why, text.strip()[-1500:].replace("\n", "\n    ")))
    print("%d graphs, %d runs, %d failed" % (len(names), len(results), len(wrong)))
    return 1 if wrong or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
