"""The models that the cases of cli_case.py start from."""
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(nodes, inputs, outputs, weights):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs],
        [numpy_helper.from_array(v, n) for n, v in weights.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)] + [
        helper.make_opsetid(domain, 1) for domain in sorted({node.domain for node in nodes} - {""})])
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made


def conv(source, target, weights, rng, cin, cout, kernel):
    name = target + "_conv"
    weights[name + "_w"] = (rng.standard_normal((cout, cin, kernel, kernel)) * 0.3).astype(np.float32)
    weights[name + "_b"] = (rng.standard_normal(cout) * 0.1).astype(np.float32)
    return helper.make_node("Conv", [source, name + "_w", name + "_b"], [target], name=name,
                            pads=[kernel // 2] * 4, kernel_shape=[kernel, kernel])


def small_model():
    rng, weights = np.random.default_rng(31), {}
    nodes = [conv("x", "a", weights, rng, 3, 4, 3), helper.make_node("Relu", ["a"], ["r"], name="relu_1"),
             conv("r", "y", weights, rng, 4, 2, 1)]
    return model(nodes, [("x", [1, 3, 8, 8])], [("y", [1, 2, 8, 8])], weights)


def two_input_model():
    rng, weights = np.random.default_rng(32), {}
    nodes = [conv("a", "ca", weights, rng, 3, 4, 3), conv("b", "cb", weights, rng, 3, 4, 3),
             helper.make_node("Add", ["ca", "cb"], ["y"], name="add")]
    return model(nodes, [("a", [1, 3, 8, 8]), ("b", [1, 3, 8, 8])], [("y", [1, 4, 8, 8])], weights)


def open_model():
    """Its sizes are open, and it runs with height times width of 64 only."""
    rng = np.random.default_rng(35)
    weights = {"shape": np.array([-1, 2 * 64], np.int64), "m": rng.standard_normal((128, 4)).astype(np.float32)}
    nodes = [conv("x", "c", weights, rng, 3, 2, 3), helper.make_node("Reshape", ["c", "shape"], ["f"], name="flat"),
             helper.make_node("MatMul", ["f", "m"], ["y"], name="product")]
    return model(nodes, [("x", ["N", 3, "?", "?"])], [("y", ["N", 4])], weights)


def no_input_model():
    rng, weights = np.random.default_rng(33), {"k": np.ones((1, 3, 8, 8), np.float32)}
    return model([conv("k", "y", weights, rng, 3, 4, 3)], [], [("y", [1, 4, 8, 8])], weights)


def log_model():
    """Its output is NaN wherever the convolution is negative."""
    rng, weights = np.random.default_rng(34), {}
    nodes = [conv("x", "a", weights, rng, 3, 4, 3), helper.make_node("Log", ["a"], ["y"], name="log")]
    return model(nodes, [("x", [1, 3, 8, 8])], [("y", [1, 4, 8, 8])], weights)


def endless_model():
    """A loop whose trip count nobody meant; its body adds the sample to a sum."""
    rng, weights = np.random.default_rng(36), {"trips": np.array(2**62, np.int64), "go": np.array(True)}
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_in"], ["go_out"]), helper.make_node("Add", ["sum_in", "a"], ["sum_out"])], "body",
        [value("i", TensorProto.INT64, []), value("go_in", TensorProto.BOOL, []),
         value("sum_in", TensorProto.FLOAT, [1, 4, 8, 8])],
        [value("go_out", TensorProto.BOOL, []), value("sum_out", TensorProto.FLOAT, [1, 4, 8, 8])])
    nodes = [conv("x", "a", weights, rng, 3, 4, 3), helper.make_node("Loop", ["trips", "go", "a"], ["y"], name="adding", body=body)]
    return model(nodes, [("x", [1, 3, 8, 8])], [("y", [1, 4, 8, 8])], weights)


def joined_model():
    """Large and small values in one output: a single int8 scale erases the small ones."""
    rng, weights = np.random.default_rng(35), {"factor": np.array(300, np.float32)}
    nodes = [conv("x", "a", weights, rng, 3, 4, 3), helper.make_node("Mul", ["a", "factor"], ["large"], name="mul"),
             conv("x", "b", weights, rng, 3, 2, 3), helper.make_node("Sigmoid", ["b"], ["small"], name="sigmoid"),
             helper.make_node("Concat", ["large", "small"], ["y"], name="concat", axis=1)]
    return model(nodes, [("x", [1, 3, 8, 8])], [("y", [1, 6, 8, 8])], weights)


def padded_model():
    """Padding that is empty at the size of the samples: a Concat in int8 reads it."""
    rng = np.random.default_rng(36)
    weights = {"zero": np.array([0], np.int64), "one": np.array([1], np.int64), "rest": np.array([4, 8, 0], np.int64),
               "factor": np.array(3, np.float32)}
    nodes = [conv("x", "a", weights, rng, 3, 4, 3), helper.make_node("Shape", ["x"], ["shape"], name="shape"),
             helper.make_node("Slice", ["shape", "zero", "one"], ["batch"], name="batch"),
             helper.make_node("Concat", ["batch", "rest"], ["sizes"], name="sizes", axis=0),
             helper.make_node("ConstantOfShape", ["sizes"], ["ones"], name="ones",
                              value=helper.make_tensor("value", TensorProto.FLOAT, [1], [1.0])),
             helper.make_node("Mul", ["ones", "factor"], ["padding"], name="mul"),
             helper.make_node("Concat", ["a", "padding"], ["y"], name="concat", axis=3)]
    return model(nodes, [("x", ["n", 3, 8, 8])], [("y", ["n", 4, 8, 8])], weights)


def quantized_model(domain="", zero=np.int8):
    weights = {"s": np.array(0.1, np.float32), "z": np.array(0, zero)}
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantize_x", domain=domain),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], name="dequantize_x", domain=domain)]
    return model(nodes, [("x", [1, 3, 8, 8])], [("y", [1, 3, 8, 8])], weights)


def broken_models():
    """(name, model) that no runtime can run, or that the checker refuses."""
    float_value, made = (lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)), {}

    def add(name, nodes, weights=(), rank=4):
        graph = helper.make_graph(nodes, "g", [float_value("x", (1, 3, 8, 8))], [float_value("y", ["n"] * rank)],
                                  [numpy_helper.from_array(value, key) for key, value in weights])
        made[name] = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.acme", 1)])
        made[name].ir_version = 8

    add("channels", [helper.make_node("Conv", ["x", "w"], ["y"], name="a_conv")], [("w", np.ones((2, 4, 1, 1), np.float32))])
    add("missing", [helper.make_node("Add", ["x"], ["y"], name="add")])
    add("types", [helper.make_node("Add", ["x", "k"], ["y"], name="add")], [("k", np.ones(8, np.int64))])
    add("attribute", [helper.make_node("Relu", ["x"], ["y"], name="relu", alpha=0.1)])
    add("slice", [helper.make_node("Relu", ["x"], ["r"], name="relu"), helper.make_node("Gather", ["r", "k"], ["y"], name="far")],
        [("k", np.array([70], np.int64))])
    add("unknown", [helper.make_node("Twist", ["x"], ["y"], name="twist", domain="com.acme")])
    add("twist", [helper.make_node("Twist", ["x"], ["y"], name="twist")])
    add("nothing", [helper.make_node("Relu", ["x"], ["y"], name="relu")])
    del made["nothing"].graph.output[:]
    add("declared", [helper.make_node("Relu", ["x"], ["y"], name="relu")])
    made["declared"].graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    add("tiny", [helper.make_node("Conv", ["x", "tiny_w"], ["y"], name="conv")], [("tiny_w", np.full((4, 3, 3, 3), 1e-9, np.float32))])
    weight = np.ones((4, 3, 3, 3), np.float32)
    weight[0, 0, 0, 0] = np.nan
    add("nanw", [helper.make_node("Conv", ["x", "y_conv_w"], ["y"], name="y_conv")], [("y_conv_w", weight)])
    return made.items()


def unsized_model(folder):
    """unsized.onnx: of an image of any size and number of channels."""
    opened = small_model()
    for value in [opened.graph.input[0], opened.graph.output[0]]:
        for dim in value.type.tensor_type.shape.dim:
            dim.ClearField("dim_value")
    onnx.save(opened, os.path.join(folder, "unsized.onnx"))


def external_model(folder):
    onnx.save(small_model(), os.path.join(folder, "ext.onnx"), save_as_external_data=True, location="ext.bin",
              size_threshold=0)
