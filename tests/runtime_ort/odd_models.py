"""Small models of the kinds that stop quantizers: control flow, functions, unknown operators, free shapes.

Every entry of MODELS makes (model, samples): samples is a list with one dict of arrays per sample.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
KINDS = {np.dtype(np.float32): F, np.dtype(np.int64): I, np.dtype(bool): B}


class Net:
    """Nodes of one graph; op() returns the name of the (first) output."""

    def __init__(self, seed=0, prefix=""):
        self.nodes, self.constants, self.prefix, self.rng = [], [], prefix, np.random.default_rng(seed)

    def op(self, kind, *inputs, outputs=1, domain="", **attributes):
        made = [f"{self.prefix}{kind.lower()}_{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), made, name=f"{kind}_{len(self.nodes)}", domain=domain, **attributes))
        return made[0] if outputs == 1 else made

    def const(self, values, kind=np.float32):
        name = f"{self.prefix}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def ints(self, *values):
        return self.const(values, np.int64)

    def weight(self, *shape, scale=None):
        fan = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
        return self.const(self.rng.standard_normal(shape) * (scale or fan ** -0.5))

    def conv(self, x, cin, cout, kernel=3, stride=1, rank=2):
        return self.op("Conv", x, self.weight(cout, cin, *[kernel] * rank), self.const(self.rng.standard_normal(cout) * 0.1),
                       kernel_shape=[kernel] * rank, pads=[kernel // 2] * 2 * rank, strides=[stride] * rank)

    def linear(self, x, cin, cout):
        return self.op("Add", self.op("MatMul", x, self.weight(cin, cout)), self.const(self.rng.standard_normal(cout) * 0.1))

    def graph(self, inputs, outputs, name="g"):
        """inputs and outputs: {name: (kind, shape)}; the nodes write names of op(), renamed to those of `outputs` in order."""
        return helper.make_graph(self.nodes, name, [helper.make_tensor_value_info(n, *t) for n, t in inputs.items()],
                                 [helper.make_tensor_value_info(n, *t) for n, t in outputs.items()], self.constants)

    def name(self, value, wanted):
        """Gives an output of op() another name."""
        self.nodes.append(helper.make_node("Identity", [value], [wanted], name=f"to_{wanted}"))


def model(graph, opset=17, functions=(), domains=(), ir=None):
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)] + [helper.make_opsetid(d, 1) for d in domains],
                             functions=list(functions))
    made.ir_version = ir or (10 if opset >= 21 else 8)
    return made


def floats(seed, count, **shapes):
    rng = np.random.default_rng(seed)
    return [{n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()} for _ in range(count)]


def speech():
    """Like silero-vad: a filter bank by Conv, an LSTM with its states as inputs and outputs, an If on the sample rate."""
    def branch(stride, kernel, seed):
        n = Net(seed, f"rate{stride}_")
        wave = n.op("Unsqueeze", "input", n.ints(1))
        bank = n.op("Conv", wave, n.weight(32, 1, kernel), kernel_shape=[kernel], strides=[stride])
        re, im = n.op("Split", bank, n.ints(16, 16), outputs=2, axis=1)
        power = n.op("Add", n.op("Mul", re, re), n.op("Mul", im, im))
        logs = n.op("Log", n.op("Add", n.op("Sqrt", power), n.const(1e-2)))
        n.name(logs, f"features{stride}")
        return n.graph({}, {f"features{stride}": (F, ["b", 16, "t"])}, f"rate{stride}")
    n = Net(1)
    n.nodes.append(helper.make_node("If", [n.op("Equal", "sr", n.const(16000, np.int64))], ["feats"], name="rate",
                                    then_branch=branch(64, 128, 2), else_branch=branch(32, 64, 3)))
    x = n.op("Relu", n.conv("feats", 16, 24, rank=1))
    x = n.op("Relu", n.conv(x, 24, 16, rank=1))
    x = n.op("Transpose", x, perm=[2, 0, 1])
    y, h, c = n.op("LSTM", x, n.weight(1, 64, 16), n.weight(1, 64, 16), n.weight(1, 128), "", "h_in", "c_in", outputs=3, hidden_size=16)
    n.name(h, "h")
    n.name(c, "c")
    last = n.op("Relu", n.op("Squeeze", n.op("Slice", y, n.ints(-1), n.ints(2 ** 31 - 1), n.ints(0)), n.ints(0, 1)))
    n.name(n.op("Sigmoid", n.op("Gemm", last, n.weight(16, 1), n.const([0.1]))), "prob")
    graph = n.graph({"input": (F, ["b", "len"]), "sr": (I, []), "h_in": (F, [1, "b", 16]), "c_in": (F, [1, "b", 16])},
                    {"prob": (F, ["b", 1]), "h": (F, [1, "b", 16]), "c": (F, [1, "b", 16])})
    samples = floats(4, 8, input=(1, 512), h_in=(1, 1, 16), c_in=(1, 1, 16))
    for s in samples:
        s["sr"] = np.array(16000, np.int64)
    return model(graph, 16), samples


def nested():
    """A branch in a branch: both read weights and a bias of the graph around them, as the sound branch at the end does."""
    def gemm(n, x, bias="bias"):
        return n.op("Gemm", x, "shared", bias)

    def branch(n, out, y):
        n.name(y, out)
        return n.graph({}, {out: (F, [4, 16])}, out)
    deep, flat, middle, sound = (Net(seed, f"n{seed}_") for seed in (11, 12, 13, 14))
    inner = [branch(deep, "deep_out", gemm(deep, deep.op("Relu", gemm(deep, "x")))), branch(flat, "flat_out", flat.op("Identity", "x"))]
    small = middle.op("Less", middle.op("ReduceMin", "x", keepdims=0), middle.const(-1.8))
    hidden = middle.op("Relu", gemm(middle, "x"))
    middle.nodes.append(helper.make_node("If", [small], ["again"], name="inner", then_branch=inner[0], else_branch=inner[1]))
    outer = [branch(middle, "middle_out", middle.op("Add", gemm(middle, hidden), "again")),
             branch(sound, "sound_out", sound.op("Gemm", "x", sound.weight(16, 16), "bias"))]
    n = Net(15)
    n.constants += [numpy_helper.from_array(np.random.default_rng(16).standard_normal(s).astype(np.float32) / 4, k)
                for k, s in (("shared", (16, 16)), ("bias", (16,)))]
    product = n.op("Gemm", "x", n.weight(16, 16))
    large = n.op("Greater", n.op("ReduceMax", "x", keepdims=0), n.const(1.9))
    n.nodes.append(helper.make_node("If", [large], ["chosen"], name="outer", then_branch=outer[0], else_branch=outer[1]))
    n.name(n.op("Add", product, "chosen"), "y")
    return model(n.graph({"x": (F, [4, 16])}, {"y": (F, [4, 16])}), 16), floats(17, 16, x=(4, 16))


def moved():
    """What moves the data of int8 operators goes to an If, the one by way of the other, too."""
    n = Net(18)
    x = n.op("Relu", n.conv("x", 4, 8, rank=1))
    rows = n.op("Transpose", x, perm=[0, 2, 1])
    first = n.op("Slice", rows, n.ints(0), n.ints(4), n.ints(1))
    last = n.op("Squeeze", n.op("Slice", x, n.ints(-1), n.ints(2 ** 31 - 1), n.ints(2)), n.ints(2))
    parts = []
    for seed, kind in ((19, "Add"), (20, "Sub")):
        b = Net(seed, f"b{seed}_")
        both = b.op(kind, b.op("ReduceMean", rows, axes=[1], keepdims=0), last)
        b.name(b.op("Add", b.op("MatMul", both, b.weight(8, 8)), b.op("ReduceMax", first, axes=[1], keepdims=0)), f"out{seed}")
        parts.append(b.graph({}, {f"out{seed}": (F, [1, 8])}, kind))
    large = n.op("Greater", n.op("ReduceMax", "x", keepdims=0), n.const(2.5))
    n.nodes.append(helper.make_node("If", [large], ["chosen"], name="choice", then_branch=parts[0], else_branch=parts[1]))
    n.name(n.op("Add", "chosen", n.op("Gemm", last, n.weight(8, 8))), "y")
    return model(n.graph({"x": (F, [1, 4, 12])}, {"y": (F, [1, 8])}), 16), floats(21, 16, x=(1, 4, 12))


def detector():
    n = Net(5)
    x = n.op("Relu", n.conv("x", 3, 8, stride=2))
    x = n.op("Relu", n.conv(x, 8, 16, stride=2))
    head = n.conv(x, 16, 6, 1)
    flat = n.op("Transpose", n.op("Reshape", head, n.ints(1, 6, -1)), perm=[0, 2, 1])
    boxes, scores = n.op("Split", flat, n.ints(4, 2), outputs=2, axis=2)
    boxes = n.op("Mul", n.op("Sigmoid", boxes), n.const([32, 32, 32, 32]))
    scores = n.op("Sigmoid", scores)
    best = n.op("ReduceMax", scores, axes=[2], keepdims=0)
    top, index = n.op("TopK", best, n.ints(12), outputs=2, axis=1)
    n.name(top, "top")
    column = n.op("Tile", n.op("Unsqueeze", index, n.ints(2)), n.ints(1, 1, 4))
    kept = n.op("GatherElements", boxes, column, axis=1)
    n.name(kept, "boxes")
    chosen = n.op("NonMaxSuppression", kept, n.op("Unsqueeze", top, n.ints(1)), n.ints(5), n.const([0.5]), n.const([0.1]))
    n.name(chosen, "selected")
    return model(n.graph({"x": (F, [1, 3, 32, 32])}, {"boxes": (F, [1, 12, 4]), "top": (F, [1, 12]), "selected": (I, ["k", 3])})), \
        floats(6, 8, x=(1, 3, 32, 32))


def loop():
    body = Net(7, "body_")
    body.constants.append(numpy_helper.from_array((np.random.default_rng(8).standard_normal((16, 16)) / 4).astype(np.float32), "w"))
    step = body.op("Tanh", body.op("MatMul", "state_in", "w"))
    body.name("cond_in", "cond_out")
    body.name(step, "state_out")
    body.name(step, "trace_out")
    b = body.graph({"i": (I, []), "cond_in": (B, []), "state_in": (F, ["b", 16])},
                   {"cond_out": (B, []), "state_out": (F, ["b", 16]), "trace_out": (F, ["b", 16])}, "body")
    n = Net(9)
    x = n.linear(n.op("Relu", n.linear("x", 16, 24)), 24, 16)
    state, trace = n.op("Loop", "trips", "", x, outputs=2, body=b)
    n.name(n.linear(state, 16, 4), "y")
    n.name(n.op("ReduceMean", trace, axes=[0], keepdims=0), "mean")
    samples = floats(10, 8, x=(2, 16))
    for i, s in enumerate(samples):
        s["trips"] = np.array(3 + i % 2, np.int64)
    return model(n.graph({"x": (F, ["b", 16]), "trips": (I, [])}, {"y": (F, ["b", 4]), "mean": (F, ["b", 16])})), samples


def transformer(lowest=-np.inf):
    """Tokens and a mask of free batch and length; the mask becomes -inf or -FLT_MAX in the scores."""
    n, d, heads = Net(11), 32, 2
    x = n.op("Gather", n.const(n.rng.standard_normal((50, d))), "ids")
    mask = n.op("Cast", n.op("Unsqueeze", "mask", n.ints(1, 2)), to=B)
    shape = n.op("Concat", n.op("Shape", "ids"), n.ints(heads, d // heads), axis=0)
    back = n.op("Concat", n.op("Shape", "ids"), n.ints(d), axis=0)

    def split(value, perm):
        return n.op("Transpose", n.op("Reshape", value, shape), perm=perm)
    for _ in range(2):
        q, k, v = split(n.linear(x, d, d), [0, 2, 1, 3]), split(n.linear(x, d, d), [0, 2, 3, 1]), split(n.linear(x, d, d), [0, 2, 1, 3])
        scores = n.op("Div", n.op("MatMul", q, k), n.const((d // heads) ** 0.5))
        if lowest == -np.inf:
            scores = n.op("Where", mask, scores, n.const(lowest))
        else:
            scores = n.op("Add", scores, n.op("Where", mask, n.const(0), n.const(lowest)))
        mixed = n.op("Transpose", n.op("MatMul", n.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        x = n.op("Add", x, n.linear(n.op("Reshape", mixed, back), d, d))
        x = n.op("LayerNormalization", x, n.const(np.ones(d)), n.const(np.zeros(d)), axis=-1)
        x = n.op("Add", x, n.linear(n.op("Relu", n.linear(x, d, 2 * d)), 2 * d, d))
    n.name(n.linear(x, d, 5), "logits")
    samples, rng = [], np.random.default_rng(12)
    for i in range(10):
        length = 6 + i % 4
        mask = np.ones((2, length), np.int64)
        mask[1, length - 2:] = 0
        samples.append({"ids": rng.integers(0, 50, (2, length)), "mask": mask})
    return model(n.graph({"ids": (I, ["batch", "seq"]), "mask": (I, ["batch", "seq"])}, {"logits": (F, ["batch", "seq", 5])})), samples


def gru():
    n = Net(13)
    x = n.op("Relu", n.linear("x", 8, 12))
    y, last = n.op("GRU", x, n.weight(2, 30, 12), n.weight(2, 30, 10), n.weight(2, 60), "lengths", outputs=2, hidden_size=10,
                   direction="bidirectional", linear_before_reset=1)
    flat = n.op("Reshape", n.op("Transpose", y, perm=[0, 2, 1, 3]), n.ints(0, 0, 20))
    n.name(n.linear(flat, 20, 6), "y")
    n.name(last, "last")
    samples = floats(14, 8, x=(7, 2, 8))
    for i, s in enumerate(samples):
        s["lengths"] = np.array([7 - i % 3, 4], np.int32)
    graph = n.graph({"x": (F, ["t", "b", 8]), "lengths": (TensorProto.INT32, ["b"])},
                    {"y": (F, ["t", "b", 6]), "last": (F, [2, "b", 10])})
    return model(graph), samples


def two_heads():
    """Scores in 0..1 beside boxes in pixels, joined at the end."""
    n = Net(15)
    x = n.op("Relu", n.conv("x", 3, 12))
    boxes = n.op("Mul", n.conv(x, 12, 4, 1), n.const(200))
    scores = n.op("Sigmoid", n.conv(x, 12, 3, 1))
    n.name(n.op("Concat", boxes, scores, axis=1), "joined")
    n.name(boxes, "boxes")
    n.name(scores, "scores")
    out = {"joined": (F, [1, 7, 8, 8]), "boxes": (F, [1, 4, 8, 8]), "scores": (F, [1, 3, 8, 8])}
    return model(n.graph({"x": (F, [1, 3, 8, 8])}, out)), floats(16, 8, x=(1, 3, 8, 8))


def functions():
    """As PyTorch's exporter writes: layers are functions that call functions; one of them holds nothing to quantize."""
    onnx_import = [helper.make_opsetid("", 18), helper.make_opsetid("lib", 1)]
    act = helper.make_function("lib", "act", ["v"], ["r"], [helper.make_node("LeakyRelu", ["v"], ["r"])], onnx_import[:1], ["slope"])
    act.node[0].attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    layer = helper.make_function("lib", "layer", ["v", "w", "b"], ["r"],
                                 [helper.make_node("Conv", ["v", "w", "b"], ["t"], pads=[1, 1, 1, 1]),
                                  helper.make_node("act", ["t"], ["r"], domain="lib", slope=0.2)], onnx_import)
    score = helper.make_function("lib", "score", ["v"], ["r"],
                                 [helper.make_node("Exp", ["v"], ["e"]), helper.make_node("Constant", [], ["axes"], value_ints=[1]),
                                  helper.make_node("ReduceSum", ["e", "axes"], ["s"]), helper.make_node("Div", ["e", "s"], ["r"])],
                                 onnx_import[:1])
    unused = helper.make_function("lib", "unused", ["v"], ["r"], [helper.make_node("Neg", ["v"], ["r"])], onnx_import[:1])
    n = Net(17)
    x = "x"
    for cin, cout in ((3, 8), (8, 8)):
        x = n.op("layer", x, n.weight(cout, cin, 3, 3), n.const(n.rng.standard_normal(cout) * 0.1), domain="lib")
    x = n.op("Flatten", n.op("GlobalAveragePool", x))
    x = n.op("Gemm", x, n.weight(8, 5), n.const(np.zeros(5)))
    n.name(n.op("score", x, domain="lib"), "y")
    graph = n.graph({"x": (F, ["n", 3, 8, 8])}, {"y": (F, ["n", 5])})
    return model(graph, 18, [act, layer, score, unused], ["lib"]), floats(18, 8, x=(1, 3, 8, 8))


def scan():
    body = Net(19, "body_")
    total = body.op("Add", body.op("Mul", "state", body.const(0.5)), "x_t")
    body.name(total, "state_out")
    body.name(body.op("Relu", total), "y_t")
    b = body.graph({"state": (F, [8]), "x_t": (F, [8])}, {"state_out": (F, [8]), "y_t": (F, [8])}, "body")
    n = Net(20)
    x = n.linear(n.op("Relu", n.linear("x", 6, 12)), 12, 8)
    last, ys = n.op("Scan", n.const(np.zeros(8)), x, outputs=2, body=b, num_scan_inputs=1)
    n.name(n.linear(ys, 8, 3), "y")
    n.name(last, "last")
    return model(n.graph({"x": (F, ["t", 6])}, {"y": (F, ["t", 3]), "last": (F, [8])})), \
        [floats(21 + i, 1, x=(5 + i % 3, 6))[0] for i in range(8)]


def old(opset):
    """Attributes where later opsets have inputs, and the inputs list holding the weights (IR 3)."""
    n = Net(22)
    x = n.op("Pad", "x", pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="constant", value=0.5)
    x = n.op("Clip", n.op("Conv", x, n.weight(8, 3, 3, 3), kernel_shape=[3, 3]), min=0.0, max=6.0)
    x = n.op("BatchNormalization", x, n.const(np.linspace(0.5, 1.5, 8)), n.const(np.linspace(-1, 1, 8)), n.const(np.zeros(8)),
             n.const(np.ones(8)))
    if opset == 9:
        x = n.op("Upsample", x, n.const([1, 1, 2, 2]), mode="nearest")
    else:
        x = n.op("Upsample", x, mode="nearest", **({"scales": [1.0, 1.0, 2.0, 2.0]}))
    x = n.op("Dropout", n.conv(x, 8, 6), ratio=0.5)
    a, b = n.op("Split", x, outputs=2, axis=1, split=[3, 3])
    x = n.op("Squeeze", n.op("ReduceMean", n.op("Add", a, b), axes=[2, 3], keepdims=1), axes=[2, 3])
    top = n.op("TopK", x, k=2, outputs=2, axis=1)[0] if opset < 10 else x
    n.name(n.op("Softmax", n.op("Gemm", x, n.weight(3, 4), n.const(np.zeros(4)))), "y")
    n.name(top, "top")
    graph = n.graph({"x": (F, [1, 3, 8, 8])}, {"y": (F, [1, 4]), "top": (F, [1, 2])})
    if opset < 9:
        graph.input.extend(helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in graph.initializer)
    return model(graph, opset, ir=3 if opset < 9 else 4), floats(23, 8, x=(1, 3, 8, 8))


def new(opset):
    n = Net(24)
    x = n.op("Gelu", n.conv("x", 3, 8))
    x = n.op("GroupNormalization", x, n.const(np.ones(8)), n.const(np.zeros(8)), num_groups=2)
    x = n.op("ReduceMean", n.conv(x, 8, 8), n.ints(2, 3), keepdims=0)
    n.name(n.op("Gemm", x, n.weight(8, 4), n.const(np.zeros(4))), "y")
    return model(n.graph({"x": (F, ["n", 3, 8, 8])}, {"y": (F, ["n", 4])}), opset), floats(25, 8, x=(1, 3, 8, 8))


def unknown():
    """An operator that only its library knows between two convolutions, and a branch that does not need it."""
    n = Net(26)
    x = n.op("Relu", n.conv("x", 3, 8))
    strange = n.op("Wobble", x, domain="test.custom", amount=0.25)
    n.name(n.conv(strange, 8, 4), "after")
    n.name(n.conv(n.op("Relu", n.conv(x, 8, 8)), 8, 4, 1), "beside")
    graph = n.graph({"x": (F, [1, 3, 8, 8])}, {"after": (F, [1, 4, 8, 8]), "beside": (F, [1, 4, 8, 8])})
    return model(graph, 17, domains=["test.custom"]), floats(27, 8, x=(1, 3, 8, 8))


def shared_names():
    """Nodes of one name in the graph, in a branch and in a function: ONNX Runtime loads the model only once they differ."""
    twice = [helper.make_node("Relu", ["v"], ["t"], name="n"), helper.make_node("Sigmoid", ["t"], ["r"], name="n")]
    gate = helper.make_function("lib", "gate", ["v"], ["r"], twice, [helper.make_opsetid("", 17)])
    branch = [helper.make_graph([helper.make_node("Relu", ["x0"], [f"{b}1"], name="n"), helper.make_node("Neg", [f"{b}1"], [f"{b}2"], name="n")],
                                b, [], [helper.make_tensor_value_info(f"{b}2", F, None)]) for b in ("then", "else")]
    n = Net(28)
    n.name(n.conv("x", 3, 8), "x0")
    taken = n.op("If", "flag", then_branch=branch[0], else_branch=branch[1])
    n.name(n.conv(n.op("gate", taken, domain="lib"), 8, 4), "y")
    for node in n.nodes:
        node.name = "n"
    made = model(n.graph({"x": (F, [1, 3, 8, 8]), "flag": (B, [])}, {"y": (F, [1, 4, 8, 8])}), functions=[gate], domains=["lib"])
    return made, [dict(sample, flag=np.array(i % 2 == 0)) for i, sample in enumerate(floats(29, 8, x=(1, 3, 8, 8)))]


def no_float_output(pixels):
    """Class numbers and a sequence, nothing that a measure of floats can judge; with pixels, that it can."""
    n = Net(30)
    x = n.conv("x", 3, 4)
    n.name(n.op("ArgMax", x, axis=1), "classes")
    outputs = {"classes": (I, [1, 1, 8, 8])}
    if pixels:
        outputs["pixels"] = (TensorProto.UINT8, [1, 4, 8, 8])
        n.name(n.op("Cast", n.op("Clip", n.op("Mul", x, n.const(50)), n.const(0), n.const(255)), to=TensorProto.UINT8), "pixels")
    n.name(n.op("SplitToSequence", x, axis=1), "parts")
    graph = n.graph({"x": (F, [1, 3, 8, 8])}, outputs)
    graph.output.append(helper.make_tensor_sequence_value_info("parts", F, [1, 1, 8, 8]))
    return model(graph), floats(31, 8, x=(1, 3, 8, 8))


MODELS = {
    "speech": speech, "nested": nested, "moved": moved, "detector": detector, "loop": loop, "transformer": transformer,
    "transformer_max": lambda: transformer(float(np.finfo(np.float32).min)), "gru": gru, "two_heads": two_heads,
    "functions": functions, "scan": scan, "opset7": lambda: old(7), "opset8": lambda: old(8), "opset9": lambda: old(9),
    "opset21": lambda: new(21), "opset23": lambda: new(23), "unknown": unknown,
}
