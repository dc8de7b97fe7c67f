"""Random cases of operators with bodies, If, Loop and Scan, and of sequences and optionals."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .draw import Case


def _value(name, shape=None, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


class _Body:
    """The nodes of a body; every tensor in it has `shape` (float32) unless said otherwise."""

    def __init__(self, draw, names, prefix="b"):
        self.draw, self.names, self.prefix, self.nodes, self.constants = draw, list(names), prefix, [], []

    def add(self, op, inputs, **attributes):
        name = "%s%d" % (self.prefix, len(self.nodes))
        self.nodes.append(helper.make_node(op, inputs, [name], "body%d" % len(self.nodes), **attributes))
        return name

    def constant(self, array):
        self.constants.append(numpy_helper.from_array(np.asarray(array), "%sc%d" % (self.prefix, len(self.constants))))
        return self.constants[-1].name

    def arithmetic(self, least=1):
        """A few operators on what there is, outer names among it; the name of the last result."""
        result = self.names[0]
        for _ in range(self.draw.int(least, 3)):
            if self.draw.flip(0.7):
                result = self.add(self.draw.pick(["Add", "Sub", "Mul", "Min", "Max"]),
                                  [self.draw.pick(self.names), self.draw.pick(self.names)])
            else:
                result = self.add(self.draw.pick(["Tanh", "Sigmoid", "Relu", "Neg"]), [self.draw.pick(self.names)])
            self.names.append(result)
        return self.add("Tanh", [result]) if self.draw.flip(0.7) else result  # so that states stay small

    def graph(self, inputs, outputs):
        return helper.make_graph(self.nodes, "body", inputs, outputs, self.constants)


def _shapeless(name):
    return helper.make_empty_tensor_value_info(name)


def branch(draw):
    """If, its branches reading outer names; branches of other ranks, an If inside."""
    shape = draw.shape(1, 3, 5, zero=0.05)
    other = draw.flip(0.2)

    def half(depth, turned, prefix):
        body = _Body(draw, ["x1", "x2"], prefix)
        result = body.arithmetic()
        if turned:
            result = body.add("Flatten", [result], axis=0)
        if depth:
            result = body.add("Add", [result, body.add("If", ["x0"], then_branch=half(0, turned, prefix + "t"),
                                                       else_branch=half(0, turned, prefix + "e"))])
        return body.graph([], [_shapeless(result)])
    depth = int(draw.flip(0.3))
    condition = draw.constant(np.asarray(draw.flip()) if draw.flip() else np.asarray([draw.flip()]), 0.3)
    return Case("If", [condition, draw.values(shape), draw.constant(draw.values(shape))], draw.opset(13, 20),
                then_branch=half(depth, False, "t"), else_branch=half(depth, other, "e")).reading(1)


def loop(draw):
    """Loop: counted, ended by its condition or both; states, scan outputs, outer names."""
    shape, states = draw.shape(0, 3, 4, zero=0.05), draw.int(0, 3)
    trips, ends = draw.int(0, 6), draw.flip()
    names = ["s%d" % i for i in range(states)]
    body = _Body(draw, names + ["x%d" % (2 + states)])
    outputs = [body.arithmetic(0 if name in names else 1) for name in names]
    outputs = [body.add("Identity", [name]) for name in outputs]
    scans = [body.add("Identity", [body.arithmetic()]) for _ in range(draw.int(0 if states else 1, 2))]
    go_on = (body.add("Less", ["i", body.constant(np.int64(draw.int(-1, 5)))]) if ends else body.add("Identity", ["go"]))
    count = draw.constant(np.asarray(trips, np.int64)) if not ends or draw.flip(0.7) else None
    first = draw.constant(np.asarray(draw.flip(0.9))) if draw.flip(0.7) else None
    # Of stacks of no step whose shape is not declared ONNX Runtime makes [0].
    runs = (count is None or trips > 0) and (first is None or bool(getattr(first, "value", first)))
    stacks = [_shapeless(n) if runs and draw.flip() else _value(n, shape) for n in scans]
    graph = body.graph([_value("i", [], TensorProto.INT64), _value("go", [], TensorProto.BOOL)] + [_value(n) for n in names],
                       [_value(go_on, [], TensorProto.BOOL)] + [_shapeless(n) for n in outputs] + stacks)
    if not states and first is None:
        first = np.asarray(True)  # ONNX Runtime wants two inputs
    inputs = [count, first] + [draw.constant(draw.values(shape), 0.3) for _ in range(states)] + [draw.values(shape)]
    return Case("Loop", inputs, draw.opset(13, 20), states + len(scans), body=graph).reading(2 + states)


def scan(draw):
    """Scan: states, several inputs and outputs, their axes and directions, outer names."""
    shape, states, length = draw.shape(0, 2, 4), draw.int(0, 2), draw.int(1, 5)
    fed, made = draw.int(1, 2), draw.int(0 if states else 1, 2)
    names = ["s%d" % i for i in range(states)] + ["r%d" % i for i in range(fed)]
    body = _Body(draw, names + ["x%d" % (states + fed)])
    outputs = [body.add("Identity", [body.arithmetic(0)]) for _ in range(states + made)]
    graph = body.graph([_value(n, shape) for n in names], [_value(n, shape) for n in outputs])
    rank, turn = len(shape) + 1, draw.flip
    axes = [draw.axis(rank) for _ in range(fed)] if turn() else None
    values = []
    for i in range(fed):
        whole = list(shape)
        whole.insert(axes[i] % rank if axes else 0, length)
        values.append(draw.values(whole))
    inputs = [draw.values(shape) for _ in range(states)] + values + [draw.values(shape)]
    return Case("Scan", inputs, draw.opset(13, 20), states + made, num_scan_inputs=fed, body=graph, scan_input_axes=axes,
                scan_output_axes=[draw.axis(rank) for _ in range(made)] if turn() and made else None,
                scan_input_directions=[draw.int(0, 1) for _ in range(fed)] if turn() else None,
                scan_output_directions=[draw.int(0, 1) for _ in range(made)] if turn() and made else None).reading(states + fed)


def sequence(draw):
    """Sequences made, changed and read again; optionals."""
    opset, shape = draw.opset(13, 20), draw.shape(1, 3, 5)
    dtype = draw.pick([np.float32, np.float32, np.int64, np.int32])
    axis = draw.axis(len(shape))
    if draw.flip(0.15):
        # As inputs of the graph, ONNX Runtime takes no optionals from NumPy.
        last = draw.pick(["OptionalGetElement", "OptionalHasElement"])
        return Case("Optional", [draw.values(shape, dtype)], max(opset, 15), then=[(last, [], {})])
    then, count = [], draw.int(1, 4)

    def place(length):
        return np.asarray(draw.int(-length, length - 1), draw.pick([np.int64, np.int32]))
    if draw.flip(0.4):
        parts, split, keep = shape[axis], None, draw.pick([None, 0, 1])
        if draw.flip(0.7):
            each = draw.int(1, shape[axis])
            split = np.asarray(each, np.int64)
            parts, keep = -(-shape[axis] // each), None
            if draw.flip():
                sizes = [each] * (shape[axis] // each) + ([shape[axis] % each] if shape[axis] % each else [])
                split = np.asarray(sizes, np.int64)
        inputs, attributes, count = [draw.values(shape, dtype), draw.constant(split)], dict(axis=axis, keepdims=keep), parts
        op, flat = "SplitToSequence", split is None and keep == 0
        joined = draw.pick(["SequenceLength", "SequenceAt"] if flat else ["SequenceLength", "SequenceAt", "ConcatFromSequence"])
    else:
        shapes = [list(shape) for _ in range(count)]
        stack = draw.flip(0.3)
        if not stack:
            for own in shapes:
                own[axis] = draw.int(1, 4)
        inputs, attributes, op = [draw.values(own, dtype) for own in shapes], {}, "SequenceConstruct"
        for _ in range(draw.int(0, 2)):
            if draw.flip() or count < 2:
                further = [draw.values(shapes[0], dtype)] + ([place(count + 1)] if draw.flip() else [])
                then.append(("SequenceInsert", further, {}))
                count += 1
            else:
                then.append(("SequenceErase", [place(count)] if draw.flip() else [], {}))
                count -= 1
        joined = draw.pick(["SequenceLength", "SequenceAt", "ConcatFromSequence", "ConcatFromSequence"])
        attributes = {}
    if joined == "SequenceAt":
        then.append((joined, [place(count)], {}))
    elif joined == "SequenceLength":
        then.append((joined, [], {}))
    else:
        stacked = op == "SequenceConstruct" and stack and draw.flip()
        then.append((joined, [], dict(axis=axis, new_axis=1) if stacked else dict(axis=axis)))
    return Case(op, inputs, opset, relative=0, absolute=0, then=then, **attributes)


FAMILIES = {f.__name__: f for f in (branch, loop, scan, sequence)}
