/* SPDX-License-Identifier: MIT */
/* What the files of the monitor's C share.  No static data in any of them. */
#ifndef HV_PV_MONITOR_C_H
#define HV_PV_MONITOR_C_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include "kxen/monitor.h"

#define PTE_P    0x001ull
#define PTE_RW   0x002ull
#define PTE_U    0x004ull
#define PTE_A    0x020ull
#define PTE_D    0x040ull
#define PTE_PS   0x080ull
#define PTE_ADDR 0x000ffffffffff000ull

#define SLOW 1 /* hv does it */
#define DONE 0

#define LIST_MAX 1024

/* As monitor.S pushes it. */
struct mon_regs {
    uint64_t rax, rdi, rsi, rdx, r10, r8, r9, rcx, r11;
    uint64_t rbx, rbp, r12, r13, r14, r15;
    uint64_t rflags, rsp, rip;
};

/* Local to the blob: no detours by a PLT. */
#pragma GCC visibility push(hidden)

/* monitor.S */
int mon_get(uint64_t va, uint64_t *val);
int mon_put(uint64_t va, uint64_t val);
void mon_out(uint32_t port, uint32_t val);
void mon_load_cr3(uint64_t cr3);
void mon_leave_kernel(struct mon_regs *r) __attribute__((noreturn));
void mon_leave_user(struct mon_regs *r, uint64_t cr3, bool far)
    __attribute__((noreturn));
void mon_give_up_fault(struct mon_regs *r) __attribute__((noreturn));
void mon_give_up_broken(struct mon_regs *r) __attribute__((noreturn));

/*
 * Words at guest addresses that are not in hv's slots: DONE, or SLOW.  At CPL0
 * nothing else touches memory by the guest's addresses.
 */
int mon_get_words(uint64_t va, uint64_t *to, unsigned int n);
int mon_put_word(uint64_t va, uint64_t val);

/* monitor_mm.c: hypercalls, DONE or SLOW. */
int mon_mmu_update(struct mon_vcpu *m, const uint64_t a[6]);
int mon_update_va_mapping(struct mon_vcpu *m, const uint64_t a[6]);
int mon_mmuext_op(struct mon_vcpu *m, const uint64_t a[6]);

/*
 * The L1 entry of va in the kernel's tables: a machine address, or 0.  *user:
 * all above it have USER.
 */
uint64_t mon_walk(const struct mon_vcpu *m, uint64_t va, bool *user);

/* For monitor.S. */
int mon_hypercall(struct mon_regs *r);
void mon_from_user(struct mon_regs *r) __attribute__((noreturn));
void mon_from_fault(struct mon_regs *r) __attribute__((noreturn));
void mon_from_protection(struct mon_regs *r) __attribute__((noreturn));
void mon_from_trap(struct mon_regs *r) __attribute__((noreturn));
void mon_from_syscall32(struct mon_regs *r) __attribute__((noreturn));
void mon_broken(struct mon_regs *r) __attribute__((noreturn));
void mon_resume(struct mon_regs *r) __attribute__((noreturn));

/* What an address in this vCPU's block is, from its offset. */
static inline uint64_t block_text(void)
{
    uint64_t at;

    asm("lea monitor_start(%%rip), %0" : "=r"(at));
    return at;
}

static inline struct mon_vcpu *this_vcpu(void)
{
    return (void *)(block_text() + MON_VDATA_OFF - MON_VTEXT_OFF);
}

static inline struct vcpu_info *info(const struct mon_vcpu *m)
{
    return (void *)m->info;
}

static inline bool canonical(uint64_t va)
{
    return (int64_t)(va << 16) >> 16 == (int64_t)va;
}

/* Not in hv's slots; an address between the halves faults by itself. */
static inline bool guest_va(uint64_t va)
{
    uint64_t slot = va >> 39 & 511;

    return canonical(va) &&
           !(slot >= MON_FIRST_SLOT && slot < MON_FIRST_SLOT + MON_NR_SLOTS);
}

static inline volatile uint64_t *at_maddr(uint64_t maddr)
{
    return (void *)(DIRECTMAP_VA + maddr);
}

static inline unsigned int level_of(const struct mon_vcpu *m, uint64_t gfn)
{
    return gfn < m->max_pages
               ? ((const uint8_t *)m->levels)[gfn] & MON_LEVEL_MASK
               : 0;
}

#endif
