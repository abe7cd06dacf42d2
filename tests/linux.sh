# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Debian's kernels for tests: fetched once from the archive by apt-get, kept
# unpacked beside the build.  Source after tests/lib.sh:
#
#   debian_file PACKAGE PATH   prints the unpacked file's path, or skips
#   linux_kernel FLAVOUR       amd64 or cloud-amd64: prints its vmlinuz
#   make_initramfs SCRIPT [PROGRAM...]
#                              busybox, programs in /bin and an /init that runs
#                              the script: prints the archive's path

DEBIAN=$KXEN_BUILD/debian

debian_unpacked() {
    local package=$1 dir=$DEBIAN/$1 tmp
    [ -e "$dir/.done" ] && return 0
    mkdir -p "$DEBIAN" || return 1
    (
        flock 9
        [ -e "$dir/.done" ] && exit 0
        tmp=$(mktemp -d "$DEBIAN/fetch.XXXXXX") && cd "$tmp" || exit 1
        apt-get download "$package" >/dev/null 2>&1 ||
            { apt-get update >/dev/null 2>&1 &&
              apt-get download "$package" >/dev/null 2>&1; } || exit 1
        rm -rf "$dir"
        dpkg-deb -x ./*.deb "$dir" && : >"$dir/.done" && rm -rf "$tmp"
    ) 9>"$DEBIAN/$package.lock"
}

debian_file() {
    type apt-get dpkg-deb >/dev/null 2>&1 || skip "not a Debian: no $1"
    debian_unpacked "$1" || skip "package $1 cannot be fetched"
    # shellcheck disable=SC2086,SC2012
    ls "$DEBIAN/$1"/$2 2>/dev/null | head -n 1
}

linux_kernel() {
    local package
    package=$(apt-cache depends "linux-image-$1" 2>/dev/null |
              sed -n 's/^ *Depends: *//p' | head -n 1)
    [ -n "$package" ] || skip "no package linux-image-$1 is known"
    debian_file "$package" 'boot/vmlinuz-*'
}

# A newc archive, written here: cpio may not be installed.
make_initramfs() {
    local out=$KXEN_TEST_TMP/initramfs busybox
    busybox=$(debian_file busybox-static bin/busybox) ||
        { rc=$?; echo "$busybox"; exit $rc; }
    python3 - "$busybox" "$out" "$@" <<'END' || broken "no initramfs"
import os, sys
busybox, out, script, *programs = sys.argv[1:]
def entry(f, ino, name, mode, data=b"", rdev=(0, 0)):
    n = name.encode() + b"\0"
    f.write(b"070701" + b"".join(b"%08x" % x for x in (
        ino, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(n), 0)))
    f.write(n + b"\0" * (-(110 + len(n)) % 4) + data + b"\0" * (-len(data) % 4))
init = f"""#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox --install -s /bin
export PATH=/bin
{script}
poweroff -f
"""
with open(out, "wb") as f:
    for i, d in enumerate(("dev", "proc", "sys", "bin", "tmp")):
        entry(f, 10 + i, d, 0o40755)
    entry(f, 20, "dev/console", 0o20600, rdev=(5, 1))
    entry(f, 21, "dev/null", 0o20666, rdev=(1, 3))
    entry(f, 22, "bin/busybox", 0o100755, open(busybox, "rb").read())
    entry(f, 23, "init", 0o100755, init.encode())
    for i, p in enumerate(programs):
        entry(f, 30 + i, "bin/" + os.path.basename(p), 0o100755,
              open(p, "rb").read())
    entry(f, 0, "TRAILER!!!", 0)
END
    echo "$out"
}
