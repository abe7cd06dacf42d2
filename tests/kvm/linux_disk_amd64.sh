#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 180
# Proves that the xen-blkfront of Debian's linux-image-amd64, as it is, works on
# our disks: an ext4 that the host made is mounted, read, written
# in small and big pieces, through the cache and around it, flushed and trimmed;
# a read-only disk is read and not written; afterwards the host finds the file
# system clean, all that the guest wrote in it, and the trimmed space free.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"
. "$KXEN_TOP/tests/linux/disk.sh"

linux_disk_test amd64 'vcpus = 1'
