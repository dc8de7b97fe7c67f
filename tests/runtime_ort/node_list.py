"""The nodes and constants of a model that a test is building."""
import numpy as np
from onnx import helper, numpy_helper


class NodeList:
    """Every method returns the name of its result."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants = [], []

    def constant(self, value, dtype=np.float32):
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def ints(self, *values):
        return self.constant(values, np.int64)

    def random(self, *shape, scale=0.3):
        return self.constant(self.rng.standard_normal(shape) * scale)

    def op(self, kind, *inputs, outputs=1, domain="", **attributes):
        made = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), made, name=f"{kind}_{len(self.nodes)}", domain=domain, **attributes))
        return made[0] if outputs == 1 else made

    def linear(self, x, size, to):
        return self.op("Add", self.op("MatMul", x, self.random(size, to)), self.random(to))
