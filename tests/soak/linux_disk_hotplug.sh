#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 180
# Proves that disks come and go under a running Linux as on Xen, by the store
# alone: a backend told to close ends its disk and frees the image, nodes of a
# new device make a disk appear, and the one at work beside them notices nothing.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"
. "$KXEN_TOP/tests/linux/disk.sh"

export XENSTORED_PATH=$KXEN_RUN_DIR/xenstored/socket
kernel=$(linux_kernel cloud-amd64) || { rc=$?; echo "$kernel"; exit $rc; }
# shellcheck disable=SC2016,SC2046
initramfs=$(make_initramfs '
mount -t ext4 /dev/xvda /mnt
(i=0; while [ ! -e /tmp/end ]; do
    dd if=/dev/urandom of=/mnt/f bs=64k count=8 conv=fsync 2>/dev/null || echo "xvda: error"
 done; touch /tmp/ended) &
for sum in one two three; do
    until [ -b /dev/xvdb ]; do sleep 0.1; done
    echo "$sum: $(md5sum </dev/xvdb | cut -d" " -f1)"
    while [ -b /dev/xvdb ]; do sleep 0.1; done
    echo "$sum is gone"
done
touch /tmp/end
until [ -e /tmp/ended ]; do sleep 0.1; done
umount /mnt; echo unmounted' $(linux_disk_modules "$kernel")) ||
    { rc=$?; echo "$initramfs"; exit $rc; }

attach() {
    local back=/local/domain/0/backend/vbd/$domid/51728
    local front=/local/domain/$domid/device/vbd/51728
    xenstore-write "$back/frontend" "$front" "$back/frontend-id" "$domid" \
        "$back/params" "$1" "$back/mode" w "$back/type" phy "$back/online" 1 \
        "$back/state" 1 "$front/backend" "$back" "$front/backend-id" 0 \
        "$front/virtual-device" 51728 "$front/device-type" disk
    xenstore-chmod -r "$back" n0 "r$domid"
    xenstore-write "$front/state" 1
    xenstore-chmod -r "$front" "n$domid" r0
}

detach() {
    local back=/local/domain/0/backend/vbd/$domid/51728
    xenstore-write "$back/online" 0 "$back/state" 5
}

closed() {
    [ "$(store_read "/local/domain/0/backend/vbd/$domid/51728/state")" = 6 ] ||
        ! xenstore-exists "/local/domain/0/backend/vbd/$domid/51728"
}

mkdir "$KXEN_TEST_TMP/root"
disk=$(ext4_image disk.img 64 "$KXEN_TEST_TMP/root")
one=$(make_image one 4) two=$(make_image two 7)
host_start
create plug "$kernel" "ramdisk = \"$initramfs\"" 'memory = 256' 'vcpus = 2' \
    'extra = "console=hvc0 loglevel=3 panic=1"' \
    "disk = [\"$disk,raw,xvda,w\", \"$one,raw,xvdb,w\"]"
log=$(console_file "$domid")
n=0
for image in "$one" "$two" "$one"; do
    n=$((n + 1))
    word=$(echo one two three | cut -d' ' -f$n)
    [ $n = 1 ] || attach "$image"
    console_wait "$domid" "$word: $(md5sum <"$image" | cut -d' ' -f1)" 30
    detach
    wait_for 10 closed || fail "the backend does not close"
    xenstore-rm "/local/domain/$domid/device/vbd/51728"
    xenstore-rm "/local/domain/0/backend/vbd/$domid/51728"
    console_wait "$domid" "$word is gone" 20
    sleep 1 # the guest may not be through with the old device's node
    flock -n "$image" true || fail "$image is still locked"
done
console_wait "$domid" unmounted 20
gone_wait plug
tr -d '\r' <"$log" >"$KXEN_TEST_TMP/out"
linux_check_log "$KXEN_TEST_TMP/out"
! grep -E 'xvda: error|I/O error' "$KXEN_TEST_TMP/out" || fail "the other disk noticed"
ext4_check "$disk"
host_alive
