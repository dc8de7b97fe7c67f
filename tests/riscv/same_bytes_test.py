#!/usr/bin/env python3
"""The riscv64 program writes the bytes that the one of this machine writes.

Usage: same_bytes_test.py XSLIM RUNNER RISCV_XSLIM      RUNNER: tools/riscv/run.sh

Quantizes the two digits samples with a few images, some of which have to be resized. What ran is proved by the log:
with -v xslim says which kernels it uses.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

DIGITS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "samples", "digits")
IMAGES = 3  # of the sample; an emulator runs some MFLOP a second
# Height and width of images that are shrunk or stretched to 32 x 32, by whole factors and others.
ODD_SIZES = [(45, 71), (64, 64), (20, 50), (33, 32)]


def write_ppm(path, height, width):
    pixels = bytes((3 * x * x + 5 * y * y + 7 * x * y + 85 * c) >> 3 & 255
                   for y in range(height) for x in range(width) for c in range(3))
    with open(path, "wb") as file:
        file.write(b"P6\n%d %d\n255\n" % (width, height) + pixels)


def prepare(folder):
    target = os.path.join(folder, "digits")
    shutil.copytree(DIGITS, target, ignore=shutil.ignore_patterns("temp", "test", "*.py"))
    with open(os.path.join(target, "calib_list.txt")) as file:
        names = file.read().split()[:IMAGES]
    for i, (height, width) in enumerate(ODD_SIZES):
        names.append(f"calib/odd{i}.ppm")
        write_ppm(os.path.join(target, names[-1]), height, width)
    with open(os.path.join(target, "calib_list.txt"), "w") as file:
        file.write("\n".join(names) + "\n")
    for name in ("config.json", "config_vit.json"):
        path = os.path.join(target, name)
        with open(path) as file:
            config = json.load(file)
        config["calibration_parameters"]["calibration_step"] = len(names)
        config["quantization_parameters"]["finetune_level"] = 0
        with open(path, "w") as file:
            json.dump(config, file)
    return target


def quantize(command, vlen, config, folder):
    """(model bytes, report bytes, name of the kernel table)"""
    output, report = os.path.join(folder, "out.onnx"), os.path.join(folder, "out_report.md")
    for path in (output, report):
        if os.path.exists(path):
            os.remove(path)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XSLIM_ISA", "XQUANT_", "QEMU_CPU"))}
    environment["VLEN"] = str(vlen)
    done = subprocess.run([*command, "-v", "-c", config, "-o", "out.onnx", "--threads", "2"], cwd=folder,
                          env=environment, capture_output=True, text=True, timeout=1200)
    if done.returncode != 0:
        raise RuntimeError(f"{command} {config}: exit status {done.returncode}\n{done.stderr}")
    with open(output, "rb") as model, open(report, "rb") as text:
        return model.read(), text.read(), re.search(r"kernels: (\w+)", done.stderr).group(1)


def main(program, runner, riscv_program):
    failed = 0
    riscv = [os.path.abspath(runner), os.path.abspath(riscv_program)]
    with tempfile.TemporaryDirectory() as folder:
        digits = prepare(folder)
        for config, lengths in (("config.json", (128, 256, 0)), ("config_vit.json", (256,))):
            model, report, table = quantize([os.path.abspath(program)], 0, config, digits)
            print(f"{config}: {table}, {len(model)} bytes and {len(report)} bytes")
            for vlen in lengths:
                got_model, got_report, got_table = quantize(riscv, vlen, config, digits)
                same = got_model == model and got_report == report
                expected = "rvv" if vlen else "scalar"
                print(f"{config}: riscv64, {vlen} bits, {got_table}: {'the same bytes' if same else 'DIFFERENT'}")
                failed += not same or got_table != expected
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
