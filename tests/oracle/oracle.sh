# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# A machine inside QEMU's TCG, made of Debian's packages: what the two oracles
# under tests/soak share.  Source after tests/lib.sh and tests/linux.sh:
#
#   oracle_tools                     QEMU and cpio, installed if root; or skips
#   oracle_kernel                    sets $VMLINUZ and $MODULES
#   oracle_root                      an empty root with busybox: $ROOT
#   oracle_module NAME...            modules and what they need, and the line
#                                    that loads each into $ROOT/modules.list
#   oracle_program FILE...           programs, at their paths, with libraries
#   oracle_archive                   packs $ROOT: prints the archive's path
#   oracle_boot SECONDS QEMU-ARGS... runs it, shows its progress as it comes;
#                                    its serial console is in $SERIAL
#   oracle_say TEXT                  a line with the time since the start
#
# A line `ORACLE ...` on the machine's console is progress.  It ends by itself
# with `ORACLE end`; if not, it is killed after SECONDS.

ROOT=$KXEN_TEST_TMP/root
SERIAL=$KXEN_TEST_TMP/serial
QEMU=qemu-system-x86_64

oracle_say() {
    printf '%4d s: %s\n' "$SECONDS" "$*"
}

oracle_tools() {
    "$KXEN_TOP/tools/install-deps.sh" oracle 2>&1 ||
        skip "no QEMU: see tools/install-deps.sh oracle"
}

# A file of a package; skips or breaks with the reason.  Sets $FILE.
oracle_file() {
    local rc
    FILE=$(debian_file "$@") || { rc=$?; echo "$FILE"; exit $rc; }
    [ -n "$FILE" ] || broken "package $1 has no $2"
}

oracle_kernel() {
    local rc
    VMLINUZ=$(linux_kernel amd64) || { rc=$?; echo "$VMLINUZ"; exit $rc; }
    MODULES=$(echo "${VMLINUZ%/boot/*}"/lib/modules/*)
}

oracle_root() {
    mkdir -p "$ROOT"/{dev,proc,sys,bin,tmp,modules,run} ||
        broken "no room in $ROOT"
    oracle_file busybox-static bin/busybox
    cp "$FILE" "$ROOT/bin/busybox"
    ln -s busybox "$ROOT/bin/sh"
}

# The packages hold no modules.dep (depmod makes it when they are installed):
# a module itself says what it depends on.
oracle_module() {
    local name file needs
    for name; do
        file=$(find "$MODULES/kernel" -name "${name//_/-}.ko" \
                   -o -name "${name//-/_}.ko" | head -n 1)
        [ -n "$file" ] || continue # built in
        [ ! -e "$ROOT/modules/${file##*/}" ] || continue
        needs=$(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p' | head -n 1)
        # shellcheck disable=SC2086
        oracle_module ${needs//,/ }
        cp "$file" "$ROOT/modules/" || broken "no room in $ROOT"
        echo "insmod /modules/${file##*/}" >>"$ROOT/modules.list"
    done
}

oracle_program() {
    local file lib
    for file; do
        mkdir -p "$ROOT/bin" && cp -L "$file" "$ROOT/bin/" ||
            broken "cannot copy $file"
        for lib in $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*'); do
            [ -e "$ROOT$lib" ] && continue
            mkdir -p "$ROOT${lib%/*}" && cp -L "$lib" "$ROOT$lib" ||
                broken "cannot copy $lib"
        done
        ! ldd "$file" 2>/dev/null | grep 'not found' ||
            skip "a library of $file is not installed"
    done
}

oracle_archive() {
    (cd "$ROOT" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) \
        >"$KXEN_TEST_TMP/initramfs" || broken "cannot pack $ROOT"
    echo "$KXEN_TEST_TMP/initramfs"
}

# Shown as they come: each line of the console that begins with ORACLE.
oracle_progress() {
    local line
    sed -u 's/\r//g' | tee "$SERIAL" | grep --line-buffered -o 'ORACLE.*' |
        while read -r line; do
            oracle_say "${line#ORACLE }"
        done
}

oracle_boot() {
    local limit=$1 rc
    shift
    command -v "$QEMU" >/dev/null || skip "no $QEMU"
    timeout -k 5 "$limit" "$QEMU" -accel tcg,thread=multi -nodefaults \
        -display none -serial stdio -no-reboot "$@" </dev/null 2>&1 |
        oracle_progress
    rc=${PIPESTATUS[0]}
    grep -q '^ORACLE end' "$SERIAL" && return 0
    tail -n 40 "$SERIAL"
    [ "$rc" != 124 ] || fail "the machine was not done after $limit s"
    fail "the machine ended early, QEMU with status $rc"
}
