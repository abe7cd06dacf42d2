#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 2400
# Proves that booting Linux is no matter of luck: 50 boots ($KXEN_SOAK_BOOTS) of
# 50 reach user space with all their vCPUs, 1 to 8 of them in turn, on each of
# Debian's two kernels, run processes on every one, and power off, the kernel
# having complained of nothing.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"
. "$KXEN_TOP/tests/linux/disk.sh"

cloud=$(linux_kernel cloud-amd64) || { rc=$?; echo "$cloud"; exit $rc; }
amd64=$(linux_kernel amd64) || { rc=$?; echo "$amd64"; exit $rc; }
initramfs=$(make_initramfs '
n=$(nproc)
i=0
while [ $i -lt $((n * 4)) ]; do
    taskset -c $((i % n)) sh -c "echo cpu $i | cat >/tmp/$i; sleep 0.01" &
    i=$((i + 1))
done
wait
echo "$n CPUs ran $(cat /tmp/* | grep -c cpu) processes"
dmesg | grep -E "BUG|WARNING|Oops|Call Trace|stall"') ||
    { rc=$?; echo "$initramfs"; exit $rc; }
boots=${KXEN_SOAK_BOOTS:-50}
i=0
while [ $i -lt "$boots" ]; do
    n=$((i % 8 + 1))
    kernel=$cloud
    [ $((i / 8 % 2)) = 0 ] || kernel=$amd64
    linux_run "boot$i" "$kernel" "$initramfs" 'memory = 256' "vcpus = $n"
    grep -q "^$n CPUs ran $((n * 4)) processes" "$LINUX_OUT" ||
        fail "boot $i: not all of $n CPUs ran"
    i=$((i + 1))
done
echo "$i boots"
