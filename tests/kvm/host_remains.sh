#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that what a killed host leaves in its run directory hurts nobody:
# host-status says what is the case, the supervisor clears up after an hv that
# was killed, and after supervisor and daemons were all killed at once the next
# host-start does; a run directory without room is told to be the reason.
set -u
. "$KXEN_TOP/tests/lib.sh"

pid_of() { cat "$KXEN_RUN_DIR/$1.pid" 2>/dev/null; }
cleanup() {
    local status=$? name
    for name in host.lock hv.pid kxenstored.pid dom0.pid; do
        kill -KILL "$(cat "$KXEN_RUN_DIR/$name" 2>/dev/null)" 2>/dev/null
    done
    umount "$KXEN_TEST_TMP/small" 2>/dev/null
    (exit $status)
    test_end
}
trap cleanup EXIT
no_host() {
    ! kxl host-status >/dev/null
}
ended() { # An orphan may stay a zombie where init does not reap.
    [ "$(awk '{ print $3 }' "/proc/$1/stat" 2>/dev/null || echo Z)" = Z ]
}
hv_gone() { # Its last thread holds its lock for a little longer.
    ! kxl host-status | grep -qE "^hv +$1"
}
nothing_left() {
    local leaf
    for leaf in hv.pid dom0.pid kxenstored.pid hv.sock dom0.sock \
        xenstored/socket; do
        [ ! -e "$KXEN_RUN_DIR/$leaf" ] || return 1
    done
}

expect 1 'hv +does not run' kxl host-status
out=$(kxl host-start -q 2>&1) || fail "host-start"
[ -z "$out" ] || fail "host-start -q says '$out'"
expect 0 "hv +$(pid_of hv)" kxl host-status
kxl host-status --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
assert s["supervisor"] and s["domains"] == 0, s
assert all(d["pid"] and not d["remains"] for d in s["daemons"].values()), s
' || fail "host-status --json"

kill -KILL "$(pid_of hv)"
wait_for 20 no_host || fail "host-status still shows a host without hv"
wait_for 20 nothing_left || {
    ls -R "$KXEN_RUN_DIR"
    fail "a killed hv's files are still there"
}
grep -q 'hv has died' "$KXEN_RUN_DIR/host.log" || fail "host.log does not say so"
expect 1 'host.log there says how' kxl list

kxl host-start || fail "host-start after that"
pids=("$(cat "$KXEN_RUN_DIR/host.lock")" "$(pid_of dom0)" "$(pid_of kxenstored)"
    "$(pid_of hv)")
kill -KILL "${pids[@]}"
for pid in "${pids[@]}"; do
    wait_for 10 ended "$pid" || broken "SIGKILL does not kill"
done
wait_for 20 hv_gone "${pids[3]}" || broken "a killed hv still runs"
expect 1 'it was killed' kxl host-status
expect 1 'no host' kxl list
expect 0 'no host' kxl host-stop
kxl host-start || fail "host-start after all were killed"
expect 0 "dom0 +$(pid_of dom0)" kxl host-status
grep -q 'removed; nobody answers there' "$KXEN_RUN_DIR/host.log" ||
    fail "host.log does not say that it cleared up"
kxl host-stop || fail "host-stop"
nothing_left || fail "files are left after host-stop"

# A run directory that is full: no daemon can open its log there.
small=$KXEN_TEST_TMP/small
mkdir "$small"
mount -t tmpfs -o size=16k none "$small" 2>/dev/null ||
    skip "no right to mount a small file system; all else passed"
head -c 64k /dev/zero >"$small/fill" 2>/dev/null
mkdir "$small/xenstored" 2>/dev/null
expect 1 'No space left' kxl -R "$small" host-start
