#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that Xen's xenstore-control, unmodified, has of our daemon what it
# has of Xen's: check, log, quotas, memory report, help, live update.  The
# program is in package xen-utils-4.17; if it is not installed, it is only
# unpacked for the test.
set -u
. "$KXEN_TOP/tests/lib.sh"

find_control() {
    local found
    for found in /usr/lib/xen-*/bin/xenstore-control \
        "$KXEN_TEST_TMP"/x/usr/lib/xen-*/bin/xenstore-control; do
        [ -x "$found" ] && control=$found
    done
    [ -n "${control:-}" ]
}
unpack_control() {
    (cd "$KXEN_TEST_TMP" && timeout 40 apt-get download xen-utils-4.17 &&
        dpkg -x xen-utils-4.17_*.deb x) >/dev/null 2>&1 && find_control
}
find_control || unpack_control ||
    skip "no xenstore-control: apt-get install xen-utils-4.17"
ldd "$control" | grep -q 'not found' && skip "$control lacks libraries"

host_start kxenstored
export XENSTORED_PATH=$KXEN_RUN_DIR/xenstored/socket
debian=$(dirname "$(ldconfig -p | sed -n 's/.*libxenstore.so.4.* => //p' |
    head -n 1)")
xenstore-write /kept yes || fail "xenstore-write"
for lib in "$debian" "$KXEN_BUILD/lib"; do
    expect 0 'OK' with_lib "$lib" "$control" check
    expect 0 'quota' with_lib "$lib" "$control" help
    expect 0 'nodes' with_lib "$lib" "$control" quota
    expect 0 'OK' with_lib "$lib" "$control" quota set nodes 1234
    expect 0 '1234' with_lib "$lib" "$control" quota
    expect 0 '' with_lib "$lib" "$control" log on
    expect 0 '' with_lib "$lib" "$control" log off
    expect 0 '.' with_lib "$lib" "$control" memreport
    expect 0 'OK|^$' with_lib "$lib" "$control" print "said by the test"
    grep -q "said by the test" "$KXEN_RUN_DIR/kxenstored.log" ||
        fail "print left nothing in the log"
    expect 0 "OK|^$" with_lib "$lib" "$control" live-update "$BIN/kxenstored"
    expect 0 'yes' xenstore-read /kept
    expect 0 '1234' with_lib "$lib" "$control" quota
    expect 0 "OK|^$" with_lib "$lib" "$control" live-update \
        -c "--threads 3 --trace" -t 5 -F "$BIN/kxenstored"
    expect 0 'yes' xenstore-read /kept
    tr '\0' ' ' <"/proc/${DAEMON_PID[kxenstored]}/cmdline" |
        grep -q -- '--threads 3 --trace --resume' ||
        fail "it does not run with the arguments of live-update -c"
    with_lib "$lib" "$control" live-update -c --nonsense "$BIN/kxenstored" &&
        fail "live-update took --nonsense"
    with_lib "$lib" "$control" live-update -a >/dev/null
    expect 0 'yes' xenstore-read /kept
done
host_alive
