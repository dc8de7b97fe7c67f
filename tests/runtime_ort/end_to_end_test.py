#!/usr/bin/env python3
"""Models that stop other quantizers run from file to file, and ONNX Runtime judges what comes out.

Usage: end_to_end_test.py XSLIM OPERATOR_LIBRARY LIBRARY_OF_ANOTHER_VERSION [MODEL...]

Every model of odd_models.py is quantized with minmax and default, and slimmed. The int8 file must load in ONNX Runtime, with
and without optimizer, and hold Q/DQ pairs, its outputs must come near the float model's, the report must be there; the slimmed
one must give equal outputs.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper

from helpers import Checks, noise, run_xslim, session
import odd_models

# Least signal/noise in dB, by model and output; measured values lie some dB above. What is not named is not judged by
# SNR: after TopK and NonMaxSuppression a small error changes the order of rows.
BARS = {
    "speech": {"prob": 25, "h": 20, "c": 20}, "nested": {"y": 25}, "moved": {"y": 25}, "detector": {"top": 25}, "loop": {"y": 20, "mean": 20},
    "transformer": {"logits": 20}, "transformer_max": {"logits": 20}, "gru": {"y": 25, "last": 25},
    "two_heads": {"boxes": 25, "scores": 25, "joined": 25}, "functions": {"y": 25}, "scan": {"y": 25, "last": 25},
    "opset7": {"y": 25, "top": 20}, "opset8": {"y": 25, "top": 20}, "opset9": {"y": 25, "top": 20},
    "opset21": {"y": 20}, "opset23": {"y": 20}, "unknown": {"after": 25, "beside": 25},
}


def wobble():
    """What the unknown operator does, for ONNX Runtime only."""
    body = [helper.make_node("Sin", ["v"], ["s"]), helper.make_node("Constant", [], ["k"], value_float=0.25),
            helper.make_node("Mul", ["s", "k"], ["m"]), helper.make_node("Add", ["v", "m"], ["r"])]
    return helper.make_function("test.custom", "Wobble", ["v"], ["r"], body, [helper.make_opsetid("", 17)], ["amount"])


def outputs_of(path, samples, explain):
    if explain:
        made = onnx.load(path)
        made.functions.append(wobble())
        path += ".explained.onnx"
        onnx.save(made, path)
    runner = session(path)
    names = [o.name for o in runner.get_outputs()]
    return [dict(zip(names, runner.run(None, sample))) for sample in samples]


def decibel(name, got, wanted):
    power = noise(np.concatenate([g[name].ravel() for g in got]), np.concatenate([w[name].ravel() for w in wanted]))
    return 99.0 if power == 0 else -10 * np.log10(power)


def write_inputs(folder, made, samples):
    """The lists and arrays; returns the entries of input_parameters."""
    entries = []
    constants = {t.name for t in made.graph.initializer}
    for value in made.graph.input:
        if value.name in constants:
            continue
        with open(os.path.join(folder, f"{value.name}.txt"), "w") as file:
            for i, sample in enumerate(samples):
                np.save(os.path.join(folder, f"{value.name}{i}.npy"), sample[value.name])
                file.write(f"{value.name}{i}.npy\n")
        entries.append({"input_name": value.name, "file_type": "npy", "data_list_path": f"{value.name}.txt"})
    return entries


def check(checks, program, name, folder):
    made, samples = odd_models.MODELS[name]()
    strange = name == "unknown"
    path = os.path.join(folder, "m.onnx")
    onnx.save(made, path)
    wanted = outputs_of(path, samples, strange)
    entries = write_inputs(folder, made, samples)
    for kind in ("minmax", "default"):
        config = {"model_parameters": {"onnx_model": "m.onnx"},
                  "calibration_parameters": {"calibration_type": kind, "input_parameters": entries},
                  "quantization_parameters": {"finetune_level": 0}}
        with open(os.path.join(folder, "c.json"), "w") as file:
            json.dump(config, file)
        output = os.path.join(folder, f"{kind}.onnx")
        log = run_xslim(program, ["-c", "c.json", "-o", output, "--threads", "2"], folder)
        quantized = onnx.load(output)
        pairs = sum(n.op_type == "QuantizeLinear" for n in quantized.graph.node)
        checks.that(pairs >= 2, f"{name}, {kind}: {pairs} pairs")
        got = outputs_of(output, samples, strange)
        if not strange:
            session(output, optimised=True)
        measured = {o: decibel(o, got, wanted) for o in BARS[name]}
        for output_name, bar in BARS[name].items():
            checks.that(measured[output_name] >= bar, f"{name}, {kind}: {output_name} {measured[output_name]:.1f} dB under {bar}")
        with open(os.path.join(folder, f"{kind}_report.md")) as file:
            report = file.read()
        checks.that("## Outputs" in report and "## Operators" in report, f"{name}, {kind}: the report is not whole")
        free = [[d.dim_param for d in v.type.tensor_type.shape.dim] for v in list(made.graph.output)]
        kept = [[d.dim_param for d in v.type.tensor_type.shape.dim] for v in list(quantized.graph.output)]
        checks.that(free == kept, f"{name}, {kind}: the outputs' dimensions changed from {free} to {kept}")
        EXTRA.get(name, lambda *_: None)(checks, made, quantized, log, report)
        print(f"{name}, {kind}: {pairs} pairs, " + ", ".join(f"{o} {v:.1f} dB" for o, v in measured.items()))
    slim = os.path.join(folder, "slim.onnx")
    run_xslim(program, ["-i", "m.onnx", "-o", slim], folder)
    for sample, (got, want) in enumerate(zip(outputs_of(slim, samples, strange), wanted)):
        for key, value in want.items():
            same = np.allclose(got[key], value, rtol=1e-4, atol=1e-5)
            checks.that(same, f"{name}, slimmed: {key} differs at sample {sample}")


def check_functions(checks, made, quantized, log, report):
    before = {f.name: f.SerializeToString() for f in made.functions}
    after = {f.name: f.SerializeToString() for f in quantized.functions}
    calls = [n.op_type for n in quantized.graph.node if n.domain == "lib"]
    checks.that(calls == ["score"], f"functions: calls of {calls} are left")
    checks.that(after == {"score": before["score"]}, f"functions: {sorted(after)} are left, or not as they were")
    checks.that(sum(n.op_type == "Conv" for n in quantized.graph.node) == 2, "functions: the convolutions are not in the graph")


def check_unknown(checks, made, quantized, log, report):
    checks.that(log.count("Wobble (test.custom, version 1) is not known") == 1, "unknown: the log does not name it once")
    checks.that(report.count("Wobble (test.custom, version 1) is not known") == 1, "unknown: the report does not name it once")
    checks.that("| after | not measured: it depends on an operator that cannot be computed here |" in report,
                "unknown: the report does not say that an output was not measured")
    node = next(n for n in quantized.graph.node if n.op_type == "Wobble")
    readers = [n.op_type for n in quantized.graph.node if node.output[0] in n.input]
    checks.that(readers == ["Conv"], f"unknown: its output is read by {readers}")


def check_two_heads(checks, made, quantized, log, report):
    joined = next(n for n in quantized.graph.node if n.op_type == "Concat")
    readers = [n.op_type for n in quantized.graph.node if joined.output[0] in n.input]
    checks.that("QuantizeLinear" not in readers, "two_heads: boxes and scores share one scale")


def check_mask(checks, made, quantized, log, report):
    checks.that("adds an attention mask" in report, "transformer_max: the report does not say why the masked scores stay float")


def check_branches(checks, made, quantized, log, report):
    bodies = {a.name: a.g for n in quantized.graph.node if n.op_type == "If" for a in n.attribute}
    pairs = {name: sum(n.op_type == "QuantizeLinear" for n in body.node) for name, body in bodies.items()}
    checks.that(pairs["then_branch"] >= 2, f"speech: {pairs} pairs in the branches")
    checks.that(pairs["else_branch"] == 0, f"speech: {pairs} pairs in the branches")
    checks.that("else_branch stays float: no calibration sample takes it" in log, "speech: the log does not say which branch stays float")


def check_nested(checks, made, quantized, log, report):
    def pairs(graph):
        bodies = [a.g for n in graph.node if n.op_type == "If" for a in n.attribute]
        return [sum(n.op_type == "QuantizeLinear" for n in graph.node)] + [count for body in bodies for count in pairs(body)]
    found = pairs(quantized.graph)
    checks.that(sum(count >= 2 for count in found) == 4, f"nested: {found} pairs in the graph and its branches")
    left = [t.name for t in quantized.graph.initializer if t.name == "shared"]
    checks.that(not left, "nested: a float weight is left that nobody reads")
    checks.that("in branches 5 of 5" in report, "nested: the report does not count operators in branches")


EXTRA = {"speech": check_branches, "nested": check_nested, "functions": check_functions, "unknown": check_unknown, "two_heads": check_two_heads, "transformer_max": check_mask}


def check_strict(checks, program, folder):
    made, samples = odd_models.unknown()
    onnx.save(made, os.path.join(folder, "m.onnx"))
    entries = write_inputs(folder, made, samples)
    for label, arguments, quantization in (("option", ["-c", "c.json", "--strict"], {}), ("key", ["-c", "c.json"], {"strict": True}),
                                           ("slimming", ["-i", "m.onnx", "--strict"], {})):
        with open(os.path.join(folder, "c.json"), "w") as file:
            json.dump({"model_parameters": {"onnx_model": "m.onnx"}, "calibration_parameters": {"input_parameters": entries},
                       "quantization_parameters": quantization}, file)
        done = subprocess.run([program, *arguments, "-o", "strict.onnx"], cwd=folder, capture_output=True, text=True)
        checks.that(done.returncode == 1 and "Wobble (test.custom, version 1) is not known" in done.stderr,
                    f"strict by {label}: {done.returncode} {done.stderr}")
        checks.that(not os.path.exists(os.path.join(folder, "strict.onnx")), f"strict by {label}: a model was written")


def check_untuned(checks, program, folder):
    """What an unknown operator hides from tuning is quantized without it, at the default level as at any other."""
    made, samples = odd_models.unknown()
    onnx.save(made, os.path.join(folder, "m.onnx"))
    entries = write_inputs(folder, made, samples)
    for settings in ({}, {"finetune_level": 2}):
        with open(os.path.join(folder, "c.json"), "w") as file:
            json.dump({"model_parameters": {"onnx_model": "m.onnx"}, "calibration_parameters": {"input_parameters": entries},
                       "quantization_parameters": settings}, file)
        log = run_xslim(program, ["-c", "c.json", "-o", os.path.join(folder, "untuned.onnx")], folder)
        checks.that(log.count("finetune_level 0 is used") == 1, f"unknown operator, {settings}: {log}")


def check_library(checks, program, folder, library, other_version):
    """With its library the unknown operator is one like others, and its outputs are measured."""
    made, samples = odd_models.unknown()
    onnx.save(made, os.path.join(folder, "m.onnx"))
    entries = write_inputs(folder, made, samples)
    with open(os.path.join(folder, "c.json"), "w") as file:
        json.dump({"model_parameters": {"onnx_model": "m.onnx"}, "calibration_parameters": {"input_parameters": entries},
                   "quantization_parameters": {"finetune_level": 0, "strict": True}}, file)
    output = os.path.join(folder, "library.onnx")
    log = run_xslim(program, ["-c", "c.json", "-o", output, "--op-library", library], folder)
    checks.that("is not known" not in log, "library: the operator is still unknown")
    with open(os.path.join(folder, "library_report.md")) as file:
        checks.that("not measured" not in file.read(), "library: an output was not measured")
    readers = [n.op_type for n in onnx.load(output).graph.node
               if "wobble_2" in n.input[0] and n.op_type in ("Conv", "QuantizeLinear")]
    checks.that("QuantizeLinear" in readers, f"library: what reads the operator's output is not quantized: {readers}")
    got, wanted = outputs_of(output, samples, True), outputs_of(os.path.join(folder, "m.onnx"), samples, True)
    for name in ("after", "beside"):
        checks.that(decibel(name, got, wanted) >= 25, f"library: {name} {decibel(name, got, wanted):.1f} dB")
    with open(os.path.join(folder, "text.so"), "w") as file:
        file.write("no library\n")
    for path, says in (("none.so", "cannot open it"), ("text.so", "cannot load it"),
                       (other_version, "made for version 2 of the interface")):
        done = subprocess.run([program, "-c", "c.json", "-o", "bad.onnx", "--op-library", path], cwd=folder,
                              capture_output=True, text=True)
        checks.that(done.returncode == 1 and says in done.stderr and os.path.basename(path) in done.stderr,
                    f"library {path}: {done.returncode} {done.stderr}")


def check_shared_names(checks, program, folder):
    """Every mode makes the names of nodes differ, and the ignore list still means all that had the name."""
    made, samples = odd_models.shared_names()
    entries = write_inputs(folder, made, samples)
    onnx.save(made, os.path.join(folder, "m.onnx"))
    plain = onnx.ModelProto()
    plain.CopyFrom(made)
    for graph in [plain.graph, *plain.functions, *(a.g for n in plain.graph.node for a in n.attribute if a.HasField("g"))]:
        for node in graph.node:
            node.name = ""
    onnx.save(plain, os.path.join(folder, "plain.onnx"))
    wanted = outputs_of(os.path.join(folder, "plain.onnx"), samples, False)
    with open(os.path.join(folder, "c.json"), "w") as file:
        json.dump({"model_parameters": {"onnx_model": "m.onnx"}, "calibration_parameters": {"input_parameters": entries}}, file)
    output = os.path.join(folder, "o.onnx")
    for arguments in (["-c", "c.json"], ["-i", "m.onnx"], ["-i", "m.onnx", "--fp16"], ["-i", "m.onnx", "--dynq"],
                      ["-i", "m.onnx", "--opset", "18"], ["-i", "m.onnx", "--fp16", "--ignore_op_names", "n"]):
        run_xslim(program, [*arguments, "-o", output], folder)
        measured = decibel("y", outputs_of(output, samples, False), wanted)
        checks.that(measured > 25, f"shared names, {arguments}: {measured:.1f} dB")
    checks.that(all(n.op_type != "Cast" for n in onnx.load(output).graph.node), "shared names: the ignore list does not match all of a name")


def check_no_float_output(checks, program, folder):
    """Level 1 has nothing to judge by and is level 0; what was asked for by name is an error. An image in bytes is judged like floats."""
    for pixels in (False, True):
        made, samples = odd_models.no_float_output(pixels)
        entries = write_inputs(folder, made, samples)
        onnx.save(made, os.path.join(folder, "m.onnx"))
        where = f"no float output, pixels {pixels}"
        for settings, status in (({"auto_precision": 0.01}, 1), ({"sensitivity": True}, 1), ({"precision_level": 1}, 0)):
            with open(os.path.join(folder, "c.json"), "w") as file:
                json.dump({"model_parameters": {"onnx_model": "m.onnx"}, "calibration_parameters": {"input_parameters": entries},
                           "quantization_parameters": settings}, file)
            done = subprocess.run([program, "-c", "c.json", "-o", "o.onnx"], cwd=folder, capture_output=True, text=True)
            checks.that(done.returncode == (0 if pixels else status), f"{where}, {settings}: {done.returncode} {done.stderr}")
            lacks = "need an output of type float32" in done.stderr
            checks.that(lacks != pixels, f"{where}, {settings}: {done.stderr}")
        with open(os.path.join(folder, "o_report.md")) as file:
            report = file.read()
        for text in ("| parts | not measured: its type is sequence |", "| classes | int64: ", " in the mean and "):
            checks.that(text in report, f"{where}: the report lacks {text}")
        checks.that(("| pixels | 0." in report) == pixels, f"{where}: the report has no figure of pixels")
        checks.that(sum(n.op_type == "QuantizeLinear" for n in onnx.load(os.path.join(folder, "o.onnx")).graph.node) >= 1, f"{where}: not int8")
        session(os.path.join(folder, "o.onnx")).run(None, samples[0])


def main(program, library, other_version, *names):
    checks = Checks()
    for name in names or odd_models.MODELS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                check(checks, program, name, folder)
            except Exception as error:  # the other models are still worth a look
                checks.that(False, f"{name}: {error}")
    with tempfile.TemporaryDirectory() as folder:
        check_strict(checks, program, folder)
        check_untuned(checks, program, folder)
        check_library(checks, program, folder, library, other_version)
        check_shared_names(checks, program, folder)
        check_no_float_output(checks, program, folder)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
