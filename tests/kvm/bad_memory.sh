#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a domain given less memory than its kernel needs is refused with
# both figures, and that more than the host has is refused too.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
expect 1 'memory.*(needs|at least|too small)' \
    kxl create "$(write_cfg small hello 'memory = 1')"
expect 1 'memory' kxl create "$(write_cfg huge hello 'memory = 900000000')"
not_listed small || fail "small is listed"
not_listed huge || fail "huge is listed"
create fits hello
console_wait "$domid" '[Hh]ello'
host_alive
