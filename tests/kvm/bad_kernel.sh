#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a kernel that is missing, no ELF, an ELF without Xen's notes, or
# a truncated gzip is refused with the file's name and the reason, that nothing
# is left of the domain, and that the next good one boots.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
refused() { # NAME FILE REGEX
    expect 1 "$3" kxl create "$(write_cfg "$1" "$2")"
    not_listed "$1" || fail "$1 is listed"
}

refused missing "$KXEN_TEST_TMP/nowhere.elf" 'nowhere.elf.*[Nn]o such file'
echo 'this is text' >"$KXEN_TEST_TMP/text"
refused text "$KXEN_TEST_TMP/text" 'text.*not an? ELF'
: >"$KXEN_TEST_TMP/empty"
refused empty "$KXEN_TEST_TMP/empty" 'empty'
refused nonotes "$(type -P true)" '[Nn]ote'
gzip -c "$GUESTS/hello.elf" >"$KXEN_TEST_TMP/good.gz"
head -c 2000 "$KXEN_TEST_TMP/good.gz" >"$KXEN_TEST_TMP/cut.gz"
refused cut "$KXEN_TEST_TMP/cut.gz" 'cut.gz.*(truncated|ends|cut short)'

create good "$KXEN_TEST_TMP/good.gz"
console_wait "$domid" '[Hh]ello'
host_alive
