#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that ...
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
create @NAME@ hello
console_wait "$domid" 'hello'
gone_wait @NAME@
host_alive
