#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 1500
# Proves what kvm/bad_fuzz does for ten minutes, with two such domains at once
# and a new seed every ten seconds; best with the sanitizers (make soak SAN=1).
# FUZZ_SEED=n begins with that one.
set -u
. "$KXEN_TOP/tests/lib.sh"

bystander_start
seed=${FUZZ_SEED:-$RANDOM}
crashed=0
end=$((SECONDS + 600))
while [ $SECONDS -lt $end ]; do
    for name in one two; do
        create $name badguest "extra = \"bad=fuzz seed=$seed seconds=10\"" \
            'vcpus = 2' 'on_crash = "preserve"' 'on_poweroff = "preserve"'
        seed=$((seed + 1))
    done
    over() { log_says "$1" crashed || console_says "$1" 'asleep until'; }
    for id in $((domid - 1)) "$domid"; do
        wait_for 60 over "$id" || fail "seed $((seed - 2 + id - domid + 1)) hangs"
        ! log_says "$id" crashed || crashed=$((crashed + 1))
    done
    destroy_at_once one
    destroy_at_once two
    bystander_is_well
done
echo "up to seed $seed; $crashed guests crashed"
