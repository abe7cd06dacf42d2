#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a syntax error in a configuration is answered with file, line,
# column, what was expected and what was found, with status 1, and that no
# domain is left.
set -u
. "$KXEN_TOP/tests/lib.sh"

cfg=$KXEN_TEST_TMP/bad.cfg
printf 'name = "bad"\nkernel = "%s"\nmemory = [ 32\nvcpus = 1\n' \
    "$GUESTS/hello.elf" >"$cfg"
expect 1 "bad.cfg:4:1: .*expected .*found" kxl run "$cfg"
host_start
expect 1 "bad.cfg:4:1: .*expected" kxl create "$cfg"
not_listed bad || fail "a domain came of a bad configuration"
host_alive
