#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that the demo runs to its table in under a minute, with the data
# verified by the guest and by the host over each kind of driver, and a row for
# every way to the disk.
# serial: it spins on all CPUs
# timeout: 120
set -u
. "$KXEN_TOP/tests/lib.sh"

out=$KXEN_TEST_TMP/out
start=$SECONDS
"$KXEN_TOP/tools/demo.sh" >"$out" 2>&1
status=$?
cat "$out"
[ $status = 0 ] || fail "the demo ended with status $status"
[ $((SECONDS - start)) -lt $((60 * SCALE)) ] || fail "the demo took a minute"
for text in 'VERIFY OK disk=xvda driver=xen' 'VERIFY OK disk=ata0' \
    'VERIFY OK disk=virtio0'; do
    grep -q "$text" "$out" || fail "no line '$text'"
done
[ "$(grep -c '32768 sectors hold the pattern.* 0 are wrong' "$out")" = 3 ] ||
    fail "the host did not check three times"
for way in 'ATA PIO' 'virtio-mmio, inline' 'virtio-mmio, ioeventfd' \
    'Xen ring, events' 'Xen ring, polled'; do
    grep -qE "^$way.* [0-9]" "$out" || fail "no row '$way'"
done
