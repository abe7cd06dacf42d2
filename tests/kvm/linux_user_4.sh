#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 300
# tap: the guest's programs
# Proves that programs find in a PV Linux with four vCPUs what they would find in
# any: signals with the right addresses and codes, memory and its protections,
# copy-on-write, processes, threads, vector registers, clocks, ptrace, 32-bit.  What is
# tested, and how, stands in tests/linux/user/*.c.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"
. "$KXEN_TOP/tests/linux/user.sh"

linux_user 4 signals memory processes vectors clocks ptrace compat32
