/* SPDX-License-Identifier: MIT */
/* Misuse of what the hypervisor calls and returns to. */
#include "frontends/guests/badguest/bad.h"
#include "frontends/include/cpu.h"
#include "frontends/include/hypercall.h"

#define NOWHERE   NOWHERE_VA
#define NO_VA     0x0badc0de00000000ul /* not canonical */
#define VECTOR_UD 6
#define VECTOR_PF 14
#define USER_CS   0xe033

static long set_trap(unsigned int vector, unsigned long address)
{
    struct trap_info t[2] = {
        {.vector = (uint8_t)vector, .cs = FLAT_KERNEL_CS, .address = address}};

    return hypervisor_set_trap_table(t);
}

/* Each fault is answered by another, until there is no stack left. */
static void faulting_handler(void)
{
    *(volatile char *)NOWHERE = 0;
}

void bad_recursion(void)
{
    set_trap(VECTOR_PF, (unsigned long)faulting_handler);
    faulting_handler();
}

void bad_handlers(void)
{
    printf("badguest: a handler at no address at all: error %ld\n",
           set_trap(VECTOR_UD, NO_VA));
    set_trap(VECTOR_PF, NOWHERE);
    set_trap(VECTOR_UD, NOWHERE);
    __asm__ volatile("ud2");
}

static long set_callback(unsigned int type, unsigned long address)
{
    struct callback_register r = {.type = (uint16_t)type, .address = address};

    return hypercall_op(__HYPERVISOR_callback_op, CALLBACKOP_register, &r);
}

void bad_callbacks(void)
{
    printf("badguest: a callback at no address at all: error %ld\n",
           set_callback(CALLBACKTYPE_event, NO_VA));
    set_trap(VECTOR_PF, 0);
    set_callback(CALLBACKTYPE_event, NOWHERE);
    for (;;)
        sleep_ns(NSEC_PER_MSEC);
}

/* Endless, and with addresses of nothing. */
void bad_descriptors(void)
{
    unsigned long *frames = page_alloc(1);
    struct trap_info *traps = page_alloc(2);
    unsigned int i, refused = 0;
    uint64_t rng = time_ns() | 1;

    for (i = 0; i < 512; i++) {
        frames[i] = prng_next(&rng) >> prng_next(&rng) % 60;
        traps[i].address = 0x1000 + i;
    }
    for (i = 0; i < 300; i++)
        refused += hypercall(__HYPERVISOR_set_gdt, (unsigned long)frames,
                             prng_next(&rng) % 9000, 0, 0, 0) < 0;
    refused += hypercall(__HYPERVISOR_set_gdt, NOWHERE, 512, 0, 0, 0) < 0;
    refused += hypercall(__HYPERVISOR_set_gdt, NOWHERE, ~0ul, 0, 0, 0) < 0;
    refused += hypervisor_set_trap_table(traps) < 0;
    traps_init();
    for (i = 0; i < 300; i++)
        refused +=
            hypercall(__HYPERVISOR_update_descriptor,
                      (start_info()->nr_pages << PAGE_SHIFT) +
                          (prng_next(&rng) >> (1 + prng_next(&rng) % 40)),
                      prng_next(&rng), 0, 0, 0) < 0;
    printf("badguest: %u senseless descriptors and tables refused\n", refused);
}

/* ---- iret ---- */

struct iret_frame {
    uint64_t rax, r11, rcx, flags, rip, cs, rflags, rsp, ss;
};

static _Noreturn void iret_by(const struct iret_frame *f)
{
    __asm__ volatile("movq %0, %%rsp\n\tmovl %1, %%eax\n\tsyscall\n\tud2"
                     :
                     : "r"(f), "i"(__HYPERVISOR_iret)
                     : "memory");
    __builtin_unreachable();
}

void bad_iret(void)
{
    static struct iret_frame f = {
        .rip = NO_VA, .cs = 0xffff, .rflags = ~0ul, .rsp = NO_VA, .ss = 0xffff};

    iret_by(&f);
}

void bad_iret_nowhere(void)
{
    iret_by((const void *)NOWHERE);
}

/* Its user makes a system call, and there is no stack for the kernel. */
static void user_code(void)
{
    __asm__ volatile("syscall");
}

void bad_stack(void)
{
    static char stack[4096];
    static struct iret_frame f;

    f.rip = (unsigned long)user_code;
    f.cs = USER_CS;
    f.rflags = 0x202;
    f.rsp = (unsigned long)stack + sizeof(stack) - 8;
    f.ss = FLAT_KERNEL_SS;
    set_callback(CALLBACKTYPE_syscall, (unsigned long)user_code);
    hypervisor_stack_switch(FLAT_KERNEL_SS, NOWHERE);
    iret_by(&f);
}

/* ---- counts ---- */

static long memory_op(unsigned int op, unsigned long nr, unsigned int order)
{
    static unsigned long frames[8] = {~0ul, ~0ul, 1ul << 40, ~0ul};
    struct xen_memory_reservation r = {
        .nr_extents = nr, .extent_order = order, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, frames);
    return hypercall_op(__HYPERVISOR_memory_op, op, &r);
}

void bad_counts(void)
{
    static const unsigned long counts[] = {1ul << 20, 1ul << 31, 1ul << 32,
                                           1ul << 40, 1ul << 62, ~0ul};
    static const unsigned int calls[] = {
        __HYPERVISOR_mmu_update,    __HYPERVISOR_multicall,
        __HYPERVISOR_mmuext_op,     __HYPERVISOR_grant_table_op,
        __HYPERVISOR_set_gdt,       __HYPERVISOR_console_io,
        __HYPERVISOR_set_trap_table};
    char *list = page_alloc(4);
    uint64_t start = time_ns();
    unsigned int i, k;

    for (i = 0; i < ARRAY_SIZE(counts); i++) {
        for (k = 0; k < ARRAY_SIZE(calls); k++)
            hypercall(calls[k], (unsigned long)list, counts[i], 0, DOMID_SELF,
                      0);
        hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref,
                  (unsigned long)list, counts[i], 0, 0);
        for (k = 0; k < 64; k += 9) {
            memory_op(XENMEM_increase_reservation, counts[i], k);
            memory_op(XENMEM_populate_physmap, counts[i], k);
            memory_op(XENMEM_decrease_reservation, counts[i], k + 1);
        }
    }
    printf("badguest: counts up to 2^64 took %lu ms\n",
           (time_ns() - start) / NSEC_PER_MSEC);
}

/* A million flushes of every vCPU in one call. */
void bad_flushes(void)
{
    struct mmuext_op *op = page_alloc(1);
    unsigned int i;

    printf("badguest: flushing\n");
    if (console_active())
        console_drain(console_active());
    for (i = 0; i < PAGE_SIZE / sizeof(*op); i++)
        op[i].cmd = MMUEXT_TLB_FLUSH_ALL;
    for (;;)
        hypercall(__HYPERVISOR_mmuext_op, (unsigned long)op,
                  PAGE_SIZE / sizeof(*op), 0, DOMID_SELF, 0);
}
