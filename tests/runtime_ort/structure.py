"""A quantized model's placement as text, one line per operator that is neither QuantizeLinear nor DequantizeLinear.

    Conv(q, w0, f) -> q

An input is `q` (read through a Q/DQ pair), `wN` (int8 constant with one scale per index of axis N), `w` (int8 constant with
one scale), `g` (data movement behind a pair: still on its grid), `c` (float constant), `i` (constant of another type),
`f` (float activation) or `-` (absent). Behind the arrow
stands, for each output, `q` where a Q/DQ pair follows, else `f`; a graph output adds `!`.
"""
import onnx
from onnx import numpy_helper

MOVES = {"Reshape", "Transpose", "Gather", "Squeeze", "Unsqueeze", "Flatten", "Split", "Slice", "Pad", "MaxPool"}


def _plain_constant(name, constants):
    return "c" if constants[name].dtype.kind == "f" else "i"


def load(path):
    """(lines, model): lines in the order of the file's operators."""
    model = onnx.load(path) if isinstance(path, str) else path
    graph = model.graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    producer = {o: n for n in graph.node for o in n.output}
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {o.name for o in graph.output}

    def input_mark(name):
        if not name:
            return "-"
        if name in constants:
            return _plain_constant(name, constants)
        made = producer.get(name)
        if made is not None and made.op_type in MOVES:
            return "g" if input_mark(made.input[0]) in ("q", "g") else "f"
        if made is None or made.op_type != "DequantizeLinear":
            return "f"
        if made.input[0] not in constants:
            return "q"
        axis = next((a.i for a in made.attribute if a.name == "axis"), 1)
        return f"w{axis}" if constants[made.input[1]].ndim == 1 and constants[made.input[1]].size > 1 else "w"

    def output_mark(name):
        pairs = [n for n in readers.get(name, []) if n.op_type == "QuantizeLinear"]
        if not pairs:
            return "f!" if name in outputs else "f"
        quantized = {o for n in pairs for r in readers.get(n.output[0], []) for o in r.output}
        return "q!" if quantized & outputs else "q"

    lines = []
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", "Constant"):
            continue
        inputs = ", ".join(input_mark(n) for n in node.input)
        made = ", ".join(output_mark(n) for n in node.output)
        lines.append(f"{node.op_type}({inputs}) -> {made}")
    return lines, model


def count(model, op_type):
    return sum(n.op_type == op_type for n in model.graph.node)


if __name__ == "__main__":
    import sys
    for line in load(sys.argv[1])[0]:
        print(line)
