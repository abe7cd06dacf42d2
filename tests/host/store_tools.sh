#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that Xen's own xenstore-* programs, unmodified, do their work on our
# daemon, with Debian's libxenstore and with ours in its place, and that our
# kxenstore does the same on either library.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start kxenstored
export XENSTORED_PATH=$KXEN_RUN_DIR/xenstored/socket
debian=$(dirname "$(ldconfig -p | sed -n 's/.*libxenstore.so.4.* => //p' |
    head -n 1)")
[ -e "$debian/libxenstore.so.4" ] || skip "Debian's libxenstore4 is missing"
OURS=$KXEN_BUILD/lib
LIB=

# Debian's tools are one program a command, ours one with subcommands.
tool() {
    local command=$1
    shift
    if [ "$CLIENT" = kxenstore ]; then
        with_lib "$LIB" timeout 20 "$BIN/kxenstore" "$command" "$@"
    else
        with_lib "$LIB" timeout 20 "xenstore-$command" "$@"
    fi
}

# The library that is really loaded.
check_library() {
    local program=$BIN/kxenstore
    [ "$CLIENT" = kxenstore ] || program=$(command -v xenstore-ls)
    LD_LIBRARY_PATH=$LIB ldd "$program" | grep -q "=> $LIB/libxenstore.so.4" ||
        broken "$program does not load $LIB/libxenstore.so.4"
}

is() {
    local want=$1 got
    shift
    got=$("$@" 2>&1) || fail "'$*' ended with status $? ($got)"
    [ "$got" = "$want" ] || fail "'$*' said '$got', not '$want'"
}

refused() {
    "$@" >"$KXEN_TEST_TMP/out" 2>&1 && fail "'$*' succeeded"
    [ -s "$KXEN_TEST_TMP/out" ] || fail "'$*' failed without a word"
}

# One event for the watch itself, one for the write.
check_watch() {
    local out=$KXEN_TEST_TMP/watch
    # Line by line, as the tools print into a file.
    tool watch -n 2 "/t/w" >"$out" 2>&1 &
    HELPERS+=($!)
    watcher=$!
    sleep 0.3
    tool write /t/w/deep 1
    wait_for 5 watcher_gone || fail "watch -n 2 did not end"
    [ "$(head -n 1 "$out")" = /t/w ] || fail "first event: $(head -n 1 "$out")"
    grep -qx "/t/w/deep" "$out" || fail "no event of /t/w/deep in: $(cat "$out")"
}

watcher_gone() {
    ! kill -0 "$watcher" 2>/dev/null
}

session() {
    echo "--- $CLIENT with $LIB"
    check_library
    is "" tool write /t/a one /t/b two
    is "one
two" tool read /t/a /t/b
    is "a
b" tool list /t
    is "" tool exists /t/a
    tool exists /t/none && fail "exists /t/none succeeded"
    refused tool read /t/none
    refused tool list /t/none
    is "/t/a = \"one\"
/t/b = \"two\"" tool ls -f /t
    is "" tool chmod /t/a n0 r7
    tool ls -p /t | grep -q '(n0,r7)' || fail "ls -p: $(tool ls -p /t)"
    is "" tool chmod -r /t b9
    is "/t/a = \"one\"   (b9)
/t/b = \"two\"   (b9)" untab tool ls -f -p /t
    is "" tool write /t/bin "a\\001b"
    check_watch
    is "" tool rm /t/a
    refused tool read /t/a
    is "" tool rm /t
}

# ls -p lines up its columns to the width of a terminal.
untab() {
    "$@" | sed 's/  *(/   (/;s/\.*$//'
}

for CLIENT in xenstore kxenstore; do
    for LIB in "$debian" "$OURS"; do
        session
    done
done
host_alive
