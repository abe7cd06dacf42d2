/* SPDX-License-Identifier: MIT */
/*
 * Map tracking: which grants an owner has mapped, by handle.  The owner is a
 * guest domain or one privcmd connection of domain 0, and what it maps goes
 * with it.
 *
 * A handle is FREE, BUSY (one thread is mapping or unmapping it; to all others
 * it does not exist) or MAPPED.  owner->lock guards these states and the free
 * list only; it is a leaf lock.
 */
#ifndef HV_MAPTRACK_H
#define HV_MAPTRACK_H

#include <pthread.h>
#include <stdint.h>
#include <xen/xen.h>

struct domain;

/* As many as Xen has in one maptrack frame. */
#define MAPTRACK_PER_FRAME 256u

enum maptrack_state { MAPTRACK_FREE, MAPTRACK_BUSY, MAPTRACK_MAPPED };

/* One mapping.  Its fields belong to whoever made it BUSY. */
struct maptrack_entry {
    enum maptrack_state state;
    uint32_t next;     /* FREE: next free handle */
    struct domain *rd; /* the granter; a reference is held */
    uint32_t ref;      /* grant_ref_t in it */
    uint32_t flags;    /* GNTMAP_device_map, _host_map still in force,
                        * _readonly */
    uint64_t gfn;      /* what dev_bus_addr >> 12 says to the owner */
};

struct maptrack_owner {
    struct domain *d;
    pthread_mutex_t lock;
    struct maptrack_entry **frames;
    uint32_t nr_frames, max_frames;
    uint32_t free_head;
    uint32_t in_use;
};

/*
 * Nothing mapped; at most max_frames * MAPTRACK_PER_FRAME (and a million) ever,
 * for mappings made by d (domain 0, for a connection).  0 or -ENOMEM.
 */
int maptrack_owner_init(struct maptrack_owner *o, struct domain *d,
                        uint32_t max_frames);

/* Frees an owner that has nothing mapped. */
void maptrack_owner_free(struct maptrack_owner *o);

/* A free handle, made BUSY.  0, or -ENOSPC / -ENOMEM. */
int maptrack_get(struct maptrack_owner *o, uint32_t *handle);

/* Makes a MAPPED handle BUSY; NULL if it is not MAPPED. */
struct maptrack_entry *maptrack_claim(struct maptrack_owner *o,
                                      uint32_t handle);

/* The entry of a handle that the caller has BUSY. */
struct maptrack_entry *maptrack_entry(struct maptrack_owner *o,
                                      uint32_t handle);

/* Ends BUSY: the handle is MAPPED (again), or FREE. */
void maptrack_publish(struct maptrack_owner *o, uint32_t handle);
void maptrack_put(struct maptrack_owner *o, uint32_t handle);

#endif
