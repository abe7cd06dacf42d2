#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 180
# Proves that no process of a PV Linux can end its domain or reach its kernel by
# what it names in a signal frame (segments, addresses, flags), nor have its
# kernel run backwards: each such frame ends in a signal to that process.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"

program=$(linux_program hostile) || { rc=$?; echo "$program"; exit $rc; }
kernel=$(linux_kernel cloud-amd64) || { rc=$?; echo "$kernel"; exit $rc; }
initramfs=$(make_initramfs hostile "$program") ||
    { rc=$?; echo "$initramfs"; exit $rc; }
cfg=$(write_cfg linux "$kernel" "ramdisk = \"$initramfs\"" 'memory = 256' \
    'extra = "console=hvc0 quiet panic=1"' 'on_crash = "destroy"')
kxl run "$cfg" >"$KXEN_TEST_TMP/out" 2>&1
cat "$KXEN_TEST_TMP/out"
grep -q '^hostile: done' "$KXEN_TEST_TMP/out" || fail "it did not end"
! grep '^WRONG' "$KXEN_TEST_TMP/out" || fail "something went wrong"
linux_check_log "$KXEN_TEST_TMP/out"
