#!/usr/bin/env python3
"""Model and report bytes are the same for any thread count, instruction set and run. Usage: same_bytes_test.py XSLIM

What ran is proved by the log: at -v xslim says which kernels and how many threads it uses.
"""
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


def main(program):
    checks = Checks()
    # (label, instruction set or None for the default, threads)
    runs = [("default", None, 2), ("again", None, 2), ("one thread", None, 1), ("three threads", None, 3)]
    runs += [(isa, isa, 2) for isa in instruction_sets()]
    with tempfile.TemporaryDirectory() as folder:
        digits = copy_digits(folder, finetune_level=0)
        for config in ("config.json", "config_vit.json"):
            first = None
            for label, isa, threads in runs:
                # The same output path each time: it may stand in the files.
                output = os.path.join(folder, "out.onnx")
                report = os.path.join(folder, "out_report.md")
                for path in (output, report):
                    if os.path.exists(path):
                        os.remove(path)
                log = run_xslim(program, ["-v", "-c", config, "-o", output, "--threads", str(threads)], digits,
                                {"XSLIM_ISA": isa} if isa else {})
                said = re.search(r"kernels: (\w+), threads: (\d+)", log)
                checks.that(said is not None, f"{config}, {label}: the log does not say which kernels ran")
                if said is not None:
                    print(f"{config}, {label}: {said.group(0)}")
                    checks.that(int(said.group(2)) == threads, f"{config}, {label}: {said.group(0)}")
                    checks.that(isa in (None, said.group(1)), f"{config}, {label}: {said.group(0)}")
                with open(output, "rb") as file:
                    model_bytes = file.read()
                with open(report, "rb") as file:
                    report_bytes = file.read()
                if first is None:
                    first = (model_bytes, report_bytes)
                checks.that(model_bytes == first[0], f"{config}, {label}: the model differs from the first run's")
                checks.that(report_bytes == first[1], f"{config}, {label}: the report differs from the first run's")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
