#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest brings up four vCPUs, that each runs, and that they
# signal each other.
set -u
. "$KXEN_TOP/tests/lib.sh"

cfg=$(write_cfg smp hello 'vcpus = 4' 'extra = "smp"')
expect 0 '4 (v?[Cc][Pp][Uu]s|of 4)' kxl run "$cfg"
