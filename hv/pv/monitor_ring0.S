/* SPDX-License-Identifier: MIT */
/*
 * The monitor's ways in and out on hardware KVM, included by monitor.S.  It
 * runs at CPL0 there, natively: SYSCALL and every gate enter it, SYSRETQ and
 * IRETQ leave it, and hv sees no more of a trap than what C leaves to it.
 *
 * Nothing here is in reach of CPL3, neither of user code nor of the kernel.
 * What whoever comes from there controls, and what that could do:
 * - rsp at SYSCALL: no stack is used before rsp is the monitor's own;
 * - rflags: SFMASK and the gates clear TF, NT, IOPL, AC as needed; DF is
 *   cleared by SAVE_ALL; AC means nothing at CPL0 (no SMAP: guest memory is
 *   touched by guest addresses in mon_get and mon_put alone);
 * - gs: the monitor's data is found from rip, so there is no SWAPGS to forget;
 * - a rip that is not canonical: C has looked before SYSRETQ and IRETQ;
 * - #DB behind MOV SS, which comes at the first instruction in here: it has a
 *   stack of its own and goes back at once;
 * - addresses of the monitor as rip: a fault counts as the monitor's own only
 *   when the CPU was at CPL0.
 * There are no interrupts, and no NMI either: hv's VMs have no APIC.
 */

#define FL_TF_RF 0x10100

/* What IRETQ takes, in the page that user tables have as well. */
#define IRET(word) PUSHED(MON_IRET_BELOW - 8 * (word))

    .balign 64
/* LSTAR. */
lstar0:
    mov %rsp, VD(MV_GUEST_RSP)
    cmpb $0, VD(MV_USER)
    jne syscall_user0
    mov VD(MV_ENTRY_SP), %rsp
    SAVE_ALL
    call mon_hypercall
    test %eax, %eax             /* the flags outlive what follows */
    POP_SYSCALL
    pop %r11
    mov VD(MV_GUEST_RSP), %rsp
    jnz 1f
    sysretq
1:  out %eax, $DOORBELL_SYSCALL
    ud2

/* The monitor's stack is not in user tables: CR3 first. */
    .macro ENTER_FROM_USER
    mov %rax, VD(MV_RAX)
    mov VD(MV_KERNEL_CR3), %rax
    mov %rax, %cr3
    mov VD(MV_ENTRY_SP), %rsp
    mov VD(MV_RAX), %rax
    SAVE_ALL
    .endm

syscall_user0:
    ENTER_FROM_USER
    call mon_from_user
    ud2

/* CSTAR: SYSCALL of 32-bit code, which AMD's processors have. */
cstar0:
    mov %rsp, VD(MV_GUEST_RSP)
    ENTER_FROM_USER
    call mon_from_syscall32
    ud2

/* hv goes on with the guest: rip, rsp and rflags stand in struct mon_vcpu. */
resume0:
    mov VD(MV_ENTRY_SP), %rsp
    SAVE_ALL
    call mon_resume
    ud2

/*
 * rdi = struct mon_regs, rsi = the CR3 to leave with, 0 = the current one.  By
 * SYSRET where rcx and r11 are rip and rflags anyway; but it cannot set RF, and
 * with TF it would trap before the first instruction there, for ever.
 */
leave0:
    mov %rdi, %rsp
    mov %rsi, VD(MV_CR2)
    mov 8*MR_RIP(%rsp), %rax
    mov 8*MR_RFLAGS(%rsp), %rcx
    mov 8*MR_RSP(%rsp), %rdx
    cmp %rax, 8*MR_RCX(%rsp)
    jne 1f
    cmp %rcx, 8*MR_R11(%rsp)
    jne 1f
    test $FL_TF_RF, %ecx
    jnz 1f
    mov %rdx, VD(MV_GUEST_RSP)
    call restore_most
    mov 8*MR_RCX(%rsp), %rcx
    mov VD(MV_GUEST_RSP), %rsp
    cmpq $0, VD(MV_CR2)
    je 2f
    mov %rax, VD(MV_RAX)
    mov VD(MV_CR2), %rax
    mov %rax, %cr3
    mov VD(MV_RAX), %rax
2:  sysretq
1:  mov %rax, IRET(0)
    movq $0xe033, IRET(1)
    mov %rcx, IRET(2)
    mov %rdx, IRET(3)
    movq $0xe02b, IRET(4)
    call restore_most
    mov 8*MR_RCX(%rsp), %rcx
    lea IRET(0), %rsp
    cmpq $0, VD(MV_CR2)
    je 3f
    mov %rax, VD(MV_RAX)
    mov VD(MV_CR2), %rax
    mov %rax, %cr3
    mov VD(MV_RAX), %rax
3:  iretq

    .balign 64
/* Every gate but #DB's: error code (or 0), rip, cs, rflags, rsp, ss pushed. */
trap0:
    mov %rax, VD(MV_RAX)
    testb $3, 16(%rsp)
    jz trap_inside0
trap_outside0:
    mov %cr2, %rax
    mov %rax, VD(MV_CR2)
    cmpb $0, VD(MV_USER)
    je 1f
    mov VD(MV_KERNEL_CR3), %rax
    mov %rax, %cr3
1:  mov VD(MV_ENTRY_SP), %rsp
    mov VD(MV_RAX), %rax
    SAVE_ALL
    call mon_from_trap
    ud2

trap_inside0:
    cmpb $14, VD(MV_VECTOR)
    jne 1f
    lea access_start(%rip), %rax
    sub 8(%rsp), %rax
    neg %rax
    cmp $access_end - access_start, %rax
    jb access_failed
1:  mov %cr2, %rax
    mov %rax, VD(MV_CR2)
    mov VD(MV_ENTRY_SP), %rsp
    mov VD(MV_RAX), %rax
    SAVE_ALL
    call mon_broken
    ud2

debug0:
    testb $3, 8(%rsp)
    jz 1f
    mov %rax, VD(MV_RAX)
    movq $0, PUSHED(48)
    .irp word, 0, 1, 2, 3, 4
    mov 8 * \word(%rsp), %rax
    mov %rax, PUSHED(40 - 8 * \word)
    .endr
    movb $1, VD(MV_VECTOR)
    jmp trap_outside0
1:  iretq

    .balign 4096
stubs0:
    vector = 0
    .rept 256
    .balign MON_STUB_SIZE
    .if vector == 1
    jmp debug0
    .else
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
    push $0
    .endif
    movb $vector, VD(MV_VECTOR)
    jmp trap0
    .endif
    vector = vector + 1
    .endr
    .balign MON_STUB_SIZE
