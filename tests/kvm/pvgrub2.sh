#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
# Proves that Debian's pvgrub2 (package grub-xen-host), as it is, boots to its
# prompt: it remaps its memory, asks for grants and events, talks to the store.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"

grub=$(debian_file grub-xen-host usr/lib/grub-xen/grub-x86_64-xen.bin) || { rc=$?; echo "$grub"; exit $rc; }
[ -n "$grub" ] || broken "grub-xen-host has no grub-x86_64-xen.bin"
host_start
create grub "$grub" 'memory = 128'
console_wait "$domid" 'GNU GRUB' 30
console_wait "$domid" 'grub> ' 30
kxl destroy grub || fail "kxl destroy ended with status $?"
gone_wait grub
host_alive
