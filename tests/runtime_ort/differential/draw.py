"""Seeded random choices and the description of one case: a single-node model with its inputs."""
import zlib

import numpy as np
from onnx import helper, numpy_helper

FLOATS = (np.float32, np.float64, np.float16)
INTS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint32, np.uint64)


class Const:
    """An input that is an initializer of the model."""

    def __init__(self, value, dtype=None):
        self.value = np.asarray(value, dtype)


class Case:
    """One node. `inputs` are arrays, Const or None (left out). A float result may differ from the expected
    one by `absolute` + `relative` * |expected|, with `scaled` by `relative` * the largest |expected|; integers by
    `steps`. `then` are nodes behind the first output: (op, further inputs, attributes)."""

    def __init__(self, op, inputs, opset, outputs=1, relative=1e-5, absolute=1e-6, scaled=False, steps=0, domain="",
                 then=(), **attributes):
        self.op, self.opset, self.domain = op, opset, domain
        self.inputs = [value if value is None or isinstance(value, Const) else np.asarray(value) for value in inputs]
        self.outputs = [("y%d" % i if i in outputs else "") for i in range(max(outputs) + 1)] if isinstance(
            outputs, (list, tuple)) else ["y%d" % i for i in range(outputs)]
        self.relative, self.absolute, self.scaled, self.steps = relative, absolute, scaled, steps
        self.then, self.outer = then, None
        self.attributes = {key: value for key, value in attributes.items() if value is not None}

    def reading(self, first):
        """The inputs from `first` on are read by the node's bodies only."""
        self.outer = first
        return self

    def feeds(self):
        return {"x%d" % i: value for i, value in enumerate(self.inputs) if isinstance(value, np.ndarray)}

    def model(self):
        names = ["" if value is None else "x%d" % i for i, value in enumerate(self.inputs)][:self.outer]
        while names and not names[-1]:
            names.pop()
        nodes = [helper.make_node(self.op, names, self.outputs, "node", domain=self.domain, **self.attributes)]
        results = list(self.outputs)
        constants = [numpy_helper.from_array(value.value, "x%d" % i)
                     for i, value in enumerate(self.inputs) if isinstance(value, Const)]
        for k, (op, further, attributes) in enumerate(self.then):
            own = ["" if value is None else "t%d_%d" % (k, i) for i, value in enumerate(further)]
            constants += [numpy_helper.from_array(np.asarray(value), name) for name, value in zip(own, further) if name]
            nodes.append(helper.make_node(op, [results[0], *own], ["z%d" % k], "then%d" % k, **attributes))
            results[0] = "z%d" % k
        graph = helper.make_graph(
            nodes, "case",
            [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
             for name, value in self.feeds().items()],
            [helper.make_empty_tensor_value_info(name) for name in results if name], constants)
        imports = [helper.make_opsetid("", self.opset)]
        if self.domain:
            imports.append(helper.make_opsetid(self.domain, 1))
        return helper.make_model(graph, opset_imports=imports, ir_version=10)

    def describe(self):
        def text(value):
            if value is None:
                return "-"
            array = value.value if isinstance(value, Const) else value
            shape = "%s%s" % (array.dtype, list(array.shape))
            if isinstance(value, Const):
                shape += "=%s" % array.tolist() if array.size <= 8 else " const"
            return shape
        return "%s-%d(%s) %s %s" % (self.op, self.opset, ", ".join(text(value) for value in self.inputs),
                                    {key: value for key, value in self.attributes.items()
                                     if not hasattr(value, "SerializeToString")}, self.then or "")


class Draw:
    """Random choices; the same (family, seed) always draws the same case."""

    def __init__(self, family, seed):
        self.rng = np.random.Generator(np.random.PCG64([zlib.crc32(family.encode()), seed]))

    def int(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def pick(self, choices):
        return choices[self.int(0, len(choices) - 1)]

    def flip(self, chance=0.5):
        return bool(self.rng.random() < chance)

    def uniform(self, low, high):
        return float(np.float32(self.rng.uniform(low, high)))

    def opset(self, first=13, last=21):
        return self.int(first, last)

    def maybe(self, value, chance=0.5):
        """`value`, or None: an attribute that is left out."""
        return value if self.flip(chance) else None

    def shape(self, low_rank, high_rank, largest=7, zero=0.0):
        """Dimensions of 1 to `largest`; with chance `zero` one of them is 0."""
        dims = [self.pick([1, 2, 3, self.int(1, largest)]) for _ in range(self.int(low_rank, high_rank))]
        if dims and self.flip(zero):
            dims[self.int(0, len(dims) - 1)] = 0
        return dims

    def values(self, shape, dtype=np.float32, low=-3.0, high=3.0):
        """Normal-ish floats in [low, high], integers over a small range, booleans."""
        if dtype == bool:
            return self.rng.random(shape) < 0.5
        if np.issubdtype(dtype, np.integer):
            info = np.iinfo(dtype)
            return self.rng.integers(max(info.min, -20), min(info.max, 20), size=shape, endpoint=True).astype(dtype)
        return np.asarray(self.rng.uniform(low, high, shape)).astype(dtype)

    def ints(self, shape, low, high, dtype=np.int64):
        return np.asarray(self.rng.integers(low, high, size=shape, endpoint=True)).astype(dtype)

    def integers(self, dtype, shape):
        """The whole range of an integer type."""
        info = np.iinfo(dtype)
        return np.asarray(self.rng.integers(info.min, info.max, size=shape, dtype=dtype, endpoint=True))

    def seven_bits(self, dtype, shape):
        """8-bit integers at most 63 from the middle: ONNX Runtime's uint8 by int8 products add two of them in 16 bits and
        saturate on processors without VNNI."""
        return (self.ints(shape, -63, 63, np.int64) + (0 if np.iinfo(dtype).min else 128)).astype(dtype)

    def broadcast(self, count, high_rank=5, largest=6):
        """`count` shapes that broadcast together."""
        full = self.shape(0, high_rank, largest)
        shapes = []
        for _ in range(count):
            own = [1 if self.flip(0.3) else dim for dim in full]
            shapes.append(own[self.int(0, len(own)) if self.flip(0.3) else 0:])
        return shapes

    def axis(self, rank):
        """An axis of `rank`, negative half of the time."""
        axis = self.int(0, rank - 1)
        return axis - rank if self.flip() else axis

    def axes(self, rank, least=1):
        """Different axes in any order."""
        chosen = self.rng.permutation(rank)[:self.int(least, rank)]
        return [int(axis) - (rank if self.flip(0.3) else 0) for axis in chosen]

    def constant(self, array, chance=0.5):
        """The array, or the same as an initializer."""
        return Const(array) if array is not None and self.flip(chance) else array
