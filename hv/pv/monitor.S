/* SPDX-License-Identifier: MIT */
/*
 * The monitor's code.  Runs in guest context at MON_VA: the trap stubs at
 * CPL0, all else at CPL3 on the guest kernel's stack.  Position fixed by
 * MON_VA, data reached relative to rip.  Leaf code without state of its own,
 * so an upcall may interrupt it anywhere.
 */
#define __ASSEMBLY__
#include "hv/include/kxen/monitor.h"

#define EVTCHNOP_send 4
#define NR_event_channel_op 32
#define NR_xen_version 17

    .section .monitor, "a", @progbits
    .globl monitor_start, monitor_end
    .balign 4096
monitor_start:
    .ascii "KEXMON01"
    .quad stubs - monitor_start
    .quad evtchn_op - monitor_start
    .quad xen_version - monitor_start
    .quad syscall_entry - monitor_start
    .quad apply_ptes - monitor_start
    .quad fault_insn - monitor_start
    .quad slow_evtchn - monitor_start
    .quad monitor_end - monitor_start

    .balign 64
/*
 * event_channel_op from the hypercall page: edi = cmd, rsi = argument. A send
 * on a port with a doorbell is one OUT that an ioeventfd takes in the kernel.
 * All else, errors included, is hv's.  Keeps every register but rax.
 */
evtchn_op:
    cmp $EVTCHNOP_send, %edi
    jne slow_evtchn
fault_insn:
    mov (%rsi), %eax
    cmp $MON_PORTS, %eax
    jae slow_evtchn
    push %rdx
    lea monitor_start + MON_DATA_OFF + MON_DATA_PORTS_OFF(%rip), %rdx
    movzwl (%rdx,%rax,2), %edx
    test %edx, %edx
    jz 1f
    out %eax, %dx
    pop %rdx
    xor %eax, %eax
    ret
1:  pop %rdx
slow_evtchn:
    mov $NR_event_channel_op, %eax
    out %eax, $DOORBELL_HYPERCALL
    ret

    .balign 64
/*
 * xen_version.  Linux uses sub-op 0 to have its pending events delivered, so
 * the short answer is only for when no vCPU has an unmasked one waiting.
 */
xen_version:
    test %edi, %edi
    jnz 3f
    push %rcx
    push %rdx
    lea monitor_start + MON_DATA_OFF + MON_DATA_VCPUS_OFF(%rip), %rdx
    mov (%rdx), %rcx
1:  sub $1, %rcx
    jb 2f
    mov MON_DATA_INFO_OFF - MON_DATA_VCPUS_OFF(%rdx,%rcx,8), %rax
    cmpw $1, (%rax)             /* pending 1, mask 0 */
    jne 1b
    pop %rdx
    pop %rcx
3:  mov $NR_xen_version, %eax
    out %eax, $DOORBELL_HYPERCALL
    ret
2:  pop %rdx
    pop %rcx
    mov $KXEN_XEN_VERSION, %eax
    ret

    .balign 64
/* LSTAR: a hypercall of the guest kernel, or a system call of its user. */
syscall_entry:
    out %eax, $DOORBELL_SYSCALL
    ud2

    .balign 64
/*
 * Service: page-table stores, which KVM's shadow paging notices only when the
 * guest itself makes them.  rdi = queue of {va, val}, rsi = count.
 */
apply_ptes:
    test %rsi, %rsi
    jz 2f
1:  mov (%rdi), %rax
    mov 8(%rdi), %rdx
    mov %rdx, (%rax)
    add $16, %rdi
    sub $1, %rsi
    jnz 1b
2:  out %eax, $DOORBELL_DONE
    ud2

    .balign 4096
stubs:
    .rept 256
    .balign MON_STUB_SIZE
    out %eax, $DOORBELL_TRAP
    ud2
    .endr
    .balign MON_STUB_SIZE
monitor_end:

    .section .note.GNU-stack, "", @progbits
