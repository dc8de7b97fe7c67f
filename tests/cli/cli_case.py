"""What a case of the tests of the command line is, and the folder that every case starts from.

A case holds
  args    the arguments
  config  what c.json holds (None: no such file)
  status  the expected exit status
  says    fragments that stderr and stdout together must hold; one that begins with "!" must not be there
  files   the files that must be new afterwards, exactly (none named: not checked); nothing that was there may change
"""
import copy
import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import png  # noqa: E402
from cli_models import (broken_models, endless_model, joined_model, log_model, no_input_model, open_model,  # noqa: E402
                        padded_model, quantized_model, small_model, two_input_model)

INPUT = "calibration_parameters.input_parameters.0."
CALIBRATION = "calibration_parameters."
QUANTIZATION = "quantization_parameters."
MODEL = "model_parameters."

BASE = {
    "model_parameters": {"onnx_model": "m.onnx", "output_prefix": "out", "working_dir": "w"},
    "calibration_parameters": {
        "calibration_step": 100, "calibration_device": "cpu", "calibration_type": "minmax",
        "input_parameters": [{"input_name": "x", "input_shape": [1, 3, 8, 8], "file_type": "npy",
                              "data_list_path": "cal/list.txt"}]},
    "quantization_parameters": {"finetune_level": 0, "analysis_enable": False}}


def config(changes=None, remove=()):
    """BASE with dotted paths set or removed."""
    result = copy.deepcopy(BASE)

    def parent(path):
        keys = path.split(".")
        node = result
        for key in keys[:-1]:
            node = node[int(key)] if key.isdigit() else node[key]
        return node, keys[-1]

    for path, value in (changes or {}).items():
        node, key = parent(path)
        node[key] = value
    for path in remove:
        node, key = parent(path)
        del node[key]
    return result


# ---- models and data


def write(path, content):
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def build_template(folder):
    """Fills the folder that every case starts from."""
    def at(*names):
        return os.path.join(folder, *names)

    os.makedirs(at("cal"))
    os.makedirs(at("dir"))
    write(at("dir", "keep"), "")
    for name, made in (("m", small_model()), ("two", two_input_model()), ("noin", no_input_model()), ("open", open_model()),
                       ("q", quantized_model()), ("q16", quantized_model("com.microsoft", np.uint16)), ("log", log_model()), ("joined", joined_model()),
                       ("padded", padded_model()),
                       ("endless", endless_model()), *broken_models()):
        write(at(name + ".onnx"), made.SerializeToString(deterministic=True))
    rng = np.random.default_rng(3)
    for i in range(12):
        sample = rng.standard_normal((1, 3, 8, 8)).astype(np.float32)
        np.save(at("cal", "%02d.npy" % i), sample)
        write(at("cal", "%02d.raw" % i), sample.tobytes())
        write(at("cal", "%02d.png" % i), png.encode_rgb(rng.integers(0, 255, (10, 12, 3)).astype(np.uint8)))
    np.save(at("cal", "wrong.npy"), np.zeros((1, 3, 4, 4), np.float32))
    np.save(at("cal", "nan.npy"), np.full((1, 3, 8, 8), np.nan, np.float32))
    np.save(at("cal", "zeros.npy"), np.zeros((1, 3, 8, 8), np.float32))
    write(at("cal", "broken.png"), png.encode_rgb(np.zeros((8, 8, 3), np.uint8))[:40])
    write(at("cal", "short.raw"), b"\0" * 100)
    npy, image = ["%02d.npy" % i for i in range(12)], ["%02d.png" % i for i in range(12)]
    raw = ["%02d.raw" % i for i in range(12)]
    for name, lines in {
            "list": npy, "blank": ["", npy[0], "   "] + npy[1:] + [""], "five": npy[:5], "one": npy[:1], "empty": [],
            "missing": npy[:6] + ["nope.npy"] + npy[6:], "bad": npy[:6] + ["wrong.npy"] + npy[6:],
            "nan": npy[:6] + ["nan.npy"] + npy[6:], "img": image, "raw": raw,
            "zeros": ["zeros.npy"] * 2, "somezeros": ["zeros.npy", npy[0]], "allnan": ["nan.npy"] * 2,
            "missingimg": image[:6] + ["nope.png"] + image[6:], "brokenimg": image[:6] + ["broken.png"] + image[6:],
            "shortraw": raw[:6] + ["short.raw"] + raw[6:]}.items():
        write(at("cal", name + ".txt"), "".join(line + "\n" for line in lines))
    whole = open(at("m.onnx"), "rb").read()
    write(at("corrupt.onnx"), whole[:200])
    write(at("text.onnx"), "this is not an onnx model\n")
    write(at("zero.onnx"), "")
    write(at("bad.json"), '{"model_parameters": {"onnx_model": "m.onnx",,}}\n')
    write(at("comma.json"), '{"model_parameters": {"onnx_model": "m.onnx",\n}}\n')
    write(at("comments.json"), "// a comment\n" + json.dumps(BASE, indent=1) + "\n/* the end */\n")
    write(at("remarks.json"), json.dumps(BASE, indent=1).replace('"m.onnx",', '"m.onnx", "the model"'))
    write(at("pre.py"), "import numpy as np\ndef g(paths, params):\n    return np.concatenate([np.load(p) for p in paths])\n"
          "def bad(paths, params):\n    raise ValueError('no such label')\n")


# ---- cases

CASES = []


def case(name, args, status=0, says=(), files=(), config_is=None, setup=None, environment=None, valid=True):
    """valid: whether ONNX's checker takes the model that is written."""
    CASES.append(dict(name=name, args=args.split() if isinstance(args, str) else args, status=status,
                      says=[says] if isinstance(says, str) else list(says), files=sorted(files), config=config_is,
                      setup=setup, environment=environment, valid=valid))


def static(name, changes=None, status=0, says=(), files=None, remove=(), args="-c c.json", setup=None,
           environment=None):
    """A case that runs with a config made from BASE."""
    if files is None:
        files = ["w/out.onnx"] if status == 0 else []
    case(name, args, status, says, files, config(changes, remove), setup, environment)
