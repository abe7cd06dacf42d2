/* SPDX-License-Identifier: MIT */
/* Disk over Xen's ring: submit and complete. Protocol: xen/io/blkif.h */
#include "frontends/blkfront.h"

#define SECTORS_PER_PAGE (PAGE_SIZE / BLK_SECTOR_SIZE)
/* Far enough ahead that no response reaches it before it is moved again. */
#define EVENT_NEVER 0x40000000u

static struct blkfront *front(struct blkdev *dev)
{
    return container_of(dev, struct blkfront, disk);
}

/* ---- slots --------------------------------------------------------------- */

int blkfront_slots_init(struct blkfront *f)
{
    uint32_t i, n = RING_SIZE(&f->ring);

    f->slots = heap_alloc(n * sizeof(*f->slots));
    if (!f->slots)
        return -ENOMEM;
    for (i = 0; i < n; i++) {
        f->slots[i].next_free = (uint16_t)(i + 1);
        f->slots[i].refs = heap_alloc(f->max_segs * sizeof(grant_ref_t));
        if (!f->slots[i].refs)
            return -ENOMEM;
    }
    f->disk.queue_depth = n;
    return 0;
}

static struct blkfront_slot *slot_take(struct blkfront *f)
{
    struct blkfront_slot *s;

    if (f->free_slot >= RING_SIZE(&f->ring) || RING_FULL(&f->ring))
        return NULL;
    s = &f->slots[f->free_slot];
    f->free_slot = s->next_free;
    return s;
}

static void slot_give(struct blkfront *f, struct blkfront_slot *s)
{
    s->req = NULL;
    s->next_free = (uint16_t)f->free_slot;
    f->free_slot = (uint32_t)(s - f->slots);
}

/* ---- grants -------------------------------------------------------------- */

static int page_ref(struct blkfront *f, const char *page, bool read_only)
{
    grant_ref_t *ref;
    int rc;

    if (!f->persistent)
        return gnttab_grant(f->xenbus.backend_id, page, read_only);
    ref = &f->ref_of_pfn[virt_to_pfn(page)];
    if (*ref == BLKFRONT_NO_GRANT) {
        /* Later requests may go the other way: always writable. */
        rc = gnttab_grant(f->xenbus.backend_id, page, false);
        if (rc < 0)
            return rc;
        *ref = (grant_ref_t)rc;
    }
    return (int)*ref;
}

static void end_grant(struct blkfront *f, grant_ref_t ref)
{
    /* Still mapped after its answer: the page can never be trusted again. */
    if (gnttab_end(ref) == -EBUSY && !f->dead) {
        f->dead = true;
        printf("%s: the backend answered but still uses grant %u; disk given "
               "up\n",
               f->disk.name, ref);
    }
}

static void end_grants(struct blkfront *f, struct blkfront_slot *s)
{
    while (!f->persistent && s->nr_segs)
        end_grant(f, s->refs[--s->nr_segs]);
    s->nr_segs = 0;
}

/* Grants the buffer page by page into segments; 0, -ENOSPC, undone if so. */
static int fill_segments(struct blkfront *f, struct blkfront_slot *s,
                         const struct blkreq *req,
                         struct blkif_request_segment *seg)
{
    const char *at = req->buf;
    uint32_t left = req->count, first, n;
    int ref;

    for (s->nr_segs = 0; left; s->nr_segs++, seg++) {
        first = (uint32_t)(((unsigned long)at & ~PAGE_MASK) / BLK_SECTOR_SIZE);
        n = MIN(left, SECTORS_PER_PAGE - first);
        ref = page_ref(f, (const char *)((unsigned long)at & PAGE_MASK),
                       req->op != BLK_READ);
        if (ref < 0) {
            end_grants(f, s);
            return ref;
        }
        s->refs[s->nr_segs] = (grant_ref_t)ref;
        seg->gref = (grant_ref_t)ref;
        seg->first_sect = (uint8_t)first;
        seg->last_sect = (uint8_t)(first + n - 1);
        at += n * BLK_SECTOR_SIZE;
        left -= n;
    }
    return 0;
}

/* The slot's page of segments is granted once and then stays so. */
static int indirect_page(struct blkfront *f, struct blkfront_slot *s)
{
    int ref;

    if (s->indirect)
        return 0;
    s->indirect = page_alloc(1);
    if (!s->indirect)
        return -ENOMEM;
    ref = gnttab_grant(f->xenbus.backend_id, s->indirect, !f->persistent);
    if (ref < 0) {
        page_free(s->indirect, 1);
        s->indirect = NULL;
        return ref;
    }
    s->indirect_ref = (grant_ref_t)ref;
    return 0;
}

/* ---- submit -------------------------------------------------------------- */

static uint8_t wire_op(enum blk_op op)
{
    static const uint8_t map[] = {
        [BLK_READ] = BLKIF_OP_READ,
        [BLK_WRITE] = BLKIF_OP_WRITE,
        [BLK_FLUSH] = BLKIF_OP_FLUSH_DISKCACHE,
        [BLK_BARRIER] = BLKIF_OP_WRITE_BARRIER,
        [BLK_DISCARD] = BLKIF_OP_DISCARD,
    };

    return map[op];
}

static int build_direct(struct blkfront *f, struct blkfront_slot *s,
                        const struct blkreq *req, struct blkif_request *r)
{
    int rc = 0;

    r->operation = s->op;
    r->handle = f->handle;
    r->id = (uint64_t)(s - f->slots);
    r->sector_number = req->op == BLK_FLUSH ? 0 : req->sector;
    if (req->op != BLK_FLUSH)
        rc = fill_segments(f, s, req, r->seg);
    r->nr_segments = (uint8_t)s->nr_segs;
    return rc;
}

static int build_indirect(struct blkfront *f, struct blkfront_slot *s,
                          const struct blkreq *req,
                          struct blkif_request_indirect *r)
{
    int rc = indirect_page(f, s);

    if (rc)
        return rc;
    rc = fill_segments(f, s, req, s->indirect);
    r->operation = BLKIF_OP_INDIRECT;
    r->indirect_op = s->op;
    r->nr_segments = s->nr_segs;
    r->id = (uint64_t)(s - f->slots);
    r->sector_number = req->sector;
    r->handle = f->handle;
    r->indirect_grefs[0] = s->indirect_ref;
    return rc; /* it is s->op that will be answered */
}

static int build_discard(struct blkfront *f, struct blkfront_slot *s,
                         const struct blkreq *req,
                         struct blkif_request_discard *r)
{
    r->operation = BLKIF_OP_DISCARD;
    r->flag = 0;
    r->handle = f->handle;
    r->id = (uint64_t)(s - f->slots);
    r->sector_number = req->sector;
    r->nr_sectors = req->count;
    return 0;
}

static uint32_t pages_spanned(const struct blkreq *req)
{
    unsigned long start = (unsigned long)req->buf & ~PAGE_MASK;

    return (uint32_t)((start + (unsigned long)req->count * BLK_SECTOR_SIZE +
                       PAGE_SIZE - 1) >>
                      PAGE_SHIFT);
}

static int build(struct blkfront *f, struct blkfront_slot *s,
                 const struct blkreq *req)
{
    void *r = RING_GET_REQUEST(&f->ring, f->ring.req_prod_pvt);

    s->nr_segs = 0;
    s->op = wire_op(req->op);
    if (req->op == BLK_DISCARD)
        return build_discard(f, s, req, r);
    if (req->op != BLK_FLUSH &&
        pages_spanned(req) > BLKIF_MAX_SEGMENTS_PER_REQUEST)
        return build_indirect(f, s, req, r);
    return build_direct(f, s, req, r);
}

static int blkfront_submit(struct blkdev *dev, struct blkreq *req)
{
    struct blkfront *f = front(dev);
    struct blkfront_slot *s;
    int rc;

    if (f->dead)
        return -EIO;
    if (req->op != BLK_FLUSH && req->op != BLK_DISCARD &&
        pages_spanned(req) > (req->op == BLK_BARRIER
                                  ? BLKIF_MAX_SEGMENTS_PER_REQUEST
                                  : f->max_segs))
        return -EINVAL;
    s = slot_take(f);
    if (!s)
        return -EAGAIN;
    rc = build(f, s, req);
    if (rc) {
        slot_give(f, s);
        /* Grants come back when requests do. */
        return rc == -ENOSPC && dev->in_flight ? -EAGAIN : rc;
    }
    s->req = req;
    f->ring.req_prod_pvt++;
    return 0;
}

static void blkfront_kick(struct blkdev *dev)
{
    struct blkfront *f = front(dev);
    int notify;

    if (f->ring.sring->req_prod == f->ring.req_prod_pvt)
        return;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&f->ring, notify);
    if (notify)
        evtchn_send(f->port);
}

/* ---- complete ------------------------------------------------------------ */

/* Out of order, never answered, or answered by nonsense: all fail. */
static void give_up(struct blkfront *f, const char *why)
{
    uint32_t i;

    printf("%s: the backend broke the protocol (%s); disk given up\n",
           f->disk.name, why);
    f->dead = true;
    for (i = 0; i < RING_SIZE(&f->ring); i++)
        if (f->slots[i].req) {
            /* Its pages may be written yet: the grants stay. */
            struct blkreq *req = f->slots[i].req;

            f->slots[i].req = NULL;
            blkdev_complete(&f->disk, req, -EIO);
        }
}

static int wire_status(int16_t status)
{
    switch (status) {
    case BLKIF_RSP_OKAY:
        return 0;
    case BLKIF_RSP_EOPNOTSUPP:
        return -EOPNOTSUPP;
    }
    return -EIO;
}

static int complete_one(struct blkfront *f, const struct blkif_response *rsp)
{
    struct blkfront_slot *s;
    struct blkreq *req;
    int status = wire_status(rsp->status);

    if (rsp->id >= RING_SIZE(&f->ring) || !f->slots[rsp->id].req) {
        give_up(f, "an answer to no request");
        return -EPROTO;
    }
    s = &f->slots[rsp->id];
    req = s->req;
    if (rsp->operation != s->op) {
        give_up(f, "an answer to another operation");
        return -EPROTO;
    }
    end_grants(f, s);
    slot_give(f, s);
    if (f->dead)
        status = -EIO;
    blkdev_complete(&f->disk, req, status);
    return 0;
}

static int blkfront_poll(struct blkdev *dev)
{
    struct blkfront *f = front(dev);
    struct blkif_response rsp;
    RING_IDX prod;
    int n = 0;

    if (f->dead)
        return dev->in_flight ? (give_up(f, "given up before"), 1) : 0;
    /* Pairs with the backend's release of rsp_prod. */
    prod = __atomic_load_n(&f->ring.sring->rsp_prod, __ATOMIC_ACQUIRE);
    if (prod - f->ring.rsp_cons > f->ring.req_prod_pvt - f->ring.rsp_cons) {
        give_up(f, "more answers than requests");
        return 1;
    }
    while (f->ring.rsp_cons != prod && !f->dead) {
        RING_COPY_RESPONSE(&f->ring, f->ring.rsp_cons, &rsp);
        f->ring.rsp_cons++;
        n++;
        if (complete_one(f, &rsp))
            break;
    }
    if (dev->polled && n)
        WRITE_ONCE(f->ring.sring->rsp_event, f->ring.rsp_cons + EVENT_NEVER);
    return n;
}

static bool blkfront_ready(struct blkdev *dev)
{
    struct blkfront *f = front(dev);
    int work;

    RING_FINAL_CHECK_FOR_RESPONSES(&f->ring, work);
    return work || f->dead;
}

static int blkfront_set_polled(struct blkdev *dev, bool polled)
{
    struct blkfront *f = front(dev);

    WRITE_ONCE(f->ring.sring->rsp_event,
               f->ring.rsp_cons + (polled ? EVENT_NEVER : 1));
    if (polled)
        evtchn_mask(f->port);
    else
        evtchn_unmask(f->port);
    return 0;
}

/* ---- buffers and the end ------------------------------------------------- */

/* Granted pages stay with the disk: the backend may keep them mapped. */
static void *blkfront_buf_alloc(struct blkdev *dev, size_t npages)
{
    struct blkfront_run **p, *run;

    for (p = &front(dev)->runs; *p; p = &(*p)->next) {
        run = *p;
        if (run->npages != npages)
            continue;
        *p = run->next;
        return memset(run, 0, npages * PAGE_SIZE);
    }
    return page_alloc(npages);
}

static void blkfront_buf_free(struct blkdev *dev, void *buf, size_t npages)
{
    struct blkfront *f = front(dev);
    struct blkfront_run *run = buf;

    if (!f->persistent) {
        page_free(buf, npages);
        return;
    }
    run->npages = npages;
    run->next = f->runs;
    f->runs = run;
}

static void release_slots(struct blkfront *f)
{
    uint32_t i;

    for (i = 0; f->slots && i < RING_SIZE(&f->ring); i++) {
        heap_free(f->slots[i].refs);
        if (f->slots[i].indirect && gnttab_end(f->slots[i].indirect_ref) == 0)
            page_free(f->slots[i].indirect, 1);
    }
    heap_free(f->slots);
    f->slots = NULL;
}

static void release_persistent(struct blkfront *f)
{
    unsigned long pfn;

    for (pfn = 0; f->ref_of_pfn && pfn < start_info()->nr_pages; pfn++)
        if (f->ref_of_pfn[pfn] != BLKFRONT_NO_GRANT)
            gnttab_end(f->ref_of_pfn[pfn]);
    heap_free(f->ref_of_pfn);
    f->ref_of_pfn = NULL;
}

void blkfront_release(struct blkfront *f)
{
    unsigned int i, pages = 1u << f->order;
    bool mapped = false;

    release_slots(f);
    release_persistent(f);
    if (f->port)
        evtchn_close(f->port);
    f->port = 0;
    for (i = 0; i < pages; i++)
        if (f->ring_refs[i] != BLKFRONT_NO_GRANT)
            mapped |= gnttab_end(f->ring_refs[i]) != 0;
    if (f->ring.sring && !mapped)
        page_free(f->ring.sring, pages);
    f->ring.sring = NULL;
}

static void blkfront_close(struct blkdev *dev)
{
    struct blkfront *f = front(dev);

    blkfront_disconnect(f);
    blkfront_release(f);
}

const struct blkdev_ops blkfront_ops = {
    .submit = blkfront_submit,
    .kick = blkfront_kick,
    .poll = blkfront_poll,
    .ready = blkfront_ready,
    .set_polled = blkfront_set_polled,
    .buf_alloc = blkfront_buf_alloc,
    .buf_free = blkfront_buf_free,
    .close = blkfront_close,
};
