"""The cases of cli_test.py, by what they are about."""
import json
import os
import random

from cli_case import BASE, CALIBRATION, INPUT, MODEL, QUANTIZATION, case, static, write
from cli_models import external_model, unsized_model


def usage_cases():
    case("no arguments", "", 2, ["Usage:", "--config"])
    case("help", "--help", 0, ["Usage:", "Examples:", "--ignore_op_types A,B"])
    case("help of the config", "--help-config", 0, ["calibration_step", "matrix_weights"])
    case("version", "--version", 0, "xslim 0.")
    case("unknown option", "--nope", 2, ["xslim: error: unknown option --nope", "!did you mean"])
    for typed, meant in (("--ignor_op_types", "--ignore_op_types"), ("--op_set", "--opset"), ("--inptu", "--input_path"), ("-input", "--input_path"),
                         ("-opset=17", "--opset"), ("--calibrate", "")):
        case("mistyped " + typed, ["-i", "m.onnx", typed, "m.onnx", "-o", "o.onnx"], 2,
             ["unknown option " + typed.split("=")[0] + (" (did you mean %s?)" % meant if meant else ""), "!did you mean --version"])
    case("a control character in an option", ["--\x1b[31m"], 2, "--\\x1b[31m")
    for args in ("-i -o o.onnx", "-i m.onnx -o --dynq", "-i m.onnx -o o.onnx --ignore_op_types --dynq", "-c"):
        case("a value left out of " + args, args, 2, "its value is missing")
    case("an empty value", "--input_path= --output_path=o.onnx", 2, "--input_path: is empty")
    case("a model from standard input", "-i - -o o.onnx", 2, "--input_path: - does not stand for standard input")
    case("a model to standard output", "-i m.onnx -o -", 2, "--output_path: - does not stand for standard input or output")
    case("a key as option in the plural", "--mean_values 1", 2, "mean_value is a key of the configuration")
    case("a value like an option", ["-i", "m.onnx", "-o", "o.onnx", "--dynq", "--ignore_op_names=--dynq"], 0, '"--dynq" matches no operator', ["o.onnx"])
    case("a list with blanks", "-i m.onnx -o o.onnx --dynq --ignore_op_types Conv Relu", 2, ["'Relu' belongs to no option", "commas"])
    case("flags together", "-vq -i m.onnx -o o.onnx", 2, "-v and -q exclude each other")
    case("short options together", "-qim.onnx -oo.onnx", 0, files=["o.onnx"])
    case("an unknown short option", "-i m.onnx -qx -o o.onnx", 2, "unknown option -x")
    case("only -o", "-o o.onnx", 2, "both -i and -o")
    case("only -i", "-i m.onnx", 2, ["both -i and -o", "!Usage:"])
    case("option without its value", "-i", 2, "xslim: error:")
    case("opset a word", "-i m.onnx -o o.onnx --opset abc", 2, "--opset: expected an integer from 7 to 24, got 'abc'")
    case("opset 0", "-i m.onnx -o o.onnx --opset 0", 2, "--opset: expected an integer from 7 to 24, got '0'")
    case("opset 99", "-i m.onnx -o o.onnx --opset 99", 2, "--opset: expected an integer from 7 to 24, got '99'")
    case("threads -1", "-i m.onnx -o o.onnx --threads -1", 2, "threads")
    case("verbose and quiet", "-i m.onnx -o o.onnx -v -q", 2, "exclude")
    case("dynq", "-i m.onnx -o o.onnx --dynq", 0, ["DequantizeLinear", "before", "after"], ["o.onnx"])
    case("fp16", "-i m.onnx -o o.onnx --fp16", 0, ["Cast", "before", "after"], ["o.onnx"])
    case("bf16", "-i m.onnx -o o.onnx --bf16", 0, ["Cast", "no bfloat16 kernels for Conv, Relu: it will not load"], ["o.onnx"])
    case("bf16 of nothing that computes", "-i m.onnx -o o.onnx --bf16 --ignore_op_types Conv", 0, ["Cast", "kernels for Relu:"], ["o.onnx"])
    case("fp16 says nothing of kernels", "-i m.onnx -o o.onnx --fp16", 0, "!kernels", ["o.onnx"])
    case("quiet fp16", "-i m.onnx -o o.onnx --fp16 -q", 0, "!before", ["o.onnx"])
    case("ignored in fp16", "-i m.onnx -o o.onnx --fp16 --ignore_op_types Conv", 0, "2 left float: ignore_op_types", ["o.onnx"])
    case("ignored everywhere in dynq", "-i m.onnx -o o.onnx --dynq --ignore_op_names *", 0, "no weight can become integers", ["o.onnx"])
    case("misspelt name in dynq", "-i m.onnx -o o.onnx --dynq --ignore_op_names relu_2", 0, "did you mean relu_1?", ["o.onnx"])
    case("dynq of a quantized model", "-i q.onnx -o o.onnx --dynq", 0, ["the model is quantized already and stays as it is", "!stays float"], ["o.onnx"])
    case("dynq below its opset", "-i m.onnx -o o.onnx --dynq --opset 12", 1, "opset")
    for option in ("--min-cosine 0.9", "--max-snr 1", "--fail-on-collapse", "--baseline v.json", "--sensitivity", "--auto-precision 0.1"):
        case(option + " without a config", "-i m.onnx -o o.onnx " + option, 2, ["need an int8 run", option.split()[0]])
        static(option + " with dynq", args="-c c.json --dynq " + option, status=2, says="need an int8 run")
    static("statistics to save and to load", args="-c c.json --save-stats a --load-stats b", status=2, says="exclude each other")
    case("a pass that is not there", "-i m.onnx -o o.onnx --skip-pass fuse-pat", 2, ["no pass fuse-pat", "did you mean fuse-pad?"])
    for size in ("foo", "0M", "5T"):
        case("memory of " + size, "-i m.onnx -o o.onnx --max-memory " + size, 2, ["--max-memory", "no size"])
    case("an endless loop is not verified", "-i endless.onnx -o o.onnx", 0, ["not verified: adding[Loop]", "2000 steps"], ["o.onnx"])
    static("an endless loop in calibration", {MODEL + "onnx_model": "endless.onnx"}, 1,
           ["adding[Loop]", "500 steps", "allow more with XSLIM_LOOP_STEPS"], environment={"XSLIM_LOOP_STEPS": "500"})
    static("steps a word", {MODEL + "onnx_model": "endless.onnx"}, 1, "XSLIM_LOOP_STEPS=few", environment={"XSLIM_LOOP_STEPS": "few"})
    case("two modes", "-i m.onnx -o o.onnx --dynq --fp16", 2, "exclude each other")
    case("fp16-io alone", "-i m.onnx -o o.onnx --fp16-io", 2, "--fp16-io needs")
    case("weight bits alone", "-i m.onnx -o o.onnx --weight-bits 4", 2, "need --dynq")
    for bits in (0, 3, 6, "x"):
        case("weight bits %s" % bits, "-i m.onnx -o o.onnx --dynq --weight-bits %s" % bits, 2, "--weight-bits: %s is not 4 or 8" % bits)
    for names in (",", "Conv,,Relu", ""):
        case("an empty name in '%s'" % names, ["-i", "m.onnx", "-o", "o.onnx", "--dynq", "--ignore_op_types", names], 2, "--ignore_op_types")
    case("blanks in a list of names", ["-i", "m.onnx", "-o", "o.onnx", "--dynq", "--ignore_op_types", "Relu , Conv"], 0, ["ignore_op_types", "!matches no"], ["o.onnx"])
    case("underscores and hyphens", "--input-path m.onnx --output-path=o.onnx --no_verify", 0, files=["o.onnx"])
    case("beginnings of options", "--input m.onnx --out o.onnx", 0, files=["o.onnx"])
    case("a beginning of several options", "-i m.onnx -o o.onnx --ver", 2, "--ver is short for --verify and for --verbose")
    for short, says in (("--fp", "Cast"), ("--f", "Cast"), ("--dyn", "DequantizeLinear"), ("--op 18", "opset converted from 17 to 18")):
        case("a beginning of one option of XSlim: " + short, "-i m.onnx -o o.onnx " + short, 0, says, ["o.onnx"])
    case("a beginning of two options of XSlim", "-i m.onnx --o o.onnx", 2, "--o is short for --output_path and for --opset")
    case("a beginning of --help", "--he", 0, "Usage:")
    for key in ("--calibration_type", "--finetune-level"):
        case("a key as option " + key, [key, "1"], 2, key[2:].replace("-", "_") + " is a key of the configuration")
    for dash in "\u2013\u2014":
        case("a dash " + dash, ["-i", "m.onnx", "-o", "o.onnx", dash + "dynq"], 2, "it begins with a dash; options have hyphens")
    case("an option of no name", "-i m.onnx -o o.onnx --foo_bar=1", 2, "unknown option --foo_bar")
    for path in (".onnx", "dir/.onnx"):
        case("output " + path, "-i m.onnx -o " + path, 2, ["-o %s: has no name before .onnx" % path])
    for name, setup in (("folder", os.mkdir), ("pipe", os.mkfifo)):
        make = lambda folder, setup=setup: setup(os.path.join(folder, "odd"))  # noqa: E731
        case("a %s as log file" % name, "-i m.onnx -o o.onnx --log-file odd", 1, ["odd: cannot write the log file"], setup=make)
        case("a %s as operator library" % name, "-i m.onnx -o o.onnx --op-library odd", 1, ["odd: it is not a regular file"], setup=make)
    case("wrong weight block", "-i m.onnx -o o.onnx --dynq --weight-bits 4 --weight-block 48", 2, "--weight-block")
    case("log file over the model", "-i m.onnx -o o.onnx --log-file m.onnx", 1, "m.onnx")
    for option in ("--save-stats", "--profile", "--log-file"):  # written_files_test.cc: --preview
        for name, path in (("model", "m.onnx"), ("config", "./dir/../c.json"), ("list", "cal/list.txt"),
                           ("sample", "cal/03.npy"), ("script", "pre.py"), ("output model", "w/../w/out.onnx.data"),
                           ("report", "w/out_report.md"), ("verdict", "w/out_verdict.json")):
            static("%s over the %s" % (option, name), {INPUT + "preprocess_file": "pre.py:g"}, 1,
                   [option + " would overwrite", "!warning"], args="-c c.json %s %s" % (option, path))
        static(option + " over external data", {MODEL + "onnx_model": "ext.onnx"}, 1,
               [option + " would overwrite the model's external data"], args="-c c.json %s ext.bin" % option, setup=external_model)
        def linked(folder):
            external_model(folder)
            os.makedirs(os.path.join(folder, "l"))
            os.rename(os.path.join(folder, "ext.bin"), os.path.join(folder, "l", "ext.bin"))
            os.symlink("../ext.onnx", os.path.join(folder, "l", "ext.onnx"))
        static(option + " over external data beside a link", {MODEL + "onnx_model": "l/ext.onnx"}, 1,
               [option + " would overwrite the model's external data"], args="-c c.json %s l/ext.bin" % option, setup=linked)
        static(option + " over an operator library", status=1, says=option + " would overwrite an operator library",
               args="-c c.json --op-library text.onnx %s text.onnx" % option)
        static(option + " named like a model", status=1, says="has the name of a model", args="-c c.json %s new.onnx" % option)
    static("profile over the statistics", status=1, says="--profile would overwrite --save-stats",
           args="-c c.json --save-stats s.json --profile ./s.json")
    static("log file beside them", args="-c c.json --save-stats s.stats --profile p.json --log-file l.txt",
           files=["l.txt", "p.json", "s.stats", "w/out.onnx"])
    case("unknown instruction set", "-i m.onnx -o o.onnx", 1, ["XSLIM_ISA=bogus", "scalar"],
         environment={"XSLIM_ISA": "bogus"})
    case("log file in a folder that is not there", "-i m.onnx -o o.onnx --log-file logs/l.txt", 1, ["logs/l.txt", "no folder logs"])
    case("log file below a file", "-i m.onnx -o o.onnx --log-file text.onnx/log", 1, "text.onnx/log")
    case("two models", "-i none.onnx -i m.onnx -o o.onnx", 0, "--input_path is given more than once: the last one counts, m.onnx",
         ["o.onnx"])
    case("two opsets", "--opset=99 -i m.onnx -o o.onnx --opset 17", 0, "--opset is given more than once: the last one counts, 17",
         ["o.onnx"])
    case("a word too much", "-i m.onnx -o o.onnx more", 2, "'more' belongs to no option (a model goes to -i")
    case("two dashes", "-i m.onnx -o o.onnx -- more", 2, "'--' belongs to no option")


def shape_cases():
    slim = "-i two.onnx -o o.onnx "
    case("sizes without a name", "-i m.onnx -o o.onnx --input-shapes 1,3,8,8", files=["o.onnx"])
    case("sizes with blanks", ["-i", "m.onnx", "-o", "o.onnx", "--input-shapes", "x: 1, 3, 8, 8"], files=["o.onnx"])
    case("no sizes", ["-i", "m.onnx", "-o", "o.onnx", "--input-shapes", ""], 2, "expected sizes like 1,3,224,224")
    case("sizes that the model cannot run with", "-i open.onnx -o o.onnx --input-shapes x:1,3,7,8", 1,
         ["open.onnx: input_shapes: the model cannot run with x:1,3,7,8: flat[Reshape]: ", "give sizes that it is made for"])
    case("a size of 0", "-i open.onnx -o o.onnx --input-shapes x:1,3,0,8", 1,
         ["open.onnx: input_shapes: x: the size 0 on axis 2 leaves it without elements", "give 1 or more"])
    case("two sizes of open ones", "-i open.onnx -o o.onnx --input-shapes 1,3,4,16", files=["o.onnx"])
    static("sizes without a name stand in for the config's", {MODEL + "input_shapes": {"x": [1, 3, 9, 9]}}, args="-c c.json --input-shapes 1,3,8,8")
    case("sizes of two inputs behind one option", slim + "--input-shapes a:1,2 b:1,2", 2, "--input-shapes may be repeated")
    case("sizes that are no numbers", "-i m.onnx -o o.onnx --input-shapes 1,3,x,8", 2, ["--input-shapes 1,3,x,8", "got 'x'"])
    case("sizes that end in a comma", "-i m.onnx -o o.onnx --input-shapes 1,3,8,8,", 2, "got ''")
    case("sizes of another rank", "-i m.onnx -o o.onnx --input-shapes 1,3", 1, ["m.onnx: input_shapes: ", "2 are given"])
    case("sizes without a name for two inputs", slim + "--input-shapes 1,3", 1, "names no input, and the model has 2")
    case("channels that the model does not take", "-i unsized.onnx -o o.onnx --no-verify --input-shapes 1,5,8,8", 1,
         ["unsized.onnx: input_shapes: the model cannot run with 1,5,8,8: ", "!is not valid"], setup=unsized_model)
    case("sizes that it takes", "-i unsized.onnx -o o.onnx --input-shapes x:1,3,-1,8", files=["o.onnx"], setup=unsized_model)
    static("sizes in the config", {MODEL + "input_shapes": [1, 2]}, 1, "model_parameters.input_shapes: expected an object of lists")
    static("sizes of an input that is not there", {MODEL + "input_shapes": {"nope": [1]}}, 1, "input_shapes: nope: the model has no input")
    static("codes at both ends", {QUANTIZATION + "analysis_enable": True}, args="-c c.json --int8-io",
           says=["input x holds codes: value = (code ", "output y holds codes"], files=["w/out.onnx", "w/out_report.md", "w/out_verdict.json"])
    case("codes without an int8 run", "-i m.onnx -o o.onnx --int8-io", 2, "--int8-io needs an int8 run")
    static("codes in a dynamic run", status=2, args="-c c.json --dynq --int8-io", says="-c, without --dynq, --fp16 and --bf16")
    case("what SpacemiT's provider leaves", "-i m.onnx -o o.onnx --opset 24", files=["o.onnx"],
         says=["SpacemiT's provider takes", "on the CPU: version 22 of the operator, 11 is the newest that it knows", "to leave fewer to the CPU: --opset 21, with fewer"])


def simplify_cases():
    case("simplify to a new file", "-i m.onnx -o o.onnx", 0, "o.onnx", ["o.onnx"])
    case("simplify into a folder", "-i m.onnx -o dir", 0, (), ["dir/m.onnx"])
    case("simplify to a file in a new folder", "-i m.onnx -o new/deep/o.onnx", 0, (), ["new/deep/o.onnx"])
    case("simplify to a name without .onnx", "-i m.onnx -o plain", 0, (), ["plain/m.onnx"])
    case("simplify quietly with a log file", "-i m.onnx -o o.onnx -q --log-file l.txt", 0, (), ["l.txt", "o.onnx"])
    case("simplify onto the input", "-i m.onnx -o m.onnx", 1, "m.onnx")
    case("simplify onto the input by another path", "-i m.onnx -o ./dir/../m.onnx", 1, "m.onnx")
    case("simplify into the input's folder", "-i m.onnx -o .", 0, (), ["m.q.onnx"])
    case("simplify with options of calibration", "-i m.onnx -o o.onnx --save-stats s.stats", 0, "no effect without calibration",
         ["o.onnx"])
    case("model without inputs", "-i noin.onnx -o o.onnx", 0, (), ["o.onnx"])
    case("already quantized model, simplify", "-i q.onnx -o o.onnx", 0, (), ["o.onnx"])
    case("missing input", "-i nope.onnx -o o.onnx", 1, "nope.onnx")
    case("folder as input", "-i dir -o o.onnx", 1, "dir")
    case("truncated model", "-i corrupt.onnx -o o.onnx", 1, "corrupt.onnx")
    case("text as model", "-i text.onnx -o o.onnx", 1, "text.onnx")
    case("empty file as model", "-i zero.onnx -o o.onnx", 1, "zero.onnx")
    case("unwritable output folder", "-i m.onnx -o /proc/nope/o.onnx", 1, "/proc/nope")
    case("file where the output folder should be", "-i m.onnx -o text.onnx/o.onnx", 1, "text.onnx")

    case("a config as model", "-i comments.json -o o.onnx", 1, ["comments.json", "configuration goes to -c"])
    case("a device as output", "-i m.onnx -o /dev/null", 1, ["/dev/null", "neither a .onnx file nor a folder"])
    case("a model of another format as output", "-i m.onnx -o o.tflite", 2, ["-o o.tflite", "is not the name of a .onnx file"])
    case("external data of a small model", "-i noin.onnx -o o.onnx --external-data", 0, "no tensor of the model is large enough", ["o.onnx"])
    case("functions that are not there", "-i m.onnx -o o.onnx --spacemit-functions", 0, "warning: spacemit_functions has no effect", ["o.onnx"])
    for mode in ("", " --fp16", " --dynq"):
        case("quiet, two channels too many" + mode, "-q -i channels.onnx -o o.onnx" + mode, 1,
             ["channels.onnx", "a_conv[Conv]: channels of the data and those that the weight is for: 3 and 4"])
        case("no bias for an Add" + mode, "-i missing.onnx -o o.onnx" + mode, 1, ["add[Add]", "input 1 left out"])
        case("two types in an Add" + mode, "-i types.onnx -o o.onnx" + mode, 1, ["add[Add]", "float32 and int64 together"])
        case("quiet, an attribute too many" + mode, "-q -i attribute.onnx -o o.onnx" + mode, 0,
             ["warning: the model is not valid ONNX", "relu[Relu]", "attribute alpha"], ["o.onnx"], valid=False)
        case("quiet, an index that is not there" + mode, "-q -i slice.onnx -o o.onnx" + mode, 1, ["far[Gather]", "index 70"])
        case("another type than declared" + mode, "-i declared.onnx -o o.onnx" + mode, 1, ["relu[Relu]", "output y, which is declared as int64"])
        case("no outputs" + mode, "-i nothing.onnx -o o.onnx" + mode, 1, ["nothing.onnx", "it has no outputs"])
        case("quiet, an operator that is not there" + mode, "-q -i twist.onnx -o o.onnx" + mode, 0,
             ["warning: the model is not valid ONNX: twist[Twist]: opset 17 has no operator Twist"], ["o.onnx"], valid=False)
    case("NaN in a weight, fp16", "-q -i nanw.onnx -o o.onnx --fp16", 0, "warning: constant y_conv_w holds NaN", ["o.onnx"])
    case("numbers too small for fp16", "-i tiny.onnx -o o.onnx --fp16", 0, "1 left float: tiny_w is too small for float16", ["o.onnx"])
    case("the same in bf16", "-i tiny.onnx -o o.onnx --bf16", 0, "!2^-25", ["o.onnx"])
    case("NaN in a weight, dynq", "-q -i nanw.onnx -o o.onnx --dynq", 0,
         "warning: y_conv[Conv] stays float: its weights hold NaN", ["o.onnx"])
    case("an unknown operator that was to be verified", "-q -i unknown.onnx -o o.onnx --verify", 0, "warning: not verified")
    case("an unknown operator", "-q -i unknown.onnx -o o.onnx", 0, "!warning")
    def reports(folder):
        write(os.path.join(folder, "o_verdict.json"), "{}")
        write(os.path.join(folder, "o_report.md"), "old")
    case("reports of an earlier run", "-i m.onnx -o o.onnx --dynq", 0,
         ["o_verdict.json is of an earlier run", "o_report.md is of an earlier run"], ["o.onnx"], setup=reports)

    case("data of an earlier run", "-i m.onnx -o o.onnx", 0, "o.onnx.data is of an earlier run and no part of", ["o.onnx"],
         setup=lambda folder: write(os.path.join(folder, "o.onnx.data"), "old"))

    def random_bytes(seed):
        def setup(folder):
            source = random.Random(seed)
            whole = bytearray(open(os.path.join(folder, "m.onnx"), "rb").read())
            for _ in range(1 + seed):
                whole[source.randrange(len(whole))] = source.randrange(256)
            write(os.path.join(folder, "r.onnx"), bytes(whole[:source.randrange(1, len(whole) + 1)]))
        return setup
    for seed in range(24):  # either refused cleanly or, where the change is harmless, simplified
        case("damaged model %d" % seed, "-i r.onnx -o o.onnx", None, setup=random_bytes(seed))


def path_cases():
    static("config alone")
    static("config and -i", args="-c c.json -i m.onnx", files=["w/m.onnx"])
    static("config and -i, no working_dir", args="-c c.json -i m.onnx", remove=[MODEL + "working_dir", MODEL + "output_prefix"],
           files=["m.q.onnx"])
    static("config and -o file", args="-c c.json -o x/y.onnx", files=["x/y.onnx"])
    static("config and -o file in capitals", args="-c c.json -o x/y.ONNX", files=["x/y.ONNX"])
    static("config and -o new folder", args="-c c.json -o nd", files=["nd/out.onnx"])
    static("config without working_dir and prefix", remove=[MODEL + "working_dir", MODEL + "output_prefix"],
           files=["m.q.onnx"])
    static("config and -o equal to the input", args="-c c.json -o m.onnx", status=1, says="m.onnx")
    static("config whose prefix names the input", {MODEL + "output_prefix": "m", MODEL + "working_dir": "."}, None)
    static("config and --opset", args="-c c.json --opset 17")
    static("analysis", {QUANTIZATION + "analysis_enable": True}, files=["w/out.onnx", "w/out_report.md", "w/out_verdict.json"],
           says=["output y: SNR", "cosine", "w/out_report.md"])
    static("ignored operator types", args="-c c.json --ignore_op_types Relu,Add")
    static("ignored names, given twice", args="-c c.json --ignore_op_names relu_1 --ignore_op_names a_conv")
    static("report cannot be written", {QUANTIZATION + "analysis_enable": True}, status=1, says="out_report.md",
           setup=lambda folder: os.makedirs(os.path.join(folder, "w", "out_report.md", "sub")))


def config_cases():
    case("a config of endless lists", "-c deep.json -i m.onnx -o o.onnx", 1, "deep.json: lists and objects stand over 100 deep in one another",
         setup=lambda folder: write(os.path.join(folder, "deep.json"), '{"model_parameters": {"opset": ' + "[" * 200000 + "]" * 200000 + "}}"))
    case("missing config", "-c nope.json", 1, "nope.json")
    case("bad JSON", "-c bad.json", 1, ["bad.json", "line 1, column 46"])
    case("a comma too many", "-c comma.json", 1, ["comma.json", "line 2", "remove the comma before the }"])
    case("a model as config", "-c m.onnx", 1, ["m.onnx", "a model goes to -i"])
    static("an empty shape", {INPUT + "input_shape": []}, says="input_shape: is empty, so that the model's own shape counts")
    static("opset 12", args="-c c.json --opset 12", status=1, says=["c.json: model_parameters.opset (or --opset)", "needs opset 13"])
    case("comments", "-c comments.json", 0, (), ["w/out.onnx"])
    case("bare strings", "-c remarks.json", 0, "taken as a comment", ["w/out.onnx"])
    case("empty config", "-c c.json", 1, "c.json", (), {})
    static("no calibration", remove=["calibration_parameters"], status=1, says="Calibration input_parameters")
    static("onnx_model missing", {MODEL + "onnx_model": "nope.onnx"}, 1, "nope.onnx")
    static("unknown top key", {"modle_parameters": {"a": 1}}, says="did you mean model_parameters?")
    static("unknown inner key", {CALIBRATION + "calibration_steps": 50}, says="did you mean calibration_step?")
    static("a key of another object", {QUANTIZATION + "calibration_type": "mse"},
           says="quantization_parameters.calibration_type: unknown key, ignored (it belongs in calibration_parameters)")
    static("input_parametres", {CALIBRATION + "input_parametres": BASE["calibration_parameters"]["input_parameters"]},
           remove=[CALIBRATION + "input_parameters"])
    static("calibration_type", {CALIBRATION + "calibration_type": "entropy"}, 1,
           "calibration_type entropy not implemented yet.")
    for kind in ("default", "kl", "percentile", "mse"):
        static("calibration_type " + kind, {CALIBRATION + "calibration_type": kind})
    static("file_type", {INPUT + "file_type": "jpeg"}, 1, "file_type jpeg not implemented yet.")
    static("color_format", {INPUT + "color_format": "hsv"}, 1, "color_format: expected one of bgr, rgb")
    static("precision_level 7", {QUANTIZATION + "precision_level": 7}, 1, "precision_level")
    static("precision_level 3", {QUANTIZATION + "precision_level": 3}, 0, "DequantizeLinear", files=["w/out.onnx"])
    static("precision_level 4", {QUANTIZATION + "precision_level": 4}, 0, "Cast", files=["w/out.onnx"])
    static("precision_level 3 without data", {QUANTIZATION + "precision_level": 3}, 0, remove=["calibration_parameters"],
           files=["w/out.onnx"])
    static("weight_bits 5", {QUANTIZATION + "precision_level": 3, QUANTIZATION + "weight_bits": 5}, 1, "8 or 4")
    case("precision_level 100", "-c c.json", 0, (), ["w/m.q.onnx"],
         {"model_parameters": {"onnx_model": "m.onnx", "working_dir": "w"},
          "quantization_parameters": {"precision_level": 100}})
    static("finetune_level 5", {QUANTIZATION + "finetune_level": 5}, 1, "finetune_level")
    static("finetune_level 2", {QUANTIZATION + "finetune_level": 2}, says=["tuned on 12 samples", "!learn"])
    static("finetune_level 3", {QUANTIZATION + "finetune_level": 3}, says=["info: learning on 9 samples is taken back", "!failed"])
    static("finetune_level not given", remove=[QUANTIZATION + "finetune_level"], says=["tuned on ", "!warning"])
    static("finetune_level 0", says="!tuned on ")
    for dots in (".", ".."):
        static("output_prefix " + dots, {MODEL + "output_prefix": dots}, 1, "output_prefix " + dots + " is not a file name")
    case("an output of dots", "-i m.onnx -o ..onnx", 2, "-o ..onnx: has no name before .onnx")
    static("output_prefix with a folder", {MODEL + "output_prefix": "a/b"}, 1, "model_parameters.output_prefix")
    case("config that is a list", "-c c.json", 1, "expected an object", (), [1, 2])
    static("device cuda", {CALIBRATION + "calibration_device": "cuda"}, says="cpu")
    static("device tpu", {CALIBRATION + "calibration_device": "tpu"}, 1, "tpu")
    static("calibration_step 5", {CALIBRATION + "calibration_step": 5}, says=["10 to 1000", "calibrating on 5 of 12 samples"])
    static("calibration_step 2000", {CALIBRATION + "calibration_step": 2000}, says="10 to 1000")
    static("calibration_step as text", {CALIBRATION + "calibration_step": "100"}, 1, "c.json: calibration_parameters.calibration_step")
    static("mean_value a number", {INPUT + "mean_value": 127.5}, 1, "input_parameters[0].mean_value: expected numbers")
    static("max_percentile 0.5", {QUANTIZATION + "max_percentile": 0.5}, 1, "max_percentile")
    static("empty input_parameters", {CALIBRATION + "input_parameters": []}, 1, "Calibration input_parameters")
    static("truncate twice the same", {QUANTIZATION + "truncate_var_names": ["r", "r"]}, 1, "duplicate")
    static("truncate", {QUANTIZATION + "truncate_var_names": ["r"]}, says=["below truncate_var_names (r)", "!warning"])
    static("truncate at an unknown tensor", {QUANTIZATION + "truncate_var_names": ["rr"]}, 1,
           ["truncate_var_names contains non-existent tensor names: rr", "did you mean r?"])
    static("truncate at a tensor above another", {QUANTIZATION + "truncate_var_names": ["a", "r"]}, 1,
           ["c.json: quantization_parameters.truncate_var_names: truncate graph failed.", "tensor a lies above"])
    images = {INPUT + "file_type": "img", INPUT + "data_list_path": "cal/img.txt"}
    static("a mean of arrays", {INPUT + "mean_value": [1, 2, 3], INPUT + "color_format": "rgb"},
           says="input_parameters[0]: no effect on files of arrays: mean_value, color_format")
    static("a mean of images", {**images, INPUT + "mean_value": [1, 2, 3], INPUT + "dtype": "float32"}, says="!no effect")
    static("two means for three channels", {**images, INPUT + "mean_value": [1, 2]}, 1, "input_parameters[0].mean_value: 2 values for 3")
    static("dtype of images", {**images, INPUT + "dtype": "uint8"}, says="no effect on images, which are read as float32: dtype")
    static("dtype that the file contradicts", {INPUT + "dtype": "int64"}, says=["00.npy: holds float32", "[0].dtype says int64", "no effect"])
    static("dtype that the file agrees with", {INPUT + "dtype": "float32"}, says="!no effect")
    static("preprocessing of no data", {INPUT + "std_value": [2.5], INPUT + "preprocess_file": "IMAGENET"}, remove=[INPUT + "data_list_path"],
           says="no effect on an input without data_list_path: std_value, preprocess_file, file_type")
    static("settings of dynq in int8", {QUANTIZATION + "weight_bits": 4, QUANTIZATION + "half_io": True},
           says="c.json: weight_bits, half_io have no effect at precision_level 0")
    static("a setting of dynq beside an option of it", {QUANTIZATION + "half_io": True}, args="-c c.json --weight-bits 4",
           says=["c.json: half_io has no effect at precision_level 0", "warning: --weight-bits has no effect at precision_level 0"])
    static("truncate in dynq", {QUANTIZATION + "truncate_var_names": ["r"], QUANTIZATION + "precision_level": 3}, 0,
           "have no effect at precision_level 3")
    static("precision_level 2", {QUANTIZATION + "precision_level": 2})
    static("placement fused", {QUANTIZATION + "placement": "fused"}, says="!warning")
    part = {"input_names": ["x"], "output_names": ["r"]}
    static("custom_setting", {QUANTIZATION + "custom_setting": [{**part, "precision_level": 3}]},
           says=["custom_setting[0]: precision_level 3", "!warning"])
    static("overlapping custom_setting", {QUANTIZATION + "custom_setting": [
        {**part, "max_percentile": 0.99}, {"input_names": ["a"], "output_names": ["y"], "max_percentile": 0.999}]},
        says="custom_setting[1] overlaps an earlier entry")
    static("custom_setting of an unknown tensor", {QUANTIZATION + "custom_setting": [{**part, "output_names": ["rr"]}]}, 1,
           ["custom_setting[0].output_names: the model has no tensor rr", "did you mean r?"])
    static("custom_setting without outputs", {QUANTIZATION + "custom_setting": [{"input_names": ["x"]}]}, 1, "output_names")
    static("custom_setting type", {QUANTIZATION + "custom_setting": [
        {"input_names": ["x"], "output_names": ["y"], "calibration_type": "nonsense"}]}, 1, "nonsense")
    static("unknown ignored name", {QUANTIZATION + "ignore_op_names": ["relu_2"]}, says=["\"relu_2\"", "did you mean relu_1?"])
    static("unknown ignored type", {QUANTIZATION + "ignore_op_types": ["Cnv"]}, says=["\"Cnv\"", "did you mean Conv?"])
    static("every operator ignored", {QUANTIZATION + "ignore_op_types": ["*"]}, says="no operator can be quantized")
    static("int32 bias", environment={"XQUANT_BIAS_TO_FP32": "0"})
    static("bias of another word", status=1, says=["XQUANT_BIAS_TO_FP32=banana", "expected 0 or 1"], environment={"XQUANT_BIAS_TO_FP32": "banana"})
    static("numbers too small for int8", {MODEL + "onnx_model": "tiny.onnx"}, says=["warning: numbers too small for int8", "tiny_w"])
    static("an idle stage is not in the report", {QUANTIZATION + "analysis_enable": True, QUANTIZATION + "learning": False},
           files=["w/out.onnx", "w/out_report.md", "w/out_verdict.json"], says="learning has no effect at finetune_level 0")


def baseline(snr, name="base.json", **changes):
    """A setup that writes a verdict of an earlier run of m.onnx."""
    def setup(folder):
        part = {"tensor": "y", "snr": snr, "cosine": 0.9, "saturated": 0, "collapse": None}
        verdict = {"format": 1, "macs": 4, "int8_macs": 1, "stays_float": [], "outputs": [
            {"name": "y", "samples": 16, "snr": snr, "cosine": 0.9, "parts": [part]}], **changes}
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, json.dumps(verdict))
    return setup


def baseline_cases():
    both, key = ["w/out.onnx", "w/out_verdict.json"], QUANTIZATION + "baseline"
    report = {QUANTIZATION + "analysis_enable": True}
    static("a baseline that is kept to", {key: "base.json"}, setup=baseline(0.5), files=both,
           says=["baseline: output y is better than in the baseline: SNR 0.5 -> ", "baseline: multiply-adds in int8: 25 % -> 100 %"])
    static("a baseline that is missed", report, 3, ["misses its gates: baseline: output y is worse than in the baseline: SNR 1e-05 -> "],
           both + ["w/out_report.md"], args="-c c.json --baseline base.json", setup=baseline(1e-5))
    static("a baseline with its tolerance", {key: "none.json"}, setup=baseline(1e-5), files=both, says="within 1e+05 %",
           args="-c c.json --baseline base.json --baseline-tolerance 1000")
    static("a baseline of NaN", {key: "base.json"}, setup=baseline(None), files=both, says="better than in the baseline: SNR nan -> ")
    static("a baseline of another output", {key: "base.json"}, 3,
           ["misses its gates: baseline: output z is in the baseline and not in this model", "baseline: output y is not in the baseline"], both,
           setup=baseline(1, outputs=[{"name": "z", "samples": 16, "snr": 1, "cosine": 1, "parts": []}]))
    static("a baseline of other inputs", {key: "base.json"}, setup=baseline(1, manifest={"model": "ab", "options": ["--dynq"]}), files=both,
           says="baseline: the baseline is of other inputs (manifest): model, options")
    static("a baseline without the gates of now", {key: "base.json"}, setup=baseline(1, manifest={"options": []}), files=both, says="!of other inputs",
           args="-c c.json --baseline-tolerance 0.2 --max-snr 1 --min-cosine 0 --fail-on-collapse --sensitivity")
    static("a baseline that is not there", {key: "none.json"}, 1, "error: baseline: none.json: cannot open the file")
    static("a model as baseline", {key: "m.onnx"}, 1, "m.onnx: this is no verdict of xslim: it is not valid JSON (give the")
    static("a config as baseline", {key: "c.json"}, 1, "c.json: this is no verdict of xslim: it has no format")
    static("a baseline of a later format", {key: "base.json"}, 1, "base.json: format: a verdict of format 2 is not known",
           setup=baseline(1, format=2))
    static("a baseline of endless lists", {key: "base.json"}, 1, "base.json: lists and objects stand over 100 deep in one another",
           setup=lambda folder: write(os.path.join(folder, "base.json"), '{"format": 1, "macs": ' + "[" * 200000 + "]" * 200000 + "}"))
    static("a folder as baseline", {key: "dir"}, 1, "dir: is a folder, not a file")
    static("no name of a baseline", {key: ""}, 1, "quantization_parameters.baseline: is empty")
    static("the run's own verdict as baseline", {key: "w/out_verdict.json"}, 1,
           "w/out_verdict.json: this run's verdict would take the place of its baseline (keep the baseline under another name)",
           setup=baseline(1, "w/out_verdict.json"))
    static("a tolerance below 0", {QUANTIZATION + "baseline_tolerance": -0.1}, 1, "baseline_tolerance: expected a number from 0 to 1000")
    static("a tolerance of nothing", args="-c c.json --baseline-tolerance 0.2", says="warning: --baseline-tolerance has no effect without baseline")
    static("a baseline in dynq", args="-c c.json --dynq --baseline base.json", status=2, says="--baseline, --sensitivity", setup=baseline(1))


def preview_cases():
    images = {INPUT + "file_type": "img", INPUT + "data_list_path": "cal/img.txt"}
    static("a preview", images, args="-c c.json --preview p.png", files=["p.png", "w/out.onnx"],
           says=["input x as fed in sample 1 (cal/img.txt:1): float32[1,3,8,8]; channel 0 ", "wrote p.png"])
    static("a preview again", images, args="-c c.json --preview p.png -q", files=["p.png", "w/out.onnx"], says="!as fed")
    static("figures without a preview", images, args="-c c.json -v", files=["w/out.onnx"], says=["input x as fed in", "!wrote p.png"])
    two = [{"input_name": name, "file_type": "npy"} for name in ("a", "b")]
    static("a preview of two inputs", {MODEL + "onnx_model": "two.onnx", CALIBRATION + "input_parameters": two},
           args="-c c.json --preview p.png", files=["p.png", "w/out.onnx"], says=["input a as fed in sample 1: float32[1,3,8,8]; channel 0 0 .. 0", "input b as fed in"])
    static("a preview of another type", args="-c c.json --preview p.jpg", status=2, says="--preview p.jpg: is not the name of a .png file")
    static("a preview in no folder", args="-c c.json --preview new/p.png", status=1, says=["--preview: new/p.png", "there is no folder new"])
    static("a preview over a sample", images, args="-c c.json --preview cal/03.png", status=1, says="--preview would overwrite calibration data")
    case("a preview without data", "-i m.onnx -o o.onnx --preview p.png", 0, "--preview has no effect without calibration", ["o.onnx"])


def dry_run_cases():
    static("a dry run", {MODEL + "working_dir": "new/w"}, args="-c c.json --dry-run",
           says=["int8   input x: Q/DQ behind x", "int8   a_conv[Conv]: rounds once", "operators in int8, 100.0 % of", "!calibrating", "!new/w"], files=[])
    static("what a dry run says stays float", {QUANTIZATION + "ignore_op_types": ["Conv"], QUANTIZATION + "max_snr": 0.1}, args="-c c.json --dry-run -q",
           says=["float  a_conv[Conv]: ignore_op_types", "0 of 3 operators", "max_snr has no effect with --dry-run, which measures nothing"], files=[])
    static("a dry run with a preview", {INPUT + "file_type": "img", INPUT + "data_list_path": "cal/img.txt"}, args="-c c.json --dry-run --preview p.png",
           files=["p.png"], says=["int8   a_conv", "wrote p.png"])
    static("a dry run saves no statistics", args="-c c.json --dry-run --save-stats s.stats", files=[], says="--save-stats has no effect with --dry-run")
    static("a dry run without data", args="-c c.json --dry-run", remove=[INPUT + "data_list_path"], says=["int8   a_conv", "calibrated on zeros"], files=[])
    static("a dry run of an unknown tensor", {QUANTIZATION + "truncate_var_names": ["rr"]}, 1, "non-existent tensor names: rr", args="-c c.json --dry-run")
    static("a dry run of another level", {QUANTIZATION + "precision_level": 4}, 2, "--dry-run: needs precision_level 0, 1 or 2", args="-c c.json --dry-run")
    case("a dry run without a config", "-i m.onnx -o o.onnx --dry-run", 2, "--dry-run needs an int8 run with data")


def gate_cases():
    both, verdict = ["w/out.onnx", "w/out_verdict.json"], QUANTIZATION + "max_snr"
    static("gates that are met", {verdict: 0.5, QUANTIZATION + "min_cosine": 0.9, QUANTIZATION + "fail_on_collapse": True},
           says=["output y: SNR", "w/out_verdict.json"], files=both)
    static("gates of the command line", args="-c c.json --max-snr 0.5 --min-cosine 0.9 --fail-on-collapse", files=both)
    static("SNR gate that is missed", {verdict: 1e-9}, 3, ["misses its gates: output y: SNR", "is over 1e-09"], both)
    static("cosine gate that is missed, quietly", args="-c c.json -q --min-cosine 1", status=3,
           says=["output y: cosine", "!model:"], files=both)
    static("the command line overrides a gate", {verdict: 1e-9}, args="-c c.json --max-snr 0.5", files=both)
    static("a missed gate with report", {verdict: 1e-9, QUANTIZATION + "analysis_enable": True}, 3, "misses its gates",
           both + ["w/out_report.md"])
    static("NaN misses a gate", {MODEL + "onnx_model": "log.onnx", verdict: 0.5}, 3,
           ["output y: NaN or infinity on a sample of the report", "!SNR nan is over"], both)
    joined = {MODEL + "onnx_model": "joined.onnx", QUANTIZATION + "fail_on_collapse": True}
    static("collapse of a part", dict(joined, **{QUANTIZATION + "protect_outputs": "never"}), 3,
           ["warning: output y, part small has collapsed: its elements are all", "misses its gates"], both)
    static("no collapse where outputs are protected", joined, 0, "!collapsed", both)
    static("collapse without the gate", dict(joined, **{QUANTIZATION + "protect_outputs": "never",
                                                        QUANTIZATION + "fail_on_collapse": False, QUANTIZATION + "analysis_enable": True}),
           0, "has collapsed", both + ["w/out_report.md"])
    static("SNR gate of a part", {MODEL + "onnx_model": "joined.onnx", QUANTIZATION + "protect_outputs": "never", verdict: 0.5}, 3,
           ["output y, part small: SNR", "!gates: output y: SNR"], both)
    static("cosine over 1", {QUANTIZATION + "min_cosine": 1.5}, 1, "min_cosine: expected a number from -1 to 1")
    static("SNR a word", args="-c c.json --max-snr small", status=2, says="--max-snr")
    static("verdict cannot be written", {verdict: 0.5}, 1, "out_verdict.json",
           setup=lambda folder: os.makedirs(os.path.join(folder, "w", "out_verdict.json", "sub")))
    for key, value in (("max_snr", 0.1), ("min_cosine", 0.9), ("fail_on_collapse", True), ("baseline", "v.json"), ("sensitivity", True),
                       ("auto_precision", 0.01)):
        static(key + " in another mode", {QUANTIZATION + key: value, QUANTIZATION + "precision_level": 3}, 1,
               ["c.json: quantization_parameters." + key, "calibrated"])
    baseline_cases()
    case("gate without a config", "-i m.onnx -o o.onnx --max-snr 0.1", 2, "--max-snr")


def precision_cases():
    both = ["w/out.onnx", "w/out_verdict.json"]
    static("sensitivity", {QUANTIZATION + "sensitivity": True}, files=both,
           says=["sensitivity on ", "a_conv[Conv]", "accuracy by share of int8", "100.0 %"])
    static("sensitivity with report", {QUANTIZATION + "analysis_enable": True}, args="-c c.json --sensitivity",
           files=both + ["w/out_report.md"])
    static("auto_precision that has nothing to do", {QUANTIZATION + "auto_precision": 0.5}, files=both,
           says=["0 of 2 operators left float", "!out of reach"])
    static("auto_precision", args="-c c.json --auto-precision 5e-5", files=both, says=["auto_precision", "left float"])
    static("auto_precision out of reach", {QUANTIZATION + "auto_precision": 1e-6}, files=both,
           says=["the target 1e-06 is out of reach", "output y has the SNR"])
    static("auto_precision with a gate", {QUANTIZATION + "auto_precision": 1e-6, QUANTIZATION + "max_snr": 1e-6}, 3,
           "misses its gates", both)
    static("auto_precision of 0", {QUANTIZATION + "auto_precision": 0}, 1, "auto_precision: expected a number from 1e-06")
    for value in ("0", "9e-7", "1000001", "nan"):
        static("--auto-precision " + value, args="-c c.json --auto-precision " + value, status=2, says="--auto-precision")
    static("precision_level 1", {QUANTIZATION + "precision_level": 1}, files=both, says="SNR of at most 0.001")
    static("auto_precision without int8 operators", {QUANTIZATION + "auto_precision": 0.1, QUANTIZATION + "ignore_op_types": ["*"]},
           1, "there are none")
    static("auto_precision and tuning", {QUANTIZATION + "auto_precision": 1e-4, QUANTIZATION + "finetune_level": 1}, files=both)


def data_cases():
    static("five samples", {INPUT + "data_list_path": "cal/five.txt"})
    static("one sample", {INPUT + "data_list_path": "cal/one.txt"})
    static("batches of 4", {CALIBRATION + "calibration_batch_size": 4}, None)
    static("batches of 4 with a batch fixed at 1", {CALIBRATION + "calibration_batch_size": 4}, 1, args="-c c.json --input-shapes 1,3,8,8",
           says=["calibration_parameters.calibration_batch_size: puts 4 samples together", "fixes the batch at 1 (leave it out"])
    static("batch over the samples", {CALIBRATION + "calibration_batch_size": 50}, 1, "50")
    zeros = "warning: calibrated on zeros: ranges mean nothing"
    static("no list", remove=[INPUT + "data_list_path"], says=zeros)
    static("no list and a gate", {QUANTIZATION + "max_snr": 100}, 3, ["max_snr: calibrated on zeros"],
           ["w/out.onnx", "w/out_verdict.json"], remove=[INPUT + "data_list_path"])
    static("samples of zeros and a gate", {INPUT + "data_list_path": "cal/zeros.txt", QUANTIZATION + "max_snr": 100}, 3,
           [zeros, "max_snr: calibrated on zeros"], ["w/out.onnx", "w/out_verdict.json"])
    static("one sample that is not zeros", {INPUT + "data_list_path": "cal/somezeros.txt"}, says="!calibrated on zeros")
    static("empty name of a list", {INPUT + "data_list_path": ""}, 1, "data_list_path: is empty")
    static("nothing finite", {INPUT + "data_list_path": "cal/allnan.txt"}, 1, ["c.json: calibration_parameters", "no finite sample", "input x"])
    static("missing list", {INPUT + "data_list_path": "cal/nope.txt"}, 1,
           "cannot read the list file cal/nope.txt (no such file, neither from the current folder nor from the config's)")
    static("a folder as list", {INPUT + "data_list_path": "cal"}, 1, "cannot read the list file cal (it is a folder; write the paths")
    static("empty list", {INPUT + "data_list_path": "cal/empty.txt"}, 1, "Calibration input x finds 0 items.")
    static("data file as list", {INPUT + "data_list_path": "cal/00.npy"}, 1, "not a text file")
    static("blank lines", {INPUT + "data_list_path": "cal/blank.txt"})
    static("missing npy", {INPUT + "data_list_path": "cal/missing.txt"}, 1, "nope.npy")
    static("npy of a wrong shape", {INPUT + "data_list_path": "cal/bad.txt"}, 1,
           ["cal/bad.txt:7: cal/wrong.npy", "the model input x takes [1,3,8,8]", "make the array of that shape"])
    static("an empty tensor", {MODEL + "onnx_model": "padded.onnx"}, says="tensor padding was empty in all samples")
    static("NaN in an output", {MODEL + "onnx_model": "log.onnx", QUANTIZATION + "analysis_enable": True},
           says=["output y holds NaN", "output y: SNR nan", "!-nan"], files=["w/out.onnx", "w/out_report.md", "w/out_verdict.json"])
    static("batch of 4 and one sample",
           {CALIBRATION + "calibration_batch_size": 4, INPUT + "data_list_path": "cal/one.txt"}, 1, "one batch of 4")
    static("NaN in the data", {INPUT + "data_list_path": "cal/nan.txt"}, None, "nan")
    images = {INPUT + "file_type": "img", INPUT + "data_list_path": "cal/img.txt"}
    static("images", images)
    static("images of a preset", dict(images, **{INPUT + "preprocess_file": "PT_IMAGENET"}))
    static("missing image", dict(images, **{INPUT + "data_list_path": "cal/missingimg.txt"}), 1, "nope.png")
    static("broken image", dict(images, **{INPUT + "data_list_path": "cal/brokenimg.txt"}), 1,
           ["cal/brokenimg.txt:7: cal/broken.png: cannot decode", "cut off"])
    static("text as image", dict(images, **{INPUT + "data_list_path": "cal/list.txt"}), 1, "00.npy")
    static("mean_value of a wrong length", dict(images, **{INPUT + "mean_value": [1.0, 2.0]}), 1, "mean_value")
    raw = {INPUT + "file_type": "raw", INPUT + "data_list_path": "cal/raw.txt"}
    static("raw files", raw)
    static("short raw file", dict(raw, **{INPUT + "data_list_path": "cal/shortraw.txt"}), 1, "short.raw")
    static("no image of size 0", dict(images, **{INPUT + "input_shape": [0, 3, 8, 8]}), 1, "input_shape: holds 0, which no image has")
    static("wrong input_shape", {INPUT + "input_shape": [1, 3, 9, 9]}, 1, "9")
    static("wrong input_name", {INPUT + "input_name": "zzz"}, 1, "zzz")
    static("images in a letterbox", dict(images, **{INPUT + "preprocess_file": "LETTERBOX"}))
    static("unknown preset", {INPUT + "preprocess_file": "IMAGENET2"}, 1, "IMAGENET2")
    static("preprocess function", {INPUT + "preprocess_file": "pre.py:g"})
    for threads in range(1, 9):  # the error of the function is told, whichever thread called it
        static("preprocess function that raises, %d threads" % threads, {INPUT + "preprocess_file": "pre.py:bad"}, 1,
               ["pre.py:bad on ", "ValueError: no such label, at ", "!process of the preprocess function ended"],
               args="-c c.json --threads %d" % threads)
    static("preprocess file missing", {INPUT + "preprocess_file": "nopre.py:g"}, 1, "nopre")
    static("preprocess function missing", {INPUT + "preprocess_file": "pre.py:zzz"}, 1, "zzz")
    static("too few inputs", {MODEL + "onnx_model": "two.onnx"}, 1, "size should")
    static("too many inputs", {CALIBRATION + "input_parameters": BASE["calibration_parameters"]["input_parameters"] * 2}, 1,
           "size should")
    static("static model without inputs", {MODEL + "onnx_model": "noin.onnx"}, 1, "size should")
    static("already quantized model", {MODEL + "onnx_model": "q.onnx"}, 1, ["already", "quantize_x"])
    static("already quantized model, 16 bits", {MODEL + "onnx_model": "q16.onnx"}, 1, ["already", "quantize_x"])


def add_all():
    for add in (usage_cases, shape_cases, simplify_cases, path_cases, config_cases, gate_cases, preview_cases, dry_run_cases, precision_cases, data_cases):
        add()
