"""Seeded damage to models (field by field, by the onnx package), to bytes, to JSON and to list files."""
import json
import os

import numpy as np
from onnx import AttributeProto, TensorProto, helper

NUMBERS = [0, 1, -1, 2, 3, 7, 255, -128, 1000, 65536, 2**31 - 1, -2**31, 2**31, 2**46, 2**62, 2**63 - 1, -2**63]
FLOATS = [0.0, -0.0, 1.0, -1.0, 1e-40, 1e38, -1e38, float("inf"), float("-inf"), float("nan"), 0.5]
TEXTS = ["", "x", "nope", "nearest", "linear", "SAME_UPPER", "NOTSET", "\n", "é", "a" * 5000, "../x", "ij,jk->ik", "...->", "mean"]
OPERATORS = [
    "Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool",
    "BatchNormalization", "LayerNormalization", "InstanceNormalization", "LRN", "Softmax", "Relu", "Clip", "Sigmoid", "Add", "Div",
    "Mod", "Pow", "BitShift", "PRelu", "Where", "Equal", "ReduceMean", "ReduceSum", "ReduceProd", "ArgMax", "CumSum", "TopK", "Resize",
    "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Concat", "Split", "Pad", "Tile", "Expand", "DepthToSpace",
    "SpaceToDepth", "ReverseSequence", "Identity", "Dropout", "Trilu", "Compress", "Gather", "GatherElements", "GatherND",
    "ScatterElements", "ScatterND", "OneHot", "NonZero", "Shape", "Size", "ConstantOfShape", "Range", "Cast", "EyeLike", "LSTM",
    "GRU", "RNN", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger", "QLinearMatMul",
    "MatMulInteger", "NonMaxSuppression", "GridSample", "RoiAlign", "Det", "Sum", "Max", "Nonsense", "Constant", "If", "Loop", "Scan"]


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class Mutator:
    def __init__(self, rng):
        self.rng = rng

    def int(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def pick(self, choices):
        return choices[self.int(0, len(choices) - 1)]

    def number(self):
        return self.pick(NUMBERS) if self.rng.random() < 0.7 else self.int(-9, 99)

    # ---- bytes

    def bytes(self, data):
        data = bytearray(data)
        for _ in range(self.int(1, 3)):
            at = self.int(0, max(len(data) - 1, 0))
            kind = self.int(0, 6)
            if kind <= 2 and data:
                data[at] ^= 1 << self.int(0, 7)
            elif kind == 3 and data:
                data[at] = self.pick([0, 0x7f, 0x80, 0xff])
            elif kind == 4:
                del data[at:at + self.int(1, 40)]
            elif kind == 5:
                data[at:at] = self.rng.bytes(self.int(1, 20))
            else:
                data[at:at] = data[at:at + self.int(1, 60)]
        if self.rng.random() < 0.15:
            del data[self.int(0, len(data)):]
        return bytes(data)

    def nested(self, data):
        """Bodies in bodies, far deeper than the onnx package can write."""
        inner = b""
        for _ in range(self.pick([30, 100, 1000, 30000])):
            for field in (6, 5, 1):  # AttributeProto.g, NodeProto.attribute, GraphProto.node
                inner = bytes([field << 3 | 2]) + _varint(len(inner)) + inner
        return data + b"\x3a" + _varint(len(inner)) + inner

    # ---- models

    def graphs(self, graph):
        """The graph and all bodies in it."""
        result = [graph]
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == AttributeProto.GRAPH:
                    result += self.graphs(attribute.g)
        return result

    def names(self, graph):
        names = [value.name for value in graph.input] + [tensor.name for tensor in graph.initializer]
        return names + [name for node in graph.node for name in node.output] + ["", "nowhere"]

    def model(self, model):
        """One to three changes."""
        for _ in range(self.pick([1, 1, 1, 2, 3])):
            graph = self.pick(self.graphs(model.graph))
            kinds = [self.header, self.info]
            if graph.node:
                kinds += [self.wiring, self.wiring, self.attribute, self.attribute, self.operator]
            if graph.initializer:
                kinds += [self.initializer, self.initializer, self.initializer, self.elements, self.elements]
            change = self.pick(kinds) if self.rng.random() > 0.02 else self.nest
            change(model if change in (self.header, self.nest) else graph)  # pylint: disable=comparison-with-callable

    def header(self, model):
        kind = self.int(0, 6)
        if kind == 0:
            model.ir_version = self.number()
        elif kind == 1 and model.opset_import:
            model.opset_import[0].version = self.pick([self.number(), 7, 9, 11, 13, 18, 21, 23, 25])
        elif kind == 2 and model.opset_import:
            model.opset_import[0].domain = self.pick(TEXTS)
        elif kind == 3:
            del model.opset_import[:]
        elif kind == 4:
            model.ClearField("graph")
        elif kind == 5:
            model.functions.add(name="Relu", domain="").node.add(op_type="Relu", input=["x"], output=["y"])
        else:
            model.metadata_props.add(key=self.pick(TEXTS), value=self.pick(TEXTS))

    def info(self, graph):
        """Inputs, outputs and value types."""
        kind, every = self.int(0, 6), list(graph.input) + list(graph.output) + list(graph.value_info)
        if kind == 0:
            graph.output.add(name=self.pick(self.names(graph)))
        elif kind == 1 and graph.output:
            del graph.output[self.int(0, len(graph.output) - 1)]
        elif kind == 2:
            graph.input.append(helper.make_tensor_value_info(self.pick(self.names(graph)), self.int(0, 25), [1, self.number()]))
        elif kind == 3 and graph.input:
            del graph.input[self.int(0, len(graph.input) - 1)]
        elif kind == 4 and every:
            self.pick(every).name = self.pick(self.names(graph))
        elif every:
            value = self.pick(every)
            dims = [self.number() if self.rng.random() < 0.5 else self.int(1, 8) for _ in range(self.int(0, 5))]
            value.type.CopyFrom(helper.make_tensor_type_proto(self.pick([1, 1, 1, 7, 9, 8, 10, 0, 99]), dims))

    def wiring(self, graph):
        """Inputs and outputs of nodes, the nodes themselves."""
        node, names = self.pick(graph.node), self.names(graph)
        kind = self.int(0, 9)
        if kind == 0 and node.input:
            del node.input[self.int(0, len(node.input) - 1)]
        elif kind == 1:
            node.input.append(self.pick(names))
        elif kind in (2, 3) and node.input:
            node.input[self.int(0, len(node.input) - 1)] = self.pick(names)
        elif kind == 4 and node.input:  # a cycle
            node.input[0] = self.pick(self.pick(graph.node).output or [""])
        elif kind == 5 and node.output:
            node.output[self.int(0, len(node.output) - 1)] = self.pick(names)
        elif kind == 6:
            node.output.append(self.pick([*names, "further"]))
        elif kind == 7 and node.output:
            del node.output[self.int(0, len(node.output) - 1)]
        elif kind == 8:
            graph.node.remove(node)
        else:
            graph.node.add().CopyFrom(node)

    def operator(self, graph):
        node = self.pick(graph.node)
        kind = self.int(0, 4)
        if kind == 0:
            node.domain = self.pick(["com.microsoft", "ai.onnx", "ai.onnx.ml", "nope", ""])
        elif kind == 1:
            node.name = self.pick([other.name for other in graph.node] + TEXTS)
        else:
            node.op_type = self.pick(OPERATORS)

    def attribute(self, graph):
        nodes = [node for node in graph.node if node.attribute] or list(graph.node)
        node = self.pick(nodes)
        kind = self.int(0, 7)
        if kind == 0 and node.attribute:
            del node.attribute[self.int(0, len(node.attribute) - 1)]
            return
        if kind == 1 and node.attribute:
            node.attribute.add().CopyFrom(self.pick(node.attribute))
            return
        if kind <= 3 or not node.attribute:
            name = self.pick(["axis", "axes", "pads", "strides", "dilations", "kernel_shape", "group", "auto_pad", "keepdims", "mode",
                              "perm", "ceil_mode", "to", "value", "hidden_size", "blocksize", "epsilon", "alpha", "p", "k",
                              "output_shape", "output_padding", "equation", "block_size", "num_outputs", "batch_dims", "direction",
                              "nonsense"])
            for attribute in list(node.attribute):
                if attribute.name == name:
                    node.attribute.remove(attribute)
            node.attribute.append(self.any_attribute(name))
            return
        attribute = self.pick(node.attribute)
        if kind == 4:
            attribute.type = self.int(0, 14)
        elif attribute.type == AttributeProto.INT:
            attribute.i = self.number()
        elif attribute.type == AttributeProto.FLOAT:
            attribute.f = self.pick(FLOATS)
        elif attribute.type == AttributeProto.STRING:
            attribute.s = self.pick(TEXTS).encode()
        elif attribute.type == AttributeProto.INTS and attribute.ints:
            values = list(attribute.ints)
            change = self.int(0, 3)
            if change == 0:
                values.append(self.number())
            elif change == 1:
                values.pop()
            else:
                values[self.int(0, len(values) - 1)] = self.number()
            del attribute.ints[:]
            attribute.ints.extend(values)
        elif attribute.type == AttributeProto.TENSOR:
            self.tensor(attribute.t)

    def any_attribute(self, name):
        kind = self.int(0, 6)
        if kind == 0:
            return helper.make_attribute(name, self.number())
        if kind == 1:
            return helper.make_attribute(name, self.pick(FLOATS))
        if kind == 2:
            return helper.make_attribute(name, self.pick(TEXTS))
        if kind <= 4:
            return helper.make_attribute(name, [self.number() for _ in range(self.int(1, 5))])
        if kind == 5:
            return helper.make_attribute(name, [self.pick(FLOATS) for _ in range(self.int(1, 4))])
        return helper.make_attribute(name, helper.make_tensor("t", TensorProto.INT64, [2], [self.number(), self.number()]))

    def initializer(self, graph):
        index = self.int(0, len(graph.initializer) - 1)
        kind = self.int(0, 9)
        if kind == 0:
            del graph.initializer[index]
        elif kind == 1:
            graph.initializer.add().CopyFrom(graph.initializer[index])
        elif kind == 2:
            graph.initializer[index].name = self.pick(self.names(graph))
        elif kind == 3:
            graph.sparse_initializer.add().values.CopyFrom(graph.initializer[index])
        else:
            self.tensor(graph.initializer[index])

    def tensor(self, tensor):
        kind = self.int(0, 7)
        if kind <= 1 and tensor.dims:
            tensor.dims[self.int(0, len(tensor.dims) - 1)] = self.number()
        elif kind == 2:
            tensor.dims.append(self.number())
        elif kind == 3:
            del tensor.dims[:]
        elif kind == 4:
            tensor.data_type = self.int(0, 25)
        elif kind == 5:
            tensor.raw_data = self.bytes(tensor.raw_data)
        elif kind == 6:
            tensor.float_data.extend([1.0, 2.0])
        elif tensor.external_data:
            entry = self.pick(tensor.external_data)
            entry.value = self.pick([*TEXTS, "/etc/passwd", "..", ".", "external.data", str(self.number())])
        else:
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", self.pick(["external.data", "../cnn.onnx", "/dev/zero", "w", ""])),
                               ("offset", str(self.number())), ("length", str(self.number()))):
                tensor.external_data.add(key=key, value=value)

    def elements(self, graph):
        """Values of an initializer: of small integer ones (shapes, axes, indices) by preference."""
        small = [t for t in graph.initializer if t.data_type == TensorProto.INT64 and t.raw_data] or list(graph.initializer)
        tensor = self.pick(small)
        if tensor.data_type == TensorProto.INT64 and len(tensor.raw_data) % 8 == 0 and tensor.raw_data:
            values = np.frombuffer(tensor.raw_data, np.int64).copy()
            values[self.int(0, len(values) - 1)] = self.number()
            tensor.raw_data = values.tobytes()
        elif tensor.data_type == TensorProto.FLOAT and len(tensor.raw_data) % 4 == 0 and tensor.raw_data:
            values = np.frombuffer(tensor.raw_data, np.float32).copy()
            values[self.int(0, len(values) - 1)] = self.pick(FLOATS)
            tensor.raw_data = values.tobytes()

    def nest(self, model):
        """If in If in If ..."""
        inner = helper.make_graph([helper.make_node("Identity", ["x"], ["inner"])], "b", [],
                                  [helper.make_empty_tensor_value_info("inner")])
        for i in range(self.int(1, 25)):
            node = helper.make_node("If", ["deep"], ["d%d" % i], then_branch=inner, else_branch=inner if i == 0 else None)
            inner = helper.make_graph([node], "b%d" % i, [], [helper.make_empty_tensor_value_info("d%d" % i)])
        model.graph.initializer.append(helper.make_tensor("deep", TensorProto.BOOL, [], [True]))
        model.graph.node.add().CopyFrom(helper.make_node("If", ["deep"], ["deepest"], then_branch=inner, else_branch=inner))
        model.graph.output.add(name="deepest")

    # ---- texts

    def json(self, text):
        """A value somewhere in the document replaced or removed."""
        document = json.loads(text)
        places = []

        def walk(node):
            for key in list(node) if isinstance(node, dict) else range(len(node)):
                places.append((node, key))
                if isinstance(node[key], (dict, list)):
                    walk(node[key])
        walk(document)
        for _ in range(self.int(1, 2)):
            node, key = self.pick(places)
            if isinstance(node, dict) and key not in node or isinstance(node, list) and key >= len(node):
                continue
            kind = self.int(0, 6)
            if kind == 0:
                del node[key]
            elif kind == 1 and isinstance(node, dict):
                node[self.pick(TEXTS)] = node.pop(key)
            else:
                node[key] = self.pick([None, True, False, "", [], {}, [[]], [None], {"a": {"b": []}}, 0, -1, 1, 2, 1e308, 2**63,
                                       -0.5, "x", "a\u0000b", [1, 3, 8, -8], [1e9, 1e9, 1e9], "minmax", "kl", self.number(),
                                       [self.number()] * 4, "\ud83d\ude00"])
        result = json.dumps(document, indent=self.pick([None, 1]))
        if self.rng.random() < 0.1:
            depth = self.pick([20, 3000, 100000])
            result = result.replace("[", "[" * depth, 1)
        return result

    def list_file(self, text, folder):
        lines = text.split("\n")
        for _ in range(self.int(1, 2)):
            lines.insert(self.int(0, len(lines)), self.pick(
                ["", "   ", "#", "nope.npy", folder, "/dev/null", "cnn.onnx", "s0.npy s1.npy", "a" * 5000, "s0.npy\0", "\xff", "../s0.npy",
                 os.path.join(folder, "s0.npy"), "s0.raw", "s0.png", "\ufeffs0.npy", "s0.npy\r", "s1.npy, s0.npy"]))
        return "\n".join(lines)
