#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that the verifying guest drives the same image over the trapped
# virtio device, and that the host finds in it what the guest wrote.
set -u
. "$KXEN_TOP/tests/lib.sh"

image=$(make_image disk.img 8)
verify_run virtio "$image" "trapped = [ \"virtio,target=$image\" ]"
