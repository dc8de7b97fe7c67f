#!/usr/bin/env python3
"""Our executor against ONNX Runtime on the digits models. Usage: executor_vs_ort_test.py XSLIM RUN_MODEL

Float: the logits of both agree closely. Q/DQ: a float rounding difference may move a code by one step, and networks amplify
that, so what must agree is how far each is from the float model.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np

from helpers import Checks, copy_digits, digits_test_set, noise, run_all, run_xslim

SAMPLES = 100
SETTINGS = [{}, {"placement": "fused"}, {"precision_level": 2}]


def run_ours(program, model, samples, folder):
    """The first output of our executor for each sample, [samples, 1, 10]."""
    paths = []
    for i, sample in enumerate(samples):
        paths.append(os.path.join(folder, f"in{i}.raw"))
        np.ascontiguousarray(sample, np.float32).tofile(paths[-1])
    prefix = os.path.join(folder, "out")
    shape = ",".join(str(d) for d in samples[0].shape)
    subprocess.run([program, model, prefix, shape, *paths], check=True, timeout=600)
    return np.stack([np.fromfile(f"{prefix}{i}.raw", np.float32) for i in range(len(samples))]).reshape(len(samples), 1, -1)


def compare(checks, program, run_model, config, images, want, folder, name):
    output = os.path.join(folder, "q.onnx")
    run_xslim(program, ["-c", config, "-o", output], os.path.dirname(config))
    theirs, ours = run_all(output, images), run_ours(run_model, output, images, folder)
    a, b = noise(theirs, want), noise(ours, want)
    between = noise(ours, theirs)
    print(f"{name}: int8 noise/signal: ONNX Runtime {a:.6f}, ours {b:.6f}; between them {between:.6f}")
    checks.that(abs(a - b) <= 0.05 * a, f"{name}: noise/signal {b} of our executor against {a} of ONNX Runtime")
    checks.that(between <= 0.5 * a, f"{name}: the two differ by {between}, quantization itself makes {a}")
    same = float((theirs.argmax(-1) == ours.argmax(-1)).mean())
    checks.that(same >= 0.97, f"{name}: the same class for {same:.1%} of the images only")


def main(program, run_model):
    checks = Checks()
    images = digits_test_set()[0][:SAMPLES]
    with tempfile.TemporaryDirectory() as folder:
        digits = copy_digits(folder, finetune_level=0)
        for config, name in (("config.json", "digits_cnn.onnx"), ("config_vit.json", "digits_vit.onnx")):
            model = os.path.join(digits, name)
            want, got = run_all(model, images), run_ours(run_model, model, images, folder)
            checks.that(want.shape == got.shape, f"{name}: shapes {want.shape} and {got.shape}")
            # Relative to the largest logit: single logits may be near 0.
            error = float(np.abs(got - want).max() / np.abs(want).max())
            print(f"{name}: float, largest difference {error:.2e} of the largest logit")
            checks.that(error <= 1e-5, f"{name}: float outputs differ by {error} of the largest logit")

            for settings in SETTINGS if "vit" in name else SETTINGS[:1]:
                changed = copy_digits(os.path.join(folder, *(f"{k}_{v}" for k, v in settings.items()), name), finetune_level=0, **settings)
                compare(checks, program, run_model, os.path.join(changed, config), images, want, folder, f"{name} {settings or ''}")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
