#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs what a target needs and the machine lacks (Debian packages), as
# root or through sudo; otherwise says exactly what to install and fails.
# usage: tools/install-deps.sh build|test|check|soak|oracle
# shellcheck disable=SC2034  # the lists are read by name
set -u

build="gcc make pkg-config libc6-dev linux-libc-dev libxen-dev liburing-dev
       liburcu-dev zlib1g-dev liblzma-dev libzstd-dev liblz4-dev
       libjansson-dev"
test="$build libcmocka-dev python3 python3-pyxs xenstore-utils e2fsprogs"
check="$test clang-format cppcheck"
soak="$test clang debootstrap"
oracle="qemu-system-x86 cpio python3"

# Either will do for reading memory dumps, but they exclude each other.
command -v gdb >/dev/null || test="$test gdb-minimal"
case "${1:-}" in
build|test|check|soak|oracle) want=${!1} ;;
*) echo "usage: $0 build|test|check|soak|oracle" >&2; exit 1 ;;
esac

missing=""
for p in $want; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
        missing="$missing $p"
done
[ -z "$missing" ] && exit 0

run=""
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        run=sudo
    else
        echo "These Debian packages are missing:$missing" >&2
        echo "Install them with: sudo apt-get install -y$missing" >&2
        exit 1
    fi
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
$run apt-get install -y --no-install-recommends $missing >/dev/null 2>&1 ||
    { $run apt-get update >/dev/null &&
      $run apt-get install -y --no-install-recommends $missing >/dev/null; } ||
    { echo "could not install:$missing" >&2
      echo "Try: apt-get update && apt-get install -y$missing" >&2; exit 1; }
