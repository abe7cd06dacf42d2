#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may fault without a stack to take the fault on: the
# daemons live on and say what happened, a neighbour's disk goes on, and the
# guest can be destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile triple 'without a stack' 'crashed: v0: .*no room for a frame'
