/* SPDX-License-Identifier: MIT */
/* Exceptions: none is expected, so each is shown and crashes the domain. */
#include "frontends/include/cpu.h"
#include "frontends/include/hypercall.h"

#define VECTOR_PAGE_FAULT 14
#define ERROR_CODE_VECTORS                                                     \
    (1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 |          \
     1u << 17 | 1u << 21 | 1u << 29 | 1u << 30)

/* As start.S leaves it. tail: [error code,] rip, cs, rflags, rsp, ss. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r10, r9, r8, rax, rdx, rsi, rdi;
    uint64_t vector, rcx, r11;
    uint64_t tail[6];
};

static struct trap_info traps[TRAP_VECTORS + 1];

void trap_handle(const struct trap_frame *f);

static const char *const names[TRAP_VECTORS] = {
    [0] = "divide error",
    [1] = "debug",
    [2] = "NMI",
    [3] = "breakpoint",
    [4] = "overflow",
    [5] = "bound range",
    [6] = "invalid opcode",
    [7] = "no device",
    [8] = "double fault",
    [10] = "invalid TSS",
    [11] = "segment not present",
    [12] = "stack fault",
    [13] = "general protection",
    [14] = "page fault",
    [16] = "x87 error",
    [17] = "alignment check",
    [18] = "machine check",
    [19] = "SIMD error",
    [21] = "control protection",
};

void trap_handle(const struct trap_frame *f)
{
    bool known = f->vector < TRAP_VECTORS;
    bool has_error = known && (ERROR_CODE_VECTORS >> f->vector & 1);
    const uint64_t *t = f->tail + has_error;
    char text[512];
    int n;

    n = snprintf(
        text, sizeof(text),
        "vCPU %u: %s (vector %lu, error %lx) at %016lx\n"
        "cs %04lx rflags %08lx rsp %016lx ss %04lx cr2 %016lx\n"
        "rax %016lx rbx %016lx rcx %016lx rdx %016lx\n"
        "rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n",
        cpu_id(), known && names[f->vector] ? names[f->vector] : "trap",
        f->vector, has_error ? f->tail[0] : 0, t[0], t[1] & 0xffff, t[2], t[3],
        t[4], f->vector == VECTOR_PAGE_FAULT ? this_cpu()->info->arch.cr2 : 0,
        f->rax, f->rbx, f->rcx, f->rdx, f->rsi, f->rdi, f->rbp, f->r8);
    xen_console_write(text, MIN((size_t)n, sizeof(text) - 1));
    console_panic_mode();
    printf("%s", text);
    printf("r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n"
           "r13 %016lx r14 %016lx r15 %016lx\n",
           f->r9, f->r10, f->r11, f->r12, f->r13, f->r14, f->r15);
    panic("unexpected exception");
}

const struct trap_info *trap_table(void)
{
    return traps;
}

void traps_init(void)
{
    unsigned int v;
    long rc;

    for (v = 0; v < TRAP_VECTORS; v++) {
        traps[v].vector = (uint8_t)v;
        traps[v].cs = FLAT_KERNEL_CS;
        traps[v].address = (unsigned long)trap_entries + v * TRAP_ENTRY_SIZE;
        TI_SET_IF(&traps[v], 1);
        /* int3 and into are also instructions, allowed to every level. */
        TI_SET_DPL(&traps[v], v == 3 || v == 4 ? 3 : 0);
    }
    rc = hypervisor_set_trap_table(traps);
    if (rc)
        panic("set_trap_table: error %ld", rc);
}
