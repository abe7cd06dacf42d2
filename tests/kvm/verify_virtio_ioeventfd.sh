#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that the verifying guest drives the same image over the trapped
# virtio device with its doorbell on an ioeventfd, and that the host finds in it what the guest wrote.
set -u
. "$KXEN_TOP/tests/lib.sh"

image=$(make_image disk.img 8)
verify_run virtio_ioeventfd "$image" "trapped = [ \"virtio,target=$image,ioeventfd\" ]"
