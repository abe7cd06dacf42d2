#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that `kxl run` ends with status 2 when the guest crashes, and says
# where it did.
set -u
. "$KXEN_TOP/tests/lib.sh"

cfg=$(write_cfg crash badguest 'extra = "bad=ud2"' 'on_crash = "destroy"')
expect 2 'crash' kxl run "$cfg"
