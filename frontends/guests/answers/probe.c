/* SPDX-License-Identifier: MIT */
/* Exceptions that are asked for: caught, noted, and left behind. */
#include "frontends/guests/answers/answers.h"
#include "frontends/include/cpu.h"

#define ENTRY_SIZE 16
#define FRAME_MAX  9 /* vector, rcx, r11, error, rip, cs, rflags, rsp, ss */
#define HAS_ERROR  0x60227d00u /* 8, 10-14, 17, 21, 29, 30 */

extern char probe_entries[];
long probe_run(void (*fn)(void *arg), void *arg);
_Noreturn void probe_surprised(void);

/* For the code below. */
uint64_t probe_frame[FRAME_MAX], probe_saved[8];

/*
 * probe_run keeps what a callee must keep, and an exception in between comes
 * back as its return: with the vector, what Xen pushed being in probe_frame.
 */
__asm__(".text\n"
        "probe_run:\n"
        "    movq %rbx, probe_saved\n"
        "    movq %rbp, probe_saved + 8\n"
        "    movq %r12, probe_saved + 16\n"
        "    movq %r13, probe_saved + 24\n"
        "    movq %r14, probe_saved + 32\n"
        "    movq %r15, probe_saved + 40\n"
        "    movq %rsp, probe_saved + 48\n"
        "    movq %rdi, %rax\n"
        "    movq %rsi, %rdi\n"
        "    subq $8, %rsp\n"
        "    call *%rax\n"
        "    movq $-1, %rax\n"
        "probe_back:\n"
        "    movq probe_saved, %rbx\n"
        "    movq probe_saved + 8, %rbp\n"
        "    movq probe_saved + 16, %r12\n"
        "    movq probe_saved + 24, %r13\n"
        "    movq probe_saved + 32, %r14\n"
        "    movq probe_saved + 40, %r15\n"
        "    movq probe_saved + 48, %rsp\n"
        "    movq $0, probe_saved + 48\n"
        "    cld\n"
        "    ret\n"
        "probe_common:\n"
        "    movq %rsp, %rsi\n"
        "    movq $probe_frame, %rdi\n"
        "    movl $9, %ecx\n"
        "    cld\n"
        "    rep movsq\n"
        "    cmpq $0, probe_saved + 48\n"
        "    je probe_surprised\n"
        "    movq probe_frame, %rax\n"
        "    jmp probe_back\n"
        "    .balign 16\n"
        "probe_entries:\n"
        "    vector = 0\n"
        "    .rept 32\n"
        "    .balign 16\n"
        "    pushq $vector\n"
        "    jmp probe_common\n"
        "    vector = vector + 1\n"
        "    .endr\n");

_Noreturn void probe_surprised(void)
{
    const uint64_t *f = probe_frame;

    panic("answers: vector %lu that nobody asked for, %lx %lx %lx, cr2 %lx",
          f[0], f[3], f[4], f[5], this_cpu()->info->arch.cr2);
}

void probe_init(void)
{
    static struct trap_info traps[TRAP_VECTORS + 1];
    unsigned int v;
    long rc;

    for (v = 0; v < TRAP_VECTORS; v++) {
        traps[v].vector = (uint8_t)v;
        traps[v].cs = FLAT_KERNEL_CS;
        traps[v].address = (unsigned long)probe_entries + v * ENTRY_SIZE;
        TI_SET_IF(&traps[v], 1);
        TI_SET_DPL(&traps[v], v == 3 || v == 4 ? 3 : 0);
    }
    rc = hypervisor_set_trap_table(traps);
    if (rc)
        panic("answers: set_trap_table: error %ld", rc);
}

struct probe probe(void (*fn)(void *arg), void *arg)
{
    struct vcpu_info *vi = this_cpu()->info;
    bool were_on = !vi->evtchn_upcall_mask;
    struct probe p = {.vector = probe_run(fn, arg)};
    const uint64_t *f = probe_frame;
    bool has_error = p.vector >= 0 && (HAS_ERROR >> p.vector & 1);

    p.cr2 = vi->arch.cr2;
    p.masked = vi->evtchn_upcall_mask;
    p.rcx = f[1];
    p.r11 = f[2];
    p.error = has_error ? f[3] : 0;
    f += 3 + has_error;
    p.rip = f[0];
    p.cs = f[1];
    p.rflags = f[2];
    p.rsp = f[3];
    p.ss = f[4];
    if (were_on)
        events_on();
    return p;
}

void answer_probe(const char *name, void (*fn)(void *arg), void *arg)
{
    static const char *const names[TRAP_VECTORS] = {
        [0] = "DE",  [1] = "DB",  [2] = "NMI", [3] = "BP",  [4] = "OF",
        [5] = "BR",  [6] = "UD",  [7] = "NM",  [8] = "DF",  [10] = "TS",
        [11] = "NP", [12] = "SS", [13] = "GP", [14] = "PF", [16] = "MF",
        [17] = "AC", [19] = "XM",
    };
    struct probe p = probe(fn, arg);

    if (p.vector < 0)
        printf("%s: none\n", name);
    else if (HAS_ERROR >> p.vector & 1)
        printf("%s: #%s(%lx)\n", name, names[p.vector], p.error);
    else
        printf("%s: #%s\n", name, names[p.vector]);
}
