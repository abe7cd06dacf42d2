#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may make hypercalls with random numbers and arguments:
# the daemons live on and say what happened, a neighbour's disk goes on, and
# the guest can be destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile hypercall 'hypercalls with random arguments' 'unknown hypercall .*ENOSYS'
