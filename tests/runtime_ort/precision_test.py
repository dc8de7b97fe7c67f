#!/usr/bin/env python3
"""Automatic precision judged by ONNX Runtime, and verdict files. Usage: precision_test.py XSLIM"""
import json
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from helpers import Checks, copy_digits, digits_test_set, noise, run_all, run_xslim


def read_verdict(output):
    with open(output.replace(".onnx", "_verdict.json")) as file:
        return json.load(file)


def int8_operators(path):
    """Names of the computing operators whose first two inputs come from DequantizeLinear."""
    graph = onnx.load(path).graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    return {node.name for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")
            and all(made_by.get(name) == "DequantizeLinear" for name in node.input[:2])}


def transformer(checks, program, folder, images, labels):
    """precision_level 1 keeps the accuracy of the digits transformer, with most of it in int8."""
    digits = copy_digits(folder, precision_level=1, finetune_level=0)
    output = os.path.join(folder, "vit.onnx")
    log = run_xslim(program, ["-c", "config_vit.json", "-o", output], digits)
    verdict = read_verdict(output)

    def top1(logits):
        return 100.0 * float((logits.reshape(len(labels), -1).argmax(1) == labels).mean())

    want = run_all(os.path.join(digits, "digits_vit.onnx"), images)
    got = run_all(output, images)
    power = noise(got, want)
    share = verdict["int8_macs"] / verdict["macs"]
    print(f"digits_vit, level 1: top-1 float {top1(want):.1f}, int8 {top1(got):.1f}, noise/signal {power:.6f}, "
          f"{100 * share:.1f} % of the multiply-adds int8")
    checks.that(top1(got) >= top1(want) - 0.2, f"level 1: top-1 {top1(got)} against {top1(want)} of float")
    checks.that(power <= 0.004, f"level 1: noise/signal {power}")
    checks.that(0.3 <= share < 1, f"level 1: {share} of the multiply-adds are int8")
    auto = verdict["auto_precision"]
    checks.that(auto["met"] and auto["target"] == 0.001 and auto["steps"], f"level 1: {auto}")
    checks.that(verdict["outputs"][0]["snr"] <= 0.001, f"level 1: {verdict['outputs']}")
    checks.that("operators left float" in log, f"level 1 does not say what it left: {log}")
    floats = {item["operator"].split("[")[0] for item in verdict["stays_float"] if item["why"].startswith("auto_precision")}
    checks.that(floats and not floats & int8_operators(output), f"level 1: said to be float, but int8: {floats}")


def two_heads():
    """A branch whose range one wild channel spoils, and a sound one, in one output."""
    rng = np.random.default_rng(8)
    weights = {"w0": rng.standard_normal((8, 3, 3, 3)) * 0.3, "wa": rng.standard_normal((4, 8, 3, 3)) * 0.2,
               "wb": rng.standard_normal((8, 8, 1, 1)) * 0.4, "wc": rng.standard_normal((4, 8, 1, 1)) * 0.4,
               "b0": np.zeros(8), "bb": np.zeros(8)}
    weights["wb"][3] *= 300   # a channel of huge values ...
    weights["wc"][:, 3] = 0   # ... that nobody looks at
    nodes = [helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], "stem", kernel_shape=[3, 3], pads=[1] * 4),
             helper.make_node("Relu", ["c0"], ["r0"], "stem_relu"),
             helper.make_node("Conv", ["r0", "wa"], ["sound"], "sound_head", kernel_shape=[3, 3], pads=[1] * 4),
             helper.make_node("Conv", ["r0", "wb", "bb"], ["cb"], "wild", kernel_shape=[1, 1]),
             helper.make_node("Tanh", ["cb"], ["unused_tanh"], "tanh"),
             helper.make_node("Conv", ["cb", "wc"], ["spoilt"], "spoilt_head", kernel_shape=[1, 1]),
             helper.make_node("Concat", ["sound", "spoilt"], ["y"], "join", axis=1),
             helper.make_node("ReduceMean", ["unused_tanh"], ["z"], "mean", axes=[2, 3])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 16, 16]),
                               helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 8, 1, 1])],
                              [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made


def write_case(folder, model, samples, step, settings):
    """m.onnx, whose input is x, its data and c.json, which calibrates on `step` samples."""
    for i, sample in enumerate(samples):
        np.save(os.path.join(folder, "%d.npy" % i), sample)
    with open(os.path.join(folder, "list.txt"), "w") as file:
        file.write("".join("%d.npy\n" % i for i in range(len(samples))))
    onnx.save(model, os.path.join(folder, "m.onnx"))
    with open(os.path.join(folder, "c.json"), "w") as file:
        json.dump({"calibration_parameters": {"calibration_step": step, "input_parameters": [
            {"input_name": "x", "file_type": "npy", "data_list_path": "list.txt"}]},
                   "quantization_parameters": settings}, file)


def detector(checks, program, folder):
    """Only the branch that needs it becomes float; parts of an output are judged one by one; threads change nothing."""
    rng = np.random.default_rng(9)
    samples = [rng.standard_normal((1, 3, 16, 16)).astype(np.float32) for _ in range(12)]
    write_case(folder, two_heads(), samples, 10, {"finetune_level": 0, "equalization": False})

    def run(name, *options):
        run_xslim(program, ["-c", "c.json", "-i", "m.onnx", "-o", name, *options], folder)
        path = os.path.join(folder, name)
        return path, read_verdict(path)

    def part(verdict, tensor):
        return next(p for p in verdict["outputs"][0]["parts"] if p["tensor"] == tensor)

    _, plain = run("plain.onnx")
    checks.that(part(plain, "spoilt")["snr"] > 0.1 > 0.01 > part(plain, "sound")["snr"], f"detector, plain: {plain['outputs']}")
    path, verdict = run("auto.onnx", "--auto-precision", "0.01", "--sensitivity", "--threads", "3")
    checks.that(verdict["auto_precision"]["met"], f"detector: {verdict['auto_precision']}")
    checks.that(part(verdict, "spoilt")["snr"] <= 0.01, f"detector: {verdict['outputs']}")
    want = run_all(os.path.join(folder, "m.onnx"), samples)
    power = noise(run_all(path, samples)[:, :, 4:], want[:, :, 4:])
    checks.that(power <= 0.015, f"detector: ONNX Runtime finds noise/signal {power}")
    inside = int8_operators(path)
    checks.that("sound_head" in inside and "spoilt_head" not in inside, f"detector: int8 are {inside}")
    ranked = [item["operator"] for item in verdict["sensitivity"]["operators"]]
    checks.that(set(ranked[:2]) == {"wild[Conv]", "spoilt_head[Conv]"}, f"detector: ranked {ranked}")
    rows = [(row["output"], row["part"]) for row in verdict["sensitivity"]["rows"]]
    checks.that(rows == [("y", None), ("y", "sound"), ("y", "spoilt"), ("z", None)], f"detector: rows {rows}")
    curve = verdict["sensitivity"]["curve"]
    shares = [point["int8_macs"] for point in curve]
    checks.that(shares == sorted(set(shares), reverse=True) and curve[0]["snr"] == verdict["sensitivity"]["all_int8"],
                f"detector: curve {curve}")
    other, _ = run("other.onnx", "--auto-precision", "0.01", "--sensitivity", "--threads", "1")
    for ending in (".onnx", "_verdict.json", "_report.md"):
        with open(path.replace(".onnx", ending), "rb") as a, open(other.replace(".onnx", ending), "rb") as b:
            checks.that(a.read() == b.read(), f"detector: 3 threads and 1 give another {ending}")


def fused(checks, program, folder):
    """Constants inside a fused unit are float, also when a part of the unit is measured alone."""
    rng = np.random.default_rng(11)
    weights = {"w1": rng.standard_normal((16, 16)) * 0.3, "bias": rng.standard_normal(16), "half": np.array(0.5),
               "w2": rng.standard_normal((16, 4)) * 0.3}
    nodes = [helper.make_node("MatMul", ["x", "w1"], ["m"], "first"), helper.make_node("Add", ["m", "bias"], ["a"], "bias_add"),
             helper.make_node("Mul", ["a", "half"], ["h"], "scalar"), helper.make_node("Relu", ["h"], ["r"], "relu"),
             helper.make_node("MatMul", ["r", "w2"], ["y"], "second")]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 16])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 4])],
                              [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), os.path.join(folder, "m.onnx"))
    for i in range(8):
        np.save(os.path.join(folder, "%d.npy" % i), rng.standard_normal((1, 8, 16)).astype(np.float32))
    with open(os.path.join(folder, "list.txt"), "w") as file:
        file.write("".join("%d.npy\n" % i for i in range(8)))
    for level in (0, 1):
        with open(os.path.join(folder, "c.json"), "w") as file:
            json.dump({"calibration_parameters": {"input_parameters": [
                {"input_name": "x", "file_type": "npy", "data_list_path": "list.txt"}]},
                       "quantization_parameters": {"finetune_level": level, "placement": "fused"}}, file)
        run_xslim(program, ["-c", "c.json", "-i", "m.onnx", "-o", "fused.onnx", "--sensitivity"], folder)
        verdict = read_verdict(os.path.join(folder, "fused.onnx"))
        ranked = {item["operator"] for item in verdict["sensitivity"]["operators"]}
        checks.that({"first[MatMul]", "second[MatMul]"} <= ranked, f"fused, level {level}: {ranked}")
        checks.that(verdict["outputs"][0]["snr"] <= 0.002, f"fused, level {level}: {verdict['outputs']}")


def hostile_branch():
    """A Gemm beside an If, one of whose branches has a tensor that int8 ruins."""
    rng = np.random.default_rng(13)

    def weight(name):
        return numpy_helper.from_array(rng.standard_normal((16, 16)).astype(np.float32), name)

    def output(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape) or None)
    big, small = np.full(16, 0.5, np.float32), np.ones(16, np.float32)
    big[3], small[3] = 1000, 1e-3
    then = helper.make_graph([helper.make_node("Gemm", ["x", "t1"], ["t_a"], "t_first"), helper.make_node("Add", ["t_a", "big"], ["t_b"], "t_add"),
                              helper.make_node("Mul", ["t_b", "small"], ["t_c"], "t_mul"), helper.make_node("Gemm", ["t_c", "t2"], ["t_y"], "t_last")],
                             "then", [], [output("t_y")], [weight("t1"), weight("t2")])
    other = helper.make_graph([helper.make_node("Gemm", ["x", "e1"], ["e_y"], "e_first")], "else", [], [output("e_y")], [weight("e1")])
    nodes = [helper.make_node("Gemm", ["x", "w"], ["m"], "beside"), helper.make_node("ReduceMax", ["x"], ["most"], "most", keepdims=0),
             helper.make_node("Greater", ["most", "zero"], ["positive"], "compare"),
             helper.make_node("If", ["positive"], ["chosen"], "choose", then_branch=then, else_branch=other),
             helper.make_node("Sub", ["m", "chosen"], ["y"], "end")]
    graph = helper.make_graph(nodes, "g", [output("x", 4, 16)], [output("y", 4, 16)],
                              [weight("w"), numpy_helper.from_array(np.float32(0), "zero"),
                               numpy_helper.from_array(big, "big"), numpy_helper.from_array(small, "small")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def branches(checks, program, folder):
    """What the verdict says of a model with branches is what ONNX Runtime finds, and meets the target."""
    rng = np.random.default_rng(14)
    samples = [rng.standard_normal((4, 16)).astype(np.float32) for _ in range(12)]
    samples = [-np.abs(sample) if i % 2 else sample for i, sample in enumerate(samples)]
    write_case(folder, hostile_branch(), samples, 12, {"finetune_level": 0, "protect_fragile": False})
    want = run_all(os.path.join(folder, "m.onnx"), samples)
    found = {}
    for target in ("none", "0.001"):
        output = os.path.join(folder, f"{target}.onnx")
        run_xslim(program, ["-c", "c.json", "-i", "m.onnx", "-o", output, *(["--auto-precision", target] if target != "none" else [])], folder)
        verdict = read_verdict(output)
        said = verdict["outputs"][0]["snr"]
        found[target] = np.mean([noise(g, w) for g, w in zip(run_all(output, samples), want)])
        checks.that(abs(said - found[target]) <= 0.02 * found[target], f"branches, {target}: {said}, but ONNX Runtime finds {found[target]}")
        if target != "none":
            checks.that(verdict["auto_precision"]["met"] and said <= 0.001, f"branches: {verdict['outputs']}")
            int8 = {item["branch"]: item["int8_computing"] for item in verdict["branches"]}
            checks.that(int8 == {"choose[If] then_branch": 2, "choose[If] else_branch": 1}, f"branches: {int8}")
    checks.that(found["none"] > 0.01, f"branches: the branch is not hostile: {found}")


def main(program):
    checks = Checks()
    images, labels = digits_test_set()
    for run in (lambda folder: transformer(checks, program, folder, images, labels),
                lambda folder: detector(checks, program, folder),
                lambda folder: fused(checks, program, folder),
                lambda folder: branches(checks, program, folder)):
        with tempfile.TemporaryDirectory() as folder:
            run(folder)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
