#!/usr/bin/env bash
# From a fresh Debian 12 machine: builds the program and all unit tests for riscv64, runs them in qemu, and compares
# what the program writes with the build for this machine. Downloads stay in .riscv/, objects in build-riscv/.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/build.sh
tools/riscv/build.sh
ctest --test-dir build-riscv --output-on-failure --no-tests=error -j "$(nproc)" "$@"
python3 tests/riscv/same_bytes_test.py build/xslim tools/riscv/run.sh build-riscv/xslim
