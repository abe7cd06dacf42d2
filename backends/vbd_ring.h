/* SPDX-License-Identifier: MIT */
/*
 * The disk's ring with its log: requests out, responses in, nothing lost.
 * Knows nothing of where the memory comes from or what a request means.
 */
#ifndef BACKENDS_VBD_RING_H
#define BACKENDS_VBD_RING_H

#include "backends/vbd_inflight.h"

struct vbd_ring {
    blkif_back_ring_t back;
    struct vbd_inflight inf;
};

/* A fresh ring of size bytes. */
void vbd_ring_init(struct vbd_ring *r, void *sring, size_t size,
                   struct vbd_log *log);

/*
 * A ring an earlier process worked on. The entries owed, oldest first, are
 * then treated as if just taken; one that is DONE is answered as it was by
 * vbd_ring_reanswer(). 0 or -EPROTO.
 */
int vbd_ring_adopt(struct vbd_ring *r, void *sring, size_t size,
                   struct vbd_log *log, struct vbd_recovery *rec);
/* True when entry slot had its answer already and has it again. */
bool vbd_ring_reanswer(struct vbd_ring *r, unsigned int slot);

/* How many requests wait; -1: the frontend's indices are garbage. */
int vbd_ring_pending(struct vbd_ring *r);
/* Takes the next one (there must be one); its entry's number. */
unsigned int vbd_ring_take(struct vbd_ring *r);
/* The copy; constant while the request is unanswered. */
const struct blkif_request *vbd_ring_req(struct vbd_ring *r, unsigned int slot);
/* BLKIF_RSP_*; to be published. */
void vbd_ring_answer(struct vbd_ring *r, unsigned int slot, int16_t status);
/* True when something was answered since the last publish. */
bool vbd_ring_unpublished(const struct vbd_ring *r);
/* True when the frontend wants to be notified. */
bool vbd_ring_publish(struct vbd_ring *r);
/* Asks for an event; true if a request is there after all. */
bool vbd_ring_arm(struct vbd_ring *r);

#endif
