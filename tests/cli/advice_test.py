#!/usr/bin/env python3
"""What the program says of places, files and settings that cannot be meant so, before it works: where, why, what to do.

Usage: advice_test.py XSLIM [NAME_PART...]. Cases are as in cli_case.py.
"""
import json
import os
import struct
import sys
import zlib

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from cli_case import BASE, INPUT, MODEL, QUANTIZATION, case, config, png, static, write
from cli_models import external_model, model, small_model
from cli_test import execute, main, runs_of_cases


def cast_model(kind):
    """small_model() computing in another float type, between Casts."""
    made = small_model()
    for weight in made.graph.initializer:
        values = numpy_helper.to_array(weight)
        weight.CopyFrom(helper.make_tensor(weight.name, kind, values.shape, values.ravel().tolist()))
    made.graph.node[0].input[0], made.graph.node[-1].output[0] = "x_cast", "y_cast"
    made.graph.node.insert(0, helper.make_node("Cast", ["x"], ["x_cast"], name="to", to=kind))
    made.graph.node.append(helper.make_node("Cast", ["y_cast"], ["y"], name="back", to=TensorProto.FLOAT))
    return made


def same_names_model():
    nodes = [helper.make_node("Relu", ["x"], ["a"], name="same"), helper.make_node("Sigmoid", ["a"], ["b"], name="other"),
             helper.make_node("Tanh", ["b"], ["y"], name="same")]
    return model(nodes, [("x", [1, 3, 8, 8])], [("y", [1, 3, 8, 8])], {})


def linear_model():
    """The simplifier makes a Gemm of both operators."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"], name="product"), helper.make_node("Add", ["a", "b"], ["y"], name="bias")]
    return model(nodes, [("x", [4, 16])], [("y", [4, 16])], {"w": np.eye(16, dtype=np.float32) * 0.3, "b": np.full(16, 0.7, np.float32)})


def strideless_model():
    made = small_model()
    attribute = made.graph.node[0].attribute.add()
    attribute.name, attribute.type = "strides", 7  # an empty list, which helper.make_node leaves out
    return made


def put(name, made):
    return lambda folder: write(os.path.join(folder, name), made.SerializeToString())


def place_cases():
    places = (("no/new", "there is no folder no"), ("m.onnx/new", "there is no folder m.onnx"), ("dir", "a folder of that name is there"),
              ("/proc/new", "/proc/new: cannot create the output file"))
    for option in ("--profile", "--save-stats"):
        for place, why in places:
            static("%s %s" % (option, place), status=1, says=[option + ": " + place, why, "!simplifying"], args="-c c.json %s %s" % (option, place))
    case("--profile of a simplification", "-i m.onnx -o o.onnx --profile no/p", 1, ["--profile: no/p", "!simplifying"])
    static("a folder in the report's place", {QUANTIZATION + "analysis_enable": True}, 1, ["w/out_report.md", "!simplifying"],
           setup=lambda folder: os.makedirs(os.path.join(folder, "w", "out_report.md", "sub")))
    static("a folder in the verdict's place", {QUANTIZATION + "max_snr": 0.5}, 1, ["w/out_verdict.json", "!simplifying"],
           setup=lambda folder: os.makedirs(os.path.join(folder, "w", "out_verdict.json", "sub")))
    case("a folder in the data's place", "-i m.onnx -o o.onnx --external-data", 1, ["o.onnx.data", "!simplifying"],
         setup=lambda folder: os.makedirs(os.path.join(folder, "o.onnx.data", "sub")))
    case("a name that is too long", "-i m.onnx -o new/%s.onnx" % ("n" * 260), 1, ["File name too long", "!simplifying"])
    case("a folder that cannot be made", "-i m.onnx -o /proc/new/o.onnx", 1,
         ["/proc/new: cannot make the output folder: No such file", "another folder by -o or model_parameters.working_dir"])
    case("a folder that cannot be written to", "-i m.onnx -o /proc/new.onnx", 1,
         ["/proc/new.onnx: cannot create the output file: No such file", "a folder that exists and that you may write to"])
    static("no statistics", status=1, says=["--load-stats: no.stats: cannot open", "--save-stats writes one", "!loading"], args="-c c.json --load-stats no.stats")
    for output in ("m.onnx/y.onnx", "m.onnx/deep/y.onnx", "m.onnx/deep"):
        case("output " + output, "-i m.onnx -o " + output, 1, ["error: m.onnx: the output cannot go into the folder", "there is a file of that name"])
    static("a file as working_dir", {MODEL + "working_dir": "m.onnx"}, 1, ["m.onnx: the output cannot go into", "model_parameters.working_dir"])


def file_cases():
    def without_data(folder):
        external_model(folder)
        os.remove(os.path.join(folder, "ext.bin"))

    def cut_data(folder):
        external_model(folder)
        os.truncate(os.path.join(folder, "ext.bin"), 10)

    case("a truncated model", "-i corrupt.onnx -o o.onnx", 1, ["corrupt.onnx: not an ONNX model", "export the .onnx file again"])
    case("an empty model", "-i zero.onnx -o o.onnx", 1, ["zero.onnx: not an ONNX model (the file is empty)", "export the .onnx file again"])
    case("a model from a pipe", "-i /dev/stdin -o o.onnx", 1, ["/dev/stdin: is a pipe or a device", "save what it gives to a file"])
    for field, number in (("opset", 99), ("IR version", 99)):
        def setup(folder, field=field, number=number):
            made = small_model()
            if field == "opset":
                made.opset_import[0].version = number
            else:
                made.ir_version = number
            put("far.onnx", made)(folder)
        case("%s %d" % (field, number), "-i far.onnx -o o.onnx", 1, ["far.onnx: %s %d is not supported" % (field, number), "to ", "the model with one of these"],
             setup=setup)
    for name, content, advice in (("a pointer of Git LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
                                  ("a web page", "\n<!DOCTYPE html><html>", "it is a web page"), ("an archive", b"PK\x03\x04abc", "unpack it first"),
                                  ("a PyTorch file", b"PK\x03\x04" + bytes(26) + b"net/data.pkl", "torch.onnx.export"),
                                  ("a TensorFlow Lite file", b"\x1c\0\0\0TFL3\0\0", "a TensorFlow Lite model"),
                                  ("a packed model", b"\x1f\x8b\x08\x00abc", "unpack it first"), ("a config", ' {"a": 1}', "goes to -c")):
        case(name + " as model", "-i other.onnx -o o.onnx", 1, ["other.onnx: not an ONNX model", advice],
             setup=lambda folder, content=content: write(os.path.join(folder, "other.onnx"), content))
    case("a folder as model", "-i dir -o o.onnx", 1, "dir: is a folder, not a file")
    case("external data that are missing", "-i ext.onnx -o o.onnx", 1, ["\"ext.bin\"", "a part of the model: put it to ./ext.bin"], setup=without_data)
    case("external data that are cut off", "-i ext.onnx -o o.onnx", 1, ["\"ext.bin\"", "cut off or of another model"], setup=cut_data)
    case("a window without strides", "-i strideless.onnx -o o.onnx", 1, ["a_conv[Conv]", "strides [] has 0 entries, expected 2"],
         setup=put("strideless.onnx", strideless_model()))
    static("a short raw file", {INPUT + "file_type": "raw", INPUT + "data_list_path": "cal/shortraw.txt"}, 1,
           "cal/shortraw.txt:7: cal/short.raw: the file has 100 bytes, expected 768")
    for name, line in (("quotes", '"00.npy"'), ("a comma", "00.npy,3")):
        static("a listed path with " + name, {INPUT + "data_list_path": "cal/marked.txt"}, 1, ["cal/marked.txt:1: the file", "there is cal/00.npy: a line is a path"],
               setup=lambda folder, line=line: write(os.path.join(folder, "cal", "marked.txt"), line + "\n"))
    static("a folder in the list", {INPUT + "data_list_path": "cal/marked.txt"}, 1, "cal/marked.txt:1: the file cal/../cal is a folder, not a file",
           setup=lambda folder: write(os.path.join(folder, "cal", "marked.txt"), "../cal\n"))
    static("the first image is broken", {INPUT + "file_type": "img", INPUT + "data_list_path": "cal/first.txt", INPUT + "input_shape": [1, 3, -1, -1],
                                         MODEL + "onnx_model": "any.onnx"}, 1, "cal/first.txt:1: cal/broken.png: cannot decode", setup=any_size)


def any_size(folder):
    made = small_model()
    for info in list(made.graph.input) + list(made.graph.output):
        for axis in (2, 3):
            info.type.tensor_type.shape.dim[axis].dim_param = "size%d" % axis
    put("any.onnx", made)(folder)
    write(os.path.join(folder, "cal", "first.txt"), "broken.png\n")


def token_model():
    """Looks up rows of a table; its layers can be equalized."""
    made = model([helper.make_node("Gather", ["table", "ids"], ["rows"], name="look_up"), helper.make_node("Gemm", ["rows", "w"], ["a"], name="one"),
                  helper.make_node("Relu", ["a"], ["b"], name="relu"), helper.make_node("Gemm", ["b", "w"], ["y"], name="two")],
                 [("ids", [2])], [("y", [2, 8])], {"table": np.ones((9, 8), np.float32), "w": np.eye(8, dtype=np.float32)})
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    return made


def recurrent_model():
    weights = {"w": np.full((1, 16, 8), 0.1, np.float32), "r": np.full((1, 16, 4), 0.1, np.float32), "out": np.full((4, 3), 0.2, np.float32)}
    nodes = [helper.make_node("LSTM", ["x", "w", "r"], ["all"], name="lstm", hidden_size=4), helper.make_node("MatMul", ["all", "out"], ["y"], name="product")]
    return model(nodes, [("x", [3, 1, 8])], [("y", [3, 1, 1, 3])], weights)


def run_cases():
    """What a run finds: which sample is to blame, and what stays float."""
    def put_tokens(folder, bad):
        put("tokens.onnx", token_model())(folder)
        for name, ids in (("good", [1, 2]), ("bad", [1, 77])):
            np.save(os.path.join(folder, "cal", name + ".npy"), np.array(ids, np.int64))
        write(os.path.join(folder, "cal", "ids.txt"), "".join("bad.npy\n" if i == bad else "good.npy\n" for i in range(12)))

    changes = {MODEL + "onnx_model": "tokens.onnx", INPUT + "input_name": "ids", INPUT + "data_list_path": "cal/ids.txt"}
    for bad, name in ((0, "sample 1 (cal/ids.txt:1)"), (6, "sample 7 (cal/ids.txt:7)")):
        half = dict(changes, **{QUANTIZATION + "precision_level": 4})
        static("sample %d cannot be run for float16" % bad, half, 1, ["tokens.onnx: %s: look_up[Gather]" % name, "index 77 is out of range"],
               remove=[INPUT + "input_shape", QUANTIZATION + "finetune_level"], setup=lambda folder, bad=bad: put_tokens(folder, bad))
        static("sample %d cannot be run" % bad, changes, 1, ["tokens.onnx: %s: look_up[Gather]" % name, "index 77 is out of range"],
               remove=[INPUT + "input_shape"], setup=lambda folder, bad=bad: put_tokens(folder, bad))

    def put_recurrent(folder):
        put("recurrent.onnx", recurrent_model())(folder)
        np.save(os.path.join(folder, "cal", "seq.npy"), np.ones((3, 1, 8), np.float32))
        write(os.path.join(folder, "cal", "seq.txt"), "seq.npy\n" * 10)
    static("an LSTM in int8", {MODEL + "onnx_model": "recurrent.onnx", INPUT + "data_list_path": "cal/seq.txt"},
           says="1 left float: recurrent, which static int8 has no form for (--dynq has) (lstm[LSTM])", remove=[INPUT + "input_shape"], setup=put_recurrent)

    def put_second(folder):
        made = small_model()
        made.graph.input.append(helper.make_tensor_value_info("offset", TensorProto.FLOAT, [1]))
        made.graph.node[0].input[0] = "moved"
        made.graph.node.insert(0, helper.make_node("Add", ["x", "offset"], ["moved"], name="move"))
        put("second.onnx", made)(folder)
    second = [dict(BASE["calibration_parameters"]["input_parameters"][0]), {"input_name": "offset"}]
    static("an input without data", {MODEL + "onnx_model": "second.onnx", "calibration_parameters.input_parameters": second},
           says=["samples of cal/list.txt, zeros for offset", "warning: no data_list_path for offset: all zeros"], setup=put_second)

    def put_misdeclared(folder):
        made = small_model()
        made.graph.output[0].type.tensor_type.shape.dim[1].dim_value += 2
        put("misdeclared.onnx", made)(folder)
    case("an output of another shape than is declared", "-i misdeclared.onnx -o o.onnx",
         says=["warning: output y is declared with the shape [", "; it is written so"], setup=put_misdeclared)
    static("a prefix with an ending", {MODEL + "output_prefix": "x.onnx"}, files=["w/x.onnx.onnx"], says=["output_prefix: x.onnx gets .onnx added", "leave .onnx out of it"])


def chunk(kind, data, off=0):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ off)


def image_cases():
    """PNG files of which libpng has something to say: never on stderr by itself."""
    whole = png.encode_rgb(np.random.default_rng(1).integers(0, 255, (10, 12, 3)).astype(np.uint8))
    header = 8 + 25  # signature, IHDR
    profile = chunk(b"iCCP", b"name\0\0" + zlib.compress(b"no profile"))
    images = (("damaged", whole[:60] + bytes([whole[60] ^ 8]) + whole[61:], "cal/odd.png: cannot decode the image (the PNG file is damaged"),
              ("damaged header", whole[:20] + b"\1" + whole[21:], "cal/odd.png: cannot decode the image (the PNG file is damaged"),
              ("cut", whole[:-6], "the PNG file is cut off"),
              ("too long", whole[:8] + chunk(b"IHDR", struct.pack(">II", 1000001, 1) + whole[24:29]) + whole[header:], "a side is over 1000000 pixels"),
              ("damaged text", whole[:header] + chunk(b"tEXt", b"a\0b", 1) + whole[header:], None),
              ("wrong profile", whole[:header] + profile + whole[header:], None))
    for name, content, error in images:
        def setup(folder, content=content):
            write(os.path.join(folder, "cal", "odd.png"), content)
            write(os.path.join(folder, "cal", "odd.txt"), "00.png\nodd.png\n01.png\n")
        static("PNG: " + name, {INPUT + "file_type": "img", INPUT + "data_list_path": "cal/odd.txt"}, 1 if error else 0,
               ["!libpng"] + (["cal/odd.txt:2: ", error] if error else ["!warning"]), setup=setup)


    for name, mean, std, says in (("as of 0..1", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], "multiply both by 255"),
                                  ("as a factor", [123.7, 116.3, 103.5], [0.017, 0.0175, 0.0174], "looks like a factor, give its reciprocal"),
                                  ("of 0..255", [123.7, 116.3, 103.5], [58.4, 57.1, 57.4], "!warning"), ("none", [0], [1], "!warning")):
        static("normalisation " + name, {INPUT + "file_type": "img", INPUT + "data_list_path": "cal/odd.txt", INPUT + "mean_value": mean, INPUT + "std_value": std},
               says=says, setup=lambda folder: write(os.path.join(folder, "cal", "odd.txt"), "00.png\n" * 10))


def config_cases():
    """Python's spelling, which XSlim's own API takes."""
    for name, text, hint in (("True", '{"quantization_parameters": {"analysis_enable": True}}', "JSON writes true, false and null"),
                             ("None", '{"calibration_parameters": None}', "JSON writes true, false and null"),
                             ("single quotes", "{'model_parameters': {}}", "double quotes"),
                             ("NaN", '{"quantization_parameters": {"max_snr": NaN}}', "JSON has no NaN and no infinity: leave the key out"),
                             ("infinity", '{"quantization_parameters": {"max_snr": -Infinity}}', "no infinity: leave the key out"), ("a remark", "# mine\n{}", "comments begin with //")):
        case("a config with " + name, "-c odd.json", 1, ["odd.json: not valid JSON", hint],
             setup=lambda folder, text=text: write(os.path.join(folder, "odd.json"), text))

    def beside(folder):
        os.makedirs(os.path.join(folder, "own"))
        os.rename(os.path.join(folder, "m.onnx"), os.path.join(folder, "own", "m.onnx"))
        write(os.path.join(folder, "own", "c.json"), json.dumps(BASE))
    case("a model beside the config only", "-c own/c.json", 1, ["m.onnx: cannot open the model", "starts at the current folder, and there is own/m.onnx"],
         setup=beside)
    case("no model there either", "-c own/c.json -i n.onnx", 1, ["n.onnx: cannot open the model", "check -i"], setup=beside)


def odd_inputs_model(first):
    made = small_model()
    odd = [helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, None), helper.make_tensor_value_info("words", TensorProto.STRING, [2])]
    made.graph.input.extend(sorted(odd, key=lambda info: info.name != first))
    made.graph.node.append(helper.make_node("SequenceLength", ["list"], ["length"], name="length"))
    made.graph.node.append(helper.make_node("Identity", ["words"], ["same"], name="same"))
    made.graph.output.append(helper.make_tensor_value_info("length", TensorProto.INT64, []))
    made.graph.output.append(helper.make_tensor_value_info("same", TensorProto.STRING, [2]))
    return made


def input_cases():
    entries = [{"input_name": name} for name in ("x", "list", "words")]
    for name, what in (("list", "input list holds no tensor"), ("words", "input words holds strings")):
        static("an input that no data can be read for: " + name, {MODEL + "onnx_model": "odd.onnx", "calibration_parameters.input_parameters": entries}, 1,
               [what, "--dynq and --fp16 need no data"], setup=put("odd.onnx", odd_inputs_model(name)))
    case("the same without data", "-i odd.onnx -o o.onnx --dynq", 0, (), ["o.onnx"], setup=put("odd.onnx", odd_inputs_model("list")))
    tokens = model([helper.make_node("MatMul", ["x", "w"], ["y"], name="product")], [("x", ["n", 8])], [("y", ["n", 4])], {"w": np.ones((8, 4), np.float32)})
    static("arrays read as images", {MODEL + "onnx_model": "flat.onnx", INPUT + "file_type": "img"}, 1, ["rank 4", "for files of arrays, file_type npy or raw"],
           remove=[INPUT + "input_shape"], setup=put("flat.onnx", tokens))


def setting_cases():
    for kind, name in ((TensorProto.FLOAT16, "float16"), (TensorProto.DOUBLE, "float64")):
        for args in ("-c c.json", "-c c.json --dynq"):
            static("%s model, %s" % (name, args), {MODEL + "onnx_model": "cast.onnx"}, args=args, setup=put("cast.onnx", cast_model(kind)),
                   says=["2 operators stay as they are (a_conv[Conv], ...): in %s, not float32; give the float32 model" % name,
                         "2 left float: in %s, not float32" % name])
    case("float16 model to float16", "-i cast.onnx -o o.onnx --fp16", 0, "!not float32", ["o.onnx"], setup=put("cast.onnx", cast_model(TensorProto.FLOAT16)))
    for text in ("abc", "0", "-5", "1.5", "10 ", "99999999999999999999"):
        for args in ("-i m.onnx -o o.onnx", "-c c.json", "-i m.onnx -o o.onnx --dynq"):
            static("%s with %s steps" % (args, text), status=1, args=args, environment={"XSLIM_LOOP_STEPS": text},
                   says=["environment XSLIM_LOOP_STEPS=%s: expected a whole number from 1" % text])
    case("steps set to nothing", "-i m.onnx -o o.onnx", 0, "o.onnx", ["o.onnx"], environment={"XSLIM_LOOP_STEPS": ""})
    case("types to ignore without a mode", "-i m.onnx -o o.onnx --ignore_op_types Conv", 0,
         ["ignore_op_types has no effect without -c, --dynq, --fp16 or --bf16: the model is simplified and stays float", "!precision_level"], ["o.onnx"])
    case("bfloat16 at opset 12", "-i m.onnx -o o.onnx --bf16 --opset 12", 0,
         ["warning: 3 operators stay float32 because opset 12 is asked for (a_conv[Conv]: bfloat16 form of it since opset 22, ...); raise --opset"],
         ["o.onnx"])
    case("bfloat16 at opset 14", "-i m.onnx -o o.onnx --bf16 --opset 14", 0, "2 operators stay float32 because opset 14", ["o.onnx"])
    case("float16 at opset 14", "-i m.onnx -o o.onnx --fp16 --opset 14", 0, "!is asked for", ["o.onnx"])
    for mode in ("--fp16", "--dynq"):
        for name in ("product", "bias"):
            case("a name of a part: %s %s" % (name, mode), "-i linear.onnx -o o.onnx %s --ignore_op_names %s" % (mode, name), 0,
                 ["1 left float: ignore_op_names (bias_Gemm[Gemm])", "!matches no"], ["o.onnx"], setup=put("linear.onnx", linear_model()))
    case("a name near that of a part", "-i linear.onnx -o o.onnx --fp16 --ignore_op_names produkt", 0, "did you mean product?", ["o.onnx"],
         setup=put("linear.onnx", linear_model()))
    case("a name that two nodes have", "-i same.onnx -o o.onnx --fp16 --ignore_op_names same", 0, ["2 left float: ignore_op_names", "!matches no"], ["o.onnx"],
         setup=put("same.onnx", same_names_model()))


def terminal(program, folder):
    """Names of a model do nothing to a terminal, on neither stream nor in the log file."""
    made = small_model()
    for node in made.graph.node:
        node.name = "\x1b[31m%s\n\x07\u009b" % node.op_type
    made.graph.node[-1].output[0] = made.graph.output[0].name = "y\x1b]0;title\x07"
    made.graph.node[1].op_type, made.graph.node[1].domain = "Re\tlu\x1b[2J", "com.acme"
    del made.opset_import[1:]
    made.opset_import.append(helper.make_opsetid("com.acme", 1))
    write(os.path.join(folder, "odd.onnx"), made.SerializeToString())
    write(os.path.join(folder, "c.json"), json.dumps(config({MODEL + "onnx_model": "odd.onnx", QUANTIZATION + "analysis_enable": True})))
    wrong, seen = [], b""
    for args in (["-c", "c.json"], ["-i", "odd.onnx", "-o", "o.onnx"], ["-i", "odd.onnx", "-o", "o.onnx", "--dynq"],
                 ["-c", "c.json", "--strict"]):
        done = execute(program, args + ["-v", "--log-file", "l.txt"], folder)
        if done.returncode != (1 if "--strict" in args else 0):
            wrong.append("%s: status %d, stderr: %s" % (args, done.returncode, done.stderr))
        with open(os.path.join(folder, "l.txt"), "rb") as file:
            texts = done.stdout + done.stderr + file.read()
        seen += texts
        raw = [byte for byte in texts if (byte < 0x20 and byte != 0x0a) or byte == 0x7f]
        if raw or b"\xc2\x9b" in texts:
            wrong.append("%s: raw control characters %s" % (args, sorted(set(raw))))
        if any(not line.startswith(b"xslim: ") for line in done.stderr.splitlines()):
            wrong.append("%s: a line of its own: %s" % (args, done.stderr))
    if rb"\x1b[31mRelu\n\x07\xc2\x9b[Re\tlu\x1b[2J]" not in seen:
        wrong.append("the names are not escaped but gone: %s" % seen)
    return wrong


def full_log(program, folder):
    """A log that cannot be written is said once, and does not keep the model from being written."""
    done = execute(program, ["-i", "m.onnx", "-o", "o.onnx", "-q", "--log-file", "/dev/full"], folder)
    if done.returncode != 0 or done.stderr != b"xslim: warning: /dev/full: cannot write the log file, which ends here (No space left on device)\n":
        return ["status %d, stderr: %s" % (done.returncode, done.stderr)]
    return [] if os.path.exists(os.path.join(folder, "o.onnx")) else ["no model"]


def other_opset(program, folder):
    """Statistics of a run with another opset are refused, and that is named as a cause."""
    write(os.path.join(folder, "c.json"), json.dumps(BASE))
    saved = execute(program, ["-c", "c.json", "--save-stats", "s.stats"], folder)
    loaded = execute(program, ["-c", "c.json", "--load-stats", "s.stats", "--opset", "21"], folder)
    if saved.returncode != 0 or loaded.returncode != 1 or b"s.stats: the statistics are of" not in loaded.stderr or b"--opset" not in loaded.stderr:
        return ["status %d, %d, stderr: %s" % (saved.returncode, loaded.returncode, loaded.stderr)]
    return []


def all_runs(program):
    for add in (place_cases, file_cases, run_cases, config_cases, input_cases, image_cases, setting_cases):
        add()
    runs = runs_of_cases(program)
    if os.path.exists("/dev/full"):
        runs.append(("full log", lambda folder: full_log(program, folder)))
    for name, function in (("terminal", terminal), ("other opset", other_opset)):
        runs.append((name, lambda folder, function=function: function(program, folder)))
    return runs


if __name__ == "__main__":
    sys.exit(main(all_runs))
