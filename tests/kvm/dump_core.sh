#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
# Proves that `kxl dump-core` writes a file from which gdb shows where a crashed
# guest was, with its registers; that a running domain is dumped without harm,
# standing or live; that nothing is left of a dump that fails, is interrupted or
# dies with dom0, and that the domain then runs on.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
core=$KXEN_TEST_TMP/bad.core
create bad badguest 'extra = "bad=ud2"' 'on_crash = "preserve"'
is_crashed() { kxl list bad | grep -q -- '--c- '; }
wait_for 10 is_crashed || fail "the crashed domain is not kept"
expect 0 'unexpected exception' kxl info bad
kxl list --long bad | grep -q '"story": ".*SHUTDOWN_crash' || fail "no story in --long"
expect 0 "32 MiB and 1 vCPUs are in $core" kxl dump-core bad "$core"
[ "$(stat -c %a "$core")" = 600 ] || fail "the dump is not its owner's alone"
[ "$(($(stat -c %b "$core") * 512))" -lt $((8 << 20)) ] || fail "no holes in it"

# Without gdb: the one thread's rip is in the image's hypercall page.
rip=$(python3 - "$core" <<'END'
import struct, sys
d = open(sys.argv[1], "rb").read(1 << 16)
phoff, = struct.unpack_from("<Q", d, 32)
off, = struct.unpack_from("<Q", d, phoff + 8)
name, desc, kind = struct.unpack_from("<III", d, off)
assert kind == 1 and desc == 336 and d[off + 12:off + 16] == b"CORE"
print("%x" % struct.unpack_from("<Q", d, off + 20 + 112 + 16 * 8))
END
) || fail "the dump is no core"
[[ $rip == ffffffff8000* ]] || fail "rip is $rip"
if type gdb >/dev/null 2>&1; then
    gdb -batch -nx "$GUESTS/badguest.elf" "$core" -ex bt -ex 'frame function bad_ud2' \
        -ex 'info registers rip' -ex 'print trap_table' >"$KXEN_TEST_TMP/bt" 2>&1
    cat "$KXEN_TEST_TMP/bt"
    for want in 'panic \(fmt=.*"unexpected exception"\)' 'trap_handle' \
        '#[0-9]+ +bad_ud2 \(\)' 'guest_main \(\)' 'kernel_start' \
        'rip +0x[0-9a-f]+ +.*<bad_ud2>'; do
        grep -qE "$want" "$KXEN_TEST_TMP/bt" || fail "gdb does not show '$want'"
    done
else
    echo "no gdb: its part is left out"
fi
# Xen's format: its pages by number, the first of them the kernel's.
kxl dump-core -x bad "$core.xen" || fail "dump-core -x"
python3 - "$core.xen" "$GUESTS/badguest.elf" <<'END' || fail "-x writes no Xen dump"
import struct, sys
d = open(sys.argv[1], "rb").read()
shoff, = struct.unpack_from("<Q", d, 40)
phnum, _, shnum, strndx = struct.unpack_from("<4H", d, 56)
sh = [struct.unpack_from("<IIQQQQIIQQ", d, shoff + 64 * i) for i in range(shnum)]
at = {d[sh[strndx][4] + s[0]:].split(b"\0", 1)[0].decode(): s[4:6] for s in sh}
assert phnum == 0
off, size = at[".note.Xen"]
magic, vcpus, pages, page = struct.unpack_from("<4Q", d, off + 32)
assert (magic, vcpus, page) == (0xf00febed, 1, 4096), hex(magic)
assert at[".xen_pages"][1] == pages * 4096 and at[".xen_p2m"][1] == pages * 16
assert len(d) == sum(at[".xen_pages"])
pfn, gfn = struct.unpack_from("<2Q", d, at[".xen_p2m"][0] + 16 * 5)
assert pfn == gfn == 5
assert b"badguest: %s" in d[at[".xen_pages"][0]:][:1 << 20]
END
kxl destroy bad || fail "destroy bad"

image=$(make_image disk.img 4)
create busy verify "disk = [ \"$image,raw,xvda,w\" ]" "extra = \"$(verify_args rounds=0)\""
busy=$domid
console_wait "$busy" "$VERIFY_ROUND"
for how in '' -L; do
    # shellcheck disable=SC2086
    kxl dump-core $how busy "$KXEN_TEST_TMP/busy$how.core" || fail "dump-core $how"
    still_verifies "$busy"
done
kxl pause busy
kxl dump-core busy "$KXEN_TEST_TMP/busy.core" || fail "dump-core of a paused one"
kxl list busy | grep -q ' --p---' || fail "the dump has let a paused domain run"
kxl unpause busy
expect 1 'no file' kxl dump-core busy /dev/null
expect 1 'No such file' kxl dump-core busy "$KXEN_TEST_TMP/no/where"
[ -c /dev/null ] || fail "/dev/null is gone"

# No room: a file system of 64 KiB.
small=$KXEN_TEST_TMP/small
mkdir "$small"
if mount -t tmpfs -o size=64k none "$small" 2>/dev/null; then
    expect 1 'No space left' kxl dump-core busy "$small/core"
    left=$(ls -A "$small")
    umount "$small"
    [ -z "$left" ] || fail "left on the full disk: $left"
    still_verifies "$busy"
else
    echo "no mount: the full disk is left out"
fi

# What a dom0 that is killed amid a dump leaves: a record that says so.
daemon_kill dom0
partial=$KXEN_TEST_TMP/x.core.partial.1
: >"$partial"
python3 - "$KXEN_RUN_DIR/domains/$busy.json" "$partial" <<'END' || broken "no record"
import json, sys
r = json.load(open(sys.argv[1]))
r["dump"], r["dump_paused"] = sys.argv[2], True
json.dump(r, open(sys.argv[1], "w"))
END
daemon_start dom0
[ ! -e "$partial" ] || fail "a part of a dump is left"
still_verifies "$busy"
leftover=$(find "$KXEN_TEST_TMP" -name '*.partial*')
[ -z "$leftover" ] || fail "left: $leftover"
host_alive
