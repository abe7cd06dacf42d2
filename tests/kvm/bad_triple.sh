#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest that triple-faults
# is named in a log, while its neighbour's disk goes on and the daemons live;
# the guest can be destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile triple 'crash'
