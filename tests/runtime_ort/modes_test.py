#!/usr/bin/env python3
"""--dynq, --fp16 and --bf16 on small models of many kinds, judged by ONNX Runtime. Usage: modes_test.py XSLIM [NAME_PART...]

Every result must load and run, optimised or not, and agree with the float model; structure is checked where it matters.
"""
import collections
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto

import contrib_ops_test
import modes_models as models
from helpers import Checks, run_xslim, session

DYNQ, FP16 = 0.99, 0.9999


def cosine(value, reference):
    a, b = value.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm else float(np.array_equal(a, b))


def outputs_of(path, feeds, optimised):
    """Outputs by name, all samples stacked flat."""
    runner = session(path, optimised)
    names = [output.name for output in runner.get_outputs()]
    types = {i.name: i.type for i in runner.get_inputs()}
    collected = collections.defaultdict(list)
    for i in range(len(next(iter(feeds.values())))):
        feed = {name: values[i].astype(np.float16) if types[name] == "tensor(float16)" else values[i] for name, values in feeds.items()}
        for name, value in zip(names, runner.run(None, feed)):
            collected[name].append(value.ravel())
    return {name: np.concatenate(values) for name, values in collected.items()}


def all_nodes(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from all_nodes(attribute.g)


def types_of(model):
    return collections.Counter(node.op_type for node in all_nodes(model.graph))


class Case:
    """One model in a folder of its own, converted in several modes."""

    def __init__(self, checks, program, build, folder):
        self.checks, self.program, self.name, self.folder = checks, program, build.__name__, folder
        self.maker = models.Maker()
        self.float_path = os.path.join(folder, "m.onnx")
        model = self.maker.model(build(self.maker))
        model.opset_import[0].version = self.maker.opset
        onnx.save(model, self.float_path)
        results = session(self.float_path).run(None, {name: values[0] for name, values in self.maker.feeds.items()})
        for output, result in zip(model.graph.output, results):  # the checker wants shapes
            output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, output.type.tensor_type.elem_type, result.shape))
        onnx.save(model, self.float_path)
        self.reference = outputs_of(self.float_path, self.maker.feeds, False)
        self.count = 0

    def convert(self, *arguments):
        """(path, loaded model, stderr) of a run with these arguments."""
        self.count += 1
        path = os.path.join(self.folder, f"o{self.count}.onnx")
        said = run_xslim(self.program, ["-i", self.float_path, "-o", path, *arguments], self.folder)
        model = onnx.load(path)
        onnx.checker.check_model(model)
        return path, model, said

    def judge(self, bar, *arguments, run=True):
        label = f"{self.name} {' '.join(arguments)}"
        try:
            path, model, said = self.convert(*arguments)
        except Exception as error:  # pylint: disable=broad-except
            self.checks.that(False, f"{label}: {error}")
            return None, ""
        for optimised in (False, True) if run else ():
            try:
                result = outputs_of(path, self.maker.feeds, optimised)
            except Exception as error:  # pylint: disable=broad-except
                self.checks.that(False, f"{label}, optimised {optimised}: {str(error)[:400]}")
                continue
            self.checks.that(list(result) == list(self.reference), f"{label}: outputs {list(result)}")
            for name, value in result.items():
                close = cosine(value, self.reference[name]) if value.shape == self.reference[name].shape else float("nan")
                self.checks.that(close > bar, f"{label}, optimised {optimised}, {name}: cosine {close:.6f}")
        return model, said


def generic(case):
    """All modes on one model."""
    case.judge(DYNQ, "--dynq")
    # Sums of two products may overflow here, depending on the processor.
    case.judge(0.9, "--dynq", "--dynq-full-range")
    case.judge(DYNQ, "--dynq", "--dynq-contrib")
    case.judge(0.97, "--dynq", "--weight-bits", "4")
    case.judge(0.97, "--dynq", "--weight-bits", "4", "--weight-zero-points", "--weight-block", "16")
    case.judge(FP16, "--fp16")
    model, _ = case.judge(FP16, "--fp16", "--fp16-io")
    if model:
        kept = [i.name for i in list(model.graph.input) + list(model.graph.output) if i.type.tensor_type.elem_type == TensorProto.FLOAT]
        case.checks.that(not kept, f"{case.name} --fp16-io: {kept} are float")
    case.judge(0, "--bf16", run=False)


def expect(case, model, wanted, label):
    """wanted: operator type -> number, in the model and its bodies."""
    found = types_of(model) if model else {}
    for kind, number in wanted.items():
        case.checks.that(found.get(kind, 0) == number, f"{case.name} {label}: {found.get(kind, 0)} {kind}, expected {number}")


def structure(case):
    """What particular models must turn into."""
    name = case.name
    if name == "mlp":
        model, _ = case.judge(DYNQ, "--dynq")
        expect(case, model, {"DynamicQuantizeLinear": 3, "MatMulInteger": 3, "Gemm": 0, "MatMul": 0}, "--dynq")
        case.checks.that({i.domain for i in model.opset_import} == {""}, "mlp --dynq: more than the default domain")
        model, _ = case.judge(DYNQ, "--dynq", "--dynq-contrib")
        expect(case, model, {"DynamicQuantizeMatMul": 3}, "--dynq-contrib")
        model, _ = case.judge(0.97, "--dynq", "--weight-bits", "4")
        expect(case, model, {"DequantizeLinear": 3, "Gemm": 2, "MatMul": 1}, "--weight-bits 4")
        kinds = {i.data_type for i in model.graph.initializer}
        case.checks.that(TensorProto.INT4 in kinds and model.opset_import[0].version == 21, "mlp: no int4 at opset 21")
        model, _ = case.judge(FP16, "--fp16")
        expect(case, model, {"Cast": 2}, "--fp16")
        case.checks.that(all(i.data_type == TensorProto.FLOAT16 for i in model.graph.initializer), "mlp --fp16: float constants")
        for arguments, number in ((("--ignore_op_types", "Gemm"), 1), (("--ignore_op_names", "MatMull_2,MatMul_*"), 2)):
            model, said = case.judge(DYNQ, "--dynq", *arguments)
            expect(case, model, {"MatMulInteger": number}, " ".join(arguments))
        case.checks.that("did you mean MatMul" in said, "mlp: no warning of an entry without a match")
    if name == "transformer":
        model, _ = case.judge(DYNQ, "--dynq")
        # q, k and v share one quantization of their input.
        expect(case, model, {"DynamicQuantizeLinear": 4, "MatMulInteger": 6}, "--dynq")
    if name == "recurrent":
        model, _ = case.judge(DYNQ, "--dynq", "--dynq-contrib")
        expect(case, model, {"DynamicQuantizeLSTM": 1, "LSTM": 0, "GRU": 1}, "--dynq-contrib")
    if name in ("time_first", "batch_scores"):  # float32 for ONNX Runtime's sake, and taken into its product
        model, _ = case.judge(FP16, "--fp16")
        made = {output: node for node in model.graph.node for output in node.output}
        sources = [made[node.input[0]] for node in model.graph.node if node.op_type == "Transpose"]
        kept = sum(node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT for node in sources)
        expected = {"time_first": 2, "batch_scores": 0}[name]
        case.checks.that(kept == expected, f"{name}: {kept} Transposes are float32, expected {expected}")
    if name == "contrib_attention":
        model, _ = case.judge(DYNQ, "--dynq", "--dynq-contrib")
        expect(case, model, {"QAttention": 2, "Attention": 0}, "--dynq-contrib")
    if name in ("windows", "yolo"):
        called = {"windows": {"WindowPartition": 1, "WindowReverse": 1}, "yolo": {"YoloDecode": 1, "Softmax": 0}}[name]
        for bar, arguments in ((0.9999999, ()), (0.9999999, ("--opset", "24")), (FP16, ("--fp16",)), (DYNQ, ("--dynq",))):
            model, _ = case.judge(bar, "--spacemit-functions", *arguments)
            expect(case, model, called, f"--spacemit-functions {' '.join(arguments)}")
        again, _ = case.judge(0.9999999)
        case.checks.that(again is not None and not again.functions, f"{name}: functions that nobody asked for")
    if name == "packed_attention":
        model, _ = case.judge(0.9999999)
        expect(case, model, {"MatMul": 6, "Gather": 0, "Reshape": 4}, "")
    if name == "conv_transpose_groups":
        model, _ = case.judge(DYNQ, "--dynq")
        axes = [a.i for n in model.graph.node if n.op_type == "DequantizeLinear" for a in n.attribute if a.name == "axis"]
        case.checks.that(sorted(axes) == [0, 1], f"conv_transpose_groups: axes {axes}")
    if name == "branches":
        model, _ = case.judge(DYNQ, "--dynq", "--ignore_op_names", "then_matmul_?,then_matmul_1")
        expect(case, model, {"MatMulInteger": 5, "MatMul": 1}, "--ignore_op_names")
        model, _ = case.judge(FP16, "--fp16", "--ignore_op_names", "else_*")
        halves = {i.data_type for n in model.graph.node for a in n.attribute for i in a.g.initializer}
        case.checks.that(halves == {TensorProto.FLOAT, TensorProto.FLOAT16}, f"branches: constants of bodies {halves}")
    if name == "embeddings":
        model, _ = case.judge(DYNQ, "--dynq")
        tables = [i for i in model.graph.initializer if i.data_type == TensorProto.INT8 and i.dims[0] == 50]
        case.checks.that(len(tables) == 1, "embeddings: the table is not int8")
    if name in ("functions", "fused_operators"):
        model, _ = case.judge(FP16, "--fp16")
        kept = [i.name for i in model.graph.initializer if i.data_type == TensorProto.FLOAT]
        case.checks.that(not kept, f"{name} --fp16: float constants {kept}")
    if name == "functions":
        model, said = case.judge(FP16, "--fp16", "--ignore_op_types", "ConvSilu")
        case.checks.that(len(model.functions) == 2 and types_of(model)["ConvSilu"] == 2, "functions: ignored calls are opened")
        case.checks.that("stay float32" not in said, "functions: a warning of what the ignore list asks for")
        _, said = case.judge(FP16, "--fp16", "--opset", "17")
        case.checks.that("stay float32" not in said, "functions: a warning without a reason")
    if name == "masked":
        model, _ = case.judge(FP16, "--fp16")
        kept = {i.name for i in model.graph.initializer if i.data_type == TensorProto.FLOAT}
        case.checks.that(not kept, f"masked: float constants {kept}")


def measured(checks, program, folder):
    """A config's data finds what constants do not tell."""
    case = Case(checks, program, models.wide_range, folder)
    for i, sample in enumerate(case.maker.feeds["x"]):
        np.save(os.path.join(folder, f"{i}.npy"), sample)
    with open(os.path.join(folder, "list.txt"), "w") as file:
        file.write("".join(f"{i}.npy\n" for i in range(4)))
    with open(os.path.join(folder, "c.json"), "w") as file:
        file.write('{"calibration_parameters": {"input_parameters": [{"input_name": "x", "file_type": "npy",'
                   ' "data_list_path": "list.txt"}]}, "quantization_parameters": {"precision_level": 4}}')
    case.judge(FP16, "-c", "c.json")


def contrib_kinds(checks, program, folder):
    """Each operator of com.microsoft whose types are known, in a model of its own."""
    bars = {"MatMulNBits": 0.999}
    for kind, make in contrib_ops_test.CASES.items():
        for turn in range(4):
            inputs, attributes, *count = make()
            while inputs[-1] is None:
                inputs.pop()
            always = contrib_ops_test.ALWAYS.get(kind)
            weights = {i for i in range(len(inputs)) if (always(i) if always else turn % 2 and i > 0)}
            model = contrib_ops_test.build(kind, inputs, attributes, count[0] if count else 1, weights)
            feeds = {f"x{i}": np.asarray(value) for i, value in enumerate(inputs) if value is not None and i not in weights}
            path, converted = os.path.join(folder, "m.onnx"), os.path.join(folder, "o.onnx")
            onnx.save(model, path)
            wanted = session(path, False).run(None, feeds)
            for output, value in zip(model.graph.output, wanted):
                output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape))
            onnx.save(model, path)
            label = f"{kind} {turn} --fp16"
            try:
                run_xslim(program, ["-i", path, "-o", converted, "--fp16"], folder)
                got = session(converted).run(None, feeds)
            except Exception as error:  # noqa: BLE001: whatever it is, the other cases go on
                checks.that(False, f"{label}: {error}")
                continue
            for a, b in zip(got, wanted):
                checks.that(a.dtype == b.dtype and cosine(a, b) > bars.get(kind, FP16), f"{label}: cosine {cosine(a, b):.6f}")


def main():
    program, only = os.path.abspath(sys.argv[1]), sys.argv[2:]
    checks = Checks()
    for build in models.ALL:
        if only and not any(part in build.__name__ for part in only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            case = Case(checks, program, build, folder)
            generic(case)
            structure(case)
    if not only or "measured" in only:
        with tempfile.TemporaryDirectory() as folder:
            measured(checks, program, folder)
    if not only or "contrib_kinds" in only:
        with tempfile.TemporaryDirectory() as folder:
            contrib_kinds(checks, program, folder)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
