/* SPDX-License-Identifier: MIT */
/*
 * The monitor's code, in guest context.  Mapped at MON_VA for what the
 * hypercall page and hv's services jump to, and in each vCPU's block, where
 * data reached relative to rip is that vCPU's.
 *
 * System calls, hypercalls and page faults are served here without hv, by the
 * same C (monitor_c.c, monitor_mm.c) wherever it runs.
 *
 * On software KVM SYSCALL stays at CPL3; what only CPL0 can do (read cr2, load
 * cr3) is done by stubs behind int3 and the page-fault gate, kept short because
 * CPL0 is interpreted there, and left by SYSEXIT, which KVM's interpreter has.
 * User code runs on tables in which only one page of it can be executed, the
 * page with user_start, and one be read.
 *
 * On hardware KVM all of it runs at CPL0: see monitor_ring0.S.
 *
 * hv delivers nothing while rip is in here.
 */
#define __ASSEMBLY__
#include "hv/include/kxen/monitor.h"

#define EVTCHNOP_send 4
#define NR_event_channel_op 32
#define NR_xen_version 17

/* struct mon_regs of monitor_c.c, in words. */
#define MR_RAX    0
#define MR_RDI    1
#define MR_RSI    2
#define MR_RDX    3
#define MR_R10    4
#define MR_R8     5
#define MR_R9     6
#define MR_RCX    7
#define MR_R11    8
#define MR_RBX    9
#define MR_RBP    10
#define MR_R12    11
#define MR_R13    12
#define MR_R14    13
#define MR_R15    14
#define MR_RFLAGS 15
#define MR_RSP    16
#define MR_RIP    17

    .section .monitor, "ax", @progbits
    .globl monitor_start, monitor_end
    .balign 4096
monitor_start:
    .ascii "KEXMON01"
    .quad stubs - monitor_start
    .quad evtchn_op - monitor_start
    .quad xen_version - monitor_start
    .quad apply_ptes - monitor_start
    .quad fault_insn - monitor_start
    .quad slow_evtchn - monitor_start
    .quad user_start - monitor_start
    .quad from_user - monitor_start
    .quad from_fault - monitor_start
    .quad from_protection - monitor_start
    .quad stub_call - monitor_start
    .quad stub_fault - monitor_start
    .quad stub_protection - monitor_start
    .quad stub_syscall - monitor_start
    .quad stub_user_fault - monitor_start
    .quad stub_user_protection - monitor_start
    .quad stubs0 - monitor_start
    .quad lstar0 - monitor_start
    .quad cstar0 - monitor_start
    .quad resume0 - monitor_start
    .quad monitor_end - monitor_start

/* Data of this vCPU, from the text in its block. */
#define VD(field) monitor_start + MON_VDATA_OFF - MON_VTEXT_OFF + field(%rip)
/* What the CPU pushed for CPL0, below the top of that stack. */
#define PUSHED(below) \
    monitor_start + MON_STACK_OFF + MON_STACK_PAGES * 4096 - (below) - \
    MON_VTEXT_OFF(%rip)

/* A struct mon_regs on the stack; rflags, rsp and rip are for C to fill in. */
    .macro SAVE_ALL
    sub $24, %rsp
    push %r15
    push %r14
    push %r13
    push %r12
    push %rbp
    push %rbx
    push %r11
    push %rcx
    push %r9
    push %r8
    push %r10
    push %rdx
    push %rsi
    push %rdi
    push %rax
    mov %rsp, %rdi
    cld
    .endm

/* Down to r11, which is left on the stack; keeps rflags. */
    .macro POP_SYSCALL
    pop %rax
    pop %rdi
    pop %rsi
    pop %rdx
    pop %r10
    pop %r8
    pop %r9
    pop %rcx
    .endm

/* What a stub has swapped is swapped back; rsp is nothing yet. */
    .macro SWAP_BACK which
    mov VD(MV_ENTRY_SP), %rsp
    xchg %rcx, VD(MV_SWAP_RCX)
    xchg %rdx, VD(MV_SWAP_RDX + 8 * \which)
    .endm

    .org MON_LSTAR_OFF
/* LSTAR in the kernel's tables: a hypercall.  0 from C: done. */
lstar:
    mov %rsp, VD(MV_GUEST_RSP)
    mov VD(MV_ENTRY_SP), %rsp
    SAVE_ALL
    call mon_hypercall
    test %eax, %eax
    POP_SYSCALL
    jnz 1f
    popf
    mov VD(MV_GUEST_RSP), %rsp
    jmp *%rcx
1:  pop %r11
    mov VD(MV_GUEST_RSP), %rsp
    out %eax, $DOORBELL_SYSCALL
    ud2

/* From the stubs: rcx, which has gone to rsp, is the kernel's CR3 or CR2. */
from_user:
    SWAP_BACK MON_SWAP_USER
    SAVE_ALL
    mov PUSHED(16), %rax
    mov %rax, VD(MV_GUEST_RSP)
    call mon_from_user
    ud2
from_protection:
    SWAP_BACK MON_SWAP_PROTECTION
    SAVE_ALL
    call mon_from_protection
    ud2
from_fault:
    mov %rcx, VD(MV_CR2)
    mov VD(MV_KERNEL_CR3), %rcx
    SWAP_BACK MON_SWAP_FAULT
    /* User code may well jump to where the monitor's own accesses are. */
    cmpb $0, VD(MV_USER)
    jne 1f
    mov %rax, VD(MV_RAX)
    mov %rcx, VD(MV_RCX)
    mov PUSHED(40), %rax
    lea access_start(%rip), %rcx
    sub %rcx, %rax
    cmp $access_end - access_start, %rax
    jb access_failed
    mov VD(MV_RAX), %rax
    mov VD(MV_RCX), %rcx
1:  SAVE_ALL
    call mon_from_fault
    ud2

/* The monitor's own access to guest memory faulted: it answers 1. */
access_failed:
    mov PUSHED(16), %rsp
    mov $1, %eax
    ret

/* int mon_get(va, uint64_t *val), int mon_put(va, val): 0, or 1 on a fault. */
access_start:
mon_get:
    mov (%rdi), %rax
    mov %rax, (%rsi)
    xor %eax, %eax
    ret
mon_put:
    mov %rsi, (%rdi)
    xor %eax, %eax
    ret
access_end:

/* void mon_out(port, val): rings a doorbell. */
mon_out:
    mov %edi, %edx
    mov %esi, %eax
    out %eax, %dx
    ret

/* void mon_load_cr3(cr3): flushes as well. */
mon_load_cr3:
    cmpb $0, VD(MV_RING0)
    je 2f
    mov %rdi, %cr3
    ret
2:  mov %rdi, %rsi
    mov %rsp, %rcx
    lea 1f(%rip), %rdx
    jmp call
1:  ret

restore_most:
    mov 8+8*MR_RDI(%rsp), %rdi
    mov 8+8*MR_RSI(%rsp), %rsi
    mov 8+8*MR_RDX(%rsp), %rdx
    mov 8+8*MR_R10(%rsp), %r10
    mov 8+8*MR_R8(%rsp), %r8
    mov 8+8*MR_R9(%rsp), %r9
    mov 8+8*MR_R11(%rsp), %r11
    mov 8+8*MR_RBX(%rsp), %rbx
    mov 8+8*MR_RBP(%rsp), %rbp
    mov 8+8*MR_R12(%rsp), %r12
    mov 8+8*MR_R13(%rsp), %r13
    mov 8+8*MR_R14(%rsp), %r14
    mov 8+8*MR_R15(%rsp), %r15
    mov 8+8*MR_RAX(%rsp), %rax
    ret

/* void mon_leave_kernel(struct mon_regs *): to all of these. */
mon_leave_kernel:
    xor %esi, %esi
    cmpb $0, VD(MV_RING0)
    jne leave0
    mov %rdi, %rsp
    call restore_most
    mov 8*MR_RIP(%rsp), %rcx
    mov %rcx, VD(MV_RIP)
    mov 8*MR_RSP(%rsp), %rcx
    mov %rcx, VD(MV_GUEST_RSP)
    mov 8*MR_RCX(%rsp), %rcx
    pushq 8*MR_RFLAGS(%rsp)
    popf
    mov VD(MV_GUEST_RSP), %rsp
    jmp *VD(MV_RIP)

/*
 * void mon_leave_user(regs, cr3, far): what is missing stands in struct
 * mon_user; far: by its far pointer, into 32-bit code.
 */
mon_leave_user:
    cmpb $0, VD(MV_RING0)
    jne leave0
    mov %rdi, %rsp
    mov %rsi, VD(MV_CR2)
    lea monitor_start + (user_resume - user_start)(%rip), %rcx
    test %edx, %edx
    jz 1f
    lea monitor_start + (user_resume_far - user_start)(%rip), %rcx
1:  mov %rcx, VD(MV_RIP)
    call restore_most
    lea monitor_start + MON_UDATA_OFF - MON_VTEXT_OFF + MU_RFLAGS(%rip), %rcx
    mov VD(MV_RIP), %rdx
    mov VD(MV_CR2), %rsi
    jmp call

/* void mon_give_up_*(struct mon_regs *): hv sees these registers. */
mon_give_up_fault:
    mov %rdi, %rsp
    call restore_most
    mov 8*MR_RCX(%rsp), %rcx
    out %eax, $DOORBELL_FAULT
    ud2
mon_give_up_broken:
    mov %rdi, %rsp
    call restore_most
    mov 8*MR_RCX(%rsp), %rcx
    out %eax, $DOORBELL_BROKEN
    ud2

/* CPL0 with rsi for cr3, and from there to rdx with rcx for rsp. */
call:
    int3
call_behind:
    ud2

#include "hv/pv/monitor_ring0.S"

    .include "hv/monitor_c.s"
    .section .monitor
    .include "hv/monitor_mm.s"
    .section .monitor

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
/*
 * Service: page-table stores, which KVM's shadow paging notices only when the
 * guest itself makes them.  rdi = queue of {va | how, val}, rsi = count.
 */
apply_ptes:
    test %rsi, %rsi
    jz 9f
1:  mov (%rdi), %rcx
    mov 8(%rdi), %rdx
    mov %ecx, %ebx
    and $~7, %rcx
    and $7, %ebx
    jnz 3f
    mov %rdx, (%rcx)
2:  add $16, %rdi
    sub $1, %rsi
    jnz 1b
9:  out %eax, $DOORBELL_DONE
    ud2
3:  mov (%rcx), %rax
4:  mov %rax, %r8
    cmp $MON_PTE_ADD, %ebx
    jne 5f
    test $1, %al
    jz 2b
    jmp 6f
5:  and $0x60, %r8              /* accessed, dirty */
6:  or %rdx, %r8
    lock cmpxchg %r8, (%rcx)
    jnz 4b
    jmp 2b

    .balign 4096
stubs:
    .rept 256
    .balign MON_STUB_SIZE
    out %eax, $DOORBELL_TRAP
    ud2
    .endr
    .balign MON_STUB_SIZE

/*
 * int3 on the kernel's tables: the monitor's own at call, known by its slot, or
 * the guest kernel's.
 */
stub_call:
    cmpw $MON_VA >> 32 & 0xffff, 4(%rsp)
    jne stubs + 3 * MON_STUB_SIZE
    mov %rsi, %cr3
    sysexitq

/*
 * int3 on tables for user code: all that it can run up there is LSTAR's.  The
 * rsp that SYSEXIT takes from rcx does not matter.
 */
stub_syscall:
    cmpb $0, 7(%rsp)
    je stubs + 3 * MON_STUB_SIZE
    xchg %rcx, VD(MV_SWAP_RCX)
    mov %rcx, %cr3
    xchg %rdx, VD(MV_SWAP_RDX + 8 * MON_SWAP_USER)
    sysexitq

stub_user_fault:
    xchg %rcx, VD(MV_SWAP_RCX)
    mov %rcx, %cr3
    mov %cr2, %rcx
    xchg %rdx, VD(MV_SWAP_RDX + 8 * MON_SWAP_FAULT)
    sysexitq

stub_fault:
    xchg %rcx, VD(MV_SWAP_RCX)
    mov %cr2, %rcx
    xchg %rdx, VD(MV_SWAP_RDX + 8 * MON_SWAP_FAULT)
    sysexitq

stub_user_protection:
    xchg %rcx, VD(MV_SWAP_RCX)
    mov %rcx, %cr3
    xchg %rdx, VD(MV_SWAP_RDX + 8 * MON_SWAP_PROTECTION)
    sysexitq

/* A guest's rcx might be no address, which SYSEXIT would not have. */
stub_protection:
    xchg %rcx, VD(MV_SWAP_RCX)
    xchg %rdx, VD(MV_SWAP_RDX + 8 * MON_SWAP_PROTECTION)
    sysexitq

    .balign 4096
/*
 * What user code has in the place of page 0: LSTAR, and the last step out to
 * it.  All it can learn or change here is its own registers.
 */
user_start:
    .fill MON_LSTAR_OFF, 1, 0xf4
    int3
    .fill MON_STEP_OUT_OFF - MON_LSTAR_OFF - 1, 1, 0xf4
#define UD(field) user_start + MON_UDATA_OFF - MON_VTEXT_OFF + field(%rip)
user_resume:
    popf
    mov UD(MU_RSP), %rsp
    mov UD(MU_RCX), %rcx
    mov UD(MU_RDX), %rdx
    mov UD(MU_RSI), %rsi
    jmp *UD(MU_RIP)
user_resume_far:
    mov UD(MU_DS), %ds
    mov UD(MU_DS), %es
    popf
    mov UD(MU_SS), %ss
    mov UD(MU_RSP), %rsp
    mov UD(MU_RCX), %rcx
    mov UD(MU_RDX), %rdx
    mov UD(MU_RSI), %rsi
    ljmp *UD(MU_FAR)
    .balign 4096, 0xf4
monitor_end:

    .section .note.GNU-stack, "", @progbits
