/* SPDX-License-Identifier: MIT */
#include "backends/vbd_serve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One thread counts, others may read. */
static void count(atomic_ulong *c, uint64_t n)
{
    unsigned long v = atomic_load_explicit(c, memory_order_relaxed);

    atomic_store_explicit(c, v + n, memory_order_relaxed);
}

static unsigned int slot_of(struct vbd_server *s, struct vbd_op *op)
{
    return (unsigned int)((struct vbd_slot *)op - s->slot);
}

static void unmap_slot(struct vbd_server *s, unsigned int slot)
{
    if (s->mapped[slot])
        vbd_grants_unmap(s->grants, &s->slot[slot].map);
    s->mapped[slot] = false;
}

/* The pages go before the answer is published: then the guest may end the
 * grants. */
static void answer(struct vbd_server *s, unsigned int slot, int16_t status)
{
    unmap_slot(s, slot);
    if (s->muted)
        return;
    if (status != BLKIF_RSP_OKAY)
        count(&s->count.errors, 1);
    vbd_ring_answer(&s->ring, slot, status);
}

/*
 * The guest hears of its errors by status, the host's administrator by a line
 * for the first, second, fourth ... : a guest can make any number of them.
 */
static void tell_error(struct vbd_server *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void tell_error(struct vbd_server *s, const char *fmt, ...)
{
    unsigned long n =
        1 + atomic_load_explicit(&s->count.errors, memory_order_relaxed);
    char why[200];
    va_list ap;

    if (s->muted || !s->refused || (n & (n - 1)))
        return;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    s->refused(s->arg, why, n);
}

static void tell_refused(struct vbd_server *s, unsigned int slot, int map_error)
{
    const struct blkif_request *r = vbd_ring_req(&s->ring, slot);

    if (map_error)
        tell_error(s,
                   "request %u (sector %" PRIu64 "): its grants, the first "
                   "%u, cannot be mapped: %s",
                   r->operation, s->scratch.sector,
                   s->scratch.nr_indirect ? s->scratch.indirect[0]
                                          : s->scratch.seg[0].ref,
                   strerror(-map_error));
    else
        tell_error(s,
                   "request %u, %u segments, sector %" PRIu64
                   ": malformed, or not for this disk of %" PRIu64 " sectors%s",
                   r->operation, r->nr_segments, r->sector_number,
                   s->lim.sectors, s->lim.rdonly ? ", read-only" : "");
}

static void io_complete(void *arg, struct vbd_op *op)
{
    struct vbd_server *s = arg;
    int16_t status = BLKIF_RSP_OKAY;

    if (op->error)
        tell_error(s,
                   "I/O of %" PRIu64 " bytes at offset %" PRIu64
                   " of the image failed: %s",
                   (uint64_t)op->len, (uint64_t)op->offset,
                   strerror(-op->error));

    if (op->error == -EOPNOTSUPP)
        status = BLKIF_RSP_EOPNOTSUPP;
    else if (op->error)
        status = BLKIF_RSP_ERROR;
    answer(s, slot_of(s, op), status);
}

static void io_ready(void *arg, int fd)
{
    struct vbd_server *s = arg;

    s->ready(s->arg, fd);
}

/* Copies an indirect request's segments out of the guest, and judges them. */
static int16_t fetch_segments(struct vbd_server *s, int *map_error)
{
    struct blkif_request_segment segs[VBD_MAX_INDIRECT];
    struct vbd_req *req = &s->scratch;
    struct vbd_map map;
    unsigned int i, left = req->nr_segs;

    *map_error =
        vbd_grants_map(s->grants, req->indirect, req->nr_indirect, false, &map);
    if (*map_error)
        return BLKIF_RSP_ERROR;
    for (i = 0; i < req->nr_indirect; i++) {
        unsigned int n = left < VBD_SEGS_PER_PAGE ? left : VBD_SEGS_PER_PAGE;

        memcpy(segs + i * VBD_SEGS_PER_PAGE, map.addr[i], n * sizeof(segs[0]));
        left -= n;
    }
    vbd_grants_unmap(s->grants, &map);
    return vbd_req_segments(req, &s->lim, segs);
}

static int map_data(struct vbd_server *s, unsigned int slot)
{
    struct vbd_slot *v = &s->slot[slot];
    const struct vbd_req *req = &s->scratch;
    uint32_t refs[VBD_MAX_INDIRECT];
    unsigned int i;
    int ret;

    for (i = 0; i < req->nr_segs; i++)
        refs[i] = req->seg[i].ref;
    ret = vbd_grants_map(s->grants, refs, req->nr_segs, req->kind == VBD_READ,
                         &v->map);
    if (ret)
        return ret;
    s->mapped[slot] = true;
    for (i = 0; i < req->nr_segs; i++) {
        v->iov[i].iov_base = (char *)v->map.addr[i] + req->seg[i].offset;
        v->iov[i].iov_len = req->seg[i].len;
    }
    return 0;
}

static void count_request(struct vbd_server *s)
{
    const struct vbd_req *req = &s->scratch;

    switch (req->kind) {
    case VBD_READ:
        count(&s->count.reads, 1);
        count(&s->count.sectors_read, req->nr_sectors);
        break;
    case VBD_DISCARD:
        count(&s->count.discards, 1);
        break;
    case VBD_FLUSH:
    case VBD_BARRIER:
        count(&s->count.flushes, 1);
        count(&s->count.sectors_written, req->nr_sectors);
        break;
    default:
        count(&s->count.writes, 1);
        count(&s->count.sectors_written, req->nr_sectors);
    }
}

/* Works on the logged copy, never on the ring's slot. */
static void accept_request(struct vbd_server *s, unsigned int slot)
{
    struct vbd_req *req = &s->scratch;
    struct vbd_op *op = &s->slot[slot].op;
    int16_t status;
    int map_error = 0;

    count(&s->count.requests, 1);
    status = vbd_req_parse(vbd_ring_req(&s->ring, slot), &s->lim, req);
    if (!status && req->nr_indirect)
        status = fetch_segments(s, &map_error);
    if (!status && req->nr_segs && (map_error = map_data(s, slot)))
        status = BLKIF_RSP_ERROR;
    if (status) {
        tell_refused(s, slot, map_error);
        answer(s, slot, status);
        return;
    }
    count_request(s);
    op->kind = req->kind;
    op->offset = req->sector * VBD_SECTOR;
    op->len = req->nr_sectors * VBD_SECTOR;
    op->iov = s->slot[slot].iov;
    op->nr_iov = req->nr_segs;
    vbd_io_start(&s->io, op);
}

static void tell_broken(struct vbd_server *s)
{
    char why[160];

    if (!s->broken)
        snprintf(why, sizeof(why),
                 "ring index req_prod is %u, but only %u to %u is possible",
                 ring_load(&s->ring.back.sring->req_prod),
                 s->ring.back.req_cons,
                 s->ring.back.rsp_prod_pvt + RING_SIZE(&s->ring.back));
    if (!s->broken)
        s->fail(s->arg, why);
    s->broken = true;
}

static void publish(struct vbd_server *s)
{
    if (!vbd_ring_unpublished(&s->ring))
        return;
    vbd_grants_flush(s->grants);
    if (vbd_ring_publish(&s->ring))
        s->notify(s->arg);
}

bool vbd_server_turn(struct vbd_server *s)
{
    int i, n = s->broken ? 0 : vbd_ring_pending(&s->ring);
    unsigned int reaped;

    if (n < 0)
        tell_broken(s);
    s->io.alone = n == 1;
    for (i = 0; i < n; i++)
        accept_request(s, vbd_ring_take(&s->ring));
    vbd_io_submit(&s->io);
    reaped = vbd_io_reap(&s->io);
    vbd_io_submit(&s->io); /* the end of a barrier lets others begin */
    publish(s);
    return n > 0 || reaped;
}

bool vbd_server_arm(struct vbd_server *s)
{
    return !s->broken && vbd_ring_arm(&s->ring);
}

void vbd_server_wait(struct vbd_server *s)
{
    vbd_io_wait(&s->io);
    vbd_io_submit(&s->io);
    publish(s);
}

void vbd_server_begin(struct vbd_server *s)
{
    struct vbd_recovery *rec = s->recovery;
    unsigned int i;

    if (!rec)
        return;
    for (i = 0; i < rec->nr_owed; i++)
        if (!vbd_ring_reanswer(&s->ring, rec->owed[i]))
            accept_request(s, rec->owed[i]);
    free(rec);
    s->recovery = NULL;
    vbd_io_submit(&s->io);
    publish(s);
    /* What was published last may have lost its event to our death. */
    s->notify(s->arg);
}

void vbd_server_end(struct vbd_server *s, bool keep)
{
    unsigned int i;

    s->muted = !keep;
    vbd_io_drain(&s->io);
    if (keep)
        publish(s);
    for (i = 0; i < VBD_LOG_SLOTS; i++)
        unmap_slot(s, i);
}

static int init_ring(struct vbd_server *s, const struct vbd_server_params *p)
{
    if (!p->adopt) {
        vbd_ring_init(&s->ring, p->sring, p->ring_size, p->log);
        return 0;
    }
    s->recovery = calloc(1, sizeof(*s->recovery));
    if (!s->recovery)
        return -ENOMEM;
    return vbd_ring_adopt(&s->ring, p->sring, p->ring_size, p->log,
                          s->recovery);
}

int vbd_server_init(struct vbd_server *s, const struct vbd_server_params *p)
{
    int ret = init_ring(s, p);

    if (ret)
        goto out;
    ret = -ENOMEM;
    s->lim.sectors = p->img->sectors;
    s->lim.rdonly = p->img->rdonly;
    s->lim.discard = p->img->discard;
    s->slot = calloc(VBD_LOG_SLOTS, sizeof(*s->slot));
    s->grants = vbd_grants_new(p->gnt, p->gnt_arg, p->persistent);
    if (!s->slot || !s->grants)
        goto out;
    s->io.complete = io_complete;
    s->io.ready = io_ready;
    s->io.arg = s;
    ret = vbd_io_init(&s->io, p->img, RING_SIZE(&s->ring.back));
    if (!ret)
        return 0;
out:
    vbd_grants_free(s->grants);
    free(s->slot);
    free(s->recovery);
    s->grants = NULL;
    s->slot = NULL;
    s->recovery = NULL;
    return ret;
}

void vbd_server_exit(struct vbd_server *s)
{
    if (!s->slot)
        return;
    vbd_io_exit(&s->io);
    vbd_grants_free(s->grants);
    free(s->slot);
    free(s->recovery);
    s->grants = NULL;
    s->slot = NULL;
    s->recovery = NULL;
}
