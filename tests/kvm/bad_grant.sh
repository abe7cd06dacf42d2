#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest that lies about grant references
# is named in a log, while its neighbour's disk goes on and the daemons live;
# the guest can be destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile gnt 'grant'
