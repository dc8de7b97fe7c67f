"""Small models of many kinds for modes_test.py: functions of a Maker that return the names of the outputs."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from node_list import NodeList

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


class Maker(NodeList):
    """Collects inputs, constants and nodes; every method returns the name of its result."""

    def __init__(self, seed=5):
        super().__init__(seed)
        self.inputs, self.feeds = [], {}
        self.opset, self.domains, self.functions = 17, [], []

    def input(self, name, shape, high=None, dims=None):
        """Normal numbers, or whole ones below `high`. dims: the declared shape, where it differs."""
        if high is None:
            self.feeds[name] = [self.rng.standard_normal(shape).astype(np.float32) for _ in range(4)]
        else:
            self.feeds[name] = [self.rng.integers(0, high, shape).astype(np.int64) for _ in range(4)]
        self.inputs.append(helper.make_tensor_value_info(name, FLOAT if high is None else INT64, dims or shape))
        return name

    def conv(self, x, cin, cout, kernel=3, group=1):
        return self.op("Conv", x, self.random(cout, cin // group, kernel, kernel), self.random(cout),
                       kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, group=group)

    def model(self, outputs, types=None):
        outputs = [outputs] if isinstance(outputs, str) else outputs
        infos = [helper.make_tensor_value_info(name, (types or {}).get(name, FLOAT), None) for name in outputs]
        graph = helper.make_graph(self.nodes, "g", self.inputs, infos, self.constants)
        imports = [helper.make_opsetid("", self.opset)] + [helper.make_opsetid(d, 1) for d in self.domains]
        made = helper.make_model(graph, opset_imports=imports, functions=self.functions)
        made.ir_version = 8
        return made


def mlp(m):
    x = m.op("Relu", m.op("Gemm", m.input("x", [4, 32]), m.random(32, 48), m.random(48)))
    x = m.op("Relu", m.op("MatMul", x, m.random(48, 40)))
    return m.op("Gemm", x, m.random(10, 40), m.random(10), transB=1, alpha=0.5, beta=2.0)


def gemm_forms(m):
    x = m.op("Gemm", m.input("x", [24, 6]), m.random(24, 16), transA=1)
    return m.op("Gemm", x, m.random(20, 16), m.random(6, 1), transB=1)


def batched_weights(m):
    return m.op("MatMul", m.input("x", [3, 5, 16]), m.random(3, 16, 12))


def left_weight(m):
    return m.op("MatMul", m.random(12, 16), m.input("x", [16, 9]))


def cnn(m):
    x = m.op("Relu", m.conv(m.input("x", [1, 3, 16, 16]), 3, 8))
    x = m.op("MaxPool", m.op("Clip", m.conv(x, 8, 16), m.constant(0), m.constant(6)), kernel_shape=[2, 2], strides=[2, 2])
    x = m.op("HardSwish", m.conv(x, 16, 16, group=16))
    x = m.op("Flatten", m.op("GlobalAveragePool", x))
    return m.op("Softmax", m.op("Gemm", x, m.random(10, 16), m.random(10), transB=1), axis=-1)


def conv_transpose_groups(m):
    x = m.op("ConvTranspose", m.input("x", [1, 8, 6, 6]), m.random(8, 3, 3, 3), m.random(6), group=2, strides=[2, 2])
    return m.op("ConvTranspose", x, m.random(6, 5, 2, 2), strides=[2, 2])


def transformer(m):
    """Decomposed layer normalization, attention with a mask of -1e9, erf-Gelu; q, k, v share their input."""
    x = m.input("x", [2, 8, 32])
    mask = m.op("Cast", m.input("mask", [2, 8], high=2), to=FLOAT)
    mask = m.op("Mul", m.op("Sub", mask, m.constant(1)), m.constant(1e9))
    mask = m.op("Unsqueeze", mask, m.ints(1, 2))

    def norm(y):
        d = m.op("Sub", y, m.op("ReduceMean", y, axes=[-1], keepdims=1))
        v = m.op("ReduceMean", m.op("Pow", d, m.constant(2)), axes=[-1], keepdims=1)
        y = m.op("Div", d, m.op("Sqrt", m.op("Add", v, m.constant(1e-12))))
        return m.op("Add", m.op("Mul", y, m.random(32, scale=1)), m.random(32))

    def head(y, perm):
        return m.op("Transpose", m.op("Reshape", m.linear(y, 32, 32), m.ints(2, 8, 4, 8)), perm=perm)
    n = norm(x)
    scores = m.op("Div", m.op("MatMul", head(n, [0, 2, 1, 3]), head(n, [0, 2, 3, 1])), m.constant(8 ** 0.5))
    y = m.op("MatMul", m.op("Softmax", m.op("Add", scores, mask), axis=-1), head(n, [0, 2, 1, 3]))
    y = m.linear(m.op("Reshape", m.op("Transpose", y, perm=[0, 2, 1, 3]), m.ints(2, 8, 32)), 32, 32)
    y = m.op("Add", y, x)
    z = m.linear(norm(y), 32, 64)
    e = m.op("Add", m.op("Erf", m.op("Div", z, m.constant(2 ** 0.5))), m.constant(1))
    return m.op("Add", m.linear(m.op("Mul", m.op("Mul", z, e), m.constant(0.5)), 64, 32), y)


def recurrent(m):
    x = m.input("x", [6, 1, 12])
    y = m.op("LSTM", x, m.random(2, 64, 12), m.random(2, 64, 16), m.random(2, 128), hidden_size=16,
             direction="bidirectional", outputs=3)[0]
    y = m.op("Reshape", m.op("Transpose", y, perm=[0, 2, 1, 3]), m.ints(6, 1, 32))
    z, last = m.op("GRU", y, m.random(1, 24, 32), m.random(1, 24, 8), m.random(1, 48), hidden_size=8, outputs=2)
    return [z, last]


def time_first(m):
    """Recurrent, then products behind a Transpose to batches, the other side of another rank; sizes are open."""
    x = m.input("x", [5, 3, 12], dims=["t", "n", 12])
    y = m.op("GRU", x, m.random(1, 24, 12), m.random(1, 24, 8), m.random(1, 48), hidden_size=8, linear_before_reset=1)
    y = m.op("Transpose", m.op("Squeeze", y, m.ints(1)), perm=[1, 0, 2])
    mixed = m.op("MatMul", m.random(6, 12), m.op("Transpose", m.op("Relu", x), perm=[1, 2, 0]))
    return [m.linear(y, 8, 6), m.op("MatMul", y, m.random(8, 4)), mixed]


def batch_scores(m):
    """Products of two tensors behind a Transpose to batches each."""
    x = m.input("x", [5, 3, 12], dims=["t", "n", 12])
    return m.op("MatMul", m.op("Transpose", m.op("Relu", x), perm=[1, 0, 2]), m.op("Transpose", x, perm=[1, 2, 0]))


def contrib_attention(m):
    m.domains = ["com.microsoft"]
    x = m.linear(m.input("x", [2, 6, 32]), 32, 32)
    mask = m.op("Cast", m.input("mask", [2, 6], high=2), to=TensorProto.INT32)
    y = m.op("Attention", x, m.random(32, 96, scale=0.1), m.random(96), mask, domain="com.microsoft", num_heads=4)
    y = m.op("Attention", y, m.random(32, 96, scale=0.1), m.random(96), domain="com.microsoft", num_heads=4, unidirectional=1)
    return m.linear(y, 32, 8)


def embeddings(m):
    tokens = m.input("tokens", [2, 7], high=50)
    x = m.op("Add", m.op("Gather", m.random(50, 24), tokens), m.op("Gather", m.random(7, 24), m.ints(*range(7))))
    x = m.op("LayerNormalization", x, m.random(24, scale=1), m.random(24), axis=-1)
    return m.linear(x, 24, 16)


def _body(name, inputs, outputs, nodes, constants):
    def infos(names):
        return [helper.make_tensor_value_info(n, t, None if t == FLOAT else []) for n, t in names]
    return helper.make_graph(nodes, name, infos(inputs), infos(outputs), constants)


def branches(m):
    """Branches with weights of their own, one that they capture, and a captured activation."""
    x, shared = m.input("x", [2, 16]), m.random(16, 16)
    h = m.op("Relu", m.op("MatMul", x, m.random(16, 16)))

    def branch(name, scale):
        own = numpy_helper.from_array((m.rng.standard_normal((16, 16)) * scale).astype(np.float32), name + "_w")
        nodes = [helper.make_node("MatMul", [h, shared], [name + "_a"], name=name + "_matmul_1"),
                 helper.make_node("MatMul", [name + "_a", name + "_w"], [name + "_b"], name=name + "_matmul_2"),
                 helper.make_node("Tanh", [name + "_b"], [name + "_y"], name=name + "_tanh")]
        return _body(name, [], [(name + "_y", FLOAT)], nodes, [own])
    positive = m.op("Greater", m.op("ReduceMax", x, keepdims=0), m.constant(1.8))
    y = m.op("If", positive, then_branch=branch("then", 0.2), else_branch=branch("else", 0.4))
    return [m.op("MatMul", y, m.random(16, 8)), h]


def loop(m):
    """s = 0.9 s + tanh(s w) + x, five times; w and x are captured."""
    x = m.input("x", [2, 16])
    w, decay = m.random(16, 16), m.constant(0.9)
    nodes = [helper.make_node("MatMul", ["s_in", w], ["a"], name="body_matmul"), helper.make_node("Tanh", ["a"], ["b"]),
             helper.make_node("Mul", ["s_in", decay], ["c"]), helper.make_node("Add", ["b", "c"], ["d"]),
             helper.make_node("Add", ["d", x], ["s_out"]), helper.make_node("Identity", ["go_in"], ["go_out"]),
             helper.make_node("ReduceMean", ["s_out"], ["scan"], keepdims=0)]
    body = _body("body", [("i", INT64), ("go_in", TensorProto.BOOL), ("s_in", FLOAT)],
                 [("go_out", TensorProto.BOOL), ("s_out", FLOAT), ("scan", FLOAT)], nodes, [])
    y, trace = m.op("Loop", m.constant(5, np.int64), m.constant(True, bool), m.op("Mul", x, m.constant(0.5)), outputs=2, body=body)
    return [m.op("MatMul", y, m.random(16, 8)), trace]


def branches_of_input(m):
    """Branches that read nothing but an input of the model."""
    x = m.input("x", [2, 16])

    def branch(name, kind):
        return _body(name, [], [(name + "_y", FLOAT)], [helper.make_node(kind, [x], [name + "_y"])], [])
    m.inputs.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    m.feeds["c"] = [np.asarray(i % 2 == 0) for i in range(4)]
    return m.op("If", "c", then_branch=branch("then", "Relu"), else_branch=branch("else", "Sigmoid"))


def loop_of_input(m):
    """A loop over an If in a body: the innermost bodies read an input of the model."""
    x, bias = m.input("x", [2, 16]), m.input("bias", [16])

    def branch(name, kind):
        return _body(name, [], [(name + "_y", FLOAT)], [helper.make_node(kind, ["s_in", bias], [name + "_y"])], [])
    nodes = [helper.make_node("If", ["go_in"], ["a"], then_branch=branch("then", "Add"), else_branch=branch("else", "Sub")),
             helper.make_node("Tanh", ["a"], ["b"]), helper.make_node("Add", ["b", x], ["s_out"]),
             helper.make_node("Identity", ["go_in"], ["go_out"])]
    body = _body("body", [("i", INT64), ("go_in", TensorProto.BOOL), ("s_in", FLOAT)],
                 [("go_out", TensorProto.BOOL), ("s_out", FLOAT)], nodes, [])
    return m.op("Loop", m.constant(3, np.int64), m.constant(True, bool), x, body=body)


def scan_of_input(m):
    """Sums along a sequence, with an input of the model that the body captures."""
    x, gain = m.input("x", [5, 16]), m.input("gain", [16])
    nodes = [helper.make_node("Mul", ["x_in", gain], ["a"]), helper.make_node("Tanh", ["a"], ["b"]),
             helper.make_node("Add", ["s_in", "b"], ["s_out"]), helper.make_node("Sigmoid", ["s_out"], ["y_out"])]
    body = _body("body", [("s_in", FLOAT), ("x_in", FLOAT)], [("s_out", FLOAT), ("y_out", FLOAT)], nodes, [])
    return m.op("Scan", gain, x, outputs=2, num_scan_inputs=1, body=body)


def detector_tail(m):
    """Resize, TopK and an output that inner operators read, too."""
    x = m.conv(m.input("x", [1, 3, 8, 8]), 3, 8)
    y = m.op("Resize", m.op("Sigmoid", x), "", m.constant([1, 1, 2, 2]), mode="linear")
    scores = m.op("Reshape", m.conv(y, 8, 1), m.ints(1, -1))
    best, _ = m.op("TopK", scores, m.ints(5), axis=-1, outputs=2)
    return [best, y]


def shapes(m):
    """Dynamic shape arithmetic, ConstantOfShape and Expand between float operators."""
    x = m.input("x", [2, 6, 16], dims=["n", "t", 16])
    shape = m.op("Shape", x)
    zeros = m.op("ConstantOfShape", m.op("Slice", shape, m.ints(0), m.ints(2)),
                 value=helper.make_tensor("v", FLOAT, [1], [0.5]))
    ramp = m.op("Cast", m.op("Range", m.constant(0, np.int64), m.op("Gather", shape, m.constant(1, np.int64)), m.constant(1, np.int64)), to=FLOAT)
    angles = m.op("Sin", m.op("Mul", m.op("Unsqueeze", ramp, m.ints(1)), m.constant(np.linspace(.1, 1, 16))))
    y = m.op("Add", m.op("Add", x, angles), m.op("Unsqueeze", zeros, m.ints(2)))
    return m.linear(y, 16, 8)


def masked(m):
    """Scores filled with the smallest float before a Softmax, in the first row all of them."""
    x = m.input("x", [2, 6, 6])
    least = np.full((6, 1), -0.5, np.float32)
    least[0] = 1e4
    keep = m.op("Greater", x, m.constant(least))
    y = m.op("Softmax", m.op("Where", keep, x, m.constant(-3.4028235e38)), axis=-1)
    return m.op("MatMul", y, m.random(6, 8))


def wide_range(m):
    """A product that leaves the range of float16, and comes back."""
    x = m.input("x", [4, 16])
    y = m.op("MatMul", m.op("Mul", x, m.constant(60000.0)), m.random(16, 16))
    return m.op("MatMul", m.op("Mul", y, m.constant(2.0 ** -12)), m.random(16, 8))


def windows(m):
    """Window partition and reverse of a Swin."""
    y = m.op("Reshape", m.input("x", [1, 64, 24]), m.ints(1, 2, 4, 2, 4, 24))
    y = m.linear(m.op("Reshape", m.op("Transpose", y, perm=[0, 1, 3, 2, 4, 5]), m.ints(-1, 24)), 24, 24)
    y = m.op("Transpose", m.op("Reshape", y, m.ints(-1, 2, 2, 4, 4, 24)), perm=[0, 1, 3, 2, 4, 5])
    return m.linear(m.op("Reshape", y, m.ints(1, 64, 24)), 24, 12)


def yolo(m):
    """The tail of a YOLO: distances as means of 16 bins, boxes from them and anchors that are computed, scores."""
    y = m.op("Reshape", m.conv(m.input("x", [2, 16, 4, 4], dims=["n", 16, 4, 4]), 16, 67), m.ints(0, 67, -1))
    bins, classes = m.op("Split", y, m.ints(64, 3), axis=1, outputs=2)
    bins = m.op("Transpose", m.op("Reshape", bins, m.ints(0, 4, 16, -1)), perm=[0, 2, 1, 3])
    d = m.op("Conv", m.op("Softmax", bins, axis=1), m.constant(np.arange(16).reshape(1, 16, 1, 1)))
    d = m.op("Reshape", d, m.ints(0, 4, -1))
    places = m.op("Range", m.constant(0.5), m.op("Cast", m.op("Gather", m.op("Shape", d), m.constant(2, np.int64)), to=FLOAT), m.constant(1))
    low = m.op("Sub", places, m.op("Slice", d, m.ints(0), m.ints(2), m.ints(1), m.ints(1)))
    high = m.op("Add", places, m.op("Slice", d, m.ints(2), m.ints(4), m.ints(1), m.ints(1)))
    center = m.op("Div", m.op("Add", low, high), m.constant(2))
    boxes = m.op("Mul", m.op("Concat", center, m.op("Sub", high, low), axis=1), m.constant(np.full((1, 16), 8.0)))
    return m.op("Concat", boxes, m.op("Sigmoid", classes), axis=1)


def packed_attention(m):
    """One product for query, key and value, as timm's ViT has it."""
    y = m.op("Reshape", m.linear(m.input("x", [2, 10, 24], dims=["n", 10, 24]), 24, 72), m.ints(-1, 10, 3, 4, 6))
    q, k, v = (m.op("Gather", m.op("Transpose", y, perm=[2, 0, 3, 1, 4]), m.constant(i, np.int64), axis=0) for i in range(3))
    scores = m.op("Div", m.op("MatMul", q, m.op("Transpose", k, perm=[0, 1, 3, 2])), m.constant(6 ** 0.5))
    y = m.op("Transpose", m.op("MatMul", m.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    return m.linear(m.op("Reshape", y, m.ints(-1, 10, 24)), 24, 24)


def old_resize(m):
    """Up to opset 10 the scales are input 1."""
    m.opset = 10
    y = m.conv(m.input("x", [1, 3, 8, 8]), 3, 6)
    return m.conv(m.op("Resize", m.op("Relu", y), m.constant([1, 1, 2, 2])), 6, 4)


def functions(m):
    """Layers in functions of the model, one of them calling another."""
    call = [helper.make_opsetid("", 17), helper.make_opsetid("layers", 1)]
    m.domains = ["layers"]
    silu = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])]
    layer = [helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]), helper.make_node("Silu", ["c"], ["y"], domain="layers")]
    m.functions = [helper.make_function("layers", "Silu", ["x"], ["y"], silu, call[:1]),
                   helper.make_function("layers", "ConvSilu", ["x", "w"], ["y"], layer, call)]
    y = m.op("ConvSilu", m.input("x", [1, 3, 8, 8]), m.random(8, 3, 3, 3), domain="layers")
    return m.conv(m.op("ConvSilu", y, m.random(8, 8, 3, 3), domain="layers"), 8, 4)


def fused_operators(m):
    """As ONNX Runtime's optimizer saves a model."""
    m.domains = ["com.microsoft"]
    y = m.op("FusedConv", m.input("x", [1, 4, 8, 8]), m.random(8, 4, 3, 3), m.random(8), domain="com.microsoft", kernel_shape=[3, 3],
             pads=[1, 1, 1, 1], activation="Relu")
    y = m.op("Reshape", m.conv(y, 8, 4), m.ints(1, 4, 64))
    y = m.op("SkipLayerNormalization", y, m.random(4, 64), m.random(64), m.random(64), domain="com.microsoft", epsilon=1e-5)
    y = m.op("BiasGelu", m.op("MatMul", y, m.random(64, 32)), m.random(32), domain="com.microsoft")
    return m.op("FusedMatMul", y, m.random(16, 32), domain="com.microsoft", transB=1, alpha=0.5)


ALL = [mlp, gemm_forms, batched_weights, left_weight, cnn, conv_transpose_groups, transformer, recurrent, time_first, batch_scores,
       contrib_attention, embeddings, branches, loop, branches_of_input, loop_of_input, scan_of_input, detector_tail, shapes, masked, windows, yolo,
       packed_attention, old_resize, functions, fused_operators]
