#!/usr/bin/env python3
"""Whole runs as multiples of ONNX Runtime's float forwards: whole_runs.py BENCH_DIR XSLIM [MODEL...] [--levels 0,1,2] [--rounds N]
[--samples N]

A round times N float forwards of ONNX Runtime (default session, 2 threads), then xslim with as many calibration samples (the list is
repeated where it is shorter), calibration_type default, report included, 2 threads, at every level. The quickest of the rounds
counts, so that other load disturbs as little as can be. Prints a Markdown table with the peak memory and the bound on it that
three times the model's file and 150 MB give. Needs onnxruntime, NumPy, OpenCV and Pillow.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

from bench_models import bench_models, session

THREADS = 2


# Waits for a child of its own: the peak of a process counts that of the one it was forked from, which is large here.
MEASURE = """
import os, sys, time
begin = time.perf_counter()
_, status, usage = os.wait4(os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:]), 0)
print(status, time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3)
"""


def run(command, folder):
    """Seconds on the clock, of the processors, and peak MB of a command."""
    done = subprocess.run([sys.executable, "-S", "-c", MEASURE, *command], cwd=folder, stdout=subprocess.PIPE, check=True, text=True)
    status, *figures = (float(word) for word in done.stdout.split())
    if status != 0:
        raise SystemExit(" ".join(command) + " failed")
    return figures


def repeated_lists(config, bench, folder, samples):
    """Points the config at lists of at least samples lines: the folder's own, repeated."""
    for entry in config["calibration_parameters"]["input_parameters"]:
        path = os.path.join(bench, entry["data_list_path"])
        with open(path) as file:
            lines = [line.strip() for line in file if line.strip()]
        lines = [line if os.path.isabs(line) else os.path.join(os.path.dirname(path), line) for line in lines]
        entry["data_list_path"] = os.path.join(folder, os.path.basename(path))
        with open(entry["data_list_path"], "w") as file:
            file.write("\n".join((lines * -(-samples // len(lines)))[:samples]) + "\n")
    config["calibration_parameters"]["calibration_step"] = samples


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("program")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--levels", default="0,1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=64)
    given = parser.parse_args()
    bench, program = os.path.abspath(given.bench), os.path.abspath(given.program)
    print("| model | finetune_level | forwards s | run s | ratio | processor s | peak MB | file x 3 + 150 MB |\n|---|---|---|---|---|---|---|---|")
    for model in bench_models(bench, given.models):
        running = session(model.path, optimised=True, threads=THREADS)
        running.run(None, model.feeds[0])
        levels = given.levels.split(",")
        forwards, best = float("inf"), {level: [float("inf")] * 3 for level in levels}
        with tempfile.TemporaryDirectory() as folder:
            repeated_lists(model.config, bench, folder, given.samples)
            for _ in range(given.rounds):
                begin = time.perf_counter()
                for i in range(given.samples):
                    running.run(None, model.feeds[i % len(model.feeds)])
                forwards = min(forwards, time.perf_counter() - begin)
                for level in levels:
                    settings = os.path.join(folder, "c.json")
                    model.write_config(settings, precision_level=0, finetune_level=int(level))
                    made = run([program, "-q", "--threads", str(THREADS), "-c", settings, "-i", model.path, "-o",
                                os.path.join(folder, "o.onnx")], bench)
                    best[level] = [min(pair) for pair in zip(best[level], made)]
        bound = 3 * os.path.getsize(model.path) / 1e6 + 150
        for level, (wall, processor, peak) in best.items():
            print(f"| {model.name} | {level} | {forwards:.3f} | {wall:.2f} | {wall / forwards:.1f} | {processor:.2f} | {peak:.0f} | "
                  f"{bound:.0f} |", flush=True)


if __name__ == "__main__":
    main()
