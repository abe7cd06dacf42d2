/* SPDX-License-Identifier: MIT */
#include "backends/vbd_ring.h"

#include <errno.h>

/* Union member names differ by ABI; the shape of the native one is ours. */
_Static_assert(sizeof(struct blkif_request) == 112, "x86_64-abi");
_Static_assert(sizeof(struct blkif_response) == 16, "x86_64-abi");

void vbd_ring_init(struct vbd_ring *r, void *sring, size_t size,
                   struct vbd_log *log)
{
    BACK_RING_INIT(&r->back, (blkif_sring_t *)sring, size);
    vbd_inflight_reset(&r->inf, log);
}

int vbd_ring_adopt(struct vbd_ring *r, void *sring, size_t size,
                   struct vbd_log *log, struct vbd_recovery *rec)
{
    RING_IDX rsp_prod = ring_load(&((blkif_sring_t *)sring)->rsp_prod);
    int ret = vbd_inflight_recover(&r->inf, log, rsp_prod, rec);

    BACK_RING_ATTACH(&r->back, (blkif_sring_t *)sring, rsp_prod, size);
    if (ret)
        return ret;
    if (rec->nr_owed > RING_SIZE(&r->back))
        return -EPROTO;
    r->back.req_cons = rec->req_cons;
    return 0;
}

int vbd_ring_pending(struct vbd_ring *r)
{
    return BACK_RING_PENDING(&r->back);
}

unsigned int vbd_ring_take(struct vbd_ring *r)
{
    struct blkif_request req;
    RING_IDX idx = r->back.req_cons++;

    RING_COPY_REQUEST(&r->back, idx, &req);
    return vbd_inflight_take(&r->inf, idx, &req);
}

const struct blkif_request *vbd_ring_req(struct vbd_ring *r, unsigned int slot)
{
    return &r->inf.log->entry[slot].req;
}

static void answer(struct vbd_ring *r, unsigned int slot, uint8_t op,
                   int16_t status)
{
    RING_IDX idx = r->back.rsp_prod_pvt++;
    struct blkif_response *rsp = RING_GET_RESPONSE(&r->back, idx);

    /* Member by member: padding would be our stack's bytes (XSA-216). */
    rsp->id = r->inf.log->entry[slot].req.id;
    rsp->operation = op;
    rsp->status = status;
    vbd_inflight_done(&r->inf, slot, idx, status);
}

void vbd_ring_answer(struct vbd_ring *r, unsigned int slot, int16_t status)
{
    answer(r, slot, vbd_rsp_operation(vbd_ring_req(r, slot)), status);
}

bool vbd_ring_reanswer(struct vbd_ring *r, unsigned int slot)
{
    struct vbd_log_entry *e = &r->inf.log->entry[slot];

    if (e->state != VBD_LOG_DONE)
        return false;
    /* It stays DONE: old place or new, both lie beyond what is published. */
    answer(r, slot, e->op, e->status);
    return true;
}

bool vbd_ring_unpublished(const struct vbd_ring *r)
{
    return r->inf.nr_done != 0;
}

bool vbd_ring_publish(struct vbd_ring *r)
{
    bool notify;

    vbd_inflight_before_publish(&r->inf, r->back.rsp_prod_pvt);
    notify = BACK_RING_PUBLISH(&r->back);
    vbd_inflight_after_publish(&r->inf);
    return notify;
}

bool vbd_ring_arm(struct vbd_ring *r)
{
    BACK_RING_ARM(&r->back);
    return vbd_ring_pending(r) > 0;
}
