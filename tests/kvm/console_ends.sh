#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that kxl console ends when it should: piped input is typed and answered
# first, no input at all means to listen on, nobody to hear the output means to
# leave; and that on whatever way out, signals too, the terminal is as it was.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
create box shell
console_wait "$domid" "$SHELL_READY"
out=$(printf 'echo one\nsleep 700\necho t-w-o\n' | timeout 20 "$BIN/kxl" console box)
status=$?
[ $status = 0 ] || fail "kxl console with piped input ended with status $status"
grep -q '^t-w-o' <<<"${out//$'\r'/}" || fail "piped input is not answered: $out"

kxl_forever console box </dev/null >"$KXEN_TEST_TMP/heard" 2>&1 &
listener=$!
HELPERS+=("$listener")
timeout 10 "$BIN/kxl" console -a box </dev/null >/dev/full 2>&1 ||
    fail "nobody hears the output, and kxl console stays"
sleep 1.5
echo 'echo still-there' | kxl console box >/dev/null || fail "kxl console"
kill -0 $listener 2>/dev/null || fail "kxl console </dev/null does not listen on"
grep -q still-there "$KXEN_TEST_TMP/heard" || fail "the listener has heard nothing"

python3 - "$BIN/kxl" <<'END' || fail "the terminal is not as it was"
import os, pty, select, signal, sys, termios, time
kxl = sys.argv[1]
for how in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, b"\x1d"):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
        os.execv(kxl, [kxl, "console", "box"])
    end = time.time() + 20
    while termios.tcgetattr(slave) == before and time.time() < end:
        time.sleep(0.01)
    assert termios.tcgetattr(slave) != before, "never raw"
    if isinstance(how, bytes):
        os.write(master, how)
    else:
        os.kill(pid, how)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        assert time.time() < end, f"{how}: it stays"
        if select.select([master], [], [], 0.05)[0]:
            os.read(master, 4096)  # tcsetattr waits for what was written
    assert termios.tcgetattr(slave) == before, f"{how}: still raw"
    os.close(master)
    os.close(slave)
END
echo halt | kxl console box >/dev/null
gone_wait box
wait $listener || fail "the listener's status is $?"
host_alive
