#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
# Proves that a disk is what its guest's barriers made of it when the domain is
# destroyed amid writes: the journal's replay leaves a clean file system, and
# every file that the guest had synced is there, whole.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"
. "$KXEN_TOP/tests/linux/disk.sh"

kernel=$(linux_kernel cloud-amd64) || { rc=$?; echo "$kernel"; exit $rc; }
# shellcheck disable=SC2046
initramfs=$(make_initramfs '
mount -t ext4 /dev/xvda /mnt || exit 1
cd /mnt
(while :; do dd if=/dev/zero of=noise bs=32k count=200; done) 2>/dev/null &
i=0
while :; do
    i=$((i + 1))
    dd if=/dev/urandom of=f$i bs=5000 count=20 conv=fsync 2>/dev/null
    echo "SUM $(md5sum f$i)"
done' $(linux_disk_modules "$kernel")) ||
    { rc=$?; echo "$initramfs"; exit $rc; }
mkdir "$KXEN_TEST_TMP/root"
disk=$(ext4_image disk.img 96 "$KXEN_TEST_TMP/root")
host_start
create disk "$kernel" "ramdisk = \"$initramfs\"" 'memory = 256' 'vcpus = 2' \
    'extra = "console=hvc0 loglevel=4 panic=1"' "disk = [\"$disk,raw,xvda,w\"]"
log=$(console_file "$domid")
console_wait "$domid" 'SUM .* f25' 60
kxl destroy disk || fail "kxl destroy ended with status $?"
gone_wait disk
tr -d '\r' <"$log" >"$KXEN_TEST_TMP/out"
linux_check_log "$KXEN_TEST_TMP/out"
e2fsck -p "$disk"
[ $? -le 1 ] || fail "the journal's replay was not enough"
ext4_check "$disk"
ext4_compare "$disk" "$KXEN_TEST_TMP/out"
host_alive
