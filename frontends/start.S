/* SPDX-License-Identifier: MIT */
/* Entry, Xen notes, hypercall page, and the ways in from Xen. */
#define __ASSEMBLY__
#include <xen/elfnote.h>
#include "frontends/include/layout.h"

.macro elfnote type, value:vararg
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 2f - 1f, 4f - 3f, \type
1:  .asciz "Xen"
2:  .balign 4
3:  \value
4:  .balign 4
    .popsection
.endm

    elfnote XEN_ELFNOTE_GUEST_OS, .asciz "pv-small"
    elfnote XEN_ELFNOTE_GUEST_VERSION, .asciz "1"
    elfnote XEN_ELFNOTE_XEN_VERSION, .asciz "xen-3.0"
    elfnote XEN_ELFNOTE_VIRT_BASE, .quad VIRT_BASE
    elfnote XEN_ELFNOTE_PADDR_OFFSET, .quad 0
    elfnote XEN_ELFNOTE_ENTRY, .quad _start
    elfnote XEN_ELFNOTE_HYPERCALL_PAGE, .quad hypercall_page
    elfnote XEN_ELFNOTE_FEATURES, .asciz "pae_pgdir_above_4gb"
    elfnote XEN_ELFNOTE_PAE_MODE, .asciz "yes"
    elfnote XEN_ELFNOTE_LOADER, .asciz "generic"
    elfnote XEN_ELFNOTE_SUSPEND_CANCEL, .long 0

    .section .text.start, "ax", @progbits
    .globl _start, hypercall_page
/* rsi: start_info. Xen's boot stack is left for one that knows its vCPU. */
_start:
    cld
    movq $boot_stack + STACK_SIZE - CPU_SIZE, %rsp
    xorl %ebp, %ebp
    movq %rsi, %rdi
    call kernel_start
    ud2

    .balign 4096
hypercall_page:
    /* ud2 until the hypervisor has filled it in */
    .fill 2048, 2, 0x0b0f

    .text
    .globl secondary_entry
/* rdi: struct cpu, which is the top of this vCPU's stack. */
secondary_entry:
    cld
    xorl %ebp, %ebp
    call smp_secondary_start
    ud2

/*
 * Frame of the general registers, below what Xen pushes (rcx, r11, rip, cs,
 * rflags, rsp, ss): struct upcall_frame in events.c.
 */
#define F_RCX 104
#define F_R11 112
#define F_RIP 120
#define F_CS  128

.macro save_registers
    movq %r15, 0(%rsp)
    movq %r14, 8(%rsp)
    movq %r13, 16(%rsp)
    movq %r12, 24(%rsp)
    movq %rbp, 32(%rsp)
    movq %rbx, 40(%rsp)
    movq %r10, 48(%rsp)
    movq %r9, 56(%rsp)
    movq %r8, 64(%rsp)
    movq %rax, 72(%rsp)
    movq %rdx, 80(%rsp)
    movq %rsi, 88(%rsp)
    movq %rdi, 96(%rsp)
.endm

/* By moves, not pops: until the last lea the frame stays whole. */
.macro restore_registers
    movq 0(%rsp), %r15
    movq 8(%rsp), %r14
    movq 16(%rsp), %r13
    movq 24(%rsp), %r12
    movq 32(%rsp), %rbp
    movq 40(%rsp), %rbx
    movq 48(%rsp), %r10
    movq 56(%rsp), %r9
    movq 64(%rsp), %r8
    movq 72(%rsp), %rax
    movq 80(%rsp), %rdx
    movq 88(%rsp), %rsi
    movq 96(%rsp), %rdi
    movq F_RCX(%rsp), %rcx
    movq F_R11(%rsp), %r11
.endm

    .globl event_callback, failsafe_callback
/*
 * Upcall. Events are masked and rcx, r11 saved by Xen. The way out needs no
 * hypercall: unmask, look again whether something is pending, return. An
 * upcall that hits between the unmasking and the iretq must not nest (the
 * stack would grow with every one), so it takes over the frame it finds.
 */
event_callback:
    movq 16(%rsp), %rcx
    cmpq $critical_start, %rcx
    jb 1f
    cmpq $critical_iret, %rcx
    jb 2f
    je 3f
1:  subq $F_RCX, %rsp
    save_registers
handle_events:
    cld
    movq %rsp, %rdi
    call events_upcall      /* rax: this vCPU's vcpu_info */
    movb $0, 1(%rax)        /* evtchn_upcall_mask */
critical_start:
    cmpb $0, 0(%rax)        /* evtchn_upcall_pending */
    je 4f
    movb $1, 1(%rax)
    jmp handle_events
4:  orb $3, F_CS(%rsp)      /* Xen shows the kernel's CS with RPL 0 */
    restore_registers
    leaq F_RIP(%rsp), %rsp
critical_iret:
    iretq

/* The old frame is whole and the interrupted rsp is its start. */
2:  movq 40(%rsp), %rsp
    jmp handle_events

/*
 * All registers were back and the interrupted rsp is the old iretq frame:
 * put what Xen saved before it, and this is a fresh upcall.
 */
3:  movq 0(%rsp), %rcx
    movq 8(%rsp), %r11
    movq 40(%rsp), %rsp
    pushq %r11
    pushq %rcx
    jmp 1b

/* Only reached for a bad segment on return to user mode, of which none is. */
failsafe_callback:
    pushq $TRAP_FAILSAFE
    jmp trap_common

/* struct trap_frame of trap.c: the vector is below what Xen pushes. */
#define T_VECTOR 104
#define T_RCX    112
#define T_R11    120
#define T_TAIL   128
/* Those with an error code: tail has it before rip. */
#define ERROR_CODE_VECTORS 0x60227d00

/* For debuggers: register `reg` stands at rbx + off. */
.macro saved_at reg, off
    .cfi_escape 0x10, \reg, 3, 0x73, (\off & 0x7f) | 0x80, \off >> 7
.endm

/*
 * Exceptions do not return: registers are shown and the domain crashes.  A
 * debugger finds the way on from here: rbx is the frame, r12 where rip is.
 */
    .cfi_sections .debug_frame
trap_common:
    .cfi_startproc simple
    .cfi_signal_frame
    subq $F_RCX, %rsp
    save_registers
    cld
    movq %rsp, %rdi
    movq %rsp, %rbx
    movq T_VECTOR(%rsp), %rcx
    movl $ERROR_CODE_VECTORS, %eax
    xorl %edx, %edx
    btq %rcx, %rax
    setc %dl
    leaq T_TAIL(%rsp, %rdx, 8), %r12
    andq $~15, %rsp
    .cfi_escape 0x0f, 3, 0x7c, 24, 0x06 /* the CFA: rsp, at 24(r12) */
    .cfi_escape 0x10, 16, 2, 0x7c, 0    /* rip: at 0(r12) */
    saved_at 15, 0
    saved_at 14, 8
    saved_at 13, 16
    saved_at 12, 24
    saved_at 6, 32
    saved_at 3, 40
    saved_at 10, 48
    saved_at 9, 56
    saved_at 8, 64
    saved_at 0, 72
    saved_at 1, 80
    saved_at 4, 88
    saved_at 5, 96
    saved_at 2, T_RCX
    saved_at 11, T_R11
    call trap_handle
    ud2
    .cfi_endproc

    .globl trap_entries
    .balign TRAP_ENTRY_SIZE
trap_entries:
    vector = 0
    .rept TRAP_VECTORS
    .balign TRAP_ENTRY_SIZE
    pushq $vector
    jmp trap_common
    vector = vector + 1
    .endr

    .bss
    .balign STACK_SIZE
    .globl boot_stack
boot_stack:
    .skip STACK_SIZE

    .section .note.GNU-stack, "", @progbits
