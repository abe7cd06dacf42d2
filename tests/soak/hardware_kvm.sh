#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 2400
# serial: QEMU takes every core
# Proves that hv's paths for hardware KVM work, on a machine that has none:
# Debian's kernel with kvm-amd runs in QEMU's emulated AMD processor, and in it
# our guests' tests, the same files that `make test` runs here.  There SYSCALL
# enters ring 0, slot 256 works, and exceptions come by the hardware.
# KXEN_ORACLE_TESTS is a regular expression on other tests to run there,
# KXEN_ORACLE_CPU another processor for QEMU.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tests/linux.sh"
. "$KXEN_TOP/tests/oracle/oracle.sh"

tests='kvm/(hello|smp|answers|pvgrub2|verify_(vbd|ata|virtio|virtio_ioeventfd)|uart'
tests+='|console|shutdown|bad_(kernel|jump|ud2|triple|hypercall|ring|tables)'
tests+='|linux_(cloud|hostile|isolation|smp|traps))$'
tests=${KXEN_ORACLE_TESTS:-$tests}

oracle_tools
oracle_kernel
# What the tests there unpack from Debian they find unpacked.
linux_kernel cloud-amd64 >/dev/null
debian_file grub-xen-host 'usr/lib/grub-xen/*' >/dev/null
oracle_root
oracle_module kvm-amd virtio_pci 9pnet_virtio 9p
cp "$KXEN_TOP/tests/oracle/kvm_init.sh" "$ROOT/init"
chmod +x "$ROOT/init"
initramfs=$(oracle_archive)
oracle_say "booting"
oracle_boot 2300 -cpu "${KXEN_ORACLE_CPU:-EPYC,+svm}" -M q35 -m 1536 -smp 2 \
    -kernel "$VMLINUZ" -initrd "$initramfs" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable kxen.scale=10 \
kxen.top=$KXEN_TOP kxen.build=$KXEN_BUILD kxen.tests=$tests" \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap

# The last line tests/run prints there is the verdict.
verdict=$(grep -oE '[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped' "$SERIAL")
why=$(sed -n 's/^ORACLE \(ERROR\|SKIP\): //p' "$SERIAL" | head -n 1)
[ -n "$verdict" ] || [ -z "$why" ] || skip "$why"
[ -n "$verdict" ] || broken "the tests there said no result"
case $verdict in
0\ passed*) fail "nothing ran: $verdict" ;;
*' 0 failed, '*) echo "on hardware KVM: $verdict" ;;
*) fail "on hardware KVM: $verdict" ;;
esac
