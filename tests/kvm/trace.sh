#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that kxl trace shows a domain's hypercalls with arguments, result and
# time, one reader at a time, and that the domain goes on when the reader goes.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
create box shell
console_wait "$domid" 'kxen>' || fail "no prompt"
(sleep 1; kxl shutdown box) &
asker=$!
kxl trace -n 1 box >"$KXEN_TEST_TMP/trace" || fail "kxl trace failed"
wait $asker
grep -qE '^[0-9]+\.[0-9]{6} d[0-9]+v0 [a-z_]+\(.*\) = -?[0-9]+ <[0-9]+ ns>$' \
    "$KXEN_TEST_TMP/trace" || fail "no hypercall in: $(cat "$KXEN_TEST_TMP/trace")"
gone_wait "$domid" || fail "the domain did not go on after its trace"
expect 1 'no.*domain' kxl trace nothing
expect 0 '^[0-9.]+ d0 (domctl|sysctl|event_channel_op|grant_table_op)\(' \
    kxl trace -n 1 0
host_alive
