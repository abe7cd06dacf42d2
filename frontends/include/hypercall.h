/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_HYPERCALL_H
#define FRONTENDS_HYPERCALL_H

#include "frontends/include/xenabi.h"

/*
 * Hypercalls by way of the page the hypervisor filled in: number in the slot,
 * arguments in rdi, rsi, rdx, r10, r8. rcx and r11 are lost in a real syscall.
 * All return >= 0 or -Exxx. Source: xen/xen.h, xen/arch-x86/xen-x86_64.h
 */
extern char hypercall_page[];

#define HYPERCALL_SLOT 32

static inline long hypercall(unsigned int nr, unsigned long a, unsigned long b,
                             unsigned long c, unsigned long d, unsigned long e)
{
    register unsigned long r10 __asm__("r10") = d;
    register unsigned long r8 __asm__("r8") = e;
    long ret;

    __asm__ volatile("call *%[slot]"
                     : "=a"(ret), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
                     : [slot] "0"(hypercall_page + nr * HYPERCALL_SLOT)
                     : "memory", "rcx", "r11");
    return ret;
}

/* The usual shape: a sub-operation and a pointer to its arguments. */
static inline long hypercall_op(unsigned int nr, unsigned long op, void *arg)
{
    return hypercall(nr, op, (unsigned long)arg, 0, 0, 0);
}

#define EVTCHN_OP(op, arg)                                                     \
    hypercall_op(__HYPERVISOR_event_channel_op, EVTCHNOP_##op, arg)
#define SCHED_OP(op, arg) hypercall_op(__HYPERVISOR_sched_op, SCHEDOP_##op, arg)
#define PHYSDEV_OP(op, arg)                                                    \
    hypercall_op(__HYPERVISOR_physdev_op, PHYSDEVOP_##op, arg)

static inline long hypervisor_grant_table_op(unsigned int op, void *uop,
                                             unsigned int count)
{
    return hypercall(__HYPERVISOR_grant_table_op, op, (unsigned long)uop, count,
                     0, 0);
}

static inline long hypervisor_vcpu_op(unsigned int op, unsigned int cpu,
                                      void *arg)
{
    return hypercall(__HYPERVISOR_vcpu_op, op, cpu, (unsigned long)arg, 0, 0);
}

static inline long hypervisor_xen_version(unsigned int op, void *arg)
{
    return hypercall_op(__HYPERVISOR_xen_version, op, arg);
}

static inline long hypervisor_console_write(const char *s, unsigned int len)
{
    return hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, len,
                     (unsigned long)s, 0, 0);
}

static inline long hypervisor_set_trap_table(const struct trap_info *table)
{
    return hypercall_op(__HYPERVISOR_set_trap_table, (unsigned long)table,
                        NULL);
}

static inline long hypervisor_set_timer(uint64_t deadline)
{
    return hypercall_op(__HYPERVISOR_set_timer_op, deadline, NULL);
}

static inline long hypervisor_update_va_mapping(unsigned long va, uint64_t pte,
                                                unsigned long flags)
{
    return hypercall(__HYPERVISOR_update_va_mapping, va, pte, flags, 0, 0);
}

static inline long hypervisor_mmu_update(const struct mmu_update *u,
                                         unsigned int count)
{
    return hypercall(__HYPERVISOR_mmu_update, (unsigned long)u, count, 0,
                     DOMID_SELF, 0);
}

static inline long hypervisor_stack_switch(unsigned long ss, unsigned long sp)
{
    return hypercall(__HYPERVISOR_stack_switch, ss, sp, 0, 0, 0);
}

#endif
