#!/usr/bin/env python3
"""Node counts of slimmed models beside XSlim's, and how far their outputs are from the original's in ONNX Runtime.

    slim_compare.py XSLIM PEER OUT MODEL...

XSLIM: our program. PEER: XSlim's (`-` for none; results in OUT/peer are used again). OUT: folder for the models. Every
model is slimmed with `--opset 24` (XSlim's own choice) and without. Prints a Markdown table; exit status 1 when a model
has more nodes than XSlim's, or its outputs differ by more than 1e-5 of the largest number.
"""
import os
import subprocess
import sys
import time

import numpy as np
import onnx
import onnxruntime


def run(command, folder):
    begin = time.time()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-500:]}")
    return time.time() - begin


def nodes(path):
    return len(onnx.load(path, load_external_data=False).graph.node)


def session(path):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feeds(path):
    rng = np.random.default_rng(3)
    made = {}
    for value in session(path).get_inputs():
        shape = [d if isinstance(d, int) else 1 if i == 0 else 64 for i, d in enumerate(value.shape)]
        made[value.name] = rng.uniform(-2, 2, shape).astype(np.float32)
    return made


def difference(wanted, got):
    worst = 0.0
    for a, b in zip(wanted, got):
        if a.shape != b.shape:
            return float("inf")
        largest = float(np.abs(a).max()) or 1.0
        worst = max(worst, float(np.abs(a.astype(np.float64) - b).max()) / largest)
    return worst


def main():
    ours, peer, out = os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
    bad = 0
    print("| model | nodes | XSlim | ours, `--opset 24` | ours | XSlim s | ours s | max difference |")
    print("|---|---|---|---|---|---|---|---|")
    for path in sys.argv[4:]:
        path = os.path.abspath(path)
        name = os.path.splitext(os.path.basename(path))[0]
        name = os.path.basename(os.path.dirname(path)) if name == "model" else name
        for part in ("peer", "new", "same"):
            os.makedirs(os.path.join(out, part), exist_ok=True)
        theirs, new, same = (os.path.join(out, part, name + ".onnx") for part in ("peer", "new", "same"))
        peer_time = float("nan")
        if not os.path.exists(theirs) and peer != "-":
            peer_time = run([os.path.abspath(peer), "-i", path, "-o", theirs], out)
        run([ours, "-q", "-i", path, "-o", new, "--opset", "24"], out)
        our_time = run([ours, "-q", "-i", path, "-o", same], out)
        feed = feeds(path)
        wanted = session(path).run(None, feed)
        worst = max(difference(wanted, session(p).run(None, feed)) for p in (new, same))
        count = nodes(theirs) if os.path.exists(theirs) else None
        bad += worst > 1e-5 or (count is not None and nodes(new) > count)
        print(f"| {name} | {nodes(path)} | {count} | {nodes(new)} | {nodes(same)} | {peer_time:.1f} | {our_time:.2f} | "
              f"{worst:.1e} |", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
