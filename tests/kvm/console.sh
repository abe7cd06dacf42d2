#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that kxl console joins a terminal to a domain: what is typed gets an
# answer, Ctrl-] leaves with the domain running and the terminal as it was, and
# neither a killed dom0 nor a restart of the domain ends the session.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
create box shell
console_wait "$domid" "$SHELL_READY"
cat >"$KXEN_TEST_TMP/talk.py" <<'END'
import os, pty, re, select, subprocess, sys, termios, time
kxl, top, scale = sys.argv[1], sys.argv[2], float(sys.argv[3])
pid, fd = pty.fork()
if pid == 0:
    os.execv(kxl, [kxl, "console", "-a", "box"])
seen = b""
def until(what, seconds=15):
    global seen
    end = time.time() + seconds * scale
    while not re.search(what, seen):
        if time.time() > end:
            sys.exit(f"no {what} in {seen!r}")
        if select.select([fd], [], [], 0.1)[0]:
            try:
                seen += os.read(fd, 4096)
            except OSError:
                sys.exit(f"hung up: {seen!r}")
    seen = seen[re.search(what, seen).end():]
def say(text):
    os.write(fd, text.encode())
until(rb"kxen> ")
say("help\r")
until(rb"help")
until(rb"kxen> ")
print("talked", flush=True)
sys.stdin.readline()          # dom0 has been killed and started again
say("help\r")
until(rb"kxen> ")
print("survived dom0", flush=True)
sys.stdin.readline()          # the domain was told to reboot
until(rb"kxen> ", 20)
say("help\r")
until(rb"kxen> ")
print("survived a reboot", flush=True)
os.write(fd, b"\x1d")
_, status = os.waitpid(pid, 0)
print("left", os.waitstatus_to_exitcode(status), flush=True)
END
coproc TALK { python3 "$KXEN_TEST_TMP/talk.py" "$BIN/kxl" "$KXEN_TOP" "$SCALE" 2>&1; }
hear() {
    local line
    read -r -t $((60 * SCALE)) line <&"${TALK[0]}" || line="(nothing)"
    [ "$line" = "$1" ] || fail "the terminal: $line, not: $1"
}
hear talked
daemon_kill dom0
daemon_start dom0
echo >&"${TALK[1]}"
hear 'survived dom0'
kxl reboot box || fail "reboot"
echo >&"${TALK[1]}"
hear 'survived a reboot'
hear 'left 0'
expect 0 '^box ' kxl list
host_alive
