/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_GNTTAB_H
#define FRONTENDS_GNTTAB_H

#include "frontends/include/lib.h"
#include "frontends/include/xenabi.h"

/*
 * Version 1 grants. The state machine works on any array of entries, so that
 * tests can make their own; gnttab.c has the guest's one table on top of it.
 */
struct gnttab {
    struct grant_entry_v1 *entry; /* shared with Xen */
    uint32_t nr;
    uint32_t *next_free; /* list through the free references */
    uint32_t free_head;  /* 0: none free */
    uint32_t nr_free;
};

/* next_free has nr elements; references below first are left alone. */
void gnttab_state_init(struct gnttab *gt, struct grant_entry_v1 *entry,
                       uint32_t *next_free, uint32_t nr, uint32_t first);
/* A reference that grants dom the frame, or -ENOSPC. */
int gnttab_state_grant(struct gnttab *gt, domid_t dom, uint32_t frame,
                       bool read_only);
/*
 * Takes the grant back and frees the reference. -EBUSY, and nothing changed,
 * while it is mapped or being copied; -EINVAL if it is not a grant.
 */
int gnttab_state_end(struct gnttab *gt, grant_ref_t ref);

/* The guest's table. Set up on the first use; -ENODEV if Xen gives none. */
int gnttab_grant(domid_t dom, const void *page, bool read_only);
int gnttab_end(grant_ref_t ref);
uint32_t gnttab_free_count(void);
/* For hostile guests: the raw entry, NULL if out of range. */
struct grant_entry_v1 *gnttab_entry(grant_ref_t ref);

#endif
