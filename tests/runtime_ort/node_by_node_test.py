#!/usr/bin/env python3
"""Every quantized tensor of a Q/DQ file, made by our executor and by ONNX Runtime from the same inputs.

  node_by_node_test.py XSLIM RUN_VALUES                     the digits models, quantized here
  node_by_node_test.py --file RUN_VALUES MODEL INPUT.npy    any Q/DQ file with one input; INPUT: [samples, *input shape]

The file is cut at its Q/DQ pairs. Each piece, from the dequantized tensors that it reads to the one that it makes, is run by
our executor on the values that ONNX Runtime had there. Codes may differ where a float result lies on a rounding boundary:
at least 99.99 % are equal, and the rest are one step off.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

from helpers import Checks, copy_digits, digits_test_set, onnxruntime, run_xslim

SAMPLES = 3


class Piece:
    """What lies between Q/DQ pairs: a model with the pairs' outputs as inputs and one pair's output as output."""

    def __init__(self, model, quantize, dequantize, pairs, producers, constants):
        self.output, self.scale = dequantize.output[0], constants[quantize.input[1]]
        nodes, self.inputs, todo = {}, set(), [self.output]
        while todo:
            name = todo.pop()
            if name in constants or not name:
                continue
            if name not in producers or (name in pairs and name != self.output):
                self.inputs.add(name)
                continue
            node = producers[name]
            if id(node) not in nodes:
                nodes[id(node)] = node
                todo.extend(node.input)
        order = [n for n in model.graph.node if id(n) in nodes]
        read = {name for n in order for name in n.input}
        self.kind = "+".join(n.op_type for n in order if n.op_type not in ("QuantizeLinear", "DequantizeLinear"))
        self.inputs = sorted(self.inputs)
        graph = helper.make_graph(
            order, "piece", [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in self.inputs],
            [helper.make_tensor_value_info(self.output, onnx.TensorProto.FLOAT, None)],
            [i for i in model.graph.initializer if i.name in read])
        self.model = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def pieces_of(model):
    producers = {o: n for n in model.graph.node for o in n.output if o}
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    pairs = {}
    for node in model.graph.node:
        maker = producers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if maker is not None and maker.op_type == "QuantizeLinear":
            pairs[node.output[0]] = (maker, node)
    return [Piece(model, quantize, dequantize, pairs, producers, constants) for quantize, dequantize in pairs.values()]


def values_by_onnxruntime(model, names, sample):
    """All named tensors for one sample."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    outputs = {o.name for o in shown.graph.output}
    for name in names:
        if name not in outputs:
            shown.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(list(names), {session.get_inputs()[0].name: sample})))


def compare(run_values, path, samples, title, checks):
    model = onnx.load(path)
    pieces = pieces_of(model)
    source = model.graph.input[0].name
    names = sorted({p.output for p in pieces} | {i for p in pieces for i in p.inputs if i != source})
    elements, equal, further, worst = 0, 0, 0, (1.0, "")
    with tempfile.TemporaryDirectory() as folder:
        for s, sample in enumerate(samples):
            values = values_by_onnxruntime(model, names, sample)
            values[source] = sample
            folders = []
            for p, piece in enumerate(pieces):
                folders.append(os.path.join(folder, f"{s}_{p}"))
                os.mkdir(folders[-1])
                onnx.save(piece.model, os.path.join(folders[-1], "model.onnx"))
                for i, name in enumerate(piece.inputs):
                    with open(os.path.join(folders[-1], f"input_{i}.pb"), "wb") as file:
                        file.write(numpy_helper.from_array(values[name]).SerializeToString())
            subprocess.run([run_values, *folders], check=True, timeout=600)
            for piece, where in zip(pieces, folders):
                error = os.path.join(where, "error.txt")
                if os.path.exists(error):
                    with open(error) as file:
                        checks.that(False, f"{title}: {piece.output}: {file.read()}")
                    continue
                ours = np.fromfile(os.path.join(where, "output_0.raw"), np.float32)
                theirs = values[piece.output].reshape(-1)
                checks.that(ours.shape == theirs.shape, f"{title}: {piece.output}: {ours.shape} elements, not {theirs.shape}")
                if ours.shape != theirs.shape:
                    continue
                steps = np.abs(np.rint(ours / piece.scale) - np.rint(theirs / piece.scale))
                elements, equal, further = elements + steps.size, equal + int((steps == 0).sum()), further + int((steps > 1).sum())
                worst = min(worst, (float((steps == 0).mean()), f"{piece.output} ({piece.kind})"))
    share = equal / max(elements, 1)
    print(f"{title}: {len(pieces)} tensors, {elements} codes, {share:.5%} equal, {further} more than a step off; least {worst}")
    checks.that(pieces and elements > 0, f"{title}: no quantized tensors")
    checks.that(share >= 0.9999, f"{title}: only {share:.5%} of the codes are equal")
    checks.that(further == 0, f"{title}: {further} codes are more than one step off")


def main(arguments):
    checks = Checks()
    if arguments[0] == "--file":
        _, run_values, path, data = arguments
        compare(run_values, path, np.load(data), os.path.basename(path), checks)
        return checks.finish()
    program, run_values = arguments
    images = digits_test_set()[0][:SAMPLES]
    with tempfile.TemporaryDirectory() as folder:
        digits = copy_digits(folder, finetune_level=0)
        for config in ("config.json", "config_vit.json"):
            output = os.path.join(folder, "q.onnx")
            run_xslim(program, ["-c", config, "-o", output], digits)
            compare(run_values, output, images, config, checks)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
