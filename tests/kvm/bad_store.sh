#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may write junk into its store ring: the daemons live on
# and say what happened, a neighbour's disk goes on, and the guest can be
# destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile store 'done; asleep' 'bytes of payload, where 4096 is the most'
