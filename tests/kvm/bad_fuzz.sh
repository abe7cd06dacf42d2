#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
# Proves that hv survives random hypercalls with nearly right arguments from
# two vCPUs of a domain, and that a bystander does not notice. The guest may
# crash. FUZZ_SEED=n does a run again, as far as two vCPUs can be made to.
set -u
. "$KXEN_TOP/tests/lib.sh"

bystander_start
bad_kernel fuzz '(seed=[0-9]+: [0-9]+ hypercalls|panic)' '' \
    "seed=${FUZZ_SEED:-$RANDOM} seconds=3"
bystander_is_well
