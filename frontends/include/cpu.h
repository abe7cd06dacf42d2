/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_CPU_H
#define FRONTENDS_CPU_H

#include "frontends/include/kernel.h"
#include "frontends/include/layout.h"

/*
 * What a vCPU has of its own. It lies at the top of its stack, which is
 * aligned to its size: so rsp finds it, no segment base is needed.
 */
struct cpu {
    struct vcpu_info own_info; /* registered with Xen on vCPUs but 0 */
    struct vcpu_info *info;    /* the one in use */
    void (*fn)(void *);
    void *arg;
    uint64_t upcalls;
    uint32_t id;
    bool up;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct cpu) == CPU_SIZE, "start.S knows the size");

static inline struct cpu *cpu_of_stack(unsigned long sp)
{
    return (struct cpu *)((sp & ~(STACK_SIZE - 1ul)) + STACK_SIZE - CPU_SIZE);
}

static inline struct cpu *this_cpu(void)
{
    unsigned long sp;

    __asm__ volatile("movq %%rsp, %0" : "=r"(sp));
    return cpu_of_stack(sp);
}

/* Between the kernel's own files. */
extern char event_callback[], failsafe_callback[], secondary_entry[];
extern char trap_entries[], image_end[], boot_stack[];

void traps_init(void);
const struct trap_info *trap_table(void);
void mm_init(void);
void events_init(void);
void events_cpu_init(unsigned int cpu);
void time_cpu_init(unsigned int cpu);
void start_info_set(const struct start_info *si, struct shared_info *shared);
void console_panic_mode(void);

#endif
