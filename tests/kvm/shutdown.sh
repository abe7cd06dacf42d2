#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that `kxl shutdown` asks the guest through control/shutdown and that it
# powers off by itself; `kxl reboot` brings a new domain of the same name up.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
create box shell
console_wait "$domid" "$SHELL_READY"
first=$domid
kxl reboot box || fail "kxl reboot"
came_back() {
    domid=$(kxl domid box 2>/dev/null) && [ "$domid" != "$first" ]
}
wait_for 15 came_back || fail "no new domain after the reboot"
console_wait "$domid" "$SHELL_READY"
kxl shutdown box || fail "kxl shutdown"
gone_wait box
host_alive
