"""What the tests of this folder share: running xslim, ONNX Runtime sessions, the digits data, a small check list."""
import json
import os
import shutil
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import png  # noqa: E402
import without_amx  # noqa: E402, F401
import onnxruntime  # noqa: E402

DIGITS = os.path.join(HERE, "..", "..", "samples", "digits")


class Checks:
    """Counts failures and prints them; the program's exit status is `checks.finish()`."""

    def __init__(self):
        self.done, self.failed = 0, 0

    def that(self, condition, text):
        self.done += 1
        if not condition:
            self.failed += 1
            print("FAILED:", text)

    def finish(self):
        print(f"{self.done - self.failed} of {self.done} checks passed")
        return 1 if self.failed or not self.done else 0


def run_xslim(program, arguments, folder, environment=None):
    """Runs xslim in `folder`; returns its stderr. Raises RuntimeError unless it exits with 0."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XSLIM_", "XQUANT_"))}
    env.update(environment or {})
    done = subprocess.run([program, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"xslim {' '.join(arguments)}: exit status {done.returncode}\n{done.stderr}")
    return done.stderr


def copy_digits(folder, **quantization):
    """A copy of samples/digits without its outputs and test images in `folder`, both configs changed by `quantization`."""
    target = os.path.join(folder, "digits")
    shutil.copytree(DIGITS, target, ignore=shutil.ignore_patterns("temp", "test", "*.py"))
    for name in ("config.json", "config_vit.json"):
        path = os.path.join(target, name)
        with open(path) as file:
            config = json.load(file)
        config["quantization_parameters"].update(quantization)
        with open(path, "w") as file:
            json.dump(config, file)
    return target


def digits_images(list_name):
    """The images of a list of samples/digits as its configs preprocess them, float32 [n, 1, 3, 32, 32]."""
    images = []
    with open(os.path.join(DIGITS, list_name)) as file:
        for line in file:
            bgr = png.read_rgb(os.path.join(DIGITS, line.split()[0]))[:, :, ::-1].astype(np.float32)
            images.append(((bgr - 127.5) / 64).transpose(2, 0, 1)[None])
    return np.stack(images)


def digits_test_set():
    """(images as of digits_images, labels [n])."""
    with open(os.path.join(DIGITS, "labels.txt")) as file:
        labels = [int(line.split()[1]) for line in file]
    return digits_images("labels.txt"), np.array(labels)


def session(path, optimised=False, precise=False):
    """`optimised`: with the default graph optimisations; `precise`: with int8 products that do not saturate without VNNI."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if precise:
        options.add_session_config_entry("session.x64quantprecision", "1")
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run_all(path, samples, optimised=False):
    """The first output for every sample of a model with one input, stacked."""
    runner = session(path, optimised, precise=optimised)
    name = runner.get_inputs()[0].name
    return np.stack([runner.run(None, {name: sample})[0] for sample in samples])


def typical_noise(value, reference):
    """As noise(), the geometric mean over the samples: a few whose attention tips over do not make most of it."""
    pairs = zip(value.astype(np.float64), reference.astype(np.float64))
    return float(np.exp(np.mean([np.log(np.sum((got - want) ** 2) / np.sum(want ** 2) + 1e-30) for got, want in pairs])))


def noise(value, reference):
    """Noise power / signal power, lower is better."""
    difference = value.astype(np.float64) - reference
    return float((difference ** 2).sum() / (reference.astype(np.float64) ** 2).sum())
