#!/usr/bin/env python3
"""Checks which folder of src/ includes which, and which third-party headers stand where. Usage: include_table_test.py SOURCE_DIR"""
import os
import re
import sys

# Folder -> folders right below it; what those may use, it may use too. `include` is the public include/xslim.
BELOW = {
    "include": [], "base": ["include"], "tensor": ["base"], "kernels": [], "graph": ["tensor"],
    "ops": ["graph", "kernels"], "onnx": ["graph"], "config": ["include", "base"], "data": ["tensor"],
    "runtime": ["ops"], "simplify": ["graph", "ops", "runtime"], "quant": ["graph", "ops", "runtime"],
    "calibrate": ["quant", "runtime", "data"], "tune": ["quant", "runtime", "data"],
    "report": ["quant", "runtime", "data"], "target": ["quant", "simplify"],
    "pipeline": ["onnx", "config", "simplify", "calibrate", "tune", "report", "target"],
    "tools/xslim": ["include", "base"],
}

# Third-party headers (pattern of the name) -> where they may be included (pattern of the path below the project).
THIRD_PARTY = {
    r"spdlog/": r"src/base/log\.cc$",
    r"google/protobuf/|onnx/onnx": r"src/onnx/",
    r"nlohmann/": r"src/config/",
    r"opencv2/": r"src/data/",
    r"CLI/": r"tools/",
    r"hwy/": r"src/kernels/",
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>|(\w+))', re.M)


def allowed(folder):
    found, waiting = set(), [folder]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += BELOW[name]
    return found


def problems_of(path, text):
    """What is wrong with the includes of the file `path` (relative to the project, with /)."""
    parts = path.split("/")
    folder = parts[1] if parts[0] == "src" else "/".join(parts[:2]) if parts[0] == "tools" else parts[0]
    for match in INCLUDE.finditer(text):
        quoted, angled, _ = match.groups()
        name = quoted or angled or ""
        place = f"{path}:{text.count(chr(10), 0, match.start(0)) + 1}"
        third = [where for pattern, where in THIRD_PARTY.items() if re.match(pattern, name)]
        if third:
            if not re.match(third[0], path):
                yield f"{place}: {name} may only be included in {third[0]}"
            continue
        if quoted and folder in BELOW and ("/" in quoted or parts[0] != "tools"):
            target = "include" if quoted.startswith("xslim/") else quoted.split("/")[0]
            if target not in BELOW:
                yield f"{place}: \"{name}\" names no folder of src/"
            elif target not in allowed(folder):
                yield f"{place}: {folder} must not include {target}"
        elif angled and parts[0] in ("src", "include") and "/" in angled and not angled.startswith(("sys/", "sanitizer/")):
            yield f"{place}: <{name}> is no header of a library that is known here"


def self_test():
    """The check must find what it is for."""
    bad = {"src/quant/a.cc": '#include "calibrate/calibrate.h"', "src/base/threads.cc": "#include <spdlog/spdlog.h>",
           "src/tune/b.cc": '#include "report/measure.h"', "src/graph/c.cc": '#include "ops/operator.h"',
           "src/ops/d.cc": "#include <boost/any.hpp>", "src/data/e.cc": '#include "samples.h"',
           "src/pipeline/f.cc": '#include <onnx/onnx_pb.h>', "src/simplify/g.cc": '#include "quant/plan.h"',
           "tools/xslim/h.cpp": '#include "graph/graph.h"'}
    good = {"src/base/log.cc": "#include <spdlog/spdlog.h>", "src/calibrate/a.cc": '#include "tensor/tensor.h"',
            "src/pipeline/b.cc": '#include "tune/equalize.h"\n#include <vector>', "tools/xslim/main.cpp": '#include <CLI/CLI.hpp>\n#include "arguments.h"\n#include "base/nearest_name.h"'}
    return ([f"self-test: nothing found in {path}: {text}" for path, text in bad.items() if not list(problems_of(path, text))] +
            [f"self-test: {problem}" for path, text in good.items() for problem in problems_of(path, text)])


def main(root):
    problems, files = self_test(), 0
    folders = sorted(os.listdir(os.path.join(root, "src")))
    problems += [f"src/{name}: not in the table" for name in folders if name not in BELOW]
    for top in ("include", "src", "tools", "tests"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if not name.endswith((".h", ".cc", ".cpp")):
                    continue
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as file:
                    problems += problems_of(os.path.relpath(path, root).replace(os.sep, "/"), file.read())
                files += 1
    print("\n".join(problems + [f"{files} files, {len(problems)} problems"]))
    return 1 if problems or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
