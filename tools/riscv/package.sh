#!/usr/bin/env bash
# Builds xslim for riscv64 and collects it with every library it loads, the C library included, in a folder that runs
# on any riscv64 Linux:   package.sh [DIR]      default: build-riscv/xslim-riscv64
# The libraries are Debian's, under their own licences.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:-build-riscv/xslim-riscv64}")
tools/riscv/build.sh xslim
dir=$(realpath -m "${XSLIM_RISCV_DIR:-.riscv}")
loader=ld-linux-riscv64-lp64d.so.1
rm -rf "$out"
mkdir -p "$out/lib"
cp build-riscv/xslim "$out/lib/xslim"
cp -L "$dir/sysroot/usr/lib/riscv64-linux-gnu/$loader" "$out/lib/"

needed() {
  llvm-readelf-19 --dynamic-table "$1" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p'
  if [ "$1" = "$out/lib/xslim" ]; then cat build-riscv/loaded_later.txt; fi
}

# What is needed, and what that needs.
queue=("$out/lib/xslim")
while [ ${#queue[@]} -gt 0 ]; do
  file=${queue[0]}
  queue=("${queue[@]:1}")
  while read -r name; do
    [ -e "$out/lib/$name" ] && continue
    from=$dir/sysroot/usr/lib/riscv64-linux-gnu/$name
    if [ ! -e "$from" ]; then from=$dir/sysroot/usr/lib/$name; fi
    if [ ! -e "$from" ]; then
      echo "package.sh: $name, needed by ${file##*/}, is not in the sysroot" >&2
      exit 1
    fi
    cp -L "$from" "$out/lib/$name"
    queue+=("$out/lib/$name")
  done < <(needed "$file")
done
llvm-strip-19 --strip-unneeded "$out"/lib/*.so* "$out/lib/xslim"

cat >"$out/xslim" <<LAUNCHER
#!/bin/sh
# Starts xslim with the libraries beside it.
here=\$(dirname "\$(readlink -f "\$0")")
exec "\$here/lib/$loader" --library-path "\$here/lib" "\$here/lib/xslim" "\$@"
LAUNCHER
chmod +x "$out/xslim" "$out/lib/$loader"

# It must start where there is no other riscv64 library: the emulator gets no sysroot here.
"$dir/qemu/qemu-riscv64" "$out/lib/$loader" --library-path "$out/lib" "$out/lib/xslim" --version
echo "$out: $(find "$out/lib" -type f | wc -l) files, $(du -sm "$out" | cut -f1) MB"
