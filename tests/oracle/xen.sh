# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# A real Xen inside QEMU's TCG, from Debian's packages; it needs no VT-x.  The
# same guests run there and here, for comparison.  Source after tests/lib.sh,
# tests/linux.sh and tests/oracle/oracle.sh:
#
#   xen_machine                   packs a dom0 with xl into $ROOT
#   xen_guest NAME SECONDS DISK-MIB TYPED KERNEL [LINE...]
#                                 a guest for both, as `create` takes it; TYPED
#                                 (of printf; - for nothing) is entered at its
#                                 first prompt
#   xen_run SECONDS               runs them all on Xen, each by itself
#   kxen_run                      and on Kxen, where host_start has been called
#   console_of xen|kxen NAME      the file with what a guest said
#   end_of xen|kxen NAME          shutdown, crash or running
#
# dom0's init is xen_init.sh.

# What is in dom0; none of it is installed here.
XEN_PACKAGES="xen-utils-4.17 xenstore-utils libc6 libgcc-s1 liblzma5 libuuid1
    libyajl2 zlib1g libzstd1 libxencall1 libxendevicemodel1 libxenevtchn1
    libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenmisc4.17
    libxenstore4 libxentoolcore1 libxentoollog1"
XEN_MODULES="xen-evtchn xen-privcmd xen-gntdev xen-gntalloc xenfs loop
    xen-blkback"
# Mitigations cost time and change no answer; grants are version 1 as Kxen's.
XEN_OPTIONS="console=com1 com1=115200,8n1 dom0_mem=640M dom0_max_vcpus=1 loglvl=warning
    spec-ctrl=no pv-l1tf=off gnttab=max-ver:1"
XEN_GUESTS=()

# What a package has for programs to run, without what only people read.
xen_unpack() {
    local part dir
    dir=$("$KXEN_TOP/tools/debian.sh" "$DEBIAN" "$1") ||
        skip "package $1 cannot be fetched"
    for part in bin sbin lib lib64 usr/bin usr/sbin usr/lib; do
        [ -d "$dir/$part" ] || continue
        mkdir -p "$ROOT/$part"
        cp -a "$dir/$part/." "$ROOT/$part/" || broken "no room in $ROOT"
    done
}

xen_machine() {
    local package
    oracle_kernel
    oracle_root
    for package in $XEN_PACKAGES; do
        xen_unpack "$package"
    done
    rm -rf "$ROOT"/usr/lib/xen-*/boot "$ROOT"/usr/lib/*/gconv
    # shellcheck disable=SC2086
    oracle_module $XEN_MODULES
    mkdir -p "$ROOT"/{guests,etc/xen/scripts,var/{log,lib,run}/xen}
    : >"$ROOT/etc/xen/xl.conf"
    cp "$KXEN_TOP/tests/oracle/xen_init.sh" "$ROOT/init"
    cp "$KXEN_TOP/tests/oracle/xen_block.sh" "$ROOT/etc/xen/scripts/block"
    chmod 755 "$ROOT/init" "$ROOT/etc/xen/scripts/block"
    oracle_file xen-hypervisor-4.17-amd64 'boot/xen-4.17-amd64.gz'
    gunzip -c "$FILE" >"$KXEN_TEST_TMP/xen" || broken "cannot unpack $FILE"
}

xen_guest() {
    local name=$1 disk=$3 cfg kernel image=$KXEN_TEST_TMP/disk.img
    local keep=('on_poweroff = "preserve"' 'on_crash = "preserve"')
    cfg=$(write_cfg "$name" "${@:5}" "${keep[@]}") || exit
    kernel=$(sed -n 's/^kernel = "\(.*\)"/\1/p' "$cfg")
    cp "$kernel" "$ROOT/guests/" || broken "cannot copy $kernel"
    sed "s,^kernel = .*,kernel = \"/guests/${kernel##*/}\"," "$cfg" \
        >"$ROOT/guests/$name.cfg"
    if [ "$disk" != 0 ]; then
        echo 'disk = ["/dev/loop0,raw,xvda,w"]' >>"$ROOT/guests/$name.cfg"
        echo "disk = [\"$image,raw,xvda,w\"]" >>"$cfg"
    fi
    echo "$name $2 $disk $4" >>"$ROOT/guests/list"
    XEN_GUESTS+=("$name $2 $disk $4")
}

# The first serial port is for people; what the guests said comes by the second
# one, as it is.
xen_run() {
    local archive dir=$KXEN_TEST_TMP/xen-console
    archive=$(oracle_archive)
    # shellcheck disable=SC2086
    oracle_boot "$1" -cpu Haswell,-hle,-rtm -M q35 -m 1024 -smp 2 \
        -serial "file:$KXEN_TEST_TMP/answers.tar" \
        -kernel "$KXEN_TEST_TMP/xen" \
        -initrd "$VMLINUZ console=hvc0 quiet,$archive" \
        -append "$(echo $XEN_OPTIONS)"
    ! grep '^ORACLE ERROR' "$SERIAL" || broken "dom0 does not work"
    mkdir -p "$dir"
    tar -C "$dir" -xf "$KXEN_TEST_TMP/answers.tar" ||
        fail "what the guests said did not come back"
}

kxen_state() {
    kxl list | awk -v name="$1" '$1 == name {
        print $5 ~ /c/ ? "crash" : $5 ~ /s/ ? "shutdown" : "running" }'
}

kxen_over() {
    [ "$(kxen_state "$1")" != running ]
}

# DOMID NAME TYPED SECONDS: at the first prompt, then to the next or the end.
kxen_type() {
    local log size
    log=$(console_file "$1")
    console_wait "$1" '> $' "$4"
    size=$(wc -c <"$log")
    # shellcheck disable=SC2059 # it has escapes
    { printf "$3"; sleep 1; } | kxl console "$2" >/dev/null 2>&1
    answered() {
        kxen_over "$2" || { [ "$(wc -c <"$log")" -gt $((size + 4)) ] &&
                            [ "$(tail -c 2 "$log")" = "> " ]; }
    }
    wait_for "$4" answered "$@" || fail "$2 does not answer '$3'"
}

kxen_guest() {
    local name=$1 seconds=$2 disk=$3 typed=$4 domid
    local dir=$KXEN_TEST_TMP/kxen-console
    mkdir -p "$dir"
    [ "$disk" = 0 ] || { rm -f "$KXEN_TEST_TMP/disk.img"
                         truncate -s "${disk}M" "$KXEN_TEST_TMP/disk.img"; }
    kxl create "$KXEN_TEST_TMP/$name.cfg" >/dev/null ||
        fail "kxl create $name ended with status $?"
    domid=$(kxl domid "$name")
    if [ "$typed" = - ]; then
        wait_for "$seconds" kxen_over "$name" || fail "$name does not end"
    else
        kxen_type "$domid" "$name" "$typed" "$seconds"
    fi
    kxen_state "$name" >"$dir/$name.end"
    cp "$(console_file "$domid")" "$dir/$name.log"
    kxl destroy "$name" || fail "kxl destroy $name"
}

kxen_run() {
    local line
    for line in "${XEN_GUESTS[@]}"; do
        # shellcheck disable=SC2086
        kxen_guest $line
    done
}

console_of() {
    echo "$KXEN_TEST_TMP/$1-console/$2.log"
}

end_of() {
    cat "$KXEN_TEST_TMP/$1-console/$2.end"
}
