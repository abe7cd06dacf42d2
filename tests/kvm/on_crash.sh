#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
# Proves that each on_crash is obeyed, and that the reason is shown wherever one
# looks: kxl run's and kxl console's last words and status, dom0's log, the
# domain that is kept.  Dumps of crashes go to <run>/dump, and those of one that
# crashes for ever do not fill the disk.
set -u
. "$KXEN_TOP/tests/lib.sh"

# A private host, gone afterwards; the dump is not.
cfg=$(write_cfg alone badguest 'extra = "bad=jump"' 'on_crash = "coredump-destroy"')
out=$(TMPDIR=$KXEN_TEST_TMP kxl run "$cfg" 2>&1)
status=$?
echo "$out"
[ $status = 2 ] || fail "kxl run ended with $status"
grep -q 'the guest crashed (crash): .*panic: unexpected exception' <<<"$out" ||
    fail "kxl run does not say why"
core=$(sed -n 's/^kxl: its memory is dumped to //p' <<<"$out")
[ "$(head -c 4 "$core")" = $'\x7fELF' ] || fail "no dump where kxl run says: $core"

host_start
dumps() { find "$KXEN_RUN_DIR/dump" -name "$1-*.core" 2>/dev/null | wc -l; }
newer() { # NAME OLD
    domid=$(kxl domid "$1" 2>/dev/null) && [ "$domid" != "$2" ]
}

create d badguest 'extra = "bad=triple"' 'on_crash = "destroy"'
gone_wait d
grep -q "domain \"d\" ($domid) has shut down: crash: v0: .*; action: destroy" \
    "$KXEN_RUN_DIR/dom0.log" || fail "dom0's log does not say why"
[ "$(dumps d)" = 0 ] || fail "a dump that nobody asked for"

create cd badguest 'extra = "bad=ud2"' 'on_crash = "coredump-destroy"'
gone_wait cd
[ "$(dumps cd)" = 1 ] || fail "coredump-destroy: no dump"

create cr badguest 'extra = "bad=ud2"' 'on_crash = "coredump-restart"'
first=$domid
wait_for 15 newer cr "$first" || fail "coredump-restart: no new domain"
[ "$(dumps cr)" -ge 1 ] || fail "coredump-restart: no dump"
for n in 1 2 3 4 5 6 7 8; do
    : >"$KXEN_RUN_DIR/dump/cr-$n.core"
done
enough() { grep -q 'has 8 dumps of "cr" already' "$KXEN_RUN_DIR/dom0.log"; }
wait_for 15 enough || fail "no end of dumps"
n=$(dumps cr)
first=$domid
wait_for 15 newer cr "$first" || fail "no restart without a dump"
kxl destroy cr || fail "destroy cr"
[ "$(dumps cr)" = "$n" ] || fail "more than enough dumps"

create r badguest 'extra = "bad=ud2"' 'on_crash = "restart"'
first=$domid
console_says_why() { grep -q 'the guest crashed (crash): v0: ' "$KXEN_TEST_TMP/said"; }
kxl console r </dev/null >"$KXEN_TEST_TMP/said" 2>&1 &
HELPERS+=($!)
wait_for 15 newer r "$first" || fail "restart: no new domain"
wait_for 15 console_says_why || fail "kxl console does not tell of a crash"
kxl destroy r || fail "destroy r"

# It crashes while there is no dom0: the next one does what is due.
create late shell 'on_crash = "coredump-destroy"'
console_wait "$domid" "$SHELL_READY"
printf 'sleep 1500\ncrash\n' | kxl console late >/dev/null &
HELPERS+=($!)
console_wait "$domid" 'sleep 1500'
sleep 0.3
daemon_kill dom0
sleep 2
daemon_start dom0
gone_wait late
[ "$(dumps late)" = 1 ] || fail "no dump of one that crashed without a dom0"
host_alive
