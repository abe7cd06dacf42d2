#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that the configuration's limits reach hv: event_channels,
# max_grant_frames and cpus; and that vCPUs are pinned where kxl vcpu-pin says,
# for real: their threads run there and nowhere else.
set -u
. "$KXEN_TOP/tests/lib.sh"

cfg=$(write_cfg few shell 'event_channels = 2' 'on_crash = "destroy"')
timeout 20 "$BIN/kxl" run "$cfg" </dev/null >"$KXEN_TEST_TMP/few" 2>&1
[ $? = 2 ] || { cat "$KXEN_TEST_TMP/few"; fail "a guest lives without a port for its timer"; }
cfg=$(write_cfg some hello 'event_channels = 16' 'max_grant_frames = 1' \
    'max_maptrack_frames = 0')
expect 0 '[Hh]ello' kxl run "$cfg"

host_start
create pinned shell 'vcpus = 2' 'cpus = "0"'
console_wait "$domid" "$SHELL_READY"
affinity() {
    kxl vcpu-list --json pinned | python3 -c '
import json, sys
print(*(v["affinity"] for v in json.load(sys.stdin)[0]["vcpus"]))'
}
# One CPU alone reads as all of them.
[[ $(affinity) =~ ^(0 0|all all)$ ]] || fail "cpus = 0 gives $(affinity)"
threads() { # how many of hv's may run on that list of CPUs alone
    grep -lx "Cpus_allowed_list:	$1" "/proc/${DAEMON_PID[hv]}"/task/*/status |
        wc -l
}
if [ "$(nproc)" -gt 1 ]; then
    # KVM's own helper comes from a vCPU's thread and is there as well.
    n=$(threads 0)
    [ "$n" -ge 2 ] || fail "cpus = 0: $n threads are there"
    kxl vcpu-pin pinned 1 1 || fail "vcpu-pin"
    [ "$(affinity)" = '0 1' ] || fail "vcpu-pin 1 1 gives $(affinity)"
    [ "$(threads 0)" = $((n - 1)) ] && [ "$(threads 1)" = 1 ] ||
        fail "the threads are elsewhere"
fi
kxl vcpu-pin pinned all all || fail "vcpu-pin all all"
[ "$(affinity)" = 'all all' ] || fail "vcpu-pin all all gives $(affinity)"
kxl vcpu-list pinned | grep -q '^pinned  *[0-9]* *0 ' || fail "vcpu-list"
expect 1 "none of the CPUs \"1000\"" kxl vcpu-pin pinned 0 1000
expect 1 'no list of CPUs' kxl vcpu-pin pinned 0 0-
expect 1 'has no vCPU 2' kxl vcpu-pin pinned 2 0
cfg=$(write_cfg nowhere shell 'cpus = "1000"')
expect 1 'cpus = "1000": none of them' kxl create "$cfg"
not_listed nowhere || fail "a domain came of it"

kxl rename pinned free || fail "rename"
[ "$(store_read "/local/domain/$domid/name")" = free ] || fail "the store has the old name"
expect 1 'exists' kxl rename free free
expect 1 "without '/'" kxl rename free a/b
expect 0 "^free +$domid +0:0" kxl uptime
kxl destroy free || fail "destroy by the new name"

create stubborn badguest 'extra = "bad=spin"'
console_wait "$domid" 'spinning'
expect 1 'has not ended after 1 s' kxl shutdown -w -t 1 stubborn
expect 1 'has not ended after 1 s' kxl reboot -w -t 1 -a
expect 1 'has 32 MiB after 1 s' kxl mem-set -w -t 1 stubborn 16
expect 1 'with so little it could not start again' kxl mem-set stubborn 1
create obeys shell
console_wait "$domid" "$SHELL_READY"
kxl destroy stubborn || fail "destroy"
kxl shutdown -a -w -t 20 || fail "shutdown -a"
not_listed obeys || fail "shutdown -a -w has not waited"
host_alive
