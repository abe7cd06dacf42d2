#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
# Proves that Debian's cloud kernel runs on eight vCPUs, more than this machine
# has cores: a page taken from a process is gone on each of them, also when
# another process takes it; threads share and fork one address space; wake-ups
# go round; locks let in one at a time; vCPUs go off line and come back.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"

linux_smp 8 0.6
