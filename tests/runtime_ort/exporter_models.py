"""Graphs as real exporters write them: torch.onnx (both), tf2onnx, keras, paddle, scikit-learn, language models, detectors, speech.

Every entry of MODELS makes (model, samples): samples is a list with one dict of arrays per sample.
"""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from odd_models import B, F, I, Net, floats, model


def sizes(net, x, *axes):
    """Sizes of x as torch.onnx takes them: Shape, Gather, Unsqueeze each."""
    return [net.op("Unsqueeze", net.op("Gather", net.op("Shape", x), net.const(axis, np.int64), axis=0), net.ints(0)) for axis in axes]


def reshape(net, x, *parts):
    """parts: numbers or names of int64 [1]."""
    parts = [p if isinstance(p, str) else net.ints(p) for p in parts]
    return net.op("Reshape", x, net.op("Concat", *parts, axis=0))


def layer_norm(net, x, width):
    d = net.op("Sub", x, net.op("ReduceMean", x, axes=[-1]))
    v = net.op("ReduceMean", net.op("Pow", d, net.const(2.0)), axes=[-1])
    y = net.op("Div", d, net.op("Sqrt", net.op("Add", v, net.const(1e-5))))
    return net.op("Add", net.op("Mul", y, net.weight(width, scale=1.0)), net.weight(width, scale=0.1))


def rms_norm(net, x, width):
    v = net.op("ReduceMean", net.op("Pow", x, net.const(2.0)), axes=[-1])
    r = net.op("Reciprocal", net.op("Sqrt", net.op("Add", v, net.const(1e-6))))
    return net.op("Mul", net.weight(width, scale=1.0), net.op("Mul", x, r))


def silu(net, x):
    return net.op("Mul", x, net.op("Sigmoid", x))


def decoder_block():
    """One block of a language model: RMSNorm, rotary positions, a cache of keys and values, SwiGLU."""
    net, width, heads, head = Net(1), 64, 4, 16
    x = net.op("Gather", net.weight(100, width, scale=0.5), "ids")
    h = rms_norm(net, x, width)
    batch, length = sizes(net, "ids", 0, 1)

    def split(value):
        return net.op("Transpose", reshape(net, value, batch, length, heads, head), perm=[0, 2, 1, 3])

    q, k, v = (split(net.op("MatMul", h, net.weight(width, width))) for _ in range(3))
    angles = net.op("MatMul", net.op("Unsqueeze", net.op("Cast", "positions", to=F), net.ints(2)),
                    net.const(1e4 ** -(np.arange(0, head, 2) / head).reshape(1, 1, -1)))
    angles = net.op("Unsqueeze", net.op("Concat", angles, angles, axis=-1), net.ints(1))
    cos, sin = net.op("Cos", angles), net.op("Sin", angles)

    def rotate(value):
        low = net.op("Slice", value, net.ints(0), net.ints(head // 2), net.ints(3))
        high = net.op("Slice", value, net.ints(head // 2), net.ints(2**63 - 1), net.ints(3))
        return net.op("Add", net.op("Mul", value, cos), net.op("Mul", net.op("Concat", net.op("Neg", high), low, axis=-1), sin))

    q, k = rotate(q), rotate(k)
    k, v = net.op("Concat", "past_k", k, axis=2), net.op("Concat", "past_v", v, axis=2)
    scores = net.op("Div", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2])), net.const(4.0))
    mask = net.op("Where", net.op("Cast", "mask", to=B), net.const(0.0), net.const(np.finfo(np.float32).min))
    scores = net.op("Add", scores, net.op("Unsqueeze", net.op("Unsqueeze", mask, net.ints(1)), net.ints(1)))
    y = net.op("Transpose", net.op("MatMul", net.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    x = net.op("Add", x, net.op("MatMul", reshape(net, y, batch, length, -1), net.weight(width, width)))
    h = rms_norm(net, x, width)
    h = net.op("Mul", silu(net, net.op("MatMul", h, net.weight(width, 128))), net.op("MatMul", h, net.weight(width, 128)))
    x = net.op("Add", x, net.op("MatMul", h, net.weight(128, width)))
    for value, name in ((net.op("MatMul", rms_norm(net, x, width), net.weight(width, 100)), "logits"), (k, "new_k"), (v, "new_v")):
        net.name(value, name)
    past = (F, ["b", heads, "p", head])
    graph = net.graph({"ids": (I, ["b", "s"]), "positions": (I, ["b", "s"]), "mask": (I, ["b", "t"]), "past_k": past, "past_v": past},
                      {"logits": (F, ["b", "s", 100]), "new_k": (F, ["b", heads, "t", head]), "new_v": (F, ["b", heads, "t", head])})
    rng = np.random.default_rng(2)
    samples = []
    for length, past in ((5, 3), (1, 7)):
        cache = [rng.standard_normal((2, heads, past, head)).astype(np.float32) for _ in range(2)]
        mask = np.ones((2, past + length), np.int64)
        mask[1, 0] = 0
        samples.append({"ids": rng.integers(0, 100, (2, length)), "positions": np.tile(past + np.arange(length), (2, 1)), "mask": mask,
                        "past_k": cache[0], "past_v": cache[1]})
    return model(graph), samples


def swin():
    """torch.onnx of a Swin block: roll, windows, attention with a bias table, back."""
    net, width, side, window = Net(3), 32, 8, 4

    def roll(x, by):
        for axis in (1, 2):
            low = net.op("Slice", x, net.ints(-by if by < 0 else side - by), net.ints(2**63 - 1), net.ints(axis))
            high = net.op("Slice", x, net.ints(0), net.ints(-by if by < 0 else side - by), net.ints(axis))
            x = net.op("Concat", low, high, axis=axis)
        return x

    x = net.op("Transpose", net.op("Conv", "x", net.weight(width, 3, 2, 2), kernel_shape=[2, 2], strides=[2, 2]), perm=[0, 2, 3, 1])
    h = roll(layer_norm(net, x, width), -2)
    count = side // window
    h = net.op("Reshape", h, net.ints(-1, count, window, count, window, width))
    h = net.op("Reshape", net.op("Transpose", h, perm=[0, 1, 3, 2, 4, 5]), net.ints(-1, window * window, width))
    packed = net.op("Reshape", net.linear(h, width, 3 * width), net.ints(-1, window * window, 3, 2, width // 2))
    packed = net.op("Transpose", packed, perm=[2, 0, 3, 1, 4])
    q, k, v = (net.op("Gather", packed, net.const(i, np.int64), axis=0) for i in range(3))
    scores = net.op("MatMul", net.op("Mul", q, net.const(0.25)), net.op("Transpose", k, perm=[0, 1, 3, 2]))
    scores = net.op("Add", scores, net.weight(1, 2, window * window, window * window, scale=1.0))
    y = net.op("Transpose", net.op("MatMul", net.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    y = net.linear(net.op("Reshape", y, net.ints(-1, window * window, width)), width, width)
    y = net.op("Reshape", y, net.ints(-1, count, count, window, window, width))
    y = net.op("Reshape", net.op("Transpose", y, perm=[0, 1, 3, 2, 4, 5]), net.ints(-1, side, side, width))
    net.name(net.op("ReduceMean", net.op("Add", x, roll(y, 2)), axes=[1, 2], keepdims=0), "y")
    return model(net.graph({"x": (F, ["n", 3, 16, 16])}, {"y": (F, ["n", width])})), floats(4, 2, x=(2, 3, 16, 16))


def yolo8():
    """The head of YOLOv8 and 11: boxes as distributions (DFL), anchors from a table, strides."""
    net, classes = Net(5), 3
    levels = [net.conv("x", 3, 16, stride=2)]
    levels.append(silu(net, net.conv(silu(net, levels[0]), 16, 16, stride=2)))
    parts = []
    for level in levels:
        both = net.op("Concat", net.conv(level, 16, 64, 1), net.conv(level, 16, classes, 1), axis=1)
        batch, = sizes(net, both, 0)
        parts.append(reshape(net, both, batch, 64 + classes, -1))
    boxes, scores = net.op("Split", net.op("Concat", *parts, axis=2), net.ints(64, classes), outputs=2, axis=1)
    anchors = 8 * 8 + 4 * 4
    d = net.op("Transpose", net.op("Reshape", boxes, net.ints(-1, 4, 16, anchors)), perm=[0, 2, 1, 3])
    d = net.op("Conv", net.op("Softmax", d, axis=1), net.const(np.arange(16).reshape(1, 16, 1, 1)), kernel_shape=[1, 1])
    d = net.op("Reshape", d, net.ints(-1, 4, anchors))
    lower = net.op("Slice", d, net.ints(0), net.ints(2), net.ints(1))
    upper = net.op("Slice", d, net.ints(2), net.ints(4), net.ints(1))
    grid = np.concatenate([np.stack(np.meshgrid(np.arange(s) + 0.5, np.arange(s) + 0.5)).reshape(2, -1) for s in (8, 4)], 1)[None]
    begin, end = net.op("Sub", net.const(grid), lower), net.op("Add", net.const(grid), upper)
    center = net.op("Div", net.op("Add", begin, end), net.const(2.0))
    strides = net.const(np.concatenate([np.full(64, 2.0), np.full(16, 4.0)])[None])
    box = net.op("Mul", net.op("Concat", center, net.op("Sub", end, begin), axis=1), strides)
    net.name(net.op("Concat", box, net.op("Sigmoid", scores), axis=1), "y")
    return model(net.graph({"x": (F, ["n", 3, 16, 16])}, {"y": (F, ["n", 4 + classes, anchors])})), floats(6, 2, x=(1, 3, 16, 16))


def yolo5():
    """The head of YOLOv5 with its grid, and the first slicing of early ones (Focus)."""
    net = Net(7)
    cuts = []
    for row in (0, 1):
        for column in (0, 1):
            cut = net.op("Slice", "x", net.ints(row), net.ints(2**31 - 1), net.ints(2), net.ints(2))
            cuts.append(net.op("Slice", cut, net.ints(column), net.ints(2**31 - 1), net.ints(3), net.ints(2)))
    x = silu(net, net.conv(net.op("Concat", *cuts, axis=1), 12, 16))
    x = silu(net, net.conv(x, 16, 16, stride=2))
    pool = x
    pools = [x]
    for _ in range(2):
        pool = net.op("MaxPool", pool, kernel_shape=[5, 5], pads=[2] * 4, strides=[1, 1])
        pools.append(pool)
    x = net.conv(net.op("Concat", *pools, axis=1), 48, 21, 1)
    x = net.op("Transpose", net.op("Reshape", x, net.ints(1, 3, 7, 4, 4)), perm=[0, 1, 3, 4, 2])
    x = net.op("Sigmoid", x)
    xy, wh, rest = net.op("Split", x, net.ints(2, 2, 3), outputs=3, axis=4)
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(1, 1, 4, 4, 2) - 0.5
    xy = net.op("Mul", net.op("Add", net.op("Mul", xy, net.const(2.0)), net.const(grid)), net.const(4.0))
    wh = net.op("Mul", net.op("Pow", net.op("Mul", wh, net.const(2.0)), net.const(2.0)), net.const(np.full((1, 3, 4, 4, 2), 10.0)))
    net.name(net.op("Reshape", net.op("Concat", xy, wh, rest, axis=4), net.ints(1, -1, 7)), "y")
    return model(net.graph({"x": (F, [1, 3, 16, 16])}, {"y": (F, [1, 48, 7])})), floats(8, 2, x=(1, 3, 16, 16))


def ssd():
    """Heads with decoded priors, TensorFlow's way: NHWC results, Transposes joined, softmax over classes."""
    net, boxes, scores, x = Net(9), [], [], "x"
    for level in range(3):
        x = net.op("Relu", net.conv(x, 3 if level == 0 else 12, 12, stride=2))
        boxes.append(net.op("Reshape", net.op("Transpose", net.conv(x, 12, 8), perm=[0, 2, 3, 1]), net.ints(0, -1, 4)))
        scores.append(net.op("Reshape", net.op("Transpose", net.conv(x, 12, 6), perm=[0, 2, 3, 1]), net.ints(0, -1, 3)))
    count = 2 * (64 + 16 + 4)
    priors = net.rng.uniform(0.1, 0.9, (1, count, 4))
    all_boxes = net.op("Concat", *boxes, axis=1)
    yx, hw = net.op("Split", all_boxes, net.ints(2, 2), outputs=2, axis=-1)
    center = net.op("Add", net.op("Mul", net.op("Mul", yx, net.const(0.1)), net.const(priors[..., 2:])), net.const(priors[..., :2]))
    size = net.op("Mul", net.op("Exp", net.op("Mul", hw, net.const(0.2))), net.const(priors[..., 2:]))
    half = net.op("Div", size, net.const(2.0))
    net.name(net.op("Concat", net.op("Sub", center, half), net.op("Add", center, half), axis=-1), "boxes")
    net.name(net.op("Softmax", net.op("Concat", *scores, axis=1), axis=-1), "scores")
    return (model(net.graph({"x": (F, ["n", 3, 16, 16])}, {"boxes": (F, ["n", count, 4]), "scores": (F, ["n", count, 3])})),
            floats(10, 2, x=(2, 3, 16, 16)))


def tf2onnx_nhwc():
    """A Keras CNN: NHWC outside, Transposes around what needs NCHW, a Dense layer, padding SAME written out."""
    net = Net(11)
    x = net.op("Transpose", net.op("Mul", "x", net.const(1 / 127.5)), perm=[0, 3, 1, 2])
    x = net.op("Transpose", net.conv(x, 3, 8, stride=2), perm=[0, 2, 3, 1])
    x = net.op("Clip", x, net.const(0.0), net.const(6.0))
    skip = x
    x = net.op("Transpose", x, perm=[0, 3, 1, 2])
    x = net.op("Pad", x, net.ints(0, 0, 0, 0, 0, 0, 1, 1))
    x = net.op("Conv", x, net.weight(8, 1, 2, 2), kernel_shape=[2, 2], group=8)
    bn = [net.const(v) for v in (net.rng.uniform(0.5, 1.5, 8), net.rng.standard_normal(8), net.rng.standard_normal(8), net.rng.uniform(0.5, 2, 8))]
    x = net.op("Transpose", net.op("BatchNormalization", x, *bn, epsilon=1e-3), perm=[0, 2, 3, 1])
    x = net.op("Concat", net.op("Add", skip, net.op("Relu", x)), skip, axis=-1)
    x = net.op("Transpose", net.conv(net.op("Transpose", x, perm=[0, 3, 1, 2]), 16, 12, 1), perm=[0, 2, 3, 1])
    x = net.op("Mul", x, net.op("Div", net.op("Clip", net.op("Add", x, net.const(3.0)), net.const(0.0), net.const(6.0)), net.const(6.0)))
    x = net.op("Squeeze", net.op("GlobalAveragePool", net.op("Transpose", x, perm=[0, 3, 1, 2])), net.ints(2, 3))
    net.name(net.op("Softmax", net.linear(x, 12, 5), axis=-1), "y")
    samples = [{"x": s["x"] * 60 + 127} for s in floats(12, 2, x=(2, 16, 16, 3))]
    return model(net.graph({"x": (F, ["unk__1", 16, 16, 3])}, {"y": (F, ["unk__1", 5])}), 15), samples


def paddle_ocr():
    """Paddle: scales and shifts written out, HardSigmoid gates, Constant nodes everywhere, odd Squeezes, a bidirectional LSTM."""
    net = Net(13)

    def constant(values, kind=np.float32):
        return net.op("Constant", value=numpy_helper.from_array(np.asarray(values, kind)))

    x = net.op("Conv", "x", net.weight(12, 3, 3, 3), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    x = net.op("BatchNormalization", x, *[constant(v) for v in (np.ones(12), np.zeros(12), np.zeros(12), np.ones(12))])
    x = net.op("Div", net.op("Mul", x, net.op("Clip", net.op("Add", x, constant([3.0])), constant(0.0), constant(6.0))), constant([6.0]))
    gate = net.op("GlobalAveragePool", x)
    gate = net.op("Relu", net.op("Add", net.op("Conv", gate, net.weight(4, 12, 1, 1)), net.op("Reshape", constant(np.ones(4)), constant([1, 4, 1, 1], np.int64))))
    gate = net.op("HardSigmoid", net.op("Conv", gate, net.weight(12, 4, 1, 1)), alpha=1 / 6, beta=0.5)
    x = net.op("AveragePool", net.op("Mul", x, gate), kernel_shape=[8, 1], strides=[8, 1])
    x = net.op("Transpose", net.op("Squeeze", x, constant([2], np.int64)), perm=[2, 0, 1])
    zero = net.op("ConstantOfShape", net.op("Concat", constant([2], np.int64), *sizes(net, x, 1), constant([8], np.int64), axis=0))
    y, _, _ = net.op("LSTM", x, net.weight(2, 32, 12, scale=0.3), net.weight(2, 32, 8, scale=0.3), net.weight(2, 64, scale=0.1), "", zero, zero,
                     outputs=3, hidden_size=8, direction="bidirectional")
    y = net.op("Reshape", net.op("Transpose", y, perm=[0, 2, 1, 3]), constant([0, 0, -1], np.int64))
    net.name(net.op("Softmax", net.op("Transpose", net.linear(y, 16, 30), perm=[1, 0, 2]), axis=2), "y")
    return model(net.graph({"x": (F, ["n", 3, 16, "w"])}, {"y": (F, ["n", None, 30])}), 14), floats(14, 1, x=(2, 3, 16, 24)) + floats(15, 1, x=(1, 3, 16, 40))


def sklearn():
    """skl2onnx: a scaler and trees of ai.onnx.ml, which nothing here computes, beside a linear model."""
    net = Net(15)
    x = net.op("Scaler", "x", domain="ai.onnx.ml", offset=[0.1] * 4, scale=[2.0] * 4)
    trees = net.op("TreeEnsembleRegressor", x, domain="ai.onnx.ml", n_targets=1, nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2],
                   nodes_featureids=[1, 0, 0], nodes_values=[0.3, 0.0, 0.0], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
                   nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0],
                   target_weights=[1.0, -2.0])
    y = net.op("Add", net.op("MatMul", "x", net.weight(4, 16)), net.weight(16))
    y = net.op("Add", net.op("MatMul", net.op("Tanh", y), net.weight(16, 8)), net.const(np.zeros(8)))
    net.name(net.op("Add", trees, net.op("Identity", y)), "y")
    return model(net.graph({"x": (F, [None, 4])}, {"y": (F, [None, 8])}), 17, domains=["ai.onnx.ml"]), floats(16, 2, x=(6, 4))


def conformer():
    """A conformer block: half feed-forward, attention, a gated depthwise convolution over time, BatchNormalization."""
    net, width = Net(17), 32

    def feed_forward(x):
        h = silu(net, net.linear(layer_norm(net, x, width), width, 64))
        return net.op("Add", x, net.op("Mul", net.linear(h, 64, width), net.const(0.5)))

    x = feed_forward("x")
    h = layer_norm(net, x, width)
    q, k, v = (net.op("Transpose", net.op("Reshape", net.linear(h, width, width), net.ints(0, 0, 4, 8)), perm=[0, 2, 1, 3]) for _ in range(3))
    a = net.op("Softmax", net.op("Mul", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2])), net.const(8 ** -0.5)), axis=-1)
    y = net.op("Reshape", net.op("Transpose", net.op("MatMul", a, v), perm=[0, 2, 1, 3]), net.ints(0, 0, -1))
    x = net.op("Add", x, net.linear(y, width, width))
    h = net.op("Transpose", layer_norm(net, x, width), perm=[0, 2, 1])
    value, gate = net.op("Split", net.op("Conv", h, net.weight(64, width, 1), kernel_shape=[1]), outputs=2, axis=1)
    h = net.op("Mul", value, net.op("Sigmoid", gate))
    h = net.op("Conv", h, net.weight(width, 1, 7), kernel_shape=[7], pads=[3, 3], group=width)
    bn = [net.const(v) for v in (np.ones(width), np.zeros(width), net.rng.standard_normal(width) * 0.1, net.rng.uniform(0.5, 2, width))]
    h = silu(net, net.op("BatchNormalization", h, *bn))
    h = net.op("Transpose", net.op("Conv", h, net.weight(width, width, 1), kernel_shape=[1]), perm=[0, 2, 1])
    net.name(layer_norm(net, feed_forward(net.op("Add", x, h)), width), "y")
    return model(net.graph({"x": (F, ["n", "t", width])}, {"y": (F, ["n", "t", width])}), 17), floats(18, 2, x=(2, 11, width))


def gru_speech():
    """Magnitudes of a transform by convolution, a GRU over frames, its state as input and output."""
    net = Net(19)
    frames = net.op("Conv", net.op("Unsqueeze", net.op("Pad", "x", net.ints(0, 16, 0, 16), mode="reflect"), net.ints(1)), net.weight(34, 1, 32), strides=[16])
    real, imaginary = net.op("Split", frames, net.ints(17, 17), outputs=2, axis=1)
    power = net.op("Add", net.op("Pow", real, net.const(2.0)), net.op("Pow", imaginary, net.const(2.0)))
    x = net.op("Log", net.op("Add", net.op("Sqrt", power), net.const(1e-3)))
    y, state = net.op("GRU", net.op("Transpose", x, perm=[2, 0, 1]), net.weight(1, 48, 17, scale=0.3), net.weight(1, 48, 16, scale=0.3),
                      net.weight(1, 96, scale=0.1), "", "h", outputs=2, hidden_size=16, linear_before_reset=1)
    y = net.op("Transpose", net.op("Sigmoid", net.linear(net.op("Squeeze", y, net.ints(1)), 16, 1)), perm=[1, 0, 2])
    net.name(net.op("ReduceMean", y, axes=[1], keepdims=0), "y")
    net.name(state, "h_out")
    return (model(net.graph({"x": (F, ["n", "t"]), "h": (F, [1, "n", 16])}, {"y": (F, ["n", 1]), "h_out": (F, [1, "n", 16])}), 16),
            floats(20, 2, x=(2, 128), h=(1, 2, 16)))


def unet():
    net = Net(21)
    down = [net.op("Relu", net.conv("x", 1, 8))]
    for level in range(2):
        down.append(net.op("Relu", net.conv(net.op("MaxPool", down[-1], kernel_shape=[2, 2], strides=[2, 2]), 8, 8)))
    x = down[-1]
    for skip in (down[1], down[0]):
        x = net.op("ConvTranspose", x, net.weight(8, 8, 2, 2), net.weight(8), kernel_shape=[2, 2], strides=[2, 2])
        x = net.op("Relu", net.op("InstanceNormalization", net.conv(net.op("Concat", skip, x, axis=1), 16, 8), net.const(np.ones(8)), net.const(np.zeros(8))))
    net.name(net.op("Sigmoid", net.conv(x, 8, 1, 1)), "y")
    return model(net.graph({"x": (F, ["n", 1, "h", "w"])}, {"y": (F, ["n", 1, "h", "w"])})), floats(22, 2, x=(1, 1, 16, 24))


def super_resolution():
    """Depth to space as torch wrote it before it knew the operator, a bicubic shortcut, a PRelu."""
    net = Net(23)
    x = net.op("PRelu", net.conv("x", 3, 16), net.const(np.full((16, 1, 1), 0.2)))
    x = net.op("Add", x, net.op("LeakyRelu", net.conv(x, 16, 16), alpha=0.1))
    x = net.conv(x, 16, 12)
    x = net.op("Transpose", net.op("Reshape", x, net.ints(-1, 3, 2, 2, 8, 8)), perm=[0, 1, 4, 2, 5, 3])
    x = net.op("Reshape", x, net.ints(-1, 3, 16, 16))
    up = net.op("Resize", "x", "", net.const([1, 1, 2, 2]), mode="cubic", coordinate_transformation_mode="half_pixel")
    net.name(net.op("DepthToSpace", net.op("SpaceToDepth", net.op("Add", x, up), blocksize=2), blocksize=2, mode="DCR"), "y")
    return model(net.graph({"x": (F, ["n", 3, 8, 8])}, {"y": (F, ["n", 3, 16, 16])}), 18), floats(24, 2, x=(2, 3, 8, 8))


def qdq():
    """A model that is int8 already."""
    net = Net(25)

    def pair(x, scale):
        ends = net.const(scale), net.const(0, np.int8)
        return net.op("DequantizeLinear", net.op("QuantizeLinear", x, *ends), *ends)

    def weight(*shape):
        scale = net.const(np.full(shape[0], 0.01))
        return net.op("DequantizeLinear", net.const(net.rng.integers(-127, 127, shape), np.int8), scale, net.const(np.zeros(shape[0]), np.int8), axis=0)

    x = pair(net.op("Relu", net.op("Conv", pair("x", 0.03), weight(8, 3, 3, 3), net.weight(8), kernel_shape=[3, 3])), 0.05)
    x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = pair(net.op("GlobalAveragePool", pair(x, 0.05)), 0.02)
    net.name(net.op("Gemm", net.op("Flatten", x), weight(4, 8), net.weight(4), transB=1), "y")
    return model(net.graph({"x": (F, [1, 3, 10, 10])}, {"y": (F, [1, 4])}), 13), floats(26, 2, x=(1, 3, 10, 10))


def half_model():
    """A float16 model between Casts, as converters leave it."""
    net = Net(27)
    half = TensorProto.FLOAT16

    def weight(*shape):
        return net.const(net.rng.standard_normal(shape) * 0.2, np.float16)

    x = net.op("Cast", "x", to=half)
    x = net.op("Relu", net.op("Conv", x, weight(8, 3, 3, 3), weight(8), kernel_shape=[3, 3]))
    x = net.op("Flatten", net.op("GlobalAveragePool", x))
    norm = net.op("Cast", net.op("ReduceMean", net.op("Cast", net.op("Mul", x, x), to=F), axes=[1]), to=half)
    x = net.op("Div", x, net.op("Sqrt", net.op("Add", norm, net.const(1e-3, np.float16))))
    net.name(net.op("Cast", net.op("Gemm", x, weight(8, 4), weight(4)), to=F), "y")
    return model(net.graph({"x": (F, ["n", 3, 10, 10])}, {"y": (F, ["n", 4])})), floats(28, 2, x=(2, 3, 10, 10))


def embeddings():
    """Integer inputs only: tokens and their kinds, a mask, pooling over what is not masked."""
    net = Net(29)
    x = net.op("Add", net.op("Gather", net.weight(50, 32, scale=1.0), "tokens"), net.op("Gather", net.weight(2, 32, scale=1.0), "kinds"))
    length, = sizes(net, "tokens", 1)
    x = net.op("Add", x, net.op("Slice", net.weight(1, 64, 32, scale=1.0), net.ints(0), length, net.ints(1)))
    x = layer_norm(net, x, 32)
    h = net.linear(x, 32, 64)
    h = net.op("Mul", net.op("Mul", h, net.const(0.5)), net.op("Add", net.op("Erf", net.op("Div", h, net.const(2 ** 0.5))), net.const(1.0)))
    x = layer_norm(net, net.op("Add", x, net.linear(h, 64, 32)), 32)
    mask = net.op("Unsqueeze", net.op("Cast", net.op("Not", net.op("Equal", "tokens", net.const(0, np.int64))), to=F), net.ints(-1))
    x = net.op("Div", net.op("ReduceSum", net.op("Mul", x, mask), net.ints(1), keepdims=0), net.op("ReduceSum", mask, net.ints(1), keepdims=0))
    norm = net.op("ReduceL2", x, axes=[-1])
    net.name(net.op("Div", x, net.op("Expand", net.op("Clip", norm, net.const(1e-12)), net.op("Shape", x))), "y")
    rng = np.random.default_rng(30)
    samples = [{"tokens": np.maximum(rng.integers(-10, 50, (2, n)), 0) + np.eye(2, n, dtype=np.int64), "kinds": rng.integers(0, 2, (2, n))} for n in (7, 12)]
    return model(net.graph({"tokens": (I, ["n", "t"]), "kinds": (I, ["n", "t"])}, {"y": (F, ["n", 32])}), 14), samples


def initializers_as_inputs():
    """IR 3: every initializer is an input, too; attributes of opset 7."""
    net = Net(31)
    x = net.op("Relu", net.conv("x", 3, 8))
    x = net.op("Dropout", net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), ratio=0.5)
    x = net.op("Gemm", net.op("Reshape", x, net.ints(-1, 128)), net.weight(128, 10), net.weight(10), alpha=1.0, beta=1.0)
    net.name(net.op("Softmax", net.op("Unsqueeze", net.op("Identity", x), axes=[0]), axis=2), "y")
    inputs = {"x": (F, [1, 3, 8, 8])}
    inputs.update({c.name: (c.data_type, list(c.dims)) for c in net.constants})
    return model(net.graph(inputs, {"y": (F, [1, 1, 10])}), 7, ir=3), floats(32, 2, x=(1, 3, 8, 8))


def dynamo_functions():
    """torch.onnx's dynamo exporter: model functions that call one another, symbolic sizes, opset 18."""
    net = Net(33)
    value = helper.make_node
    inner = helper.make_function("pkg.onnxscript.torch_lib", "aten_gelu", ["x"], ["y"], [
        value("Constant", [], ["r"], value_float=0.70710678), value("Constant", [], ["h"], value_float=0.5), value("Constant", [], ["o"], value_float=1.0),
        value("Mul", ["x", "r"], ["a"]), value("Erf", ["a"], ["b"]), value("Add", ["b", "o"], ["c"]), value("Mul", ["x", "h"], ["d"]), value("Mul", ["d", "c"], ["y"])],
        [helper.make_opsetid("", 18)])
    outer = helper.make_function("pkg.torch.nn", "Mlp", ["x", "w", "b", "v"], ["y"], [
        value("Transpose", ["w"], ["wt"], perm=[1, 0]), value("MatMul", ["x", "wt"], ["m"]), value("Add", ["m", "b"], ["n"]),
        value("aten_gelu", ["n"], ["g"], domain="pkg.onnxscript.torch_lib"), value("MatMul", ["g", "v"], ["y"])],
        [helper.make_opsetid("", 18), helper.make_opsetid("pkg.onnxscript.torch_lib", 1)])
    x = "x"
    for _ in range(2):
        x = net.op("Add", x, net.op("Mlp", x, net.weight(48, 16), net.weight(48, scale=0.1), net.weight(48, 16), domain="pkg.torch.nn"))
    net.name(net.op("ReduceMean", x, net.ints(1), keepdims=0), "y")
    made = model(net.graph({"x": (F, ["s0", "s1", 16])}, {"y": (F, ["s0", 16])}), 18, functions=[inner, outer], domains=["pkg.torch.nn", "pkg.onnxscript.torch_lib"])
    return made, floats(34, 2, x=(2, 5, 16))


def jax_norm():
    """Flax: the variance as a difference of means."""
    net = Net(35)
    x = net.linear("x", 16, 24)
    mean = net.op("ReduceMean", x, axes=[-1])
    v = net.op("Max", net.const(0.0), net.op("Sub", net.op("ReduceMean", net.op("Mul", x, x), axes=[-1]), net.op("Mul", mean, mean)))
    s = net.op("Mul", net.op("Reciprocal", net.op("Sqrt", net.op("Add", v, net.const(1e-6)))), net.weight(24, scale=1.0))
    x = net.op("Add", net.op("Mul", net.op("Sub", x, mean), s), net.weight(24, scale=0.1))
    t = net.op("Tanh", net.op("Mul", net.const(0.7978846), net.op("Add", x, net.op("Mul", net.const(0.044715), net.op("Pow", x, net.const(3.0))))))
    net.name(net.linear(net.op("Mul", x, net.op("Mul", net.const(0.5), net.op("Add", net.const(1.0), t))), 24, 8), "y")
    return model(net.graph({"x": (F, ["n", 7, 16])}, {"y": (F, ["n", 7, 8])}), 17), floats(36, 2, x=(2, 7, 16))


def spectra():
    """What newer opsets brought: a transform, GroupNormalization, attention of opset 23 with masks."""
    net = Net(37)
    x = net.op("GroupNormalization", net.conv("x", 3, 8), net.const(np.ones(8)), net.const(np.zeros(8)), num_groups=2)
    x = net.op("Gelu", net.op("Reshape", x, net.ints(0, 8, -1)), approximate="tanh")
    x = net.op("RMSNormalization", net.op("Transpose", x, perm=[0, 2, 1]), net.weight(8, scale=1.0))
    q, k, v = (net.op("MatMul", x, net.weight(8, 8)) for _ in range(3))
    x = net.op("Attention", q, k, v, q_num_heads=2, kv_num_heads=2)
    net.name(net.op("MatMul", x, net.weight(8, 4)), "y")
    return model(net.graph({"x": (F, ["n", 3, 6, 6])}, {"y": (F, ["n", 36, 4])}), 23, ir=11), floats(38, 2, x=(1, 3, 6, 6))


MODELS = [decoder_block, swin, yolo8, yolo5, ssd, tf2onnx_nhwc, paddle_ocr, sklearn, conformer, gru_speech, unet, super_resolution, qdq, half_model,
          embeddings, initializers_as_inputs, dynamo_functions, jax_norm, spectra]
