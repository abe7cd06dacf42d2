#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that a disk image that is missing, read-only though wanted for
# writing, or in use by another domain is refused with its path, the reason and
# what to try; the domain that has it goes on.
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
refused() { # NAME TARGET REGEX
    expect 1 "$3" kxl create "$(write_cfg "$1" shell "disk = [ \"$2,raw,xvda,w\" ]")"
    not_listed "$1" || fail "$1 is listed"
}

refused missing "$KXEN_TEST_TMP/no.img" 'no.img.*(does not exist|[Nn]o such file)'
image=$(make_image used.img 4)
create owner shell "disk = [ \"$image,raw,xvda,w\" ]"
refused second "$image" 'used.img.*in use'
expect 1 'used.img.*in use' kxl create \
    "$(write_cfg third shell "trapped = [ \"ata,target=$image\" ]")"
kxl list | grep -q '^owner ' || fail "the owner of the disk is gone"

# Root writes to a file of mode 0444 all the same: take a read-only mount.
mkdir "$KXEN_TEST_TMP/ro"
if mount -t tmpfs none "$KXEN_TEST_TMP/ro" 2>/dev/null; then
    head -c 1048576 /dev/zero >"$KXEN_TEST_TMP/ro/ro.img"
    mount -o remount,ro "$KXEN_TEST_TMP/ro"
    refused readonly "$KXEN_TEST_TMP/ro/ro.img" 'ro.img.*[Rr]ead-only'
    create reader shell "disk = [ \"$KXEN_TEST_TMP/ro/ro.img,raw,xvda,r\" ]"
    kxl destroy reader
    wait_for 5 umount "$KXEN_TEST_TMP/ro" || fail "the image is still open"
fi
kxl destroy owner
gone_wait owner
create next shell "disk = [ \"$image,raw,xvda,w\" ]"
host_alive
