"""What hostile and odd graphs are built of."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
RNG = np.random.default_rng(5)


def node(op, inputs, outputs, name=None, **attributes):
    return helper.make_node(op, inputs, outputs, name or op.lower(), **attributes)


def info(name, kind=F, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def real(*shape):
    return (RNG.standard_normal(shape) * 0.3).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def model(nodes, weights=(), shape=(1, 3, 8, 8), outputs=("y",), inputs=(), opset=17, functions=(), domains=()):
    """`weights` is a dict of initializers, `inputs` are inputs beside x."""
    graph = helper.make_graph(nodes, "g", [info("x", F, shape), *inputs],
                              [name if not isinstance(name, str) else helper.make_empty_tensor_value_info(name) for name in outputs],
                              [numpy_helper.from_array(np.asarray(v), k) for k, v in dict(weights).items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)] + [helper.make_opsetid(d, 1) for d in domains],
                             functions=list(functions))
    made.ir_version = 10
    return made


def body(nodes, outputs, inputs=(), weights=()):
    return helper.make_graph(nodes, "body", list(inputs), [helper.make_empty_tensor_value_info(o) for o in outputs],
                             [numpy_helper.from_array(np.asarray(v), k) for k, v in dict(weights).items()])


def behind_conv(*nodes, weights=(), **more):
    """`nodes` read c, the result of a convolution of x, and make y."""
    return model([node("Conv", ["x", "w"], ["c"], pads=[1] * 4), *nodes], {"w": real(4, 3, 3, 3), **dict(weights)}, **more)
