"""Odd graphs that must work in every mode: RUN."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from hostile_builders import B, F, I, behind_conv, body, info, ints, model, node, real


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


RUN = {f.__name__: f for f in (zero_batch, zero_channels_slice, zero_everywhere, empty_reduce, if_of_other_ranks, if_constant, loop_of_none,
                               loop_negative, strings, optionals, sequences, float4_carried, scalar_everywhere, same_twice,
                               output_is_input, output_is_constant, unused_input, no_names, same_names, odd_names, zero_weights,
                               tiny_and_huge_weights, deep_chain, unknown_operator, function_in_function, negative_input,
                               computes_alone, constant_alone, sparse_weights)}
RUN["nested_ifs"] = lambda: nested_ifs(20)
