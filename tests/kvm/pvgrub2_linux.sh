#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 240
# Proves that Debian's pvgrub2 sees a domain's disk and starts what is on it:
# typed commands list its files and start Linux; a /boot/grub/grub.cfg on the
# disk is found and its menu entry started; that Linux is told the command line,
# gets the ramdisk, and finds the same disk by its own driver.  (It is linux-image-
# amd64: the cloud kernel is packed by lz4, which this grub does not know.)
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"
. "$KXEN_TOP/tests/linux/disk.sh"

grub=$(debian_file grub-xen-host usr/lib/grub-xen/grub-x86_64-xen.bin) ||
    { rc=$?; echo "$grub"; exit $rc; }
kernel=$(linux_kernel amd64) || { rc=$?; echo "$kernel"; exit $rc; }
# shellcheck disable=SC2016,SC2046
initramfs=$(make_initramfs '
echo "told: $(cat /proc/cmdline)"
mount -t ext4 -o ro /dev/xvda /mnt && echo "disk: $(cat /mnt/boot/word)"' \
    $(linux_disk_modules "$kernel")) || { rc=$?; echo "$initramfs"; exit $rc; }
root=$KXEN_TEST_TMP/root
mkdir -p "$root/boot"
cp "$kernel" "$root/boot/vmlinuz"
cp "$initramfs" "$root/boot/initrd"
echo abracadabra >"$root/boot/word"

# NAME SCRIPT: a person at grub's console, or one who only looks on.
session() {
    local cfg
    cfg=$(write_cfg "$1" "$grub" 'memory = 320' 'vcpus = 2' \
        'on_crash = "destroy"' "disk = [\"$disk,raw,xvda,w\"]")
    python3 "$KXEN_TOP/tests/linux/session.py" "$2" "$BIN/kxl" run "$cfg" ||
        fail "$1: it went another way"
}

disk=$(ext4_image typed.img 64 "$root")
cat >"$KXEN_TEST_TMP/typed" <<'END'
within 30
expect grub>
send ls
expect \(xen/xvda\)
send ls (xen/xvda)/boot/
expect vmlinuz
expect grub>
send cat (xen/xvda)/boot/word
expect abracadabra
send linux (xen/xvda)/boot/vmlinuz console=hvc0 loglevel=4 panic=1 typed=yes
expect grub>
send initrd (xen/xvda)/boot/initrd
expect grub>
send boot
within 100
expect told: .*typed=yes
expect disk: abracadabra
end 0
END
session typed "$KXEN_TEST_TMP/typed"

mkdir "$root/boot/grub"
cat >"$root/boot/grub/grub.cfg" <<'END'
set timeout=0
menuentry "Linux" {
    linux /boot/vmlinuz console=hvc0 loglevel=4 panic=1 menu=yes
    initrd /boot/initrd
}
END
disk=$(ext4_image menu.img 64 "$root")
cat >"$KXEN_TEST_TMP/menu" <<'END'
within 90
expect told: .*menu=yes
expect disk: abracadabra
end 0
END
session menu "$KXEN_TEST_TMP/menu"
