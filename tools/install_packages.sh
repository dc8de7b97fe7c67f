#!/usr/bin/env bash
# Installs the named Debian packages that are missing (as root, or through sudo). Quick when all are there.
set -euo pipefail
missing=()
for package in "$@"; do
  [ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "installing: ${missing[*]}"
sudo=""
if [ "$(id -u)" -ne 0 ]; then sudo="sudo"; fi
export DEBIAN_FRONTEND=noninteractive
# A source that fails (a mirror being synchronised, a third party's) need not be the one that has these packages.
for pause in 5 20 0; do
  if $sudo apt-get update -qq; then break; fi
  echo "install_packages.sh: apt-get update failed" >&2
  sleep "$pause"
done
$sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
