#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may spin for ever with its events off: the daemons live
# on, a neighbour's disk goes on, and the guest can be destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile spin 'spinning for ever' ''
