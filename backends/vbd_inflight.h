/* SPDX-License-Identifier: MIT */
/*
 * The log of a disk's unanswered requests, kept by hv across our death.
 *
 * A response overwrites whatever request slot is next, in any order, so the
 * ring itself cannot tell what was taken and not answered.  The log can:
 *
 *   taking    copy the request into a free entry; then state = BUSY
 *   answering write the response to the ring; then rsp_idx, state = DONE
 *   publish   log's rsp_prod = new; ring's rsp_prod = new; DONE -> FREE
 *
 * Killed at any point, what is left says what is owed:
 *   - copied, not BUSY: the request still stands in the ring, as no response
 *     gets past the requests that were taken.  It is taken again.
 *   - BUSY: owed.  The I/O, done or not, is done again: nobody was told of
 *     it, so nothing that came later depends on its not being repeated.
 *   - DONE, rsp_idx at or beyond the ring's rsp_prod: owed, same response.
 *   - DONE, rsp_idx below the ring's rsp_prod: the guest has it.
 * The next request to take is rsp_prod plus the number owed.
 */
#ifndef BACKENDS_VBD_INFLIGHT_H
#define BACKENDS_VBD_INFLIGHT_H

#include <stddef.h>

#include "backends/ring.h"
#include <xen/io/blkif.h>

#define VBD_LOG_SLOTS 512u /* the requests of a ring of 16 pages */
#define VBD_LOG_MAGIC 0x31474f4cu

/* For tests, which define it to die there. */
#ifndef VBD_CRASH_POINT
#define VBD_CRASH_POINT(what) ((void)0)
#endif

enum vbd_log_state { VBD_LOG_FREE, VBD_LOG_BUSY, VBD_LOG_DONE };

struct vbd_log_entry {
    uint32_t state;
    RING_IDX req_idx; /* the request's place; orders a replay */
    RING_IDX rsp_idx; /* DONE: the response's place */
    int16_t status;   /* DONE */
    uint8_t op;       /* DONE */
    uint8_t pad;
    struct blkif_request req;
};

/* The shared memory: not the guest's, but an earlier process's. */
struct vbd_log {
    uint32_t magic;
    RING_IDX rsp_prod; /* last published, or about to be */
    uint8_t pad[56];
    struct vbd_log_entry entry[VBD_LOG_SLOTS];
};

_Static_assert(sizeof(struct vbd_log_entry) == 128, "entries tile");
_Static_assert(offsetof(struct vbd_log, entry) == 64, "after the header");

/* The log with what this process knows of it. One thread. */
struct vbd_inflight {
    struct vbd_log *log;
    uint16_t free[VBD_LOG_SLOTS];
    unsigned int nr_free;
    uint16_t done[VBD_LOG_SLOTS]; /* answered, not published */
    unsigned int nr_done;
};

/* What a recovery found. */
struct vbd_recovery {
    RING_IDX rsp_prod, req_cons;
    unsigned int nr_owed;
    uint16_t owed[VBD_LOG_SLOTS]; /* entries, oldest request first */
};

/*
 * The operation that a request's response names: of an indirect one, what it
 * does.  Linux kills the device over another.
 */
static inline uint8_t vbd_rsp_operation(const struct blkif_request *req)
{
    return req->operation == BLKIF_OP_INDIRECT
               ? ((const struct blkif_request_indirect *)req)->indirect_op
               : req->operation;
}

/* Forgets everything: for a fresh ring. */
void vbd_inflight_reset(struct vbd_inflight *inf, struct vbd_log *log);

/*
 * Takes over a log whose ring shows rsp_prod. 0; -EPROTO when that cannot be
 * the ring of this log (the guest changed rsp_prod, or the log is not one).
 */
int vbd_inflight_recover(struct vbd_inflight *inf, struct vbd_log *log,
                         RING_IDX rsp_prod, struct vbd_recovery *rec);

/* Records *req, at ring index idx. The entry's number; never full, as a ring
 * has no more requests than the log has entries. */
unsigned int vbd_inflight_take(struct vbd_inflight *inf, RING_IDX idx,
                               const struct blkif_request *req);

/* The response of this entry stands in the ring at rsp_idx. */
void vbd_inflight_done(struct vbd_inflight *inf, unsigned int slot,
                       RING_IDX rsp_idx, int16_t status);

/* Around the store to the ring's rsp_prod. */
void vbd_inflight_before_publish(struct vbd_inflight *inf, RING_IDX rsp_prod);
void vbd_inflight_after_publish(struct vbd_inflight *inf);

#endif
