#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may meet an instruction that is none: the daemons live
# on and say what happened, a neighbour's disk goes on, and the guest can be
# destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile ud2 'panic: unexpected exception' 'has shut down: crash'
