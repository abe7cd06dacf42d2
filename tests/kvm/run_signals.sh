#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that kxl run leaves nothing behind, however it ends: by its own
# domain, by SIGINT, SIGTERM, SIGHUP, and even by SIGKILL, for which it can do
# nothing itself.
set -u
. "$KXEN_TOP/tests/lib.sh"

export TMPDIR=$KXEN_TEST_TMP/t
mkdir "$TMPDIR"
cfg=$(write_cfg box shell)
nothing_left() {
    ! pgrep -f "run-dir $TMPDIR/" >/dev/null && [ -z "$(ls "$TMPDIR")" ]
}
booted() { grep -qE "$SHELL_READY" "$KXEN_TEST_TMP/out"; }

for signal in INT TERM HUP KILL; do
    # A background job of a script would ignore SIGINT.
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$BIN/kxl" run "$cfg" </dev/null \
        >"$KXEN_TEST_TMP/out" 2>&1 &
    pid=$!
    wait_for 15 booted || fail "no prompt before $signal"
    kill -"$signal" $pid
    wait $pid
    wait_for 10 nothing_left ||
        fail "after $signal: $(pgrep -af "run-dir $TMPDIR/"; ls "$TMPDIR")"
done
expect 1 '[Nn]o such file' kxl run "$cfg" 'kernel=/none'
nothing_left || fail "after a failed create: $(ls "$TMPDIR")"
