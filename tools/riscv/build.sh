#!/usr/bin/env bash
# Builds for riscv64 into build-riscv/. Arguments are ninja targets; none: everything, with all unit tests.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/riscv/setup.sh
dir=$(realpath -m "${XSLIM_RISCV_DIR:-.riscv}")
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
cmake -S . -B build-riscv -G Ninja -DCMAKE_TOOLCHAIN_FILE="$PWD/tools/riscv/toolchain.cmake" \
  -DRISCV_SYSROOT="$dir/sysroot" -DRISCV_QEMU="$dir/qemu/qemu-riscv64" -DXSLIM_BUILD_TESTS=ON >/dev/null
ninja -C build-riscv "$@"
