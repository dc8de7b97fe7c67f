#!/usr/bin/env python3
"""The samples beside digits, run as their README says and judged by ONNX Runtime. Usage: samples_test.py XSLIM"""
import csv
import os
import shutil
import sys
import tempfile

import numpy as np
import onnx

from helpers import Checks, HERE, noise, run_xslim, session

SAMPLES = os.path.join(HERE, "..", "..", "samples")


def two_inputs(checks, program, folder):
    """Two inputs, one of them through a preprocessing script; the script's work is done again here."""
    here = os.path.join(folder, "two_inputs")
    shutil.copytree(os.path.join(SAMPLES, "two_inputs"), here, ignore=shutil.ignore_patterns("temp", "make_sample.py"))
    log = run_xslim(program, ["-c", "config.json"], here, {"XSLIM_PYTHON": sys.executable})
    checks.that("warning" not in log, f"two_inputs: {log}")
    output = os.path.join(here, "temp", "two_inputs.q.onnx")
    onnx.checker.check_model(output, full_check=True)
    checks.that(os.path.isfile(output.replace(".onnx", "_verdict.json")), "two_inputs: no verdict")
    feeds = []
    for i in range(24):
        with open(os.path.join(here, "signals", "%02d.csv" % i), newline="", encoding="utf-8") as file:
            signal = np.array([float(row["value"]) for row in csv.DictReader(file)], np.float32)
        signal -= signal.mean()
        signal /= np.sqrt((signal ** 2).mean()) + 1e-6
        feeds.append({"signal": signal[None, None], "state": np.load(os.path.join(here, "states", "%02d.npy" % i))[None]})
    want, got = (np.concatenate([runner.run(None, feed)[0] for feed in feeds])
                 for runner in (session(os.path.join(here, "two_inputs.onnx")), session(output)))
    power = noise(got, want)
    print(f"two_inputs: noise/signal {power:.6f}")
    checks.that(power <= 0.003, f"two_inputs: noise/signal {power}")
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(output).graph.initializer}
    span = 255 * float(constants["signal_scale"])
    seen = max(feed["signal"].max() for feed in feeds) - min(feed["signal"].min() for feed in feeds)
    checks.that(0.7 * seen < span < 1.1 * seen, f"two_inputs: the range of signal spans {span}, the data {seen}")


def main(program):
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        two_inputs(checks, program, folder)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
