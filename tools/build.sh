#!/usr/bin/env bash
# Installs what the build needs and builds into build/. Arguments go to cmake.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_packages.sh g++ cmake ninja-build ccache libonnx-dev libprotobuf-dev protobuf-compiler nlohmann-json3-dev \
  libcli11-dev libspdlog-dev libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev libturbojpeg0-dev libhwy-dev
# Paths below the checkout are hashed relative to it, so that another clone finds the same objects.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
cmake -S . -B build -G Ninja "$@" >/dev/null
ninja -C build
