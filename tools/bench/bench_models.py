"""What the scripts of this folder share: the models of a bench folder (models/, configs/, data/, bench.json and prep.py, see
docs/benchmarks.md), their data, and ONNX Runtime sessions."""
import json
import os
import subprocess
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "support"))
import without_amx  # noqa: E402, F401
import onnxruntime  # noqa: E402


class BenchModel:
    """A model with its config (read, so that keys can be changed) and up to samples feeds of its evaluation data."""

    def __init__(self, bench, name, entry, prep, samples):
        self.name, self.bench, self.kind = name, bench, entry["kind"]
        self.config = prep.read_config(os.path.join(bench, "configs", name + ".json"))
        self.path = os.path.join(bench, self.config["model_parameters"]["onnx_model"])
        self.feeds = prep.load_inputs(self.config, lists=entry["eval"], n=samples, base=bench)

    def write_config(self, path, **quantization):
        """The config with these quantization_parameters, as a file."""
        parameters = {**self.config["quantization_parameters"], **quantization}
        with open(path, "w") as file:
            json.dump({**self.config, "quantization_parameters": parameters}, file)

    def quantize(self, program, folder, **quantization):
        """The path of the int8 model that the program writes into the folder with these quantization_parameters, without report."""
        settings, made = os.path.join(folder, "c.json"), os.path.join(folder, "o.onnx")
        self.write_config(settings, precision_level=0, analysis_enable=False, **quantization)
        subprocess.run([program, "-q", "-c", settings, "-i", self.path, "-o", made], cwd=self.bench, check=True)
        return made


def bench_models(bench, only=(), samples=None):
    """Every model of the folder, or those named; samples: none for those that bench.json says, else 64."""
    bench = os.path.abspath(bench)
    sys.path.insert(0, bench)
    import prep  # pylint: disable=import-outside-toplevel
    with open(os.path.join(bench, "bench.json")) as file:
        listed = json.load(file)
    for name, entry in listed.items():
        if not only or name in only:
            yield BenchModel(bench, name, entry, prep, samples or entry.get("n", 64))


def session(path, optimised=False, threads=0, **entries):
    """A session of ONNX Runtime; entries are session config entries, dots written as double underscores."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    for key, value in entries.items():
        options.add_session_config_entry(key.replace("__", "."), value)
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def first_outputs(running, feeds, flat=True):
    values = [running.run(None, feed)[0].astype(np.float64) for feed in feeds]
    return [value.ravel() for value in values] if flat else values


def noise(values, references):
    """Mean over the samples of noise power / signal power."""
    return np.mean([((a - b) ** 2).sum() / (b ** 2).sum() for a, b in zip(values, references)])
