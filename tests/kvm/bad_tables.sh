#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
# Proves that a kernel may pin what is no table, map what is not its own, reach
# for the hypervisor's entries, link tables to themselves, change them from two
# vCPUs at once and flip their bits: hv refuses and names it, or crashes that
# domain with the reason. A bystander and the host go on.
set -u
. "$KXEN_TOP/tests/lib.sh"

bystander_start
bad_kernel pins 'nonsense pinned: [0-9]+ refused' ''
bad_kernel maps 'mappings beyond its memory refused' 'maps frame .* not its own'
bad_kernel slots '32 of 32 entries' 'changes entry 2[0-9]* of an L4 table'
bad_kernel loops 'tables that lead to themselves' ''
bad_kernel race 'changed the same tables' ''
bad_kernel flips '' ''
bad_kernel ownslot '' 'took the hypervisor.s entries out of its L4'
bystander_is_well
