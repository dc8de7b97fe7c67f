#!/usr/bin/env python3
"""Static runs on little and odd data: the file must be sane whatever the samples are, ONNX Runtime must run it, and what is
wrong with the data must be said. Usage: odd_data_test.py XSLIM"""
import json
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from helpers import Checks, noise, run_xslim, session

SHAPE = [1, 3, 32, 32]


def model(change=None, unused=False, defaults=()):
    """Conv, Relu, Conv, pooling, Gemm; change(weights) may change the weights. defaults: weights that are inputs, too."""
    rng = np.random.default_rng(5)
    weights = {"w1": rng.standard_normal((8, 3, 3, 3)) * 0.3, "b1": rng.standard_normal(8) * 0.1,
               "w2": rng.standard_normal((8, 8, 3, 3)) * 0.15, "b2": rng.standard_normal(8) * 0.1,
               "w3": rng.standard_normal((8, 10)) * 0.4, "b3": rng.standard_normal(10) * 0.1}
    if change:
        change(weights)
    nodes = [helper.make_node("Conv", ["x", "w1", "b1"], ["a"], "conv1", kernel_shape=[3, 3], pads=[1] * 4),
             helper.make_node("Relu", ["a"], ["r"], "relu"),
             helper.make_node("Conv", ["r", "w2", "b2"], ["c"], "conv2", kernel_shape=[3, 3], pads=[1] * 4),
             helper.make_node("GlobalAveragePool", ["c"], ["p"], "pool"),
             helper.make_node("Flatten", ["p"], ["f"], "flatten"),
             helper.make_node("Gemm", ["f", "w3", "b3"], ["y"], "gemm")]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)]
    if unused:
        inputs.append(helper.make_tensor_value_info("idle", TensorProto.FLOAT, [1, 7]))
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, weights[name].shape) for name in defaults]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
                              [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made


def normal(count, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(SHAPE).astype(np.float32) for _ in range(count)]


class Case:
    """One run: its files, the log, the float and the quantized outputs on `judged` samples."""

    def __init__(self, program, folder, made, samples, judged, **settings):
        self.model = os.path.join(folder, "m.onnx")
        self.output = os.path.join(folder, "q.onnx")
        onnx.save(made, self.model)
        weights = {tensor.name for tensor in made.graph.initializer}
        names = [info.name for info in made.graph.input if info.name not in weights]
        for i, sample in enumerate(samples):
            np.save(os.path.join(folder, "%02d.npy" % i), sample)
        with open(os.path.join(folder, "list.txt"), "w") as file:
            file.write("".join("%02d.npy\n" % i for i in range(len(samples))))
        entries = [{"input_name": "x", "file_type": "npy", "data_list_path": os.path.join(folder, "list.txt")}]
        entries += [{"input_name": name} for name in names[1:]]
        with open(os.path.join(folder, "c.json"), "w") as file:
            json.dump({"calibration_parameters": {"calibration_step": 100, "input_parameters": entries},
                       "quantization_parameters": settings}, file)
        self.log = run_xslim(program, ["-c", "c.json", "-i", self.model, "-o", self.output], folder)
        with open(self.output.replace(".onnx", "_verdict.json")) as file:
            self.verdict = json.load(file)
        onnx.checker.check_model(self.output, full_check=True)
        self.constants = {t.name: numpy_helper.to_array(t) for t in onnx.load(self.output).graph.initializer}
        self.want, self.got = (self.run(path, judged) for path in (self.model, self.output))

    @staticmethod
    def run(path, samples):
        runner = session(path)
        idle = {i.name: np.zeros(i.shape, np.float32) for i in runner.get_inputs()[1:]}
        return np.concatenate([runner.run(None, {"x": sample, **idle})[0] for sample in samples])

    def sane(self, checks, name):
        for tensor, value in self.constants.items():
            if value.dtype == np.float32:
                checks.that(np.isfinite(value).all(), "%s: %s holds NaN or infinity" % (name, tensor))
            if tensor.endswith("_scale"):
                checks.that((value > 0).all(), "%s: %s is not positive" % (name, tensor))
        checks.that(np.isfinite(self.got).all(), "%s: the outputs are not finite" % name)
        checks.that("xslim: error" not in self.log, "%s: %s" % (name, self.log))


def main(program):
    checks = Checks()

    def case(name, samples, judged=None, made=None, bar=None, says=(), **settings):
        with tempfile.TemporaryDirectory() as folder:
            done = Case(program, folder, made or model(), samples, judged or samples, **settings)
        done.sane(checks, name)
        if bar is not None:
            power = noise(done.got, done.want)
            checks.that(power <= bar, "%s: noise/signal %g over %g" % (name, power, bar))
            checks.that(not done.verdict["collapsed"], "%s: %s" % (name, done.verdict["outputs"]))
        for text in says:
            unwanted = text.startswith("!")
            checks.that((text.lstrip("!") in done.log) != unwanted, "%s: log and %r: %s" % (name, text, done.log))
        return done

    for level in (0, 1):
        case("one sample", normal(1), bar=0.002, finetune_level=level, says=["!has collapsed"])
        case("one sample, others judged", normal(1), normal(8, 2), bar=0.01, finetune_level=level)
        constant = [np.full(SHAPE, 0.5, np.float32)] * 3
        case("constant samples", constant, bar=0.002, finetune_level=level, says=["!xslim: warning"])
        case("samples of zeros", [np.zeros(SHAPE, np.float32)] * 3, bar=0.002, finetune_level=level,
             says=["calibrated on zeros: ranges mean nothing"])
        positive = case("never negative", [np.abs(s) for s in normal(8)], bar=0.002, finetune_level=level)
        checks.that(positive.constants["x_zero_point"] == -128,
                    "never negative: the zero point is %s" % positive.constants["x_zero_point"])

        # A single wild element must not cost the others all their codes, or it must be said that it does.
        wild = normal(16)
        wild[3][0, 1, 5, 7] = 1e6
        outlier = case("one huge element", wild, normal(8, 2), finetune_level=level)
        power = noise(outlier.got, outlier.want)
        checks.that(power <= 0.05 or "input x: 99.8 %" in outlier.log,
                    "one huge element: noise/signal %g and no warning: %s" % (power, outlier.log))

        def dead(weights):
            weights["w1"][2], weights["b1"][2] = 0, 0     # gives zeros
            weights["b1"][5] = -20                        # never passes the Relu
            weights["w2"][:, 4] = 0                       # is not read
            weights["w3"][:, 6], weights["b3"][6] = 0, 0  # an output that is always 0

        case("dead channels", normal(8), made=model(dead), bar=0.005, finetune_level=level, says=["!has collapsed"])

        def silent(weights):
            weights["w3"][:], weights["b3"][:] = 0, 0

        case("an output that is always 0", normal(8), made=model(silent), finetune_level=level, says=["!has collapsed"])
        case("an input that nobody reads", normal(8), made=model(unused=True), bar=0.002, finetune_level=level)

        case("weights that are inputs, too", normal(8), made=model(defaults=["w1", "b2", "w3"]), bar=0.002, finetune_level=level,
             says=["3 inputs have default values"])

        broken = normal(8)
        broken[4][0, 0, 3, 3] = np.nan
        broken[4][0, 0, 3, 4] = np.inf
        case("NaN in one sample", broken, normal(8, 2), finetune_level=level, says=["04.npy", "NaN"])
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
