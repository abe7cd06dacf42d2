#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may set watches and make nodes until the store refuses:
# the daemons live on and say what happened, a neighbour's disk goes on, and
# the guest can be destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile watch 'watches, then error -28' 'quota .watches. of 128 is used up'
