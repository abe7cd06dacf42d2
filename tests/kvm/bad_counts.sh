#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
# Proves that hypercalls with counts up to 2^64 are refused or soon over, and
# that a domain which has all its vCPUs flush in long lists without end can be
# destroyed at once. A bystander goes on.
set -u
. "$KXEN_TOP/tests/lib.sh"

bystander_start
bad_kernel counts 'counts up to 2.64 took [0-9]+ ms' ''
bad_kernel flushes 'badguest: flushing' ''
bystander_is_well
