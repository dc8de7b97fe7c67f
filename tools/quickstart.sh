#!/usr/bin/env bash
# From a fresh Debian 12 machine to a quantized model: installs, builds, quantizes samples/digits, measures.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
tools/build.sh
cd samples/digits
"$root/build/xslim" -c config.json
echo
echo "500 test images, float model and int8 model on xslim's own executor:"
"$root/build/top1" config.json labels.txt digits_cnn.onnx temp/digits_cnn.q.onnx
echo
echo "int8 model: samples/digits/temp/digits_cnn.q.onnx"
echo "report:     samples/digits/temp/digits_cnn.q_report.md"
