#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a newc archive for a Linux guest; cpio may not be installed.

usage: initramfs.py OUT BUSYBOX SCRIPT [FILE...]

FILEs that end in .ko are loaded, in this order, before SCRIPT runs; others go
to /bin.
"""

import os
import sys

INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PATH=/bin
for m in {modules}; do insmod /lib/$m || echo "insmod $m: status $?"; done
{script}
poweroff -f
"""


class Archive:
    """Entries of a newc archive, numbered as they come."""

    def __init__(self, out):
        self.out, self.ino = out, 0

    def add(self, name, mode, data=b"", rdev=(0, 0)):
        raw = name.encode() + b"\0"
        self.ino += 1
        fields = (self.ino, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev,
                  len(raw), 0)
        self.out.write(b"070701" + b"".join(b"%08x" % x for x in fields))
        self.out.write(raw + b"\0" * (-(110 + len(raw)) % 4))
        self.out.write(data + b"\0" * (-len(data) % 4))


def main():
    out, busybox, script, *files = sys.argv[1:]
    modules = [f for f in files if f.endswith(".ko")]
    names = " ".join(os.path.basename(m) for m in modules)
    with open(out, "wb") as f:
        a = Archive(f)
        for name in ("dev", "proc", "sys", "bin", "lib", "tmp", "mnt"):
            a.add(name, 0o40755)
        a.add("dev/console", 0o20600, rdev=(5, 1))
        a.add("dev/null", 0o20666, rdev=(1, 3))
        a.add("init", 0o100755,
              INIT.format(modules=names, script=script).encode())
        for path in [busybox, *files]:
            where = "lib" if path in modules else "bin"
            with open(path, "rb") as g:
                a.add(f"{where}/{os.path.basename(path)}", 0o100755, g.read())
        a.add("TRAILER!!!", 0)


main()
