#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
# Proves that a kernel whose handlers fault or are not there, whose stack is
# none, which returns to addresses that cannot be, or loads tables of nonsense
# ends alone, with a reason that says where it was. A bystander goes on.
set -u
. "$KXEN_TOP/tests/lib.sh"

bystander_start
bad_kernel recursion '' 'no room for a frame: rip .* last page fault at'
bad_kernel handlers '' 'no room for a frame'
bad_kernel callbacks '' 'SHUTDOWN_crash'
bad_kernel iret '' ''
bad_kernel noframe '' 'iret without a frame'
bad_kernel stack '' 'no room for a frame'
bad_kernel gdt 'senseless descriptors and tables refused' ''
bystander_is_well
