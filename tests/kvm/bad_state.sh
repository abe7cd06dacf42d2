#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may write nonsense to its disk's store nodes: the
# daemons live on and say what happened, a neighbour's disk goes on, and the
# guest can be destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile state 'done; asleep' 'cannot connect to the frontend'
