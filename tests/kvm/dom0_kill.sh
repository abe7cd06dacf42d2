#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that guests with verified disk I/O under way never notice dom0 being
# killed: twenty times SIGKILL, a new dom0 takes over disk and console without
# a write to `state`, and the verifiers end without an error.
# timeout: 180
set -u
. "$KXEN_TOP/tests/lib.sh"

kill_dom0_under_io 20 2
