#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plays a person at a terminal, for tests of consoles.

usage: session.py [--size ROWSxCOLUMNS] SCRIPT COMMAND [ARGUMENT]...

Runs COMMAND on a terminal of its own, copies what it says to stdout and does
what the lines of the file SCRIPT say:

  expect REGEX     waits until what came since the last match has it, colours
                   and the like left out
  within SECONDS   how long the next ones may take (60)
  send TEXT        types it and return
  type TEXT        types it, with \\x1b and the like
  end STATUS       waits until the command ends, with this status

What is typed comes back as an echo: a regex that the echo matches proves
nothing, so let the shell compute what is waited for, as in echo X$((1+1)).
Exits with 0, or 1 when something did not come.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Failure(Exception):
    """What was waited for did not come."""


class Session:
    """A command on a terminal."""

    def __init__(self, argv, rows, columns):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execvp(argv[0], argv)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))
        self.text, self.limit = "", 60
        self.scale = int(os.environ.get("KXEN_SCALE", "1"))

    def read(self, deadline):
        """More text; False at the end."""
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.fd], [], [], left)[0]:
            raise Failure("out of time")
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other end is closed
            data = b""
        text = data.decode("utf-8", "replace").replace("\r", "")
        sys.stdout.write(text)
        sys.stdout.flush()
        self.text = ESCAPES.sub("", self.text + text)
        return bool(data)

    def deadline(self):
        return time.monotonic() + self.limit * self.scale

    def do_expect(self, arg):
        deadline = self.deadline()
        while True:
            m = re.search(arg, self.text, re.M)
            if m:
                self.text = self.text[m.end():]
                return
            if not self.read(deadline):
                raise Failure("the command ended")

    def do_within(self, arg):
        self.limit = float(arg)

    def do_send(self, arg):
        os.write(self.fd, arg.encode() + b"\r")

    def do_type(self, arg):
        os.write(self.fd, arg.encode().decode("unicode_escape").encode("latin1"))

    def do_end(self, arg):
        deadline = self.deadline()
        while self.read(deadline):
            pass
        _, status = os.waitpid(self.pid, 0)
        if os.waitstatus_to_exitcode(status) != int(arg):
            raise Failure(f"it ended with status {status}")


def main():
    args, rows, columns = sys.argv[1:], 24, 80
    if args[0] == "--size":
        rows, columns = map(int, args[1].split("x"))
        args = args[2:]
    session = Session(args[1:], rows, columns)
    with open(args[0], encoding="utf-8") as f:
        for line in f.read().splitlines():
            verb, _, arg = line.strip().partition(" ")
            if not verb or verb.startswith("#"):
                continue
            try:
                getattr(session, "do_" + verb)(arg)
            except Failure as e:
                print(f"\nFAILURE: '{line.strip()}': {e}")
                return 1
    return 0


sys.exit(main())
