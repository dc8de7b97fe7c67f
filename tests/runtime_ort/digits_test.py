#!/usr/bin/env python3
"""The digits samples quantized by xslim and judged by ONNX Runtime. Usage: digits_test.py XSLIM"""
import os
import sys
import tempfile

import numpy as np
import onnx

from helpers import Checks, copy_digits, digits_test_set, noise, run_all, run_xslim, session, typical_noise

REPORT_PARTS = ["# Quantization report", "- Model:", "- Data:", "- Settings:", "- Multiply-adds in int8:",
                "- Computing operators in int8:", "- Tensors with Q/DQ:", "## Outputs", "## Operators",
                "| | Op | Var | SNR | MSE | Cosine | Q.MinMax | F.MinMax | F.Hist |"]

# config, float model, allowed loss of top-1 in points, allowed noise/signal of the logits over the test images.
# The noise bars are about a quarter above what these settings gave when the test was written.
CASES = [("config.json", "digits_cnn.onnx", 0.4, 0.0017),
         ("config_vit.json", "digits_vit.onnx", 0.6, 0.006)]


def check_levels(checks, program, config, model, images):
    """finetune_level 2 looks at more samples than 1, and 3 learns on top of it: never for the worse."""
    power = {}
    for level in (1, 2, 3):
        with tempfile.TemporaryDirectory() as folder:
            digits = copy_digits(folder, finetune_level=level)
            output = os.path.join(folder, "q.onnx")
            log = run_xslim(program, ["-c", config, "-o", output], digits)
            checks.that(("learn" in log) == (level == 3), f"{model}, finetune_level {level}: {log}")
            power[level] = noise(run_all(output, images), run_all(os.path.join(digits, model), images))
    print(f"{model}: noise/signal at finetune_level 1, 2 and 3: {power[1]:.6f}, {power[2]:.6f}, {power[3]:.6f}")
    checks.that(power[2] <= power[1], f"{model}: noise/signal {power[2]} at finetune_level 2, {power[1]} at 1")
    checks.that(power[3] <= power[2], f"{model}: noise/signal {power[3]} at finetune_level 3, {power[2]} at 2")


def check_codes(checks, program, images):
    """--int8-io: the same numbers as without it, as codes."""
    with tempfile.TemporaryDirectory() as folder:
        digits = copy_digits(folder, finetune_level=0, analysis_enable=False)
        plain, coded = os.path.join(folder, "plain.onnx"), os.path.join(folder, "coded.onnx")
        run_xslim(program, ["-c", "config.json", "-o", plain], digits)
        run_xslim(program, ["-c", "config.json", "-o", coded, "--int8-io"], digits)
        onnx.checker.check_model(coded, full_check=True)
        runner = session(coded)
        checks.that([end.type for end in runner.get_inputs() + runner.get_outputs()] == ["tensor(int8)"] * 2, "types of --int8-io")
        told = runner.get_modelmeta().custom_metadata_map
        scale = {name: np.float32(told["scale:" + name]) for name in ("input", "logits")}
        zero = {name: int(told["zero_point:" + name]) for name in ("input", "logits")}
        codes = np.clip(np.rint(images / scale["input"]) + zero["input"], -128, 127).astype(np.int8)
        got = (run_all(coded, codes).astype(np.float32) - zero["logits"]) * scale["logits"]
        checks.that(np.array_equal(got, run_all(plain, images)), "--int8-io gives other numbers")


def main(program):
    checks = Checks()
    images, labels = digits_test_set()
    checks.that(len(labels) == 500, f"500 test images, found {len(labels)}")

    def top1(logits):
        return 100.0 * float((logits.reshape(len(labels), -1).argmax(1) == labels).mean())

    with tempfile.TemporaryDirectory() as folder:
        digits = copy_digits(folder, finetune_level=0)
        for config, model, loss, bar in CASES:
            output = os.path.join(folder, model.replace(".onnx", ".q.onnx"))
            run_xslim(program, ["-c", config, "-o", output], digits)
            onnx.checker.check_model(output, full_check=True)
            want = run_all(os.path.join(digits, model), images)
            got = run_all(output, images)
            power = noise(got, want)
            print(f"{model}: top-1 float {top1(want):.1f}, int8 {top1(got):.1f}; noise/signal {power:.6f}")
            checks.that(top1(want) > 90, f"{model}: the float model itself has top-1 {top1(want)}")
            checks.that(top1(got) >= top1(want) - loss, f"{model}: top-1 {top1(got)} against {top1(want)} of float")
            checks.that(power <= bar, f"{model}: noise/signal {power} over {bar}")
            optimised = run_all(output, images, optimised=True)
            deployed = noise(optimised, want)
            typical, optimised_typical = typical_noise(got, want), typical_noise(optimised, want)
            print(f"{model}: with default optimisations top-1 {top1(optimised):.1f}, noise/signal {deployed:.6f}")
            checks.that(top1(optimised) >= top1(want) - loss,
                        f"{model}: top-1 {top1(optimised)} with ONNX Runtime's default optimisations")
            checks.that(optimised_typical <= 1.1 * typical,
                        f"{model}: typical noise/signal {optimised_typical} with default optimisations, {typical} without")

            report = output.replace(".onnx", "_report.md")
            checks.that(os.path.isfile(report), f"{report} was not written")
            if os.path.isfile(report):
                with open(report) as file:
                    text = file.read()
                for part in REPORT_PARTS:
                    checks.that("\n" + part in "\n" + text, f"{model}: the report lacks \"{part}\"")
                checks.that("| logits |" in text, f"{model}: the report does not judge the output")
    check_codes(checks, program, images[:50])
    for config, model, _, _ in CASES:
        check_levels(checks, program, config, model, images)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
