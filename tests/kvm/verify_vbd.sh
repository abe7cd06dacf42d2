#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a guest writes and reads back a disk over the split driver, and
# that the image on the host holds what the guest says it wrote.
set -u
. "$KXEN_TOP/tests/lib.sh"

image=$(make_image disk.img 16)
verify_run vbd "$image" "disk = [ \"format=raw, vdev=xvda, access=rw, target=$image\" ]"
