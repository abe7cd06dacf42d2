/* SPDX-License-Identifier: MIT */
#include "frontends/include/gnttab.h"

void gnttab_state_init(struct gnttab *gt, struct grant_entry_v1 *entry,
                       uint32_t *next_free, uint32_t nr, uint32_t first)
{
    uint32_t i;

    *gt = (struct gnttab){.entry = entry, .nr = nr, .next_free = next_free};
    for (i = nr; i-- > first;) {
        next_free[i] = gt->free_head;
        gt->free_head = i;
        gt->nr_free++;
    }
}

int gnttab_state_grant(struct gnttab *gt, domid_t dom, uint32_t frame,
                       bool read_only)
{
    uint32_t ref = gt->free_head;
    struct grant_entry_v1 *e = &gt->entry[ref];

    if (!ref)
        return -ENOSPC;
    gt->free_head = gt->next_free[ref];
    gt->nr_free--;
    e->frame = frame;
    e->domid = dom;
    /* Pairs with Xen's read of flags before domid and frame. */
    __atomic_store_n(&e->flags,
                     GTF_permit_access | (read_only ? GTF_readonly : 0),
                     __ATOMIC_RELEASE);
    return (int)ref;
}

int gnttab_state_end(struct gnttab *gt, grant_ref_t ref)
{
    struct grant_entry_v1 *e;
    uint16_t flags;

    if (ref >= gt->nr)
        return -EINVAL;
    e = &gt->entry[ref];
    flags = __atomic_load_n(&e->flags, __ATOMIC_RELAXED);
    if ((flags & GTF_type_mask) != GTF_permit_access)
        return -EINVAL;
    do {
        if (flags & (GTF_reading | GTF_writing))
            return -EBUSY;
    } while (!__atomic_compare_exchange_n(&e->flags, &flags, 0, false,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    gt->next_free[ref] = gt->free_head;
    gt->free_head = ref;
    gt->nr_free++;
    return 0;
}
