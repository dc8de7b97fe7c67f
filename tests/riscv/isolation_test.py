#!/usr/bin/env python3
"""Vector instructions stay in the kernel tables. Usage: isolation_test.py BUILD_DIR PROGRAM

A file built for the vector extension that defines weak symbols (templates, inline functions) may lend them to the
whole program, which then dies on a processor without vectors. So: those files define no weak symbol and nothing but
their entry points, no other object is built for the extension, and in the linked PROGRAM every function with a
vector instruction is one of a table.
"""
import glob
import os
import re
import subprocess
import sys

WITH_VECTORS = re.compile(r"kernels/(table_rvv|rvv/\w+)\.cc\.o$")
ENTRY_POINTS = re.compile(r"xslim::kernels::(RvvTable\(\)|rvv::Fill\w+\(xslim::kernels::Table\*\))$")
# HasVectors of table.cc asks for the length of a vector, when the kernel says that there are vectors.
OF_A_TABLE = re.compile(r"xslim::kernels::(rvv::)?\(anonymous namespace\)::|xslim::kernels::(RvvTable\(\)|rvv::Fill)")
VECTOR = re.compile(r"^\s*[0-9a-f]+:\s+(v\w+(\.\w+)*)\b")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main(build, program):
    problems, with_vectors, checked = [], 0, 0
    for path in sorted(glob.glob(os.path.join(build, "**", "*.cc.o"), recursive=True)):
        if "googletest" in path:
            continue
        checked += 1
        name = os.path.relpath(path, build)
        arch = re.search(r"Value: (rv64\S+)", run("llvm-readelf-19", "-A", path))
        has_vectors = arch is not None and re.search(r"_v\d|_zve", arch.group(1)) is not None
        if arch is None:
            problems.append(f"{name}: no architecture attribute")
        if not WITH_VECTORS.search(path):
            if has_vectors:
                problems.append(f"{name}: built for {arch.group(1)}")
            continue
        with_vectors += 1
        if not has_vectors:
            problems.append(f"{name}: not built for the vector extension")
        for line in run("llvm-nm-19", "-C", "--defined-only", path).splitlines():
            kind, symbol = line.split(" ", 2)[1:]
            if kind in "WwVvu":
                problems.append(f"{name}: weak symbol {symbol}")
            elif kind.isupper() and not ENTRY_POINTS.match(symbol):
                problems.append(f"{name}: global symbol {symbol}")
    function, functions = "", set()
    for line in run("llvm-objdump-19", "-d", "-C", "--no-show-raw-insn", "--mattr=+v", program).splitlines():
        header = re.match(r"^[0-9a-f]+ <(.*)>:$", line)
        if header and not header.group(1).startswith(".L"):
            function = header.group(1)
        elif VECTOR.match(line) and function not in functions:
            functions.add(function)
            if not OF_A_TABLE.search(function):
                problems.append(f"{os.path.basename(program)}: vector instructions in {function}")
    for what, count, least in (("objects", checked, 8), ("objects with vectors", with_vectors, 6),
                               ("functions with vectors", len(functions), 40)):
        print(f"{count} {what}")
        if count < least:
            problems.append(f"only {count} {what}, expected at least {least}: nothing was checked")
    print("\n".join(problems) if problems else "nothing leaks")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
