#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 600
# Proves that Debian's unmodified xen-blkfront with a queue for each of two vCPUs
# does not notice a dom0 that is killed under its I/O: both queues are busy with
# direct writes, dom0 is killed and started again four times, every write comes
# back once it is answered, and what is on the image is what was written.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"

# shellcheck disable=SC2016
SCRIPT='
echo "QUEUES $(ls /sys/block/xvda/mq | wc -l)"
dd if=/dev/urandom of=/tmp/block bs=1M count=1 2>/dev/null
for side in 0 1; do
    (
        i=0
        while [ $i -lt 250 ]; do
            dd if=/tmp/block of=/dev/xvda bs=16k count=8 oflag=direct \
                seek=$(((side * 250 + i) * 8)) skip=$((i % 8 * 8)) \
                conv=notrunc 2>/dev/null || echo "WRITE $side $i failed"
            [ $i != 20 ] || echo "SIDE $side runs"
            i=$((i + 1))
        done
    ) &
done
wait
sync
echo 3 >/proc/sys/vm/drop_caches
echo "BLOCK $(md5sum </tmp/block | cut -d" " -f1)"
echo "SUM $(dd if=/dev/xvda bs=128k count=500 2>/dev/null | md5sum | cut -d" " -f1)"
echo "FIRST $(dd if=/dev/xvda bs=1M count=1 2>/dev/null | md5sum | cut -d" " -f1)"
'
[ "$(nproc)" -ge 2 ] || skip "one CPU: disks have one queue here"
kernel=$(linux_kernel cloud-amd64) || { rc=$?; echo "$kernel"; exit $rc; }
# shellcheck disable=SC2046
initramfs=$(make_initramfs "$SCRIPT" $(linux_disk_modules "$kernel")) ||
    { rc=$?; echo "$initramfs"; exit $rc; }
disk=$KXEN_TEST_TMP/disk.img
truncate -s 64M "$disk"

host_start
create box "$kernel" "ramdisk = \"$initramfs\"" 'memory = 256' 'vcpus = 2' \
    'extra = "console=hvc0 loglevel=4 panic=1"' "disk = [\"$disk,raw,xvda,w\"]"
log=$(console_file "$domid")
console_wait "$domid" '^QUEUES 2' 120
console_wait "$domid" '^SIDE 0 runs' 300
console_wait "$domid" '^SIDE 1 runs' 300
for _ in 1 2 3 4; do
    sleep 0.3
    daemon_kill dom0
    daemon_start dom0
done
grep -q '^SUM' "$log" && broken "the guest was done before dom0 was killed"
console_wait "$domid" '^FIRST [0-9a-f]' 300
tr -d '\r' <"$log" >"$KXEN_TEST_TMP/out"
linux_check_log "$KXEN_TEST_TMP/out"
grep '^WRITE' "$KXEN_TEST_TMP/out" && fail "a write failed"
said() { sed -n "s/^$1 \([0-9a-f]*\)$/\1/p" "$KXEN_TEST_TMP/out"; }
gone_wait box 30
host_alive
sum=$(head -c 65536000 "$disk" | md5sum | cut -d' ' -f1)
[ "$sum" = "$(said SUM)" ] || fail "the image is not what the guest read"
# The first MiB is the block itself, and all of it is made of its eighths.
[ "$(said FIRST)" = "$(said BLOCK)" ] || fail "the writes are not on the disk"
python3 - "$disk" <<'END' || fail "pieces are missing"
import sys
d = open(sys.argv[1], "rb").read(500 << 17)
n = 1 << 17
for side in (0, 250):
    for i in range(250):
        at = (side + i) * n
        if d[at:at + n] != d[i % 8 * n:(i % 8 + 1) * n]:
            sys.exit(f"side {side} piece {i}")
END
