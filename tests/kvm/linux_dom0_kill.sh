#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 180
# Proves that a Linux at work on its ext4 does not notice when dom0 is killed and
# started again, eight times: each round's file reads back as it was written,
# nothing of the disk is disabled, and the file system is clean in the end.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"
. "$KXEN_TOP/tests/linux/disk.sh"

kernel=$(linux_kernel cloud-amd64) || { rc=$?; echo "$kernel"; exit $rc; }
# shellcheck disable=SC2046
initramfs=$(make_initramfs '
mount -t ext4 /dev/xvda /mnt || exit 1
i=0
while [ $i -lt 90 ]; do
    dd if=/dev/urandom of=/tmp/f bs=64k count=24 2>/dev/null
    cp /tmp/f /mnt/f$((i % 8)) && sync && echo 3 >/proc/sys/vm/drop_caches
    cmp /tmp/f /mnt/f$((i % 8)) || { echo "round $i: other data"; break; }
    i=$((i + 1))
    echo "round $i done"
done
for f in /mnt/f*; do echo "SUM $(md5sum $f | sed "s,/mnt/,,")"; done
umount /mnt
echo "ended after $i rounds"' $(linux_disk_modules "$kernel")) ||
    { rc=$?; echo "$initramfs"; exit $rc; }
mkdir "$KXEN_TEST_TMP/root"
disk=$(ext4_image disk.img 64 "$KXEN_TEST_TMP/root")
host_start
create disk "$kernel" "ramdisk = \"$initramfs\"" 'memory = 256' 'vcpus = 2' \
    'extra = "console=hvc0 loglevel=4 panic=1"' "disk = [\"$disk,raw,xvda,w\"]"
log=$(console_file "$domid")
for n in 1 2 3 4 5 6 7 8; do
    console_wait "$domid" "round ${n}0 done" 30
    daemon_kill dom0
    sleep "0.$n"
    daemon_start dom0
done
console_wait "$domid" 'ended after 90 rounds' 40
gone_wait disk
tr -d '\r' <"$log" >"$KXEN_TEST_TMP/out"
linux_check_log "$KXEN_TEST_TMP/out"
! grep -E 'I/O error|disabled|other data' "$KXEN_TEST_TMP/out" || fail "its disk failed"
ext4_check "$disk"
ext4_compare "$disk" "$KXEN_TEST_TMP/out"
host_alive
