#!/usr/bin/env bash
# Runs a riscv64 program in qemu: run.sh PROGRAM [ARGUMENTS]
#   VLEN=N        vector length in bits, 128 to 1024, or 0 for a processor without vectors (default 256)
# Elements that the vector extension leaves open become all ones, so that nothing can depend on them.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(realpath -m "${XSLIM_RISCV_DIR:-$root/.riscv}")
vlen=${VLEN:-256}
if [ "$vlen" = 0 ]; then
  export QEMU_CPU=rv64,v=false
else
  export QEMU_CPU=rv64,v=true,vlen=$vlen,elen=64,vext_spec=v1.0,rvv_ta_all_1s=true,rvv_ma_all_1s=true
fi
exec "$dir/qemu/qemu-riscv64" -L "$dir/sysroot" "$@"
