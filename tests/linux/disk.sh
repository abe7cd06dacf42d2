# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What tests of Linux with a disk share.  Source after tests/linux.sh.
#
#   ext4_image LEAF MIB FOLDER       an ext4 image of the folder's files
#   linux_sums FILE                  "PATH MD5" of its lines "SUM md5 path"
#   ext4_check IMAGE                 clean, by the host's e2fsck, or fail
#   ext4_compare IMAGE LOG           every file of which the log has a sum is
#                                    in the image with that sum, or fail
#   linux_run NAME KERNEL INITRAMFS [LINE...]
#                                    kxl run; its output, without carriage
#                                    returns, in $KXEN_TEST_TMP/NAME.out

ext4_image() {
    local path=$KXEN_TEST_TMP/$1
    truncate -s "$2M" "$path" && mkfs.ext4 -q -d "$3" "$path" ||
        broken "mkfs.ext4 made no $path"
    echo "$path"
}

ext4_check() {
    e2fsck -fn "$1" || fail "e2fsck is not content with $1"
}

linux_sums() {
    sed -n 's/^SUM \([0-9a-f]*\)  *\(.*\)$/\2 \1/p' "$1"
}

ext4_compare() {
    local path sum got n=0
    while read -r path sum; do
        got=$(debugfs -R "cat $path" "$1" 2>/dev/null | md5sum)
        [ "${got%% *}" = "$sum" ] ||
            fail "$path: the guest wrote $sum, the image has ${got%% *}"
        n=$((n + 1))
    done < <(linux_sums "$2")
    echo "$n files of the guest are in the image as it wrote them"
    [ $n -gt 0 ] || fail "the guest wrote nothing"
}

linux_run() {
    local name=$1 kernel=$2 initramfs=$3 cfg rc
    shift 3
    cfg=$(write_cfg "$name" "$kernel" "ramdisk = \"$initramfs\"" \
        'extra = "console=hvc0 loglevel=4 panic=1"' 'on_crash = "destroy"' "$@")
    LINUX_OUT=$KXEN_TEST_TMP/$name.out
    timeout -k 5 $((100 * SCALE)) "$BIN/kxl" run "$cfg" 2>&1 |
        tr -d '\r' >"$LINUX_OUT"
    rc=${PIPESTATUS[0]}
    cat "$LINUX_OUT"
    [ "$rc" = 0 ] || fail "kxl run ended with status $rc"
    linux_check_log "$LINUX_OUT"
}

# linux_disk_test FLAVOUR [LINE...]: see tests/kvm/linux_disk_*.sh.
linux_disk_test() {
    local flavour=$1 kernel initramfs disk ro queues
    shift
    kernel=$(linux_kernel "$flavour") || { rc=$?; echo "$kernel"; exit $rc; }
    mkdir "$KXEN_TEST_TMP/root"
    head -c 3000000 /dev/urandom >"$KXEN_TEST_TMP/root/host"
    disk=$(ext4_image disk.img 192 "$KXEN_TEST_TMP/root")
    ro=$(make_image ro.img 6)
    # shellcheck disable=SC2046
    initramfs=$(make_initramfs "$DISK_SCRIPT" $(linux_disk_modules "$kernel")) ||
        { rc=$?; echo "$initramfs"; exit $rc; }
    linux_run disk "$kernel" "$initramfs" 'memory = 256' \
        "disk = [\"$disk,raw,xvda,w\", \"$ro,raw,xvdb,r\"]" "$@"
    grep -q 'xvda: flush diskcache: enabled; persistent grants: enabled; indirect descriptors: enabled' \
        "$LINUX_OUT" || fail "blkfront did not agree on all features"
    grep -q '^RW ok' "$LINUX_OUT" || fail "the guest did not read what it wrote"
    grep -q "^RO $(md5sum <"$ro" | cut -d' ' -f1) refused" "$LINUX_OUT" ||
        fail "the read-only disk was written, or is another"
    # One for each vCPU, as far as there are CPUs here to serve them.
    queues=$(sed -n 's/.*vcpus = \([0-9]*\).*/\1/p' <<<"$*")
    [ "$queues" -le "$(nproc)" ] || queues=$(nproc)
    grep -q "^QUEUES $queues$" "$LINUX_OUT" ||
        fail "the disk does not have $queues queues"
    ext4_check "$disk"
    ext4_compare "$disk" "$LINUX_OUT"
    # 48 MiB were deleted and trimmed, some 13 are there.
    [ "$(du -m "$disk" | cut -f1)" -lt 40 ] ||
        fail "discards freed nothing: $(du -m "$disk")"
}

# shellcheck disable=SC2016
DISK_SCRIPT='
dmesg | grep "blkfront: xvda"
echo "QUEUES $(ls /sys/block/xvda/mq | wc -l)"
mount -t ext4 -o discard /dev/xvda /mnt || exit 1
cd /mnt
dd if=/dev/urandom of=big bs=1M count=8 2>/dev/null
dd if=/dev/urandom of=odd bs=777 count=1234 conv=fsync 2>/dev/null
dd if=/dev/urandom of=big bs=4k seek=300 count=100 conv=notrunc oflag=direct \
    2>/dev/null
dd if=/dev/zero of=gone bs=1M count=48 2>/dev/null
mkdir d
i=0
while [ $i -lt 100 ]; do echo $i >d/$i; i=$((i + 1)); done
cat d/* >all
sync
md5sum host big odd all >/tmp/sums
echo 3 >/proc/sys/vm/drop_caches
md5sum -c -s /tmp/sums && [ "$(cat d/* | md5sum)" = "$(md5sum <all)" ] &&
    dd if=big bs=64k iflag=direct 2>/dev/null | cmp - big && echo RW ok
sed "s/^/SUM /" /tmp/sums
for i in 3 77; do echo "SUM $(md5sum d/$i)"; done
rm gone
sync
fstrim /mnt
cd /
umount /mnt
dd if=/dev/zero of=/dev/xvdb bs=4k count=1 conv=fsync 2>/dev/null ||
    refused=refused
echo 3 >/proc/sys/vm/drop_caches
echo "RO $(md5sum </dev/xvdb | cut -d" " -f1) $refused"
'
