#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves what kvm/dom0_kill does, over two hundred kills and four domains.
# timeout: 1800
set -u
. "$KXEN_TOP/tests/lib.sh"

kill_dom0_under_io 200 4
