"""Graphs that nobody can compute, or not all of: FAULTY, with what must be named."""
import numpy as np
from onnx import TensorProto, helper

from hostile_builders import B, F, I, behind_conv, body, info, ints, model, node, real

HUGE = 1 << 62
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


def float8_weights():
    made = behind_conv(node("DequantizeLinear", ["q", "s"], ["d"]), node("Conv", ["c", "d"], ["y"]), weights={"s": np.float32(0.1)}, opset=21)
    made.graph.initializer.append(helper.make_tensor("q", TensorProto.FLOAT8E4M3FN, [2, 4, 1, 1], bytes([0x38, 0xb8, 0x7e, 0x01] * 2), raw=True))
    return made


def infinite_weights():
    w = real(4, 3, 3, 3)
    w[0, 0, 0, 0], w[1, 0, 0, 0], w[2, 0, 0, 0] = np.inf, -np.inf, np.nan
    return model([node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])], {"w": w})


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
