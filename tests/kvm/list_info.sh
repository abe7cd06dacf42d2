#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that kxl list, info, domid, domname and dmesg tell the truth about a
# host with two domains, and fail with a reason about one that is not there; and
# that info counts a domain's exits, which grow as it works.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
create one shell 'vcpus = 2' 'memory = 40'
one=$domid
create two shell 'on_poweroff = "preserve"'
two=$domid
[ "$one" != "$two" ] || fail "two domains have one id"
kxl list
kxl list | grep -qE "^one +$one +40 +1 " || fail "list is wrong about one"
kxl list | grep -qE "^two +$two +32 +1 " || fail "list is wrong about two"
[ "$(kxl domname "$two")" = two ] || fail "domname is wrong"
expect 0 'xen' kxl info
exits() {
    kxl info --json two | python3 -c '
import json, sys
c = json.load(sys.stdin)["counters"]
assert set(c) == {"hv", "monitor", "kvm"}, c
print(sum(c["hv"].values()))'
}
more_exits() {
    [ "$(exits)" -gt "$1" ]
}
before=$(exits) || fail "kxl info --json has no counters"
[ "$before" -gt 0 ] || fail "a booted domain has had no exit"
kxl shutdown two || fail "kxl shutdown two"
wait_for 10 more_exits "$before" || fail "it worked without an exit"
expect 0 . kxl dmesg
expect 1 'three.*(no|not).*domain|domain.*three' kxl destroy three
expect 1 'three' kxl domid three
expect 1 '[Uu]sage' kxl frobnicate
kxl destroy one || fail "kxl destroy one"
gone_wait one
kxl list | grep -q '^two ' || fail "two went with one"
store_read "/local/domain/$one/name" && fail "one is still in the store"
[ "$(store_read "/local/domain/$two/name")" = two ] ||
    fail "two is not in the store"
host_alive
