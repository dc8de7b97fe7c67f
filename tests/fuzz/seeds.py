"""The small models and data that mutation_test.py starts from."""
import json
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import png  # noqa: E402

SHAPE = [1, 3, 8, 8]  # of the input x of every model


def _tensor(rng, *shape):
    return (rng.standard_normal(shape) * 0.3).astype(np.float32)


def _ints(*values):
    return np.array(values, np.int64)


def _model(nodes, outputs, weights):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _chain(*steps):
    """Nodes one behind the other from x to y: (op, further inputs, attributes)."""
    nodes, last = [], "x"
    for i, (op, further, attributes) in enumerate(steps):
        result = "y" if i == len(steps) - 1 else "v%d" % i
        nodes.append(helper.make_node(op, [last, *further], [result], "n%d" % i, **attributes))
        last = result
    return nodes


def cnn():
    rng = np.random.default_rng(1)
    weights = {"w0": _tensor(rng, 4, 3, 3, 3), "b0": _tensor(rng, 4), "w1": _tensor(rng, 4, 1, 3, 3), "g": _tensor(rng, 4),
               "o": _tensor(rng, 4), "m": _tensor(rng, 4), "v": np.ones(4, np.float32), "w2": _tensor(rng, 4, 5),
               "low": np.float32(0), "high": np.float32(6), "w3": _tensor(rng, 4, 2, 2, 2)}
    return _model(_chain(("Conv", ["w0", "b0"], dict(pads=[1] * 4, strides=[2, 2])), ("Relu", [], {}),
                         ("Conv", ["w1"], dict(group=4, pads=[1] * 4)), ("BatchNormalization", ["g", "o", "m", "v"], {}),
                         ("Clip", ["low", "high"], {}), ("ConvTranspose", ["w3"], dict(group=2, strides=[2, 2])),
                         ("MaxPool", [], dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)),
                         ("AveragePool", [], dict(kernel_shape=[2, 2], ceil_mode=1)), ("GlobalAveragePool", [], {}),
                         ("Flatten", [], {}), ("Gemm", ["w2"], dict(alpha=0.5))), ["y"], weights)


def attention():
    rng = np.random.default_rng(2)
    weights = {"shape": _ints(1, 6, -1), "w": _tensor(rng, 32, 24), "scale": np.float32(0.3), "gamma": np.ones(32, np.float32),
               "beta": _tensor(rng, 32), "parts": _ints(8, 8, 8), "axes": _ints(0), "start": _ints(1), "end": _ints(100),
               "pick": _ints(3, 0, -1), "pads": _ints(0, 1, 0, 0, 0, 2)}
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["r"], "reshape"),
             helper.make_node("LayerNormalization", ["r", "gamma", "beta"], ["n"], "norm"),
             helper.make_node("MatMul", ["n", "w"], ["a"], "project"),
             helper.make_node("Split", ["a", "parts"], ["q", "k", "v"], "split", axis=-1),
             helper.make_node("Transpose", ["k"], ["kt"], "transpose", perm=[0, 2, 1]),
             helper.make_node("MatMul", ["q", "kt"], ["qk"], "scores"),
             helper.make_node("Mul", ["qk", "scale"], ["s"], "mul"), helper.make_node("Softmax", ["s"], ["p"], "softmax"),
             helper.make_node("MatMul", ["p", "v"], ["o"], "mix"),
             helper.make_node("Slice", ["o", "start", "end", "axes"], ["empty"], "slice"),
             helper.make_node("Concat", ["o", "o"], ["c"], "concat", axis=1),
             helper.make_node("Gather", ["c", "pick"], ["g"], "gather", axis=1),
             helper.make_node("Unsqueeze", ["g", "axes"], ["u"], "unsqueeze"),
             helper.make_node("Squeeze", ["u", "axes"], ["z"], "squeeze"),
             helper.make_node("Pad", ["z", "pads"], ["y"], "pad"), helper.make_node("Shape", ["y"], ["y2"], "size")]
    return _model(nodes, ["y", "y2"], weights)


def control():
    """If, Loop and Scan whose bodies read names from outside."""
    rng = np.random.default_rng(3)
    weights = {"yes": np.bool_(True), "count": np.int64(3), "w": _tensor(rng, 8, 8), "zero": np.zeros([8], np.float32)}
    value = helper.make_empty_tensor_value_info

    def body(op, name):
        return helper.make_graph([helper.make_node(op, ["x", "w"], [name + "_y"], name)], name, [], [value(name + "_y")])
    loop = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"], "keep"), helper.make_node("MatMul", ["state", "w"], ["next"], "step"),
         helper.make_node("Tanh", ["next"], ["state_out"], "tanh")], "loop_body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []),
         helper.make_tensor_value_info("state", TensorProto.FLOAT, SHAPE)], [value("go_on"), value("state_out"), value("next")])
    scan = helper.make_graph(
        [helper.make_node("Add", ["sum", "row"], ["sum_out"], "add"), helper.make_node("Mul", ["sum", "row"], ["row_out"], "mul")],
        "scan_body", [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [8]),
                      helper.make_tensor_value_info("row", TensorProto.FLOAT, [8])], [value("sum_out"), value("row_out")])
    nodes = [helper.make_node("If", ["yes"], ["a"], "if", then_branch=body("MatMul", "then"), else_branch=body("Add", "else")),
             helper.make_node("Loop", ["count", "yes", "a"], ["b", "all"], "loop", body=loop),
             helper.make_node("ReduceMean", ["b"], ["rows"], "mean", axes=[0, 1], keepdims=0),
             helper.make_node("Scan", ["zero", "rows"], ["y", "y2"], "scan", body=scan, num_scan_inputs=1)]
    return _model(nodes, ["y", "y2"], weights)


def assorted():
    """Operators that compute indices, sizes or types."""
    rng = np.random.default_rng(4)
    weights = {"scales": np.array([1, 1, 2, 1.5], np.float32), "k": _ints(3), "axis": np.int64(2),
               "depth": _ints(4), "onoff": np.array([0, 1], np.float32), "cw": _tensor(rng, 4, 6, 3, 3), "reps": _ints(1, 2, 1, 1), "pos": _ints(0, 1, 2, 0).reshape(1, 1, 4, 1),
               "grid": _tensor(rng, 1, 3, 3, 2), "rows": _ints(8, 24), "big": _ints(4, 8, 24)}
    nodes = [helper.make_node("Resize", ["x", "", "scales"], ["up"], "resize", mode="linear"),
             helper.make_node("TopK", ["up", "k"], ["best", "where"], "topk", axis=-1),
             helper.make_node("CumSum", ["best", "axis"], ["c"], "cumsum"),
             helper.make_node("Cast", ["c"], ["h"], "cast", to=TensorProto.FLOAT16),
             helper.make_node("Cast", ["h"], ["f"], "back", to=TensorProto.FLOAT),
             helper.make_node("GatherElements", ["f", "pos"], ["e"], "elements", axis=2),
             helper.make_node("OneHot", ["where", "depth", "onoff"], ["hot"], "onehot"),
             helper.make_node("ReduceMax", ["hot"], ["y2"], "max", axes=[1, 2], keepdims=0),
             helper.make_node("GridSample", ["x", "grid"], ["gs"], "grid"),
             helper.make_node("Einsum", ["gs", "gs"], ["ein"], "einsum", equation="bchw,bcxw->bhx"),
             helper.make_node("Tile", ["x", "reps"], ["t"], "tile"),
             helper.make_node("Reshape", ["x", "rows"], ["rr"], "rows"), helper.make_node("Expand", ["rr", "big"], ["y4"], "expand"),
             helper.make_node("Conv", ["t", "cw"], ["y"], "conv", strides=[2, 2]),
             helper.make_node("NonZero", ["ein"], ["y3"], "nonzero")]
    return _model(nodes, ["y", "y2", "y3", "y4", "e"], weights)


def recurrent():
    rng = np.random.default_rng(5)
    weights = {"seq": _ints(3, 1, 64), "w": _tensor(rng, 2, 16, 64), "r": _tensor(rng, 2, 16, 4), "b": _tensor(rng, 2, 32),
               "len": np.array([2], np.int32), "sizes": _ints(1, 3, 5, 9), "data": _ints(1, 4), "at": _ints(0, 1).reshape(2, 1),
               "new": _tensor(rng, 2, 2, 1, 4), "start": np.float32(1), "limit": np.float32(9), "step": np.float32(2)}
    nodes = [helper.make_node("Reshape", ["x", "seq"], ["s"], "reshape"),
             helper.make_node("LSTM", ["s", "w", "r", "b", "len"], ["all", "last", "cell"], "lstm", hidden_size=4,
                              direction="bidirectional"),
             helper.make_node("ScatterND", ["all", "at", "new"], ["y"], "scatter"),
             helper.make_node("Resize", ["x", "", "", "sizes"], ["y2"], "resize", mode="nearest"),
             helper.make_node("ConstantOfShape", ["data"], ["filled"], "fill"),
             helper.make_node("Range", ["start", "limit", "step"], ["range"], "range"),
             helper.make_node("Mul", ["filled", "range"], ["y3"], "mul"),
             helper.make_node("DepthToSpace", ["new4"], ["y4"], "blocks", blocksize=2),
             helper.make_node("Transpose", ["last"], ["lt"], "transpose", perm=[2, 0, 1]),
             helper.make_node("Unsqueeze", ["lt", "axis"], ["new4"], "unsqueeze"),
             helper.make_node("InstanceNormalization", ["x", "g3", "b3"], ["y5"], "norm")]
    weights.update(axis=_ints(0), g3=_tensor(rng, 3), b3=_tensor(rng, 3))
    nodes[7], nodes[8], nodes[9] = nodes[8], nodes[9], nodes[7]
    return _model(nodes, ["y", "y2", "y3", "y4", "y5"], weights)


def quantized():
    """Refused with a config, simplified without."""
    rng = np.random.default_rng(7)
    weights = {"scale": np.float32(0.1), "zero": np.int8(3), "codes": rng.integers(-9, 9, (4, 3, 1, 1)).astype(np.int8),
               "rows": _tensor(rng, 4) ** 2, "zeros": np.zeros(4, np.int8)}
    nodes = [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], "quantize"),
             helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"], "dequantize"),
             helper.make_node("DequantizeLinear", ["codes", "rows", "zeros"], ["w"], "weights", axis=0),
             helper.make_node("Conv", ["d", "w"], ["y"], "conv")]
    return _model(nodes, ["y"], weights)


MODELS = {f.__name__: f for f in (cnn, attention, control, assorted, recurrent, quantized)}


def write_template(folder):
    """The models (cnn also with external data), a config for each, npy, raw and png samples, lists."""
    rng = np.random.default_rng(6)
    for name, make in MODELS.items():
        onnx.save(make(), os.path.join(folder, name + ".onnx"))
    onnx.save(cnn(), os.path.join(folder, "external.onnx"), save_as_external_data=True, location="external.data",
              size_threshold=0)
    for i in range(2):
        array = _tensor(rng, *SHAPE)
        np.save(os.path.join(folder, "s%d.npy" % i), array)
        array.tofile(os.path.join(folder, "s%d.raw" % i))
        with open(os.path.join(folder, "s%d.png" % i), "wb") as file:
            file.write(png.encode_rgb(rng.integers(0, 255, (9, 10, 3)).astype(np.uint8)))
    for kind in ("npy", "raw", "png"):
        with open(os.path.join(folder, kind + ".txt"), "w") as file:
            file.write("".join("s%d.%s\n" % (i, kind) for i in range(2)))


def config(model, kind):
    return {
        "model_parameters": {"onnx_model": model + ".onnx", "output_prefix": "out", "working_dir": "w"},
        "calibration_parameters": {
            "calibration_step": 10, "calibration_device": "cpu", "calibration_type": "default",
            "input_parameters": [{"input_name": "x", "input_shape": SHAPE, "file_type": "img" if kind == "png" else kind,
                                  "mean_value": [0.1, 0.2, 0.3], "std_value": [1, 2, 3], "color_format": "bgr",
                                  "dtype": "float32", "data_list_path": kind + ".txt"}]},
        "quantization_parameters": {"finetune_level": 0, "analysis_enable": True, "max_percentile": 0.9999}}


def config_text(model, kind):
    return json.dumps(config(model, kind), indent=1)
