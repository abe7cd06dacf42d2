#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that creation and destruction are all or nothing even when dom0 is
# killed in their midst: afterwards a domain is there and works, or nothing of
# it is left (no domain, no store node, no record, no lock on its disk).
# timeout: 120
set -u
. "$KXEN_TOP/tests/lib.sh"

pid_of() { cat "$KXEN_RUN_DIR/$1.pid" 2>/dev/null; }
cleanup() {
    local status=$?
    kxl host-stop -f
    (exit $status)
    test_end
}
trap cleanup EXIT

kxl host-start || fail "host-start"
hv=$(pid_of hv) kxenstored=$(pid_of kxenstored)
image=$(make_image disk.img 4)
cfg=$(write_cfg box shell "disk = [ \"$image,raw,xvda,w\" ]")

settled() { # box runs, or is not there, and nothing is under way
    kxl list >"$KXEN_TEST_TMP/list" 2>/dev/null || return 1
    domains=$(awk 'NR > 1 && $2 > 0' "$KXEN_TEST_TMP/list" | wc -l)
    records=$(find "$KXEN_RUN_DIR/domains" -name '*.json' | wc -l)
    nodes=$(XENSTORED_PATH=$KXEN_RUN_DIR/xenstored/socket \
        xenstore-list /local/domain 2>/dev/null | grep -vcx 0)
    [ "$domains" = "$records" ] && [ "$domains" = "$nodes" ] &&
        [ "$domains" -le 1 ]
}

for round in $(seq 12); do
    if [ $((round % 4)) -lt 2 ]; then
        kxl create "$cfg" >/dev/null 2>&1 &
    else
        kxl destroy box >/dev/null 2>&1 &
    fi
    client=$!
    sleep "0.0$((RANDOM % 6))$((RANDOM % 10))"
    kill -KILL "$(pid_of dom0)"
    wait $client
    wait_for 10 settled || fail "round $round: $domains domains," \
        "$records records, $nodes nodes"
    if [ "$domains" = 1 ]; then
        echo "round $round: there"
        console_wait "$(kxl domid box)" "$SHELL_READY"
    else
        echo "round $round: not there"
    fi
done
kxl destroy box 2>/dev/null
gone_wait box
create box shell "disk = [ \"$image,raw,xvda,w\" ]"
console_wait "$domid" "$SHELL_READY"
[ "$hv $kxenstored" = "$(pid_of hv) $(pid_of kxenstored)" ] || fail "a daemon died"
