#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 1200
# Proves that a full Debian, made by debootstrap on a disk image, is at home:
# systemd brings it to a login prompt on hvc0 with no unit failed; one logs in by
# kxl console, runs commands, stops one with Ctrl-C; systemd obeys kxl reboot and
# comes back, obeys kxl shutdown, and leaves a clean file system.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"
. "$KXEN_TOP/tests/linux/disk.sh"
. "$KXEN_TOP/tests/linux/debian_root.sh"

kernel=$(linux_kernel amd64) || { rc=$?; echo "$kernel"; exit $rc; }
root=$(debian_root "$kernel") || { rc=$?; echo "$root"; exit $rc; }
initramfs=$(debian_initramfs "$kernel") || { rc=$?; echo "$initramfs"; exit $rc; }

# SCRIPT: at the domain's console, left again by Ctrl-].
session() {
    cat - >"$KXEN_TEST_TMP/script"
    timeout $((400 * SCALE)) python3 "$KXEN_TOP/tests/linux/session.py" \
        "$KXEN_TEST_TMP/script" "$BIN/kxl" console debian ||
        fail "the session did not go as it should"
}

another_domain() {
    local id
    id=$(kxl domid debian 2>/dev/null) && [ -n "$id" ] && [ "$id" != "$1" ]
}

host_start
create debian "$kernel" "ramdisk = \"$initramfs\"" 'memory = 768' 'vcpus = 2' \
    'extra = "console=hvc0 panic=1 quiet"' "disk = [\"$root,raw,xvda,w\"]"
first=$domid
session <<'END'
within 240
type \r
expect guest login:
send root
expect root@guest:~#
within 120
send systemctl is-system-running --wait; systemctl --failed --no-legend | wc -l
expect ^running\n0
send uname -r; echo cpus $(nproc)
expect amd64\n(.*\n)*cpus 2
send apt --version; free -m | head -n 2
expect ^apt 2
expect Mem: +[67]\d\d
send mount | grep ' / '; echo 'kept over reboot' >/root/kept
expect /dev/xvda on / type ext4 \(rw
send tty; ps -o comm= -p 1
expect ^/dev/hvc0\nsystemd
send echo asleep $((1 + 1)); sleep 1000
expect asleep 2
type \x03
expect \^C
send echo back at $((40 + 2))
expect back at 42
send stty cols 132; stty size; echo $TERM
expect \d+ 132\n\w+
send dmesg --level=emerg,alert,crit,err | grep -vc mce
expect ^0
send systemd-detect-virt
expect ^xen
send logout
expect guest login:
type \x1d
end 0
END
kxl reboot debian || fail "kxl reboot ended with status $?"
wait_for 120 another_domain "$first" || fail "it did not come back from its reboot"
session <<'END'
within 240
type \r
expect guest login:
send root
expect root@guest:~#
send cat /root/kept; journalctl --list-boots | wc -l
expect ^kept over reboot
type \x1d
end 0
END
kxl shutdown debian || fail "kxl shutdown ended with status $?"
gone_wait debian 120
host_alive
for log in "$KXEN_RUN_DIR"/console/*.log; do
    linux_check_log "$log"
done
ext4_check "$root"
