#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may put garbage in its disk ring's indices: the daemons
# live on and say what happened, a neighbour's disk goes on, and the guest can
# be destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile ring 'done; asleep' 'ring index req_prod is 513, but only 0 to 512 is possible'
