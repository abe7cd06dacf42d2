#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a paused domain makes no progress and is listed as paused, and
# that it goes on where it stood when unpaused.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
image=$(make_image disk.img 4)
create ticker verify "disk = [ \"$image,raw,xvda,w\" ]" \
    "extra = \"$(verify_args rounds=0)\""
console_wait "$domid" "$VERIFY_ROUND"
kxl pause ticker || fail "kxl pause"
sleep 0.3
kxl list | grep -E '^ticker ' | grep -qE 'p-|--p' || fail "not listed as paused"
before=$(wc -c <"$(console_file "$domid")")
sleep 1
after=$(wc -c <"$(console_file "$domid")")
[ "$before" = "$after" ] || fail "the paused domain wrote to its console"
kxl unpause ticker || fail "kxl unpause"
console_grows() { [ "$(wc -c <"$(console_file "$domid")")" -gt "$after" ]; }
wait_for 10 console_grows || fail "the unpaused domain says nothing more"
host_alive
