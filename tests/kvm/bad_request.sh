#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may send malformed disk requests, and has an answer to
# each: the daemons live on, a neighbour's disk goes on, and the guest can be
# destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile req 'malformed requests, [0-9]+ failed, 0 unanswered' \
    'vbd/51712: request [0-9]+.*malformed, or not for this disk'
