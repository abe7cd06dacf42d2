#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a client that sends half a message to any of the host's sockets,
# or junk, and stays or goes, disturbs nobody: the daemons live and serve the
# next client at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
create bystander shell
console_wait "$domid" "$SHELL_READY"
for socket in hv.sock dom0.sock xenstored/socket; do
    half_messages "$KXEN_RUN_DIR/$socket" || broken "python"
    expect 0 bystander kxl list
    [ "$(store_read "/local/domain/$domid/name")" = bystander ] ||
        fail "the store does not answer after $socket"
    host_alive
done
create after hello
console_wait "$domid" '[Hh]ello'
