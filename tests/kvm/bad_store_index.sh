#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may put garbage in its store ring's indices: the daemons
# live on and say what happened, a neighbour's disk goes on, and the guest can
# be destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile index 'done; asleep' 'request ring is impossible'
