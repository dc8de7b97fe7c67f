#!/usr/bin/env python3
"""Slimming, --fp16 and --dynq of many models beside XSlim's: operators, time, and how far the outputs are from the original's in ONNX Runtime.

    slim_compare.py XSLIM PEER OUT [--bench BENCH_DIR] MODEL...

XSLIM: our program. PEER: XSlim's (`-` for none). OUT: folder for the models. Both programs run one after the other on each model; times are
CPU seconds, which a busy machine changes least; ours is the best of three runs, XSlim's is of one. XSlim's files that OUT holds already
are used again, without a time. Ours slims with `--opset 24` (XSlim's own choice)
and without. Models that BENCH_DIR's bench.json names get its evaluation data, the others random numbers. Prints two Markdown tables, then what is missed; exit status 1 when a model has more nodes than XSlim's, its outputs
differ by more than 1e-5 of the largest number, float16 has a cosine of at most 0.9999, --dynq a worse one than XSlim's file here (by more
than 5e-5), or ours takes more than a twentieth of XSlim's time.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx

from bench_models import onnxruntime

SAMPLES = 4
SLACK = 5e-5  # of two cosines that rounding alone sets apart


def run(command, folder):
    """CPU seconds of a program, all its threads together."""
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)}: {said.read()[-500:]}")
    return usage.ru_utime + usage.ru_stime


def nodes(path):
    return len(onnx.load(path, load_external_data=False).graph.node)


def session(path):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feeds(path):
    rng = np.random.default_rng(3)
    inputs = session(path).get_inputs()
    made = []
    for _ in range(SAMPLES):
        feed = {}
        for value in inputs:
            shape = [d if isinstance(d, int) else 1 if i == 0 else 64 for i, d in enumerate(value.shape)]
            feed[value.name] = rng.uniform(-2, 2, shape).astype(np.float32)
        made.append(feed)
    return made


def outputs(path, samples):
    """For each output the results of all samples."""
    runner = session(path)
    return list(zip(*[runner.run(None, feed) for feed in samples]))


def difference(wanted, got):
    """Largest difference / largest number, over samples and outputs."""
    worst = 0.0
    for a, b in ((a, b) for pair in zip(wanted, got) for a, b in zip(*pair)):
        if a.shape != b.shape:
            return float("inf")
        largest = float(np.abs(a).max()) or 1.0
        worst = max(worst, float(np.abs(a.astype(np.float64) - b).max()) / largest)
    return worst


def cosine(wanted, got):
    """Of the worst output, all samples in one vector."""
    worst = 1.0
    for a, b in zip(wanted, got):
        a, b = (np.concatenate([x.astype(np.float64).ravel() for x in values]) for values in (a, b))
        norm = np.linalg.norm(a) * np.linalg.norm(b)
        worst = min(worst, float(a @ b / norm) if norm else float(np.array_equal(a, b)))
    return worst


def bench_samples(bench, name):
    """Evaluation data of a model of the bench."""
    sys.path.insert(0, bench)
    import prep  # pylint: disable=import-outside-toplevel
    with open(os.path.join(bench, "bench.json")) as file:
        lists = json.load(file)[name]["eval"]
    config = prep.read_config(os.path.join(bench, "configs", name + ".json"))
    return prep.load_inputs(config, lists=lists, n=SAMPLES, base=bench)


class Comparison:
    def __init__(self, ours, peer, out, bench):
        self.ours, self.peer, self.out, self.missed = ours, peer, out, []
        self.bench = bench
        with open(os.path.join(bench, "bench.json") if bench else os.devnull) as file:
            self.listed = json.load(file) if bench else {}

    def ours_to(self, path, part, name, *arguments):
        """(path of the result, seconds)"""
        made = os.path.join(self.out, part, name + ".onnx")
        os.makedirs(os.path.dirname(made), exist_ok=True)
        return made, min(run([self.ours, "-q", "-i", path, "-o", made, *arguments], self.out) for _ in range(3))

    def peer_to(self, path, part, name, *arguments):
        """(path of the result, seconds), or none where XSlim fails."""
        made = os.path.join(self.out, "peer_" + part, name + ".onnx")
        os.makedirs(os.path.dirname(made), exist_ok=True)
        if self.peer == "-":
            return None
        if os.path.exists(made):
            return made, None
        try:
            return made, run([self.peer, "-i", path, "-o", made, *arguments], self.out)
        except RuntimeError as error:
            self.missed.append(f"(XSlim: {error})")
            return None

    def check(self, holds, text):
        if not holds:
            self.missed.append(text)

    def model(self, path, name):
        """The rows of the two tables."""
        samples = bench_samples(self.bench, name) if name in self.listed else feeds(path)
        wanted = outputs(path, samples)
        peer = self.peer_to(path, "slim", name)
        new, _ = self.ours_to(path, "new", name, "--opset", "24")
        same, seconds = self.ours_to(path, "same", name)
        worst = max(difference(wanted, outputs(p, samples)) for p in (new, same))
        self.check(worst <= 1e-5, f"{name}: outputs differ by {worst:.2g}")
        row = [name, nodes(path), "", nodes(new), nodes(same), "", f"{seconds:.3f}", "", f"{worst:.1e}"]
        times = [(peer, seconds, "slimming")]
        if peer:
            row[2] = nodes(peer[0])
            self.check(nodes(new) <= row[2], f"{name}: {nodes(new)} nodes, XSlim {row[2]}")
        accuracy = [name]
        for mode in ("fp16", "dynq"):
            peer_mode = self.peer_to(path, mode, name, "--" + mode)
            made, seconds = self.ours_to(path, mode, name, "--" + mode)
            times.append((peer_mode, seconds, mode))
            mine = cosine(wanted, outputs(made, samples))
            theirs = None
            if peer_mode:
                try:
                    theirs = cosine(wanted, outputs(peer_mode[0], samples))
                except Exception as error:  # pylint: disable=broad-except
                    self.missed.append(f"(XSlim's {mode} of {name} does not run: {str(error)[:120]})")
            accuracy += [f"{mine:.7f}" if mode == "fp16" else f"{mine:.5f}", "" if theirs is None else f"{theirs:.7f}" if mode == "fp16" else f"{theirs:.5f}"]
            if mode == "fp16":
                self.check(mine > 0.9999, f"{name}: --fp16 has cosine {mine:.6f}")
            elif theirs is not None:
                self.check(mine >= theirs - SLACK, f"{name}: --dynq has cosine {mine:.6f}, XSlim {theirs:.6f}")
        for other, seconds, mode in times:
            if other and other[1]:
                self.check(other[1] >= 20 * seconds, f"{name}: {mode} takes {seconds:.3f} s, XSlim {other[1]:.1f}")
        if peer and peer[1]:
            row[5], row[7] = f"{peer[1]:.1f}", f"{peer[1] / times[0][1]:.0f}"
        accuracy += [f"{other[1] / seconds:.0f}" if other and other[1] else "" for other, seconds, _ in times[1:]]
        return row, accuracy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("ours", "peer", "out"):
        parser.add_argument(name)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--bench")
    given = parser.parse_args()
    out = os.path.abspath(given.out)
    os.makedirs(out, exist_ok=True)
    comparison = Comparison(os.path.abspath(given.ours), given.peer if given.peer == "-" else os.path.abspath(given.peer), out,
                            given.bench and os.path.abspath(given.bench))
    rows = []
    for path in given.models:
        path = os.path.abspath(path)
        name = os.path.splitext(os.path.basename(path))[0]
        name = os.path.basename(os.path.dirname(path)) if name == "model" else name
        rows.append(comparison.model(path, name))
        print(name, "done", file=sys.stderr, flush=True)
    heads = (["model", "operators", "XSlim", "ours, `--opset 24`", "ours", "XSlim s", "ours s", "times faster", "max difference"],
             ["model", "--fp16", "XSlim", "--dynq", "XSlim", "times faster, --fp16", "--dynq"])
    for table, head in enumerate(heads):
        print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
        for row in rows:
            print("| " + " | ".join(str(cell) for cell in row[table]) + " |")
        print()
    print("\n".join(comparison.missed) or "nothing missed")
    return 1 if any(not text.startswith("(") for text in comparison.missed) else 0


if __name__ == "__main__":
    sys.exit(main())
