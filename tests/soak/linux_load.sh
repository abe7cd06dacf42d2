#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 3600
# Proves that a Debian on its disk, with more vCPUs than there are processors,
# bears ten minutes ($KXEN_SOAK_SECONDS) of stress-ng and of a compiler: all
# comes out right, the kernel complains of nothing (oops, warning, soft lockup,
# RCU stall, hung task), and it powers off, leaving a clean file system.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"
. "$KXEN_TOP/tests/linux/disk.sh"
. "$KXEN_TOP/tests/linux/debian_root.sh"

seconds=${KXEN_SOAK_SECONDS:-600}
kernel=$(linux_kernel amd64) || { rc=$?; echo "$kernel"; exit $rc; }
root=$(debian_root "$kernel") || { rc=$?; echo "$root"; exit $rc; }
initramfs=$(debian_initramfs "$kernel") || { rc=$?; echo "$initramfs"; exit $rc; }
debugfs -w -R "write $KXEN_TOP/tests/linux/load.sh load.sh" "$root" 2>/dev/null
cfg=$(write_cfg debian "$kernel" "ramdisk = \"$initramfs\"" 'memory = 1024' \
    'vcpus = 4' 'extra = "console=hvc0 panic=1 quiet"' \
    'on_crash = "destroy"' "disk = [\"$root,raw,xvda,w\"]")
cat >"$KXEN_TEST_TMP/script" <<END
within 240
expect guest login:
send root
expect root@guest:~#
send bash /load.sh $seconds; dmesg --level=emerg,alert,crit,err,warn
within $((seconds + 600))
expect LOAD stress \d+ builds \d+ bad \d+
within 120
send echo complaints \$(dmesg | grep -cE 'BUG:|WARNING:|Oops|soft lockup|self-detected|blocked for more')
expect complaints \d+
send systemctl poweroff
end 0
END
log=$KXEN_TEST_TMP/log
python3 "$KXEN_TOP/tests/linux/session.py" "$KXEN_TEST_TMP/script" \
    "$BIN/kxl" run "$cfg" >"$log.raw"
rc=$?
# A terminal's sequences, as bash writes one before each command's output.
sed 's/\x1b\[[?0-9;]*[a-zA-Z]//g; s/\r//g' "$log.raw" >"$log"
cat "$log"
[ $rc = 0 ] || fail "the session did not go as it should"
grep -q '^complaints 0' "$log" || fail "the kernel complained"
grep -v 'echo complaints' "$log" >"$log.guest"
linux_check_log "$log.guest"
grep -qE '^LOAD stress 0 builds [1-9][0-9]* bad 0' "$log" || fail "something came out wrong"
ext4_check "$root"
