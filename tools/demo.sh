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

if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
    die "cannot use /dev/kvm; try: $bin/kxl check"
fi
scratch=$(mktemp -d) || die "no scratch folder"
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch
head -c $((16 << 20)) /dev/zero >"$scratch/disk.img" || die "no room in $scratch"

# $1: extra, $2: the device line; boots the verifier and looks after it
verify() {
    cat >"$scratch/demo.cfg" <<END
name = "demo"
kernel = "$guests/verify.elf"
memory = 64
extra = "seed=$seed $1"
$2
END
    sed "s|$scratch/||; s/^/    | /" "$scratch/demo.cfg"
    echo "\$ kxl run demo.cfg"
    "$bin/kxl" run "$scratch/demo.cfg" </dev/null | sed 's/^/    /'
    status=${PIPESTATUS[0]}
    [ "$status" = 0 ] || die "kxl run ended with status $status"
    echo "\$ kximgcheck disk.img $seed"
    "$bin/kximgcheck" "$scratch/disk.img" $seed "$3" | sed 's/^/    /'
    [ "${PIPESTATUS[0]}" = 0 ] ||
        die "the host does not find in the image what the guest wrote"
}

image=$scratch/disk.img
say "1. A paravirtual guest finds disk and console through the store, and" \
    "verifies data"
verify "rounds=2" \
    "disk = [ \"format=raw, vdev=xvda, access=rw, target=$image\" ]" 32768

say "2. The same guest and image over trapped devices"
verify "round=3 sectors=2048" "trapped = [ \"ata,target=$image\" ]" 32768
verify "round=4" "trapped = [ \"virtio,target=$image,ioeventfd\" ]" 32768

say "3. The same guest, five ways to a disk and two to a console"
"$bin/kxbench" disk console --runs 1 --json "$scratch/demo.json" ||
    die "the comparison is not complete"
