#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 900
# Proves that our guest images are Xen guests, and that Kxen's answers are
# Xen's: a real Xen 4.17 (Debian's, inside QEMU's TCG) boots the very images
# and configurations, and pvgrub2; each says there what it says here, but for
# the differences listed below, and ends in the same way.  What the guest
# `answers` says there is what tests/oracle/answers.txt holds.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"
. "$KXEN_TOP/tests/oracle/oracle.sh"
. "$KXEN_TOP/tests/oracle/xen.sh"

# What may differ on the consoles, and why.
ALLOWED=(
    # Terminals: how a line ends, colours, places.
    's/\r//g; s/\x1b\[[0-9;?]*[A-Za-z]//g'
    # Versions: 4.17.7 there, 4.17.0-kxen here.
    's/\bXen 4\.17[.0-9a-z-]*/Xen 4.17/'
    # Times, and what depends on speed.
    's/started [0-9]+ us ago/started N us ago/'
    's/[0-9]+ upcalls in a storm, stack depth [0-9]+/N upcalls in a storm/'
    's/[0-9]+ requests in [0-9]+ ms/N requests in N ms/'
    's/ *\[ grub.cfg .*B\/s \]//'
    's/; [0-9]+ events$/; N events/'
    # What a disk's backend offers is its own affair.
    's/, persistent//'
    # Registers of a crash: what the console's last answer left in them.
    '/^r(ax|si|9|13) /s/[0-9a-f]{16}/N/g'
    # A fault's frame has RF set; TCG's CPU leaves it out.
    's/rflags 0001/rflags 0000/'
)

DIFFER=()

# xen|kxen NAME: what it said, ready for comparison. vCPUs speak in any order.
normal() {
    local file expr
    file=$(console_of "$1" "$2")
    expr=$(printf '%s;' "${ALLOWED[@]}")
    sed -E "$expr" "$file" | sed -E '/^Hello from vCPU/d; s/ +$//'
    grep -c '^Hello from vCPU' "$file"
}

compare() {
    local name=$1
    if ! diff -u --label "$name on Xen" --label "$name on Kxen" \
        <(normal xen "$name") <(normal kxen "$name") ||
        ! [ "$(end_of xen "$name")" = "$(end_of kxen "$name")" ]; then
        echo "$name: $(end_of xen "$name") on Xen," \
            "$(end_of kxen "$name") on Kxen, consoles as above"
        DIFFER+=("$name")
        return
    fi
    echo "$name: $(end_of xen "$name"), $(wc -l <"$(console_of xen "$name")")" \
        "lines, the same"
}

# What the guest `answers` said on Xen is what stands in the file, for the test
# that holds Kxen's answers against it.
answers_known() {
    local known=$KXEN_TOP/tests/oracle/answers.txt
    tr -d '\r' <"$(console_of xen answers)" >"$KXEN_TEST_TMP/answers.txt"
    [ "$(end_of xen answers)" = shutdown ] || fail "answers does not end on Xen"
    diff -u "$known" "$KXEN_TEST_TMP/answers.txt" && return
    cp "$KXEN_TEST_TMP/answers.txt" "$KXEN_BUILD/" &&
        echo "what Xen says is in $KXEN_BUILD/answers.txt"
    DIFFER+=(answers.txt)
}

oracle_tools
xen_machine
oracle_file grub-xen-host usr/lib/grub-xen/grub-x86_64-xen.bin
xen_guest hello 30 0 - hello
xen_guest smp 60 0 - hello 'vcpus = 4' 'extra = "smp"'
xen_guest selftest 120 0 - selftest 'vcpus = 2'
xen_guest verify 120 4 - verify 'extra = "seed=7 rounds=2"'
xen_guest ud2 60 0 - badguest 'extra = "bad=ud2"'
xen_guest jump 60 0 - badguest 'extra = "bad=jump"'
xen_guest triple 60 0 - badguest 'extra = "bad=triple"'
xen_guest shell 90 0 'help\ninfo\nvcpus\nhalt\n' shell 'vcpus = 2'
xen_guest grub 120 4 'ls\n' "$FILE" 'memory = 128'
xen_guest answers 120 0 - answers 'vcpus = 2'
xen_run 600
answers_known
host_start
kxen_run
for line in "${XEN_GUESTS[@]}"; do
    # tests/kvm/answers.sh compares those.
    [ "${line%% *}" = answers ] || compare "${line%% *}"
done
host_alive
[ ${#DIFFER[@]} = 0 ] || fail "not as on Xen: ${DIFFER[*]}"
