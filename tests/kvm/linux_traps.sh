#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 180
# Proves that each trap a process of a PV Linux can raise reaches it as the right
# signal with its registers as they were, single steps through a system call
# included, and that the kernel takes none of them for its own.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"

program=$(linux_program traps) || { rc=$?; echo "$program"; exit $rc; }
kernel=$(linux_kernel cloud-amd64) || { rc=$?; echo "$kernel"; exit $rc; }
initramfs=$(make_initramfs "traps ${KXEN_TCG:-}" "$program") ||
    { rc=$?; echo "$initramfs"; exit $rc; }
cfg=$(write_cfg linux "$kernel" "ramdisk = \"$initramfs\"" 'memory = 256' \
    'extra = "console=hvc0 quiet panic=1"' 'on_crash = "destroy"')
kxl run "$cfg" >"$KXEN_TEST_TMP/out" 2>&1
cat "$KXEN_TEST_TMP/out"
grep -q '^traps: done' "$KXEN_TEST_TMP/out" || fail "it did not end"
! grep '^WRONG' "$KXEN_TEST_TMP/out" || fail "a trap was not right"
linux_check_log "$KXEN_TEST_TMP/out"
