#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that `make install` puts a working set under DESTDIR and PREFIX: every
# program runs from there, the guests and the header are where the programs and
# a compiler look for them, and nothing is written outside.
# timeout: 120
set -u
. "$KXEN_TOP/tests/lib.sh"

dest=$KXEN_TEST_TMP/root
make -C "$KXEN_TOP" --no-print-directory B="$KXEN_BUILD" DESTDIR="$dest" \
    PREFIX=/opt/kxen install || fail "make install ended with status $?"

for program in libexec/kxen/hv libexec/kxen/dom0 bin/kxenstored bin/kxl \
    bin/kxbench; do
    "$dest/opt/kxen/$program" --help >"$KXEN_TEST_TMP/help" 2>&1 ||
        fail "$program --help ended with status $?"
    grep -qi usage "$KXEN_TEST_TMP/help" || fail "$program --help has no usage"
done
for name in "$dest"/opt/kxen/bin/*; do
    case ${name##*/} in
    kx*) ;;
    *) fail "${name##*/} is no name of ours to be in everybody's bin" ;;
    esac
done
# kxl finds hv from where it stands (and hv says what it finds of KVM).
"$dest/opt/kxen/bin/kxl" check >"$KXEN_TEST_TMP/check" 2>&1
grep -q 'kvm' "$KXEN_TEST_TMP/check" || {
    cat "$KXEN_TEST_TMP/check"
    fail "the installed kxl does not find hv"
}
for file in lib/kxen/guests/hello.elf lib/kxen/guests/bench.elf \
    lib/libkxen.a lib/kxen/libxenstore.so.4 include/kxen.h \
    share/bash-completion/completions/kxl \
    share/doc/kxen/README.md share/doc/kxen/LICENSE; do
    [ -s "$dest/opt/kxen/$file" ] || fail "$file was not installed"
done
cat >"$KXEN_TEST_TMP/p.c" <<'END'
#include <stdio.h>
#include <kxen.h>
int main(void) { puts(kxen_run_dir()); return 0; }
END
gcc -I "$dest/opt/kxen/include" -o "$KXEN_TEST_TMP/p" "$KXEN_TEST_TMP/p.c" \
    "$dest/opt/kxen/lib/libkxen.a" -pthread $SAN_FLAGS ||
    fail "a program using kxen.h does not build"
out=$(KXEN_RUN_DIR=/tmp/somewhere "$KXEN_TEST_TMP/p")
[ "$out" = /tmp/somewhere ] || fail "the built program printed '$out'"
extra=$(find "$dest" -mindepth 1 -maxdepth 2 ! -path "$dest/opt" \
    ! -path "$dest/opt/kxen")
[ -z "$extra" ] || fail "files outside the prefix: $extra"
