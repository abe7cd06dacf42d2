/* SPDX-License-Identifier: MIT */
/* Inside grant tables: active entries, pinning and mapping. */
#ifndef HV_GRANT_PRIVATE_H
#define HV_GRANT_PRIVATE_H

/* The grant ABI as it stands now, not as it was in Xen 3.0. */
#ifndef __XEN_TOOLS__
#define __XEN_TOOLS__ 1
#endif

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include "hv/domain.h"
#include "hv/grant_table.h"
#include "hv/guest_access.h"

#define GRANTS_PER_FRAME (FRAME_SIZE / sizeof(struct grant_entry_v1))

/*
 * Pins are counted by kind.  A count saturates nowhere: one more than
 * GNTPIN_MAX is refused, so none can wrap to zero under a live mapping.
 */
enum grant_pin {
    GNTPIN_HOST_R,
    GNTPIN_HOST_W,
    GNTPIN_DEV_R,
    GNTPIN_DEV_W,
    NR_GNTPINS
};
#define GNTPIN_MAX UINT8_MAX

/* domid and gfn hold while any pin does, whatever the guest writes. */
struct active_entry {
    uint8_t pins[NR_GNTPINS];
    domid_t domid;
    uint32_t gfn;
};

struct grant_table {
    pthread_mutex_t lock;
    uint32_t version;
    uint32_t nr_frames, max_frames;
    struct active_entry **active; /* one array a frame, up to nr_frames */
    uint32_t max_maptrack;
    struct maptrack_owner maptrack; /* what a guest has mapped of others */
};

/*
 * Pins entry ref of rd for domain `ld`, in the ways of `how` (GNTMAP_host_map,
 * GNTMAP_device_map, GNTMAP_readonly), and tells its frame.  mapping: more
 * than a copy.  GNTST_*.
 */
int16_t grant_pin(struct domain *rd, grant_ref_t ref, domid_t ld, uint32_t how,
                  bool mapping, uint64_t *gfn);

/* Undoes a grant_pin() of the same arguments. */
void grant_unpin(struct domain *rd, grant_ref_t ref, uint32_t how);

/* Grows d's table to at least nr frames. 0, -ENOSPC or -ENOMEM. */
int grant_grow(struct domain *d, uint32_t nr);

/* Entries of d's table now. */
uint32_t grant_nr_entries(const struct domain *d);

/*
 * Entry ref of d as its two words: flags | domid << 16, and frame.  NULL where
 * there is none.  The table's lock is held.
 */
uint32_t *grant_shared_entry(struct domain *d, grant_ref_t ref);
struct active_entry *grant_active_entry(struct domain *d, grant_ref_t ref);
bool grant_is_pinned(const struct active_entry *act);

/* Batched operations, one element; the status is in it. */
void grant_map_one(struct caller *c, void *arg);
void grant_unmap_one(struct caller *c, void *arg);
void grant_replace_one(struct caller *c, void *arg);
void grant_copy_one(struct caller *c, void *arg);

#endif
