#!/usr/bin/env python3
"""Model and report bytes are the same for any thread count, instruction set and run.

Usage: same_bytes_test.py XSLIM [BENCH_DIR MODEL...]   The samples of digits, and models of a bench folder (docs/benchmarks.md)

What ran is proved by the log: at -v xslim says which kernels and how many threads it uses.
"""
import json
import os
import re
import sys
import tempfile

from helpers import Checks, copy_digits, run_xslim


def instruction_sets():
    """Those of XSLIM_ISA that this processor has, by the kernel's list; scalar always."""
    with open("/proc/cpuinfo") as file:
        flags = set(re.findall(r"[\w.]+", file.read()))
    found = ["scalar"]
    if {"avx2", "fma"} <= flags:
        found.append("avx2")
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        found.append("avx512")
    return found


def bench_config(bench, name, samples, folder):
    """The config of a model of the bench folder with fewer samples, as a file; its paths are relative to the bench folder."""
    with open(os.path.join(bench, "configs", name + ".json")) as file:
        config = json.load(file)
    config["calibration_parameters"]["calibration_step"] = samples
    config["quantization_parameters"]["finetune_level"] = 1
    path = os.path.join(folder, name + ".json")
    with open(path, "w") as file:
        json.dump(config, file)
    return path


def files_of_run(program, config, label, isa, threads, cwd, folder, checks):
    """(model bytes, report bytes). The same output path each time: it may stand in the files."""
    output, report = os.path.join(folder, "out.onnx"), os.path.join(folder, "out_report.md")
    for path in (output, report):
        if os.path.exists(path):
            os.remove(path)
    log = run_xslim(program, ["-v", "-c", config, "-o", output, "--threads", str(threads)], cwd, {"XSLIM_ISA": isa} if isa else {})
    said = re.search(r"kernels: (\w+), threads: (\d+)", log)
    checks.that(said is not None, f"{config}, {label}: the log does not say which kernels ran")
    if said is not None:
        print(f"{config}, {label}: {said.group(0)}", flush=True)
        checks.that(int(said.group(2)) == threads, f"{config}, {label}: {said.group(0)}")
        checks.that(isa in (None, said.group(1)), f"{config}, {label}: {said.group(0)}")
    with open(output, "rb") as model, open(report, "rb") as text:
        return model.read(), text.read()


def main(program, bench=None, *models):
    checks = Checks()
    # (label, instruction set or None for the default, threads)
    runs = [("default", None, 2), ("again", None, 2), ("one thread", None, 1), ("three threads", None, 3)]
    runs += [(isa, isa, 2) for isa in instruction_sets()]
    with tempfile.TemporaryDirectory() as folder:
        tuned = copy_digits(os.path.join(folder, "tuned"), finetune_level=1)
        plain = copy_digits(os.path.join(folder, "plain"), finetune_level=0)
        cases = [("config.json", tuned), ("config.json", plain), ("config_vit.json", plain)]
        cases += [(bench_config(bench, model, 16, folder), bench) for model in models]
        for config, cwd in cases:
            first = None
            for label, isa, threads in runs:
                model, report = files_of_run(program, config, label, isa, threads, cwd, folder, checks)
                first = first or (model, report)
                checks.that(model == first[0], f"{config}, {label}: the model differs from the first run's")
                checks.that(report == first[1], f"{config}, {label}: the report differs from the first run's")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
