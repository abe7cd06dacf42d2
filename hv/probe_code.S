/* SPDX-License-Identifier: MIT */
/*
 * Guest code for hv's look at the host: each piece ends in an OUT that exits.
 * Copied to PROBE_CODE of a probe VM and run there, position independent.
 */
    .section .rodata
    .globl probe_code, probe_code_end, probe_out, probe_syscall, probe_lstar
    .globl probe_spin, probe_loop, probe_read256, probe_events, probe_trap
    .balign 64
probe_code:

probe_out:                      /* OUT for ever */
1:  out %eax, $0xea
    jmp 1b

probe_syscall:
    syscall
    ud2

probe_lstar:                    /* where SYSCALL arrives: at which CPL? */
    mov %cs, %eax
    out %eax, $0xea
    ud2

probe_spin:                     /* until something brings it out */
1:  pause
    jmp 1b

probe_loop:                     /* rcx turns */
1:  dec %rcx
    jnz 1b
    out %eax, $0xea
    ud2

probe_read256:                  /* a byte at rbx, in L4 slot 256; rcx to 0 */
    mov (%rbx), %al
    xor %ecx, %ecx
    out %eax, $0xea
    ud2

probe_events:                   /* rcx OUTs to port dx, an ioeventfd */
1:  out %eax, %dx
    dec %rcx
    jnz 1b
    out %eax, $0xea
    ud2

probe_trap:                     /* every IDT gate leads here */
    out %eax, $0xeb
    ud2
probe_code_end:
    .section .note.GNU-stack, "", @progbits
