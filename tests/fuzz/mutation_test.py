#!/usr/bin/env python3
"""Damaged models, configs, lists and data: xslim ends with a status of its own and one line that says what is wrong.

Usage: mutation_test.py XSLIM [--cases N] [--first SEED] [--sanitized] [--keep FOLDER]

Case SEED is always the same: a model of seeds.py, a run with or without a config, and damage by mutations.py to one of the
files it reads. Asked of every run: exit status 0, 1 or 2, never a signal; one line "xslim: error: ..." after a failure and none
after success; no report of a sanitizer; an end within a minute; no more than MEMORY of address space (--sanitized: not
limited, as sanitizers reserve far more); a model that onnx can read after success and no file after a failure.
"""
import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx

import seeds
from mutations import Mutator

MEMORY = 4 << 30
SECONDS = 60
# Larger requests fail like they do without sanitizers; a container that asks for more is judged by the plain build.
SANITIZERS = {"ASAN_OPTIONS": "allocator_may_return_null=1:max_allocation_size_mb=2048:detect_leaks=0",
              "UBSAN_OPTIONS": "print_stacktrace=1"}


def damage(folder, mutate):
    """Writes one damaged file into `folder`; returns what was done and the arguments to run with."""
    model = mutate.pick([*seeds.MODELS] * 2 + ["external"])
    kind = mutate.pick(["npy", "npy", "npy", "raw", "png"])
    quantize = mutate.rng.random() < 0.5
    path = os.path.join(folder, model + ".onnx")
    arguments = ["-c", "c.json"] if quantize else ["-i", model + ".onnx", "-o", "out.onnx"]
    with open(os.path.join(folder, "c.json"), "w") as file:
        file.write(seeds.config_text(model, kind))

    def rewrite(name, change):
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read()
        with open(os.path.join(folder, name), "wb") as file:
            file.write(change(data))
        return name
    target = mutate.pick(["fields"] * 9 + ["bytes"] * 3 + (["json", "json text", "list", "data"] if quantize else []))
    if target == "fields":
        proto = onnx.load(path, load_external_data=False)
        mutate.model(proto)
        with open(path, "wb") as file:
            file.write(proto.SerializeToString())
        what = "fields of " + model
    elif target == "bytes" and mutate.rng.random() < 0.05:
        what = "nesting of " + rewrite(model + ".onnx", mutate.nested)
    elif target == "bytes":
        what = "bytes of " + rewrite("external.data" if model == "external" and mutate.int(0, 1) else model + ".onnx", mutate.bytes)
    elif target == "json":
        what = "values of " + rewrite("c.json", lambda data: mutate.json(data).encode("utf-8", "surrogatepass"))
    elif target == "json text":
        what = "bytes of " + rewrite("c.json", mutate.bytes)
    elif target == "list":
        what = "lines of " + rewrite(kind + ".txt", lambda data: mutate.list_file(data.decode(), folder).encode("latin1", "replace"))
    else:
        what = "bytes of " + rewrite("s%d.%s" % (mutate.int(0, 1), kind), mutate.bytes)
    return what, arguments + (["--threads", str(mutate.int(1, 2))] if mutate.int(0, 1) else [])


def complaints(program, folder, arguments, sanitized):
    def limit():
        if not sanitized:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before = set(os.listdir(folder))
    try:
        done = subprocess.run([program, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=SECONDS, env={**os.environ, **SANITIZERS}, preexec_fn=limit, check=False)
    except subprocess.TimeoutExpired:
        return ["no end within %d s" % SECONDS], ""
    err = done.stderr.decode(errors="replace")
    wrong = []
    if "AddressSanitizer" in err and ("allocation-size-too-big" in err or "out-of-memory" in err) and sanitized:
        return [], err
    if "Sanitizer" in err or "runtime error:" in err:
        wrong.append("a sanitizer reports")
    if done.returncode not in (0, 1, 2):
        wrong.append("status %d" % done.returncode)
    errors = [line for line in err.splitlines() if "error:" in line]
    if len(errors) != (done.returncode != 0):
        wrong.append("%d lines of error with status %d" % (len(errors), done.returncode))
    if any(len(line) > 3000 for line in errors):
        wrong.append("an error of %d characters" % max(map(len, errors)))
    if "unexpected failure" in err:
        wrong.append("an exception that is no Error of ours")
    new = sorted(set(os.listdir(folder)) - before)
    if done.returncode != 0 and new:
        wrong.append("left behind %s" % new)
    for name in ("out.onnx", os.path.join("w", "out.onnx")):
        if done.returncode == 0 and os.path.exists(os.path.join(folder, name)):
            onnx.load(os.path.join(folder, name), load_external_data=False)
    return wrong, err


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--cases", type=int, default=150)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--sanitized", action="store_true")
    parser.add_argument("--keep", help="a folder for the files of the cases that fail")
    parser.add_argument("--show", action="store_true", help="print every case's error")
    options = parser.parse_args()
    program, failed, ends = os.path.abspath(options.program), 0, {}
    with tempfile.TemporaryDirectory() as top:
        template = os.path.join(top, "template")
        os.makedirs(template)
        seeds.write_template(template)
        for seed in range(options.first, options.first + options.cases):
            folder = os.path.join(top, "case")
            shutil.copytree(template, folder)
            mutate = Mutator(np.random.Generator(np.random.PCG64([20260101, seed])))
            what, arguments = damage(folder, mutate)
            wrong, err = complaints(program, folder, arguments, options.sanitized)
            last = [line for line in err.splitlines() if line.startswith("xslim: error:")]
            ends[bool(last)] = ends.get(bool(last), 0) + 1
            if options.show:
                print("%d %s: %s" % (seed, what, last[0] if last else "done"))
            if wrong:
                failed += 1
                print("FAILED case %d (%s, xslim %s): %s\n    %s" % (seed, what, " ".join(arguments), "; ".join(wrong),
                                                                  err.strip()[-3000:].replace("\n", "\n    ")))
                if options.keep:
                    shutil.copytree(folder, os.path.join(options.keep, str(seed)), dirs_exist_ok=True)
            shutil.rmtree(folder)
    print("%d cases: %d ended well, %d with an error; %d failed" % (options.cases, ends.get(False, 0), ends.get(True, 0), failed))
    # Damage that is always noticed, or never, would mean that the cases test little.
    return 1 if failed or (options.cases >= 50 and (0 in (ends.get(False, 0), ends.get(True, 0)))) else 0


if __name__ == "__main__":
    sys.exit(main())
