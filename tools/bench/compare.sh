#!/usr/bin/env bash
# compare.sh BENCH_DIR [PYTHON]: runs build/xslim over the models of a bench folder (compare.py, bench.json, configs, models,
# data) and prints Markdown tables. Works on a temporary copy; PYTHON needs onnxruntime, numpy, OpenCV and Pillow.
set -euo pipefail
if [ $# -lt 1 ] || [ $# -gt 2 ] || [ ! -f "$1/compare.py" ]; then
  echo "usage: tools/bench/compare.sh BENCH_DIR [PYTHON]   (BENCH_DIR holds compare.py)" >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${2:-}
if [ -z "$python" ]; then
  python=python3
  if [ -x "$root/.venv/bin/python" ]; then python=$root/.venv/bin/python; fi
fi
if [ ! -x "$root/build/xslim" ]; then
  echo "build/xslim is missing: run tools/build.sh" >&2
  exit 1
fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r "$1/." "$copy"
"$python" "$copy/compare.py" --base "$copy" --ours "$root/build/xslim" --tools ours \
  --settings p0f0-minmax,p0f0-percentile,p0f0-default --redo --md table.md >&2
cat "$copy/table.md"
