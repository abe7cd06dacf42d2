#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 240
# Proves that Debian's Linux does what kxl asks of it through the store: SysRq,
# vCPUs away and back, memory by its balloon, reboot (under a new id) and
# power-off; and that its panic is a crash, shown with the kernel's own words.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"

kernel=$(linux_kernel cloud-amd64) || { rc=$?; echo "$kernel"; exit $rc; }
# shellcheck disable=SC2016
initramfs=$(make_initramfs '
mkdir -p /sbin
printf "#!/bin/sh\necho asked to power off >/dev/console\nsleep 2\npoweroff -f\n" >/sbin/poweroff
chmod +x /sbin/poweroff
cpus() { echo "cpus $(cat /sys/devices/system/cpu/online)"; }
plug() {
    for c in /sys/devices/system/cpu/cpu[1-9]; do
        [ "$(cat $c/online)" = 1 ] || echo 1 >$c/online
    done 2>/dev/null
    cpus
}
mem() {
    set -- $(grep MemTotal /proc/meminfo)
    [ $2 -gt 250000 ] && echo "mem large"
}
echo "guest is ready"
while read -r line; do eval "$line"; done') ||
    { rc=$?; echo "$initramfs"; exit $rc; }

host_start
make_linux() { # NAME [LINE...]
    local name=$1
    shift
    create "$name" "$kernel" "ramdisk = \"$initramfs\"" 'memory = 256' \
        'extra = "console=hvc0 quiet"' "$@"
    console_wait "$domid" 'guest is ready' 60
}
make_linux lin 'maxmem = 320' 'vcpus = 2' 'maxvcpus = 3'
first=$domid
mkfifo "$KXEN_TEST_TMP/typed"
kxl_forever console lin <"$KXEN_TEST_TMP/typed" >/dev/null 2>&1 &
HELPERS+=($!)
exec 8>"$KXEN_TEST_TMP/typed"
ask() { # COMMAND REGEX
    local old
    old=$(grep -cE "$2" "$(console_file "$domid")")
    again() { [ "$(grep -cE "$2" "$(console_file "$domid")")" -gt "$old" ]; }
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        echo "$1" >&8
        ! wait_for 2 again "$1" "$2" || return 0
    done
    fail "'$1' does not get '$2'"
}

kxl sysrq lin h || fail "kxl sysrq"
console_wait "$domid" 'sysrq: HELP'

online() {
    kxl vcpu-list --json lin | python3 -c '
import json, sys
print(sum(v["online"] for v in json.load(sys.stdin)[0]["vcpus"]))'
}
online_is() { [ "$(online)" = "$1" ]; }
ask cpus 'cpus 0-1'
kxl vcpu-set lin 1 || fail "vcpu-set 1"
wait_for 20 online_is 1 || fail "vcpu-set 1: $(online) are online"
ask cpus 'cpus 0[^-]?$'
kxl vcpu-set lin 3 || fail "vcpu-set 3"
ask plug 'cpus 0-2'
online_is 3 || fail "vcpu-set 3: $(online) are online"
expect 1 'can have 1 to 3 vCPUs' kxl vcpu-set lin 4
kxl vcpu-set lin 2
wait_for 20 online_is 2 || fail "vcpu-set 2: $(online) are online"

kxl mem-set -w -t 20 lin 160 || fail "mem-set 160"
kxl list lin | awk 'END { exit $3 != 160 }' || fail "mem-set 160: kxl list"
kxl mem-set -w -t 20 lin 300 || fail "mem-set 300"
ask mem 'mem large'
expect 1 'at most 320 MiB' kxl mem-set lin 400
kxl mem-max lin 304 || fail "mem-max"
expect 1 'at most 304 MiB' kxl mem-set lin 310
expect 1 'started with less room' kxl mem-max lin 512
kxl mem-set -w -t 20 lin 200 || fail "mem-set 200"

kxl reboot -w -t 60 lin || fail "kxl reboot"
newer() {
    domid=$(kxl domid lin 2>/dev/null) && [ "$domid" != "$first" ]
}
wait_for 20 newer || fail "no new domain after the reboot"
grep -q "domain \"lin\" ($first) has shut down: reboot" "$KXEN_RUN_DIR/dom0.log" ||
    fail "it was no reboot"
console_wait "$domid" 'guest is ready' 60
# What was set holds over the restart.
ask cpus 'cpus 0-1'
kxl list lin | awk 'END { exit $3 != 200 }' || fail "the memory set does not hold"

kxl shutdown lin || fail "kxl shutdown"
console_wait "$domid" 'asked to power off' 30
[ -z "$(store_read "/local/domain/$domid/control/shutdown")" ] ||
    fail "control/shutdown is not consumed"
gone_wait lin 30
grep -q "domain \"lin\" ($domid) has shut down: poweroff" "$KXEN_RUN_DIR/dom0.log" ||
    fail "it was no power-off"

make_linux panic 'on_crash = "preserve"'
echo 'exit 3' | kxl console panic >/dev/null
is_kept() { kxl info panic | grep -q -- '--c- (preserved)'; }
wait_for 30 is_kept || fail "a panic is no crash"
expect 0 'story .*its console: .*Kernel panic - not syncing: Attempted to kill init' \
    kxl info panic
kxl dump-core panic "$KXEN_TEST_TMP/panic.core" || fail "dump-core"
python3 - "$KXEN_TEST_TMP/panic.core" <<'END' || fail "the dump lacks the kernel"
import struct, sys
f = open(sys.argv[1], "rb")
d = f.read(64)
phoff, = struct.unpack_from("<Q", d, 32)
n, = struct.unpack_from("<H", d, 56)
f.seek(phoff)
ph = [struct.unpack("<IIQQQQQQ", f.read(56)) for _ in range(n)]
assert all(a[3] + a[6] <= b[3] for a, b in zip(ph[1:], ph[2:])), "overlaps"
# rip is in the kernel's text, and rsp's page is there.
f.seek(ph[0][2] + 20 + 112)
regs = struct.unpack("<27Q", f.read(216))
for va in regs[16], regs[19]:
    assert any(p[3] <= va < p[3] + p[6] for p in ph[1:]), hex(va)
assert regs[16] >> 32 == 0xffffffff, hex(regs[16])
f.seek(0)
assert b"Linux version 6.1" in f.read(), "no banner"
END
kxl destroy panic || fail "destroy panic"
host_alive
