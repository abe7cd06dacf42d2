#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest may put garbage in its console ring's indices: the
# daemons live on and say what happened, a neighbour's disk goes on, and the
# guest can be destroyed at once.
set -u
. "$KXEN_TOP/tests/lib.sh"

hostile console 'indices' 'console: closed, its ring indices are impossible'
