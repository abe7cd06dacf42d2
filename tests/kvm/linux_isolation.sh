#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 180
# Proves that a process of a PV Linux can neither read nor write the monitor's
# data, the direct map, the M2P or the kernel, nor ring a doorbell: of each
# vCPU's block it can read two pages, the way in and out and the registers of
# its own last step out, and write none.  Nor does it get anywhere by jumping
# into the monitor's code, on a stack of its making.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"

gcc -O2 -static -o "$KXEN_TEST_TMP/isolation" \
    "$KXEN_TOP/tests/linux/isolation.c" || skip "no static C library"
kernel=$(linux_kernel cloud-amd64) || { rc=$?; echo "$kernel"; exit $rc; }
initramfs=$(make_initramfs isolation "$KXEN_TEST_TMP/isolation") ||
    { rc=$?; echo "$initramfs"; exit $rc; }
cfg=$(write_cfg linux "$kernel" "ramdisk = \"$initramfs\"" 'memory = 256' \
    'extra = "console=hvc0 quiet panic=1"' 'on_crash = "destroy"')
out=$(kxl run "$cfg" 2>&1)
printf '%s\n' "$out"
grep -q '^probed' <<<"$out" || fail "the probe did not end"
! grep -E '^(WROTE|RANG|RAN)' <<<"$out" ||
    fail "it wrote, rang a doorbell or ran the monitor's code"
! grep -E '^read (directmap|m2p|kernel)' <<<"$out" || fail "it read too much"
[ "$(grep -c '^read monitor' <<<"$out")" -le 2 ] ||
    fail "it read more of the monitor than two pages"
