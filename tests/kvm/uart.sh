#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest told to prints on the trapped UART, and that what it
# prints is on `kxl run`'s terminal and in a log of its own.
set -u
. "$KXEN_TOP/tests/lib.sh"

cfg=$(write_cfg uart hello 'trapped = [ "uart" ]' 'extra = "console=uart"')
expect 0 '[Hh]ello' kxl run "$cfg"
