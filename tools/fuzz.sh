#!/usr/bin/env bash
# Runs the fuzz tests long under AddressSanitizer and UndefinedBehaviorSanitizer, in build-asan/.
#   tools/fuzz.sh [CASES] [FIRST_SEED]
# CASES (default 20000) damaged single-node models and a tenth as many runs of the program. XSLIM_TEST_PYTHON names a Python with
# the packages of tests/requirements.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
cases="${1:-20000}" first="${2:-1000000}" python="${XSLIM_TEST_PYTHON:-.venv/bin/python}"
cmake -S . -B build-asan -G Ninja -DXSLIM_SANITIZE=ON -DXSLIM_BUILD_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo
ninja -C build-asan xslim run_cases
status=0
"$python" tests/fuzz/operator_test.py build-asan/tests/runtime_ort/run_cases --sanitized --cases "$cases" --first "$first" || status=1
"$python" tests/fuzz/mutation_test.py build-asan/xslim --sanitized --cases "$((cases / 10))" --first "$first" || status=1
exit "$status"
