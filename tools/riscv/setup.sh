#!/usr/bin/env bash
# Brings what building and running for riscv64 needs on Debian 12: clang-19 and lld-19 (installed, as root or through
# sudo), and into a folder: qemu-riscv64 and a riscv64 sysroot, both from Debian 13 by the mirror that apt already uses.
#   setup.sh [DIR]     default: .riscv in the checkout, or $XSLIM_RISCV_DIR. Quick when all is there.
# Exit status 75: the mirror does not serve Debian 13 now (try again later); 1: anything else.
# Debian 12's own qemu 7.2 aborts on conversions of the vector extension, and its libraries are not built for riscv64.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(realpath -m "${1:-${XSLIM_RISCV_DIR:-$root/.riscv}}")
codename=trixie
# A release goes by two names on a mirror. One that is being synchronised may serve an index under one of them that its
# signature does not match, and a whole one under the other.
names="trixie stable"

"$root/tools/install_packages.sh" clang-19 lld-19 llvm-19 cmake ninja-build ccache googletest

# gcc 14 is the suite's: clang finds its libstdc++ in the sysroot.
packages="libc6-dev libstdc++-14-dev libonnx-dev libprotobuf-dev nlohmann-json3-dev
  libcli11-dev libspdlog-dev libhwy-dev libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev libturbojpeg0-dev"
# Depended upon by packages, but neither linked nor loaded by our programs (a third of the download).
skip='^(libllvm[0-9]+|libz3-4|mesa-libgallium|libglx-mesa0|libgbm1|libgl1-mesa-dri|proj-data|gdal-data|libx11-data'
skip+='|fonts-.*|fontconfig.*|gnupg.*|gpg.*|gpgconf|gpgsm|dirmngr|pinentry.*|passwd|login.*|adduser|lib[alt]san[0-9]+'
skip+='|libubsan1|debconf.*|perl-base)$'
# A stamp of what was asked for: a changed list starts over.
stamp=$(echo "$codename" $packages "$skip" 2 | sha256sum | cut -d' ' -f1)
if [ "$(cat "$dir/stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
if [ "$(cat "$dir/stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
rm -f "$dir/stamp"

# apt_root DIR ARCH: a private apt state that takes only the mirror's address and the keyring from the host.
apt_root() {
  local apt=$1 arch=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror name
  mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    sed -nE -e 's/^URIs:[[:space:]]*([^[:space:]]+).*/\1/p' \
      -e 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' | grep -E '/debian/?$' | head -1) || true
  if [ -z "$mirror" ]; then
    echo "setup.sh: no Debian mirror in apt's sources (an address that ends in /debian)" >&2
    exit 1
  fi
  mkdir -p "$apt"/etc/apt/{apt.conf.d,preferences.d,trusted.gpg.d,sources.list.d} "$apt/debs" \
    "$apt"/var/lib/{dpkg,apt/lists/partial} "$apt/var/cache/apt/archives/partial"
  : >"$apt/var/lib/dpkg/status"
  cat >"$apt/apt.conf" <<CONF
Dir "$apt";
Dir::State::status "$apt/var/lib/dpkg/status";
APT::Architecture "$arch"; APT::Architectures { "$arch"; };
APT::Install-Recommends "false"; Acquire::Languages "none"; Acquire::Retries "3"; APT::Sandbox::User "root";
CONF
  export APT_CONFIG=$apt/apt.conf
  for name in $names; do
    rm -rf "$apt"/var/lib/apt/lists/*
    mkdir -p "$apt/var/lib/apt/lists/partial"
    echo "deb [signed-by=$keyring] $mirror $name main" >"$apt/etc/apt/sources.list"
    if apt-get update -qq && grep -qx "Codename: $codename" "$apt"/var/lib/apt/lists/*InRelease; then return; fi
    echo "setup.sh: $mirror does not serve Debian's $codename for $arch by the name of $name" >&2
  done
  exit 75
}

# fetch DIR PACKAGE...: the packages' files, into DIR/debs.
fetch() {
  local debs=$1/debs
  shift
  rm -f "$debs"/*.deb
  (cd "$debs" && apt-get download -qq "$@") || exit 75
}

if [ ! -x "$dir/qemu/qemu-riscv64" ]; then
  apt_root "$dir/apt-amd64" amd64
  fetch "$dir/apt-amd64" qemu-user
  mkdir -p "$dir/qemu"
  # A static program: it runs without the rest of its suite.
  dpkg-deb --fsys-tarfile "$dir"/apt-amd64/debs/qemu-user_*.deb |
    tar -x -C "$dir/qemu" --strip-components=3 ./usr/bin/qemu-riscv64
  rm -rf "$dir/apt-amd64"
fi
"$dir/qemu/qemu-riscv64" --version | head -1

apt_root "$dir/apt-riscv64" riscv64
# shellcheck disable=SC2086
list=$(apt-get install -s $packages | awk '/^Inst /{print $2}' | grep -vE "$skip")
# shellcheck disable=SC2086
fetch "$dir/apt-riscv64" $list
sysroot=$dir/sysroot
rm -rf "$sysroot"
mkdir -p "$sysroot"/usr/{lib,bin,sbin}
for name in lib bin sbin; do ln -s "usr/$name" "$sysroot/$name"; done
export sysroot
# shellcheck disable=SC2016
printf '%s\0' "$dir"/apt-riscv64/debs/*.deb | xargs -0 -n 8 -P "$(nproc)" bash -euo pipefail -c '
  for deb in "$@"; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$sysroot" --keep-directory-symlink --no-same-owner \
      --exclude="./usr/share/[!cp]*" --exclude="./usr/share/c[!m]*" --exclude="./usr/share/p[!k]*" \
      --exclude="./usr/bin/*" --exclude="./usr/sbin/*" --exclude="./var/*" --exclude="./etc/*"
  done' _
# Maintainer scripts do not run: OpenCV needs these two links of theirs.
lib=$sysroot/usr/lib/riscv64-linux-gnu
for path in blas/libblas.so.3 lapack/liblapack.so.3; do
  if [ -e "$lib/$path" ]; then ln -sf "$path" "$lib/${path##*/}"; fi
done
# Absolute links would leave the sysroot.
find "$sysroot" -type l -lname '/*' | while read -r link; do
  ln -sfn "$(realpath -m --relative-to="$(dirname "$link")" "$sysroot$(readlink "$link")")" "$link"
done
rm -rf "$dir/apt-riscv64"
echo "$stamp" >"$dir/stamp"
echo "sysroot: $(wc -w <<<"$list") packages, $(du -sm "$sysroot" | cut -f1) MB"
