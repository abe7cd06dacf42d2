/* SPDX-License-Identifier: MIT */
/* Misuse of the disk: indices, requests, grants, store nodes. */
#include "frontends/guests/badguest/bad.h"
#include "frontends/blkfront.h"

#define PAUSE    (50 * NSEC_PER_MSEC)
#define PATIENCE (5 * NSEC_PER_SEC)

static struct blkfront *xen_disk(void)
{
    struct blkdev *d = blkdev_find("xen");

    if (!d)
        panic("this needs a disk on Xen's ring");
    return container_of(d, struct blkfront, disk);
}

static void kick(struct blkfront *f)
{
    evtchn_send(f->port);
    sleep_ns(PAUSE);
}

void bad_ring(void)
{
    struct blkfront *f = xen_disk();
    blkif_sring_t *s = f->ring.sring;

    memset(s->ring, 0xa5, PAGE_SIZE - offsetof(blkif_sring_t, ring));
    s->req_prod += RING_SIZE(&f->ring) + 1;
    kick(f);
    s->req_prod = 0x80000000u;
    s->rsp_prod = 0xdeadbeef;
    s->req_event = 0x55555555;
    s->rsp_event = 0xaaaaaaaa;
    kick(f);
    printf("badguest: req_prod is %x on a ring of %u\n", s->req_prod,
           RING_SIZE(&f->ring));
}

/* ---- requests that blkfront would never make ------------------------------
 */

static uint64_t rng = 0x9e3779b97f4a7c15ull;

/* Sends r and waits for its answer; its status, or -ETIMEDOUT. */
static int send_raw(struct blkfront *f, const struct blkif_request *r)
{
    blkif_sring_t *s = f->ring.sring;
    RING_IDX before = s->rsp_prod;
    struct blkif_response rsp;
    int rc;

    *RING_GET_REQUEST(&f->ring, f->ring.req_prod_pvt) = *r;
    f->ring.req_prod_pvt++;
    RING_PUSH_REQUESTS(&f->ring);
    s->rsp_event = before + 1;
    evtchn_send(f->port);
    rc = wait_event_until(READ_ONCE(s->rsp_prod) != before,
                          time_ns() + PATIENCE);
    if (rc)
        return rc;
    RING_COPY_RESPONSE(&f->ring, before, &rsp);
    f->ring.rsp_cons = before + 1;
    return rsp.status;
}

static void random_bytes(void *p, size_t n)
{
    uint8_t *b = p;

    while (n--)
        *b++ = (uint8_t)prng_next(&rng);
}

void bad_requests(void)
{
    struct blkfront *f = xen_disk();
    struct blkif_request r;
    unsigned int n, failed = 0, silent = 0;
    int status;

    for (n = 0; n < 500 && silent < 3; n++) {
        random_bytes(&r, sizeof(r));
        /* Half of them look nearly right, to get past the first check. */
        if (n % 2) {
            r.operation %= 8;
            r.nr_segments %= 14;
            r.sector_number %= f->disk.sectors + 1;
        }
        status = send_raw(f, &r);
        failed += status < 0 && status != -ETIMEDOUT;
        silent += status == -ETIMEDOUT;
    }
    printf("badguest: %u malformed requests, %u failed, %u unanswered\n", n,
           failed, silent);
}

static int one_segment(struct blkfront *f, uint8_t op, grant_ref_t ref)
{
    struct blkif_request r = {
        .operation = op, .nr_segments = 1, .handle = f->handle, .id = ref};

    r.seg[0].gref = ref;
    r.seg[0].last_sect = 7;
    return send_raw(f, &r);
}

void bad_grants(void)
{
    struct blkfront *f = xen_disk();
    void *page = page_alloc(1);
    int read_only = gnttab_grant(f->xenbus.backend_id, page, true);
    int foreign = gnttab_grant(DOMID_FIRST_RESERVED - 1, page, false);
    const grant_ref_t refs[] = {4095,
                                0xffffffff,
                                0x7fffffff,
                                1u << 20,
                                (grant_ref_t)read_only,
                                (grant_ref_t)foreign};
    size_t i;
    int status;

    for (i = 0; i < ARRAY_SIZE(refs); i++) {
        status = one_segment(f, BLKIF_OP_READ, refs[i]);
        printf("badguest: a read into grant %u: status %d\n", refs[i], status);
    }
    /* A frame that is not this guest's to give. */
    gnttab_entry((grant_ref_t)foreign)->domid = f->xenbus.backend_id;
    gnttab_entry((grant_ref_t)foreign)->frame = 0xfffffff0;
    status = one_segment(f, BLKIF_OP_READ, (grant_ref_t)foreign);
    printf("badguest: a read into grant of a foreign frame: status %d\n",
           status);
    /* Taken back while in use. */
    gnttab_entry(f->ring_refs[0])->flags = 0;
    kick(f);
}

void bad_states(void)
{
    static const char *const nodes[] = {"ring-ref", "event-channel",
                                        "ring-page-order", "protocol"};
    struct blkfront *f = xen_disk();
    size_t i;
    int state;

    for (i = 0; i < ARRAY_SIZE(nodes); i++)
        xenbus_printf(XBT_NIL, f->xenbus.path, nodes[i], "-%u%s", 77,
                      "99999999999999999999");
    for (state = -1; state < 12; state++) {
        xenbus_printf(XBT_NIL, f->xenbus.path, "state", "%d", state);
        sleep_ns(PAUSE);
    }
    xenbus_printf(XBT_NIL, f->xenbus.path, "state", "%s", "connected, maybe");
    xenbus_printf(XBT_NIL, f->xenbus.path, "state", "%d", 3);
    sleep_ns(PAUSE);
    printf("badguest: the backend is %s now\n",
           xenbus_state_name(xenbus_backend_state(&f->xenbus)));
}
