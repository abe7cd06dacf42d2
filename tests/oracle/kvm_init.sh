#!/bin/sh
# SPDX-License-Identifier: MIT
# The init of the hardware KVM oracle: it loads kvm-amd, sees the host's files
# (read-only, by 9p), and runs there the very tests that run on the host.
# Its command line: kxen.top= kxen.build= kxen.tests= kxen.scale=
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
# hv's lines are of interest, the kernel's are not
dmesg -n 1
# shellcheck disable=SC1091
. /modules.list
for word in $(cat /proc/cmdline); do
    case $word in
    kxen.*) export "$(echo "${word%%=*}" | tr . _)=${word#*=}" ;;
    esac
done

say() {
    echo "ORACLE $*"
}

leave() {
    say end
    poweroff -f
}

say "kernel is up after $(cut -d ' ' -f 1 /proc/uptime) s"
mkdir -p /host
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 \
    host /host || { say "ERROR: no files of the host"; leave; }
for dir in proc sys dev; do
    mount --bind /$dir /host/$dir
done
mkdir -p /host/dev/shm /host/dev/pts
mount -t devpts -o ptmxmode=666 devpts /host/dev/pts
for dir in run dev/shm; do
    mount -t tmpfs tmpfs /host/$dir
done
# The tree and the build may be below /tmp, where tests write: both by a bind.
mkdir -p /keep/top /keep/build
# shellcheck disable=SC2154
mount --bind "/host$kxen_top" /keep/top
# shellcheck disable=SC2154
mount --bind "/host$kxen_build" /keep/build
mount -t tmpfs tmpfs /host/tmp
mkdir -p /host/tmp/oracle/top /host/tmp/oracle/build /host/tmp/oracle/build/test-logs
mount --bind /keep/top /host/tmp/oracle/top
for dir in bin lib debian; do
    [ -e /keep/build/$dir ] || continue
    mkdir -p /host/tmp/oracle/build/$dir
    mount --bind /keep/build/$dir /host/tmp/oracle/build/$dir
done
[ -e /dev/kvm ] || { say "SKIP: no /dev/kvm: $(dmesg | grep -i kvm)"; leave; }
say "kvm is up after $(cut -d ' ' -f 1 /proc/uptime) s"

cat >/host/tmp/oracle/run <<'END'
export KXEN_TCG=tcg HOME=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
cd /tmp/oracle/top || exit 1
/tmp/oracle/build/bin/kxl check 2>&1 | sed 's/^/ORACLE check: /'
tests/run --build /tmp/oracle/build --jobs 1 --suites kvm \
    --scale "$kxen_scale" "$kxen_tests" 2>&1 | sed 's/^/ORACLE /'
END
chroot /host /bin/bash /tmp/oracle/run
leave
