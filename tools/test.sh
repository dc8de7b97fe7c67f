#!/usr/bin/env bash
# From a fresh Debian 12 machine to all tests: installs, builds, runs ctest. The riscv_* tests cross-build and run in an
# emulator, which takes a download of 230 MB; XSLIM_TEST_RISCV=OFF leaves them out.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_packages.sh python3 python3-venv libgtest-dev libgmock-dev
requirements=tests/requirements.txt
if ! cmp -s "$requirements" .venv/installed.txt; then
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" .venv/installed.txt
fi
node_tests=$(.venv/bin/python -c 'import os, onnx; print(os.path.join(os.path.dirname(onnx.__file__), "backend/test/data/node"))')
riscv=${XSLIM_TEST_RISCV:-ON}
if [ "$riscv" = ON ]; then
  status=0
  tools/riscv/setup.sh || status=$?
  # Debian's mirror says nothing about this program: ctest then lists these tests as disabled.
  if [ "$status" -eq 75 ]; then
    echo "test.sh: the mirror does not serve Debian 13 for riscv64 now: the riscv_* tests do not run" >&2
    riscv=UNAVAILABLE
  elif [ "$status" -ne 0 ]; then
    exit "$status"
  fi
fi
tools/build.sh -DXSLIM_TEST_RISCV="$riscv" -DXSLIM_BUILD_TESTS=ON -DXSLIM_TEST_PYTHON="$PWD/.venv/bin/python" -DXSLIM_ONNX_NODE_TESTS="$node_tests"
ctest --test-dir build --output-on-failure --no-tests=error "$@"
