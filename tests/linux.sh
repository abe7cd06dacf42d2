# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Debian's kernels for tests: fetched once from the archive by apt-get, kept
# unpacked beside the build.  Source after tests/lib.sh:
#
#   debian_file PACKAGE PATH   prints the unpacked file's path, or skips
#   linux_kernel FLAVOUR       amd64 or cloud-amd64: prints its vmlinuz
#   make_initramfs SCRIPT [FILE...]
#                              busybox, programs in /bin, modules (.ko) that are
#                              loaded and an /init that runs the script: prints
#                              the archive's path
#   linux_program NAME         builds tests/linux/NAME.c to run in it: its path
#   linux_smp VCPUS SECONDS    what several vCPUs can get wrong, for so long each
#   linux_disk_modules VMLINUZ prints the .ko files for ext4 on xen-blkfront

DEBIAN=$KXEN_BUILD/debian

debian_file() {
    local dir
    dir=$("$KXEN_TOP/tools/debian.sh" "$DEBIAN" "$1") ||
        skip "package $1 cannot be fetched"
    # shellcheck disable=SC2086,SC2012
    ls "$dir"/$2 2>/dev/null | head -n 1
}

linux_kernel() {
    debian_file "linux-image-$1" 'boot/vmlinuz-*'
}

make_initramfs() {
    local out=$KXEN_TEST_TMP/initramfs busybox
    busybox=$(debian_file busybox-static bin/busybox) ||
        { rc=$?; echo "$busybox"; exit $rc; }
    python3 "$KXEN_TOP/tests/linux/initramfs.py" "$out" "$busybox" "$@" ||
        broken "no initramfs"
    echo "$out"
}

# In the order in which they are loaded; the cloud kernel has some built in.
linux_disk_modules() {
    local dir module path
    dir=$(dirname "$(dirname "$1")")/lib/modules
    for module in crc16 mbcache jbd2 crc32c_generic ext4 xen-blkfront; do
        path=$(find "$dir" -name "$module.ko")
        [ -z "$path" ] || echo "$path"
    done
}

# The guest's own words: no carriage returns, none of its kernel's lines.
linux_check_log() {
    ! grep -nE 'BUG:|WARNING: CPU|Oops|Call Trace|soft lockup|rcu.*stall|general protection|hung_task|blocked for more' "$1" ||
        fail "the kernel complained"
}

linux_program() {
    local out=$KXEN_TEST_TMP/$1
    gcc -O2 -static -pthread -o "$out" "$KXEN_TOP/tests/linux/$1.c" ||
        skip "no static C library"
    echo "$out"
}

linux_smp() {
    local kernel initramfs program cfg log=$KXEN_TEST_TMP/smp.log
    program=$(linux_program smp) || { rc=$?; echo "$program"; exit $rc; }
    kernel=$(linux_kernel cloud-amd64) || { rc=$?; echo "$kernel"; exit $rc; }
    initramfs=$(make_initramfs "smp $2 hotplug
dmesg | grep -E 'BUG:|WARNING:|Oops|lockup|detected'" "$program") ||
        { rc=$?; echo "$initramfs"; exit $rc; }
    cfg=$(write_cfg linux "$kernel" "ramdisk = \"$initramfs\"" \
        'memory = 512' "vcpus = $1" 'on_crash = "destroy"' \
        'extra = "console=hvc0 loglevel=2 panic=1"')
    timeout $((200 * SCALE)) "$BIN/kxl" run "$cfg" </dev/null >"$log" 2>&1
    cat "$log"
    grep -q "^smp: $1 vCPUs" "$log" || fail "Linux does not have $1 vCPUs"
    grep -q '^smp: done, all right' "$log" || fail "it went wrong"
    linux_check_log "$log"
}
