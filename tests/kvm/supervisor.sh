#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that kxl create starts a host where there is none, that its supervisor
# brings dom0 and the store back when they are killed, that a killed supervisor
# costs nothing (the next kxl starts another, which takes the daemons over),
# and that host-stop ends all of it.
set -u
. "$KXEN_TOP/tests/lib.sh"

pid_of() { cat "$KXEN_RUN_DIR/$1.pid" 2>/dev/null; }
reborn() { # NAME OLD
    local pid
    pid=$(pid_of "$1") && [ -n "$pid" ] && [ "$pid" != "$2" ] &&
        kill -0 "$pid" 2>/dev/null
}
ended() { # An orphan may stay a zombie where init does not reap.
    [ "$(awk '{ print $3 }' "/proc/$1/stat" 2>/dev/null || echo Z)" = Z ]
}
cleanup() {
    local status=$? name
    for name in host.lock hv.pid kxenstored.pid dom0.pid; do
        kill -KILL "$(cat "$KXEN_RUN_DIR/$name" 2>/dev/null)" 2>/dev/null
    done
    (exit $status)
    test_end
}
trap cleanup EXIT

expect 1 'no host' kxl list
create box shell
console_wait "$domid" "$SHELL_READY"

old=$(pid_of dom0)
kill -KILL "$old"
wait_for 10 reborn dom0 "$old" || fail "dom0 does not come back"
expect 0 box kxl list

kill -KILL "$(cat "$KXEN_RUN_DIR/host.lock")"
expect 0 'box' kxl list
old=$(pid_of dom0)
kill -KILL "$old"
wait_for 10 ended "$old" || broken "SIGKILL does not kill"
expect 0 'box' kxl list
old=$(pid_of dom0)
kill -KILL "$old"
wait_for 10 reborn dom0 "$old" || fail "the second supervisor does not watch"
expect 0 "^box +$domid " kxl list

expect 1 'still running' kxl host-stop
kxl destroy box || fail "destroy"
hv=$(pid_of hv)
kxl host-stop || fail "host-stop"
ended "$hv" || fail "hv outlives host-stop"
expect 1 'no host' kxl list
