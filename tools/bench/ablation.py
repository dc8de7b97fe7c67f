#!/usr/bin/env python3
"""What each stage brings: ablation.py BENCH_DIR XSLIM [MODEL...]

Every model is quantized at finetune levels 0, 1 and 2, with all stages and with one left out, and with placement fused. Prints
noise/signal on the evaluation data, of a detector's class scores or else of the first output, judged by ONNX Runtime with
optimisations off, as a Markdown table. Needs onnxruntime, NumPy, OpenCV and Pillow.
"""
import os
import sys
import tempfile

from bench_models import bench_models, first_outputs, noise, session

VARIANTS = [(0, {}), (0, {"centering": False}), (0, {"equalization": False}), (0, {"visible_ranges": False}), (0, {"one_grid": False}),
            (0, {"keep_means": False}), (0, {"placement": "fused"}),
            (1, {}), (1, {"centering": False}), (1, {"equalization": False}), (1, {"visible_ranges": False}), (1, {"one_grid": False}),
            (1, {"range_costs": False}), (1, {"weight_rounding": False}), (1, {"bias_correction": False}),
            (1, {"placement": "fused"}),
            (2, {}), (2, {"placement": "fused"})]


def judged(model, path):
    """The first output; of a YOLO head [1, 4 + classes, boxes] the scores."""
    values = first_outputs(session(path), model.feeds, flat=False)
    return [(value[:, 4:] if model.kind == "yolo" else value).ravel() for value in values]


def title(level, keys):
    text = "".join(f", no {key}" if value is False else f", {key} {value}" for key, value in keys.items())
    return f"level {level}{text or ', all stages'}"


def main():
    bench, program, only = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:]
    columns, table = [], {title(*variant): [] for variant in VARIANTS}
    for model in bench_models(bench, only):
        columns.append(model.name)
        reference = judged(model, model.path)
        for level, keys in VARIANTS:
            with tempfile.TemporaryDirectory() as folder:
                made = model.quantize(program, folder, finetune_level=level, **keys)
                table[title(level, keys)].append(noise(judged(model, made), reference))
    print("| stages | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for name, row in table.items():
        print(f"| {name} | " + " | ".join(f"{n:.5f}" for n in row) + " |")


if __name__ == "__main__":
    main()
