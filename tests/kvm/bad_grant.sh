#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may lie about grant references, and has an error to
# each: the daemons live on, a neighbour's disk goes on, and the guest can be
# destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile gnt 'a read into grant of a foreign frame: status -1' \
    'vbd/51712: request [0-9]+ .*grants.*cannot be mapped'
