#!/bin/bash
# SPDX-License-Identifier: MIT
# The whole path, shown: a guest finds console and disk through the store,
# moves verified data through shared rings, the host looks after it, and the
# same work over trapped devices stands beside it in a table.
set -u
cd "$(dirname "$0")/.." || exit 1

build=${KXEN_BUILD:-build}
bin=$build/bin
guests=$build/lib/guests
seed=2024

say() {
    printf '\n== %s\n' "$*"
}

die() {
    echo "demo: $*" >&2
    exit 1
}

[ -r /dev/kvm ] && [ -w /dev/kvm ] || die "cannot use /dev/kvm; try: $bin/kxl check"
scratch=$(mktemp -d) || die "no scratch folder"
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch

say "1. A paravirtual guest, its disk and console over split drivers"
head -c $((16 << 20)) /dev/zero >"$scratch/disk.img" || die "no room in $scratch"
cat >"$scratch/demo.cfg" <<END
name = "demo"
kernel = "$guests/verify.elf"
memory = 64
vcpus = 1
extra = "seed=$seed rounds=2"
disk = [ "format=raw, vdev=xvda, access=rw, target=$scratch/disk.img" ]
END
sed 's/^/    | /' "$scratch/demo.cfg"
echo "\$ kxl run demo.cfg"
"$bin/kxl" run "$scratch/demo.cfg" </dev/null | sed 's/^/    /'
status=${PIPESTATUS[0]}
[ "$status" = 0 ] || die "kxl run ended with status $status"

say "2. The host looks at the image"
"$bin/kximgcheck" "$scratch/disk.img" $seed || die "the image is not what the guest wrote"

say "3. The same guest, five ways to a disk and two to a console"
"$bin/kxbench" disk console --runs 1 --json "$scratch/demo.json" ||
    die "the comparison is not complete"
