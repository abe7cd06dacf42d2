#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
# Proves that a PV Linux's user code has what its kernel asks the hypervisor
# for: exceptions as the right signals, selectors of nothing refused, single
# steps by the trap flag and by ptrace, local descriptor tables, int 0x80 and
# 32-bit code with system calls and faults, port I/O with leave, the vsyscall
# page. Breakpoints only where KVM has them: software KVM has none.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"

parts='exceptions selectors trap-flag single-step local-segments int80
       compat-segment compat-local compat-calls ports vsyscall'
"$BIN/kxl" check | grep -q '^kvm *software' || parts="$parts watchpoint"
parts=${parts//$'\n'/ }
program=$(linux_program segments) || { rc=$?; echo "$program"; exit $rc; }
kernel=$(linux_kernel cloud-amd64) || { rc=$?; echo "$kernel"; exit $rc; }
initramfs=$(make_initramfs "segments $parts" "$program") ||
    { rc=$?; echo "$initramfs"; exit $rc; }
cfg=$(write_cfg linux "$kernel" "ramdisk = \"$initramfs\"" 'memory = 256' \
    'vcpus = 2' 'on_crash = "destroy"' \
    'extra = "console=hvc0 loglevel=2 panic=1 vsyscall=xonly"')
expect 0 'segments: 0 BAD' kxl run "$cfg"
