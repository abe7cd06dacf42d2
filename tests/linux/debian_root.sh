# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# A full Debian on a disk image, for the long tests.  Source after
# tests/linux/disk.sh:
#
#   debian_root KERNEL       an image of its own for this test, 3 GiB, copied
#                            from one that debootstrap made once and is kept
#                            beside the build: prints its path, or skips
#   debian_initramfs KERNEL  one that has the modules for that disk, and starts
#                            its init: prints its path
#
# Root logs in without a password.  There are gcc, make and stress-ng.

DEBIAN_PACKAGES=systemd-sysv,udev,kmod,procps,dbus,gcc,libc6-dev,make,stress-ng

debian_make_root() {
    local release root=$1 modules=$2
    debootstrap --variant=minbase --include=$DEBIAN_PACKAGES bookworm "$root" \
        >"$DEBIAN/debootstrap.log" 2>&1 || return 1
    release=$(basename "$modules")
    mkdir -p "$root/lib/modules"
    cp -a "$modules" "$root/lib/modules/" || return 1
    chroot "$root" depmod "$release" || return 1
    chroot "$root" passwd -d root >/dev/null || return 1
    echo guest >"$root/etc/hostname"
    echo '/dev/xvda / ext4 errors=remount-ro 0 1' >"$root/etc/fstab"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
}

debian_root() {
    local modules img=$DEBIAN/root.img out=$KXEN_TEST_TMP/root.img tmp
    modules=$(ls -d "$(dirname "$(dirname "$1")")"/lib/modules/*)
    img=$DEBIAN/root-$(basename "$modules").img
    if [ ! -e "$img" ]; then
        [ "$(id -u)" = 0 ] || skip "debootstrap works for root only"
        type debootstrap >/dev/null 2>&1 || skip "no debootstrap"
        tmp=$(mktemp -d "$DEBIAN/root.XXXXXX")
        debian_make_root "$tmp/root" "$modules" || {
            tail -n 5 "$DEBIAN/debootstrap.log"
            rm -rf "$tmp"
            skip "debootstrap failed; is there a network?"
        }
        truncate -s 3G "$tmp/img"
        mkfs.ext4 -q -d "$tmp/root" "$tmp/img" || broken "mkfs.ext4 failed"
        mv "$tmp/img" "$img"
        rm -rf "$tmp"
    fi
    cp --sparse=always "$img" "$out" || broken "no room for $out"
    echo "$out"
}

debian_initramfs() {
    # shellcheck disable=SC2046
    make_initramfs '
mount -t ext4 /dev/xvda /mnt || exit 1
exec switch_root /mnt /sbin/init' $(linux_disk_modules "$1")
}
