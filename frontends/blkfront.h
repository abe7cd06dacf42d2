/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_BLKFRONT_H
#define FRONTENDS_BLKFRONT_H

/* Between blkfront.c (the ring) and blkfront_setup.c (the store). */
#include "frontends/include/blkdev.h"
#include "frontends/include/gnttab.h"
#include "frontends/include/kernel.h"
#include "frontends/include/xenbus.h"
#include <xen/io/blkif.h>

#define BLKFRONT_MAX_ORDER 4
#define BLKFRONT_MAX_PAGES (1u << BLKFRONT_MAX_ORDER)
#define BLKFRONT_MAX_SEGS  256
#define BLKFRONT_NO_GRANT  0 /* reference 0 is the console's */

/* A request on the ring; its index is the id the backend echoes. */
struct blkfront_slot {
    struct blkreq *req; /* NULL: free */
    uint8_t op;         /* BLKIF_OP_*, to hold the answer against */
    uint16_t nr_segs;
    grant_ref_t *refs;                      /* max_segs of them */
    struct blkif_request_segment *indirect; /* a page, or NULL */
    grant_ref_t indirect_ref;
    uint16_t next_free;
};

/* A run of granted pages that waits to be used again. */
struct blkfront_run {
    size_t npages;
    struct blkfront_run *next;
};

struct blkfront {
    struct blkdev disk;
    struct xenbus_device xenbus;
    blkif_vdev_t handle;
    /* negotiated */
    unsigned int order;
    uint32_t max_segs;
    bool persistent;
    /* connected */
    blkif_front_ring_t ring;
    grant_ref_t ring_refs[BLKFRONT_MAX_PAGES];
    evtchn_port_t port;
    struct blkfront_slot *slots;
    uint32_t free_slot; /* index, or the number of slots */
    bool dead;          /* the backend broke the protocol */
    /* Persistent grants, by page frame. */
    grant_ref_t *ref_of_pfn;
    struct blkfront_run *runs;
};

extern const struct blkdev_ops blkfront_ops;

/* Slots for the ring's size. 0 or -ENOMEM. */
int blkfront_slots_init(struct blkfront *f);
/* Ends every grant that can be ended, and frees ring and slots. */
void blkfront_release(struct blkfront *f);
/* Tells the store to close, and waits for the backend. */
void blkfront_disconnect(struct blkfront *f);

#endif
