#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that ...
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
create @NAME@ hello
console_wait "$domid" 'Hello from'
gone_wait @NAME@
host_alive
