#!/usr/bin/env python3
"""--opset and --external-data judged by ONNX's checker and ONNX Runtime. Usage: opset_test.py XSLIM

Small models with the operators whose words changed, converted from where they are to each of TARGETS. What is written must
be valid for the checker, carry the opset and its IR version, and give the same outputs.
"""
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from helpers import Checks, run_xslim, session

TARGETS = (9, 11, 13, 17, 18, 21, 24)
IR_VERSIONS = {9: 4, 10: 5, 11: 6, 13: 7, 17: 8, 18: 8, 21: 10, 24: 12}
NEWEST_OF_RUNTIME = 23  # the opsets that ONNX Runtime runs; above, the checker judges alone


def constant(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.array(values, dtype), name)


def info(name, rank):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)


def model(opset, nodes, initializers, shape, outputs, ir=None):
    """`outputs`: name to rank."""
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                              [info(*item) for item in outputs.items()], initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = ir or IR_VERSIONS.get(opset, 8)
    return made


def vision(opset):
    """Conv, BatchNormalization, Clip, Pad, Resize, Concat, ReduceMean, Softmax: opset 11 to 17."""
    rng = np.random.default_rng(1)
    weights = constant("w", rng.normal(size=(4, 3, 3, 3)))
    norms = [constant(f"n{i}", np.abs(rng.normal(size=4)) + 0.5) for i in range(4)]
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["p"]),
        helper.make_node("Conv", ["p", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "n0", "n1", "n2", "n3"], ["b"]),
        helper.make_node("Clip", ["b", "low", "high"], ["a"]),
        helper.make_node("Resize", ["a", "none", "scales"], ["r"], mode="nearest", coordinate_transformation_mode="asymmetric",
                         nearest_mode="floor"),
        helper.make_node("Slice", ["r", "starts", "ends", "axes"], ["s"]),
        helper.make_node("ReduceMean", ["s"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("Softmax", ["m"], ["y"], axis=1),
    ]
    return model(opset, nodes, [weights, *norms, constant("pads", [0, 0, 1, 1, 0, 0, 1, 1], np.int64), constant("low", 0),
                                constant("high", 6), constant("none", []), constant("scales", [1, 1, 2, 2]),
                                constant("starts", [1, -6], np.int64), constant("ends", [8, 9999], np.int64),
                                constant("axes", [2, 3], np.int64)], [1, 3, 8, 8], {"y": 2})


def old_vision():
    """Opset 7 words: Pad, Slice, Clip, Upsample, Dropout with attributes, Softmax that flattens."""
    rng = np.random.default_rng(2)
    nodes = [
        helper.make_node("Pad", ["x"], ["p"], pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.25),
        helper.make_node("Conv", ["p", "w"], ["c"]),
        helper.make_node("Clip", ["c"], ["a"], min=-0.5, max=2.0),
        helper.make_node("Upsample", ["a"], ["u"], scales=[1.0, 1.0, 2.0, 2.0]),
        helper.make_node("Slice", ["u"], ["s"], starts=[2, 1], ends=[9, 1000], axes=[2, 3]),
        helper.make_node("Dropout", ["s"], ["d"], ratio=0.3),
        helper.make_node("Softmax", ["d"], ["y"], axis=1),
        helper.make_node("Unsqueeze", ["y"], ["z"], axes=[0]),
    ]
    return model(7, nodes, [constant("w", rng.normal(size=(4, 3, 3, 3)))], [1, 3, 8, 8], {"y": 4, "z": 5}, ir=4)


def transformer(opset):
    """LayerNormalization, Gelu, Split, Unsqueeze, an inner Softmax, a body: opset 20."""
    rng = np.random.default_rng(3)
    body = helper.make_graph([helper.make_node("HardSwish", ["g"], ["t"])], "then", [],
                             [info("t", 3)])
    other = helper.make_graph([helper.make_node("Mish", ["g"], ["e"])], "else", [],
                              [info("e", 3)])
    nodes = [
        helper.make_node("LayerNormalization", ["x", "scale", "bias"], ["n"], axis=-1),
        helper.make_node("MatMul", ["n", "w"], ["m"]),
        helper.make_node("Gelu", ["m"], ["g0"]),
        helper.make_node("Softmax", ["g0"], ["s"], axis=1),
        helper.make_node("Split", ["s"], ["s0", "s1", "s2"], axis=-1, num_outputs=3),
        helper.make_node("Concat", ["s2", "s0", "s1"], ["g"], axis=-1),
        helper.make_node("ReduceMax", ["g", "all"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "limit"], ["big"]),
        helper.make_node("If", ["big"], ["i"], then_branch=body, else_branch=other),
        helper.make_node("ReduceMean", ["i", "last"], ["r"], keepdims=0),
        helper.make_node("Unsqueeze", ["r", "front"], ["y"]),
    ]
    return model(opset, nodes, [constant("scale", rng.normal(size=9)), constant("bias", rng.normal(size=9)),
                                constant("w", rng.normal(size=(9, 9))), constant("limit", 0.1), constant("all", [0, 1, 2], np.int64),
                                constant("last", [-1], np.int64), constant("front", [0], np.int64)], [2, 5, 9], {"y": 3})


def anchors():
    """A grid of computed places, enlarging about the pixels' centres, and pads that are arithmetic on constants: opset 13."""
    nodes = [
        helper.make_node("Concat", ["ones", "ones"], ["both"], axis=0),
        helper.make_node("Mul", ["both", "pads"], ["padding"]),
        helper.make_node("Pad", ["x", "padding"], ["p"]),
        helper.make_node("Resize", ["p", "", "scales"], ["r"], mode="nearest"),
        helper.make_node("Shape", ["r"], ["shape"]),
        helper.make_node("Gather", ["shape", "three"], ["width"]),
        helper.make_node("Range", ["none", "width", "two"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["places"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["width"], ["width_f"], to=TensorProto.FLOAT),
        helper.make_node("Range", ["width_f", "half", "back"], ["downwards"]),
        helper.make_node("Relu", ["r"], ["y"]),
    ]
    return model(13, nodes, [constant("ones", [1, 1, 1, 1], np.int64), constant("pads", [0, 0, 1, 0, 0, 0, 0, 1], np.int64),
                             constant("scales", [1, 1, 2, 3]), constant("three", 3, np.int64), constant("none", 0, np.int64),
                             constant("two", 2, np.int64), constant("half", 0.5), constant("back", -1.25)], [1, 2, 4, 3],
                 {"y": 4, "places": 1, "downwards": 1})


def quantized():
    """Q/DQ per tensor, opset 13."""
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    return model(13, nodes, [constant("s", 0.1), constant("z", 3, np.int8)], [1, 4], {"y": 2})


def outputs_of(path, sample):
    return session(path).run(None, {"x": sample})


def convert(checks, program, folder, name, made, targets):
    source = os.path.join(folder, name + ".onnx")
    onnx.save(made, source)
    onnx.checker.check_model(made, full_check=True)
    sample = np.random.default_rng(5).normal(size=[d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim]).astype(
        np.float32)
    want = outputs_of(source, sample)
    for target in targets:
        label, output = f"{name} to {target}", os.path.join(folder, f"{name}_{target}.onnx")
        run_xslim(program, ["-i", source, "-o", output, "--opset", str(target)], folder)
        got = onnx.load(output)
        checks.that(got.opset_import[0].version == target, f"{label}: opset {got.opset_import[0].version}")
        if target != made.opset_import[0].version:
            checks.that(got.ir_version == max(IR_VERSIONS[target], made.ir_version * (target > made.opset_import[0].version)),
                        f"{label}: IR version {got.ir_version}")
        onnx.checker.check_model(got, full_check=True)
        if target > NEWEST_OF_RUNTIME:
            continue
        for a, b in zip(want, outputs_of(output, sample)):
            checks.that(a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-6), f"{label}: outputs differ")


def refused(checks, program, folder, name, made, target, *words):
    source = os.path.join(folder, name + ".onnx")
    onnx.save(made, source)
    try:
        run_xslim(program, ["-i", source, "-o", os.path.join(folder, "never.onnx"), "--opset", str(target)], folder)
        checks.that(False, f"{name} to {target}: accepted")
    except RuntimeError as error:
        for word in words:
            checks.that(word in str(error), f"{name} to {target}: no \"{word}\" in {error}")
    checks.that(not os.path.exists(os.path.join(folder, "never.onnx")), f"{name}: an output in spite of the error")


def external(checks, program, folder):
    """Small models with external data, in and out."""
    made = vision(13)
    source, output = os.path.join(folder, "ext_in.onnx"), os.path.join(folder, "ext_out.onnx")
    rng = np.random.default_rng(9)
    made.graph.initializer[0].CopyFrom(constant("w", rng.normal(size=(256, 3, 3, 3))))
    for i in range(1, 5):
        made.graph.initializer[i].CopyFrom(constant(f"n{i - 1}", np.abs(rng.normal(size=256)) + 0.5))
    onnx.save_model(made, source, save_as_external_data=True, location="ext_in.onnx.data", size_threshold=128)
    before = open(source + ".data", "rb").read()
    sample = rng.normal(size=(1, 3, 8, 8)).astype(np.float32)
    want = outputs_of(source, sample)
    run_xslim(program, ["-i", source, "-o", output, "--external-data"], folder)
    checks.that(os.path.exists(output + ".data"), "--external-data wrote no data file")
    checks.that(os.path.getsize(output) < 5000, "--external-data left the weights in the model")
    onnx.checker.check_model(output)
    checks.that(np.allclose(want[0], outputs_of(output, sample)[0], rtol=1e-5, atol=1e-6), "--external-data: outputs differ")
    run_xslim(program, ["-i", output, "-o", os.path.join(folder, "inline.onnx")], folder)
    checks.that(not os.path.exists(os.path.join(folder, "inline.onnx.data")), "a small model became external")
    checks.that(np.allclose(want[0], outputs_of(os.path.join(folder, "inline.onnx"), sample)[0], rtol=1e-5, atol=1e-6),
                "back to one file: outputs differ")
    # An output whose data file is the input's.
    os.rename(source, os.path.join(folder, "other.onnx"))
    try:
        run_xslim(program, ["-i", os.path.join(folder, "other.onnx"), "-o", source, "--external-data"], folder)
        checks.that(False, "the input's data file was written over")
    except RuntimeError as error:
        checks.that("overwrite the external data" in str(error), f"overwriting: {error}")
    checks.that(open(source + ".data", "rb").read() == before, "the input's data file changed")


def main(program):
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        convert(checks, program, folder, "vision_13", vision(13), TARGETS)
        convert(checks, program, folder, "vision_17", vision(17), TARGETS)
        convert(checks, program, folder, "old", old_vision(), TARGETS)
        convert(checks, program, folder, "transformer_20", transformer(20), (13, 17, 18, 21, 24))
        convert(checks, program, folder, "anchors", anchors(), (9, 10, 11, 13, 24))
        # Below 13 sizes and axes are attributes; those behind MatMul and If are not followed.
        refused(checks, program, folder, "transformer", transformer(20), 9, "ReduceMean", "is 11")
        convert(checks, program, folder, "quantized", quantized(), (11, 13, 17, 21, 24))
        refused(checks, program, folder, "q9", quantized(), 9, "QuantizeLinear", "is 10")
        grid = model(16, [helper.make_node("GridSample", ["x", "grid"], ["y"])], [constant("grid", np.zeros((1, 2, 2, 2)))], [1, 1, 4, 4], {"y": 4})
        refused(checks, program, folder, "grid", grid, 13, "GridSample", "lowest opset that this model can have is 16")
        double = model(13, [helper.make_node("Cast", ["x"], ["h"], to=TensorProto.BFLOAT16), helper.make_node("Relu", ["h"], ["r"]),
                            helper.make_node("Cast", ["r"], ["y"], to=TensorProto.FLOAT)], [], [1, 4], {"y": 2})
        refused(checks, program, folder, "bfloat16", double, 11, "bfloat16", "is 13")
        external(checks, program, folder)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
