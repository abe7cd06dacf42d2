/* SPDX-License-Identifier: MIT */
/*
 * Which frames of a guest are page tables.  pt_level follows the hypercalls;
 * what a guest unlinks stays in it, and what it links by plain stores is
 * missing.  Where Xen would refuse something because of a frame's type, the
 * truth is found from the roots first: tables that are pinned, and base
 * pointers.
 */
#include <stdlib.h>
#include <string.h>
#include "hv/pv/pv.h"

#define PTE_P    0x001ull
#define PTE_RW   0x002ull
#define PTE_PS   0x080ull
#define PTE_ADDR 0x000ffffffffff000ull

static bool is_link(uint64_t e, unsigned int level)
{
    return level > 1 && (e & PTE_P) && !(level < 4 && (e & PTE_PS));
}

/* found: of each frame, its level as it is reached first. */
static void mark(struct domain *d, uint8_t *found, uint64_t gfn,
                 unsigned int level)
{
    const uint64_t *t = domain_frame(d, gfn);

    if (!t || !domain_owns_frame(d, gfn) || found[gfn])
        return;
    found[gfn] = level;
    for (unsigned int i = 0; level > 1 && i < 512; i++) {
        uint64_t e = __atomic_load_n(&t[i], __ATOMIC_RELAXED);

        if (is_link(e, level))
            mark(d, found, (e & PTE_ADDR) >> 12, level - 1);
    }
}

static void mark_roots(struct domain *d, uint8_t *found)
{
    for (uint64_t gfn = 0; gfn < d->max_pages; gfn++)
        if (d->pv->pt_level[gfn] & MON_LEVEL_PINNED)
            mark(d, found, gfn, pv_level(d, gfn));
    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *v = d->vcpu[i];
        const struct mon_vcpu *m = v ? pv_mon_vcpu(v) : NULL;
        uint64_t kernel, user;
        bool guest;

        if (!m || !v->started)
            continue;
        /*
         * A running one's are the monitor's, another's are ours.  What the
         * other of them says may have become a page of data.
         */
        guest = atomic_load(&v->in_guest);
        kernel = guest ? m->kernel_cr3 : v->cr3;
        user = guest ? m->user_cr3 : v->user_cr3;
        mark(d, found, (kernel & PTE_ADDR) >> 12, 4);
        if (user)
            mark(d, found, (user & PTE_ADDR) >> 12, 4);
    }
}

/*
 * Without memory for it, all stays as it is thought to be; so does what another
 * vCPU's monitor changes in the meantime.
 */
static void recount(struct domain *d)
{
    uint8_t *levels = d->pv->pt_level, *found = calloc(d->max_pages, 2);
    uint8_t *before;

    if (!found)
        return;
    before = found + d->max_pages;
    memcpy(before, levels, d->max_pages);
    mark_roots(d, found);
    for (uint64_t gfn = 0; gfn < d->max_pages; gfn++)
        if (!(before[gfn] & MON_LEVEL_PINNED) && before[gfn] != found[gfn])
            __atomic_compare_exchange_n(&levels[gfn], &before[gfn], found[gfn],
                                        false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED);
    free(found);
}

void pv_types_boot(struct vcpu *v)
{
    if (!domain_owns_frame(v->d, v->cr3 >> 12))
        return;
    v->d->pv->pt_level[v->cr3 >> 12] = 4 | MON_LEVEL_PINNED;
}

unsigned int pv_level_now(struct domain *d, uint64_t gfn)
{
    const uint8_t *levels = d->pv->pt_level;

    if (!domain_owns_frame(d, gfn) || !levels[gfn])
        return 0;
    if (!(levels[gfn] & MON_LEVEL_PINNED))
        recount(d);
    return pv_level(d, gfn);
}

bool pv_mapped_writable(struct domain *d, uint64_t gfn)
{
    recount(d);
    for (uint64_t i = 0; i < d->max_pages; i++) {
        const uint64_t *t = pv_level(d, i) == 1 ? domain_frame(d, i) : NULL;

        for (unsigned int k = 0; t && k < 512; k++) {
            uint64_t e = __atomic_load_n(&t[k], __ATOMIC_RELAXED);

            if ((e & PTE_P) && (e & PTE_RW) && (e & PTE_ADDR) >> 12 == gfn)
                return true;
        }
    }
    return false;
}
