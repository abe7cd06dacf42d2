#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that Ctrl-C during kxl create says what happens and leaves nothing half
# made, that a second one does not wait for a host that hangs, and that a kxl
# which is killed leaves nothing either.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
image=$(make_image disk.img 4)
cfg=$(write_cfg half shell "disk = [ \"$image,raw,xvda,w\" ]")
start_create() {
    # A background job of a script would ignore SIGINT.
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$BIN/kxl" create "$cfg" \
        >"$KXEN_TEST_TMP/out" 2>&1 &
    pid=$!
    HELPERS+=("$pid")
}
sleeps_in_poll() { grep -q poll "/proc/$pid/wchan"; }
said() { grep -q "$1" "$KXEN_TEST_TMP/out"; }
nothing_left() {
    [ -z "$(ls "$KXEN_RUN_DIR/domains")" ] && not_listed half &&
        ! XENSTORED_PATH=$KXEN_RUN_DIR/xenstored/socket xenstore-list /local/domain |
            grep -qv '^0$'
}

kill -STOP "${DAEMON_PID[dom0]}"
start_create
wait_for 10 sleeps_in_poll || fail "kxl does not wait for dom0"
kill -INT "$pid"
wait_for 10 said 'interrupted: the host takes back' || fail "nothing is said"
kill -CONT "${DAEMON_PID[dom0]}"
wait "$pid"
status=$?
cat "$KXEN_TEST_TMP/out"
[ $status = 1 ] || fail "interrupted: status $status"
said 'interrupted: nothing' || fail "it does not say what has become of it"
wait_for 10 nothing_left || fail "something is left after Ctrl-C"

kill -STOP "${DAEMON_PID[dom0]}"
start_create
wait_for 10 sleeps_in_poll || fail "kxl does not wait for dom0"
kill -INT "$pid"
wait_for 10 said 'interrupted: the host takes back' || fail "nothing is said"
kill -INT "$pid"
wait "$pid"
said 'interrupted again' || fail "the second Ctrl-C waits"
kill -CONT "${DAEMON_PID[dom0]}"
kxl list >/dev/null || fail "dom0 does not answer"
wait_for 10 nothing_left || fail "something is left after the second Ctrl-C"

kill -STOP "${DAEMON_PID[dom0]}"
start_create
wait_for 10 sleeps_in_poll || fail "kxl does not wait for dom0"
kill -KILL "$pid"
wait "$pid" 2>/dev/null
kill -CONT "${DAEMON_PID[dom0]}"
kxl list >/dev/null || fail "dom0 does not answer"
wait_for 10 nothing_left || fail "something is left of a killed kxl"

# The name and the disk are free.
kxl create "$cfg" || fail "cannot be created afterwards"
host_alive
