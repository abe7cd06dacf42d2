#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may jump to nowhere: the daemons live on and say what
# happened, a neighbour's disk goes on, and the guest can be destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile jump 'page fault' 'has shut down: crash'
