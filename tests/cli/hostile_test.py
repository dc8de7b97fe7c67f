#!/usr/bin/env python3
"""Hostile and odd graphs in every mode of the program. Usage: hostile_test.py XSLIM [--sanitized] [CASE ...]

Each model goes through static quantization at finetune_level 0 and 1, simplification, --dynq and --fp16. The program must end
by itself, with status 0 or 1, within SECONDS and MEMORY of address space (--sanitized: not limited), and say one clear error
when it fails. Models of RUN (odd_models.py) must succeed in every mode. Static quantization, which runs the model, must name
the culprit of those of FAULTY (faulty_models.py), in an error or where it leaves out what cannot be computed; the other modes
may leave it as it is.
"""
import concurrent.futures
import json
import os
import resource
import subprocess
import sys
import tempfile

import numpy as np

from faulty_models import FAULTY
from hostile_builders import real
from odd_models import RUN

MEMORY, SECONDS = 2 << 30, 120
MODES = ("level0", "level1", "slim", "dynq", "fp16")
SLOW = ("growing_loop", "functions_that_double")  # they run into a limit, which takes seconds: only two modes


def prepare(folder, made):
    """The model, its data and a config for both levels."""
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.write(made.SerializeToString())
    inputs = []
    for k, value in enumerate(made.graph.input):
        shape = [1 if d.dim_value < 0 else d.dim_value for d in value.type.tensor_type.shape.dim]
        with open(os.path.join(folder, "list%d.txt" % k), "w") as file:
            for i in range(2):
                np.save(os.path.join(folder, "s%d_%d.npy" % (k, i)), real(*shape))
                file.write("s%d_%d.npy\n" % (k, i))
        inputs.append({"input_name": value.name, "input_shape": shape, "file_type": "npy", "dtype": "float32", "data_list_path": "list%d.txt" % k})
    for level in (0, 1):
        config = {"model_parameters": {"onnx_model": "model.onnx", "output_prefix": "out", "working_dir": "w%d" % level},
                  "calibration_parameters": {"calibration_step": 2, "calibration_device": "cpu", "input_parametres": inputs},
                  "quantization_parameters": {"finetune_level": level, "analysis_enable": True}}
        with open(os.path.join(folder, "config%d.json" % level), "w") as file:
            json.dump(config, file)


def run(program, folder, mode, sanitized):
    """Status (negative: a signal, None: no end) and what was written to standard error."""
    arguments = {"level0": ["-c", "config0.json"], "level1": ["-c", "config1.json"], "slim": ["-i", "model.onnx", "-o", "slim.onnx"],
                 "dynq": ["-i", "model.onnx", "-o", "dynq.onnx", "--dynq"], "fp16": ["-i", "model.onnx", "-o", "fp16.onnx", "--fp16"]}[mode]

    def limit():
        if not sanitized:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    environment = {**os.environ, "ASAN_OPTIONS": "allocator_may_return_null=1:max_allocation_size_mb=2048:detect_leaks=0"}
    try:
        done = subprocess.run([program, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=limit,
                              timeout=SECONDS * (5 if sanitized else 1), check=False, env=environment)
        return done.returncode, done.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired:
        return None, ""


def complaint(name, mode, status, text):
    """What is wrong with how a run ended, or ""."""
    if status not in (0, 1) or "AddressSanitizer" in text or "runtime error:" in text:
        return "ended with %s" % status
    if name in RUN:
        return "" if status == 0 else "was refused"
    _, wanted, always = FAULTY[name]
    if status == 0 and always:
        return "was not refused"
    return "" if wanted in text or (status == 0 and mode not in ("level0", "level1")) else "does not name %s" % wanted


def main(arguments):
    sanitized = "--sanitized" in arguments
    program, *chosen = [a for a in arguments if a != "--sanitized"]
    program, names = os.path.abspath(program), chosen or [*RUN, *FAULTY]
    with tempfile.TemporaryDirectory() as top:
        for name in names:
            os.mkdir(os.path.join(top, name))
            prepare(os.path.join(top, name), RUN[name]() if name in RUN else FAULTY[name][0]())

        def one(job):
            name, mode = job
            status, text = run(program, os.path.join(top, name), mode, sanitized)
            return name, mode, complaint(name, mode, status, text), text
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(one, [(name, mode) for name in names for mode in MODES
                                           if name not in SLOW or mode in ("level0", "dynq")]))
    wrong = [result for result in results if result[2]]
    for name, mode, why, text in wrong:
        print("FAILED: %s, %s: %s\n    %s" % (name, mode, why, text.strip()[-1500:].replace("\n", "\n    ")))
    print("%d graphs, %d runs, %d failed" % (len(names), len(results), len(wrong)))
    return 1 if wrong or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
