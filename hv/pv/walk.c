/* SPDX-License-Identifier: MIT */
/* Guest page tables, read from outside. */
#include "hv/pv/pv.h"

#include <errno.h>
#include "hv/pv/foreign.h"

#define PTE_P    0x001ull
#define PTE_RW   0x002ull
#define PTE_PS   0x080ull
#define PTE_ADDR 0x000ffffffffff000ull

/*
 * Entry of va at `level` (3..1 below the L4 at table); 0 if the table is not
 * in memory.  The guest may change it at any time: one load, one copy.
 */
static uint64_t entry_at(struct domain *d, uint64_t table, uint64_t va,
                         unsigned int level, uint64_t *maddr)
{
    uint64_t *t = domain_frame(d, table >> 12);
    unsigned int i = (va >> (12 + 9 * level)) & 511;

    if (!t)
        return 0;
    *maddr = (table & PTE_ADDR) + 8 * i;
    return __atomic_load_n(&t[i], __ATOMIC_RELAXED);
}

int pv_walk(struct vcpu *v, uint64_t cr3, uint64_t va, bool write,
            uint64_t *maddr)
{
    uint64_t table = cr3 & PTE_ADDR, e, at, mask;

    for (int level = 3;; level--) {
        e = entry_at(v->d, table, va, level, &at);
        if (!(e & PTE_P) || (write && !(e & PTE_RW)))
            return -EFAULT;
        mask = (1ull << (12 + 9 * level)) - 1;
        if (!level || (level < 3 && (e & PTE_PS)))
            break;
        table = e & PTE_ADDR;
    }
    *maddr = (e & PTE_ADDR & ~mask) | (va & mask);
    return domain_frame(v->d, *maddr >> 12) ? 0 : -EFAULT;
}

int guest_va_to_pte(struct vcpu *v, uint64_t va, uint64_t *pte_maddr)
{
    uint64_t table = v->cr3 & PTE_ADDR, e;

    if (pv_xen_slot(va >> 39 & 511))
        return -EFAULT;

    for (int level = 3; level; level--) {
        e = entry_at(v->d, table, va, level, pte_maddr);
        if (!(e & PTE_P) || (e & PTE_PS))
            return -EFAULT;
        table = e & PTE_ADDR;
    }
    return domain_frame(v->d, table >> 12)
               ? (entry_at(v->d, table, va, 0, pte_maddr), 0)
               : -EFAULT;
}
