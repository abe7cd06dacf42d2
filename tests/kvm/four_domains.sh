#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that four domains at once each verify a disk of their own, that list
# tells them apart, and that when one is destroyed the others go on to the end.
# timeout: 120
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
declare -A id=()
for n in 1 2 3 4; do
    image=$(make_image "disk$n.img" 8)
    create "four$n" verify "disk = [ \"$image,raw,xvda,w\" ]" \
        "extra = \"$(verify_args seed=$n rounds=4)\"" 'on_poweroff = "preserve"'
    id[$n]=$domid
done
kxl list
[ "$(kxl list | grep -c '^four')" = 4 ] || fail "list does not show four"
console_wait "${id[1]}" "$VERIFY_ROUND" 30
kxl destroy four1 || fail "kxl destroy four1"
gone_wait four1
for n in 2 3 4; do
    console_wait "${id[$n]}" "$VERIFY_DONE" 60
    image_check "$KXEN_TEST_TMP/disk$n.img" "$n"
done
host_alive
