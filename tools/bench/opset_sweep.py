#!/usr/bin/env python3
"""`--opset` to each of TARGETS on many models: opset_sweep.py XSLIM MODEL... prints a Markdown table.

What is written must be valid for ONNX's checker (with shape inference), run in ONNX Runtime where that knows the opset, and give the
original's outputs to 1e-5 of the largest number (one random input). A cell is the number of operators; `refused` with the
text below the table where the target lacks what the model uses. Exit status 1 when a written model is not right.
"""
import os
import subprocess
import sys
import tempfile

import onnx
import onnxruntime

from slim_compare import difference, feeds, outputs

TARGETS = (9, 11, 13, 17, 18, 21, 24)


def cell(program, path, target, samples, wanted, folder):
    """(text of the cell, what there is to say about it)"""
    made = os.path.join(folder, "o.onnx")
    done = subprocess.run([program, "-q", "-i", path, "-o", made, "--opset", str(target)], capture_output=True, text=True)
    if done.returncode:
        return "refused", done.stderr.strip()
    model = onnx.load(made)
    count = len(model.graph.node)
    if {i.domain: i.version for i in model.opset_import}[""] != target:
        return "WRONG", "another opset than asked for"
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # pylint: disable=broad-except
        return "INVALID", str(error)
    try:
        worst = difference(wanted, outputs(made, samples))
    except Exception as error:  # pylint: disable=broad-except
        text = str(error)
        return (f"{count} (checked)", text) if "guarantee" in text and "opset" in text else ("FAILS", text)
    finally:
        os.remove(made)
    return (str(count), "") if worst <= 1e-5 else ("DIFFERS", f"by {worst:.2g}")


def main():
    program, models = os.path.abspath(sys.argv[1]), sys.argv[2:]
    print(f"ONNX {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}\n")
    print("| model | opset | " + " | ".join(map(str, TARGETS)) + " |\n" + "|---" * (len(TARGETS) + 2) + "|")
    notes = []
    for path in models:
        name = os.path.splitext(os.path.basename(path))[0]
        name = os.path.basename(os.path.dirname(path)) if name == "model" else name
        samples = feeds(path)[:1]
        wanted = outputs(path, samples)
        own = {i.domain: i.version for i in onnx.load(path, load_external_data=False).opset_import}[""]
        row = []
        with tempfile.TemporaryDirectory() as folder:
            for target in TARGETS:
                text, note = cell(program, path, target, samples, wanted, folder)
                row.append(text)
                if note:
                    notes.append((text, f"{name} to {target}, {text}: {note}"))
        print(f"| {name} | {own} | " + " | ".join(row) + " |", flush=True)
    print("\n" + "\n".join(text for _, text in notes))
    return 1 if any(text.isupper() for text, _ in notes) else 0


if __name__ == "__main__":
    sys.exit(main())
