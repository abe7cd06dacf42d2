#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 180
# Proves that Debian's linux-image-cloud-amd64, as it is, boots to user space on one
# vCPU, that a few hundred processes live and die there with nothing of theirs
# mixed up, and that it ends the domain by powering off.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"

kernel=$(linux_kernel cloud-amd64) || { rc=$?; echo "$kernel"; exit $rc; }
initramfs=$(make_initramfs '
echo "user space after $(cat /proc/uptime)"
i=0
while [ $i -lt 100 ]; do
    x=$(echo $i | cat)
    [ "$x" = $i ] || { echo "process $i said $x"; exit 1; }
    i=$((i + 1))
done
echo "all $i processes were right"') || { rc=$?; echo "$initramfs"; exit $rc; }
cfg=$(write_cfg linux "$kernel" "ramdisk = \"$initramfs\"" 'memory = 512' \
    'extra = "console=hvc0 quiet panic=1"' 'on_crash = "destroy"')
expect 0 'all 100 processes were right' kxl run "$cfg"
