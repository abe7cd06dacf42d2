#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 1200
# Proves the same as the kvm suite's linux_smp for minutes, on two, three and
# eight vCPUs.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"

for vcpus in 2 3 8; do
    linux_smp $vcpus 20
done
