/* SPDX-License-Identifier: MIT */
/*
 * Grant tables, version 1.
 *
 * The shared frames are guest memory: d->gnttab_gfn and following.  What hv
 * relies on (who has pinned what, how often, which frame) is in active entries
 * of its own, under the granter's grant lock; only the flags that the protocol
 * tells the guest are written to the shared entry, with Xen's atomics.
 *
 * Locks: a table's lock is held for one entry at a time, never two tables at
 * once, never over a copy, a mapping or a domain_put().
 */
#ifndef HV_GRANT_TABLE_H
#define HV_GRANT_TABLE_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include "hv/maptrack.h"

struct domain;

/*
 * Gives d a table (d->grants) of one frame, which may grow to max_frames (and
 * never past d->gnttab_nr), and a guest its own map tracking of max_maptrack
 * frames; for domain 0 that is the limit of each connection.  0 or -ENOMEM.
 */
int gnttab_init(struct domain *d, uint32_t max_frames, uint32_t max_maptrack);

/*
 * A dying domain gives up what it has mapped of others; its vCPUs have
 * stopped.  What others have mapped of it stays (each mapping holds a
 * reference to d) until they unmap it.
 */
void gnttab_destroy(struct domain *d);

/* Frees the table: nobody holds a reference to d any more. */
void gnttab_free(struct domain *d);

/*
 * Fills entry ref: domain `to` may read and write frame gfn.  0, or -EINVAL:
 * no such entry, it is in use, or the frame is not d's.
 */
int gnttab_seed(struct domain *d, grant_ref_t ref, domid_t to, uint64_t gfn);

/* For a connection of domain 0.  0 or -ENOMEM. */
int gnttab_conn_init(struct domain *dom0, struct maptrack_owner *o);

/*
 * The connection is gone: unmaps all it has mapped and frees its tracking.  No
 * hypercall of it may be running.
 */
void maptrack_owner_closed(struct maptrack_owner *o);

#endif
