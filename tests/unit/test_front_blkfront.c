/* SPDX-License-Identifier: MIT */
/*
 * Proves blkfront's ring against a backend played by the test: requests are
 * cut into segments as the protocol has it (direct, indirect, odd starts),
 * answers may come in any order and across the ring's wrap, grants are ended
 * or kept, and a backend that answers nonsense costs the disk, nothing else.
 * The store is not in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "frontends/blkdev.c"
#include "frontends/blkfront.c"

#define PAGES  512
#define GRANTS 128
#define RING   32

/* ---- the kernel, as far as blkfront calls it ------------------------------
 */

static char *memory;
static size_t pages_used;
static struct grant_entry_v1 grants[GRANTS];
static uint32_t next_free[GRANTS];
static struct gnttab gt;
static unsigned int sent;

void *page_alloc(size_t n)
{
    void *va = memory + pages_used * PAGE_SIZE;

    pages_used += n;
    assert_true(pages_used <= PAGES);
    return memset(va, 0, n * PAGE_SIZE);
}

void page_free(void *va, size_t n)
{
    (void)va;
    (void)n;
}

void *heap_alloc(size_t size)
{
    return calloc(1, size);
}

void heap_free(void *p)
{
    free(p);
}

unsigned long virt_to_pfn(const void *va)
{
    return (unsigned long)((const char *)va - memory) >> PAGE_SHIFT;
}

int gnttab_grant(domid_t dom, const void *page, bool read_only)
{
    return gnttab_state_grant(&gt, dom, (uint32_t)virt_to_pfn(page), read_only);
}

int gnttab_end(grant_ref_t ref)
{
    return gnttab_state_end(&gt, ref);
}

int evtchn_send(evtchn_port_t port)
{
    (void)port;
    sent++;
    return 0;
}

void evtchn_mask(evtchn_port_t port)
{
    (void)port;
}

void evtchn_unmask(evtchn_port_t port)
{
    (void)port;
}

int evtchn_close(evtchn_port_t port)
{
    (void)port;
    return 0;
}

bool events_off(void)
{
    return true;
}

void events_restore(bool were_on)
{
    (void)were_on;
}

void events_block(uint64_t deadline)
{
    (void)deadline;
    fail_msg("the test's backend has answered, yet the frontend sleeps");
}

const struct start_info *start_info(void)
{
    static struct start_info si = {.nr_pages = PAGES};

    return &si;
}

void blkfront_disconnect(struct blkfront *f)
{
    (void)f;
}

/* ---- fixture --------------------------------------------------------------
 */

static struct blkfront *f;
static blkif_back_ring_t back;

static void start(uint32_t segs, bool persistent)
{
    blkif_sring_t *sring;

    memory = aligned_alloc(PAGE_SIZE, PAGES * PAGE_SIZE);
    pages_used = 0;
    memset(grants, 0, sizeof(grants));
    gnttab_state_init(&gt, grants, next_free, GRANTS, 8);
    f = calloc(1, sizeof(*f));
    f->disk.ops = &blkfront_ops;
    f->disk.sectors = 100000;
    f->disk.can_flush = f->disk.can_barrier = f->disk.can_discard = true;
    f->max_segs = segs;
    f->disk.max_sectors = segs * 8;
    f->persistent = persistent;
    if (persistent)
        f->ref_of_pfn = calloc(PAGES, sizeof(grant_ref_t));
    sring = page_alloc(1);
    SHARED_RING_INIT(sring);
    FRONT_RING_INIT(&f->ring, sring, PAGE_SIZE);
    BACK_RING_INIT(&back, sring, PAGE_SIZE);
    assert_int_equal(blkfront_slots_init(f), 0);
    assert_int_equal(f->disk.queue_depth, RING);
    snprintf(f->disk.name, sizeof(f->disk.name), "xvda");
}

static int stop(void **state)
{
    (void)state;
    blkfront_release(f);
    free(f);
    free(memory);
    return 0;
}

static struct blkif_request take(void)
{
    struct blkif_request req;

    assert_true(RING_HAS_UNCONSUMED_REQUESTS(&back));
    RING_COPY_REQUEST(&back, back.req_cons, &req);
    back.req_cons++;
    return req;
}

static void answer(uint64_t id, uint8_t op, int16_t status)
{
    struct blkif_response *rsp = RING_GET_RESPONSE(&back, back.rsp_prod_pvt);

    rsp->id = id;
    rsp->operation = op;
    rsp->status = status;
    back.rsp_prod_pvt++;
    RING_PUSH_RESPONSES(&back);
}

static struct blkreq rw(enum blk_op op, uint64_t sector, uint32_t count,
                        void *buf)
{
    return (struct blkreq){
        .op = op, .sector = sector, .count = count, .buf = buf};
}

static void submit_ok(struct blkreq *req)
{
    assert_int_equal(blkdev_submit(&f->disk, req), 0);
    blkdev_kick(&f->disk);
}

/* ---- tests ----------------------------------------------------------------
 */

static void direct(void **state)
{
    struct blkreq req;
    struct blkif_request r;
    char *buf;

    (void)state;
    start(11, false);
    buf = page_alloc(3);
    req = rw(BLK_READ, 77, 10, buf + 3 * 512);
    submit_ok(&req);
    assert_int_equal(sent, 1);
    r = take();
    assert_int_equal(r.operation, BLKIF_OP_READ);
    assert_int_equal(r.sector_number, 77);
    assert_int_equal(r.nr_segments, 2);
    assert_int_equal(r.seg[0].first_sect, 3);
    assert_int_equal(r.seg[0].last_sect, 7);
    assert_int_equal(r.seg[1].first_sect, 0);
    assert_int_equal(r.seg[1].last_sect, 4);
    assert_int_equal(grants[r.seg[0].gref].frame, virt_to_pfn(buf));
    assert_int_equal(grants[r.seg[1].gref].flags, GTF_permit_access);
    answer(r.id, r.operation, 0);
    assert_int_equal(req.status, BLK_PENDING);
    assert_int_equal(blkdev_poll(&f->disk), 1);
    assert_int_equal(req.status, 0);
    assert_int_equal(grants[r.seg[0].gref].flags, 0);
    assert_int_equal(gt.nr_free, GRANTS - 8);
}

/* What the backend only reads is granted read-only. */
static void read_only_grants(void **state)
{
    struct blkreq req;
    struct blkif_request r;

    (void)state;
    start(11, false);
    req = rw(BLK_WRITE, 0, 8, page_alloc(1));
    submit_ok(&req);
    r = take();
    assert_int_equal(grants[r.seg[0].gref].flags,
                     GTF_permit_access | GTF_readonly);
    answer(r.id, r.operation, BLKIF_RSP_ERROR);
    blkdev_poll(&f->disk);
    assert_int_equal(req.status, -EIO);
}

static void indirect(void **state)
{
    struct blkif_request_indirect *ir;
    struct blkif_request_segment *seg;
    struct blkif_request r;
    struct blkreq req;
    char *buf;

    (void)state;
    start(40, false);
    buf = page_alloc(40);
    req = rw(BLK_WRITE, 5, 40 * 8, buf);
    submit_ok(&req);
    r = take();
    ir = (struct blkif_request_indirect *)&r;
    assert_int_equal(ir->operation, BLKIF_OP_INDIRECT);
    assert_int_equal(ir->indirect_op, BLKIF_OP_WRITE);
    assert_int_equal(ir->nr_segments, 40);
    assert_int_equal(ir->sector_number, 5);
    seg = (void *)(memory + grants[ir->indirect_grefs[0]].frame * PAGE_SIZE);
    assert_int_equal(grants[seg[39].gref].frame, virt_to_pfn(buf) + 39);
    assert_int_equal(seg[39].last_sect, 7);
    answer(ir->id, BLKIF_OP_WRITE, 0);
    blkdev_poll(&f->disk);
    assert_int_equal(req.status, 0);
    assert_false(f->dead);
}

static void refused(void **state)
{
    struct blkreq req;

    (void)state;
    start(11, false);
    req = rw(BLK_READ, 100000 - 4, 8, page_alloc(1));
    assert_int_equal(blkdev_submit(&f->disk, &req), -EINVAL);
    req.sector = UINT64_MAX - 2;
    assert_int_equal(blkdev_submit(&f->disk, &req), -EINVAL);
    req = rw(BLK_READ, 0, 0, memory);
    assert_int_equal(blkdev_submit(&f->disk, &req), -EINVAL);
    req = rw(BLK_READ, 0, 8, memory + 1);
    assert_int_equal(blkdev_submit(&f->disk, &req), -EINVAL);
    req = rw(BLK_READ, 0, 11 * 8, memory + 512);
    assert_int_equal(blkdev_submit(&f->disk, &req), -EINVAL);
    f->disk.read_only = true;
    req = rw(BLK_WRITE, 0, 8, memory);
    assert_int_equal(blkdev_submit(&f->disk, &req), -EROFS);
    f->disk.can_flush = false;
    req = (struct blkreq){.op = BLK_FLUSH};
    assert_int_equal(blkdev_submit(&f->disk, &req), -EOPNOTSUPP);
    assert_int_equal(f->disk.in_flight, 0);
}

/* The ring full, answered backwards, many times round. */
static void wrap(void **state)
{
    struct blkreq req[RING + 1];
    struct blkif_request r[RING];
    char *buf;
    int round, i;

    (void)state;
    start(11, false);
    buf = page_alloc(1);
    for (round = 0; round < 10; round++) {
        for (i = 0; i < RING; i++) {
            req[i] = rw(BLK_READ, (uint64_t)i, 1, buf + i % 8 * 512);
            submit_ok(&req[i]);
        }
        req[RING] = rw(BLK_READ, 0, 1, buf);
        assert_int_equal(blkdev_submit(&f->disk, &req[RING]), -EAGAIN);
        for (i = 0; i < RING; i++)
            r[i] = take();
        for (i = RING; i-- > 0;)
            answer(r[i].id, r[i].operation, i % 2 ? 0 : BLKIF_RSP_EOPNOTSUPP);
        assert_int_equal(blkdev_poll(&f->disk), RING);
        for (i = 0; i < RING; i++)
            assert_int_equal(req[i].status, i % 2 ? 0 : -EOPNOTSUPP);
        assert_int_equal(f->disk.in_flight, 0);
        assert_int_equal(gt.nr_free, GRANTS - 8);
    }
}

/* Without grants for a whole request it waits for others, losing none. */
static void no_grants(void **state)
{
    struct blkreq req[12];
    char *buf;
    int i, n;

    (void)state;
    start(11, false);
    buf = page_alloc(11);
    for (n = 0; n < 12; n++) {
        req[n] = rw(BLK_WRITE, 0, 88, buf);
        if (blkdev_submit(&f->disk, &req[n]) == -EAGAIN)
            break;
    }
    assert_int_equal(n, (GRANTS - 8) / 11);
    assert_int_equal(gt.nr_free, (GRANTS - 8) % 11);
    blkdev_kick(&f->disk);
    for (i = 0; i < n; i++) {
        struct blkif_request r = take();

        answer(r.id, r.operation, 0);
    }
    blkdev_drain(&f->disk);
    assert_int_equal(gt.nr_free, GRANTS - 8);
}

static void persistent(void **state)
{
    struct blkif_request first, r;
    struct blkreq req;
    void *buf;
    int i;

    (void)state;
    start(11, true);
    buf = blkdev_buf_alloc(&f->disk, PAGE_SIZE);
    for (i = 0; i < 5; i++) {
        req = rw(i % 2 ? BLK_READ : BLK_WRITE, 0, 8, buf);
        submit_ok(&req);
        r = take();
        if (i == 0)
            first = r;
        assert_int_equal(r.seg[0].gref, first.seg[0].gref);
        assert_int_equal(grants[r.seg[0].gref].flags & ~GTF_writing,
                         GTF_permit_access);
        /* Such a backend keeps the page mapped. */
        grants[r.seg[0].gref].flags |= GTF_writing;
        answer(r.id, r.operation, 0);
        blkdev_poll(&f->disk);
        assert_int_equal(req.status, 0);
    }
    blkdev_buf_free(&f->disk, buf, PAGE_SIZE);
    assert_ptr_equal(blkdev_buf_alloc(&f->disk, PAGE_SIZE), buf);
}

/* Each kind of nonsense fails what is in flight and all that comes after. */
static void nonsense(uint64_t id, uint8_t op, RING_IDX more)
{
    struct blkreq a, b;
    struct blkif_request r;

    start(11, false);
    a = rw(BLK_READ, 0, 8, page_alloc(1));
    b = rw(BLK_READ, 8, 8, page_alloc(1));
    submit_ok(&a);
    submit_ok(&b);
    r = take();
    answer(id == 0 ? r.id : id, op, 0);
    back.sring->rsp_prod += more;
    blkdev_drain(&f->disk);
    assert_true(f->dead);
    assert_int_equal(b.status, -EIO);
    assert_int_equal(f->disk.in_flight, 0);
    assert_int_equal(blkdev_submit(&f->disk, &a), -EIO);
    stop(NULL);
}

static void liars(void **state)
{
    (void)state;
    nonsense(RING, BLKIF_OP_READ, 0);
    nonsense(UINT64_MAX, BLKIF_OP_READ, 0);
    nonsense(7, BLKIF_OP_READ, 0);
    nonsense(0, BLKIF_OP_WRITE, 0);
    nonsense(0, BLKIF_OP_READ, 2);
    nonsense(0, BLKIF_OP_READ, 0x80000000u);
    nonsense(0, BLKIF_OP_READ, (RING_IDX)-2);
}

/* An answered request whose page is still mapped cannot be trusted. */
static void still_mapped(void **state)
{
    struct blkif_request r;
    struct blkreq req;

    (void)state;
    start(11, false);
    req = rw(BLK_READ, 0, 8, page_alloc(1));
    submit_ok(&req);
    r = take();
    grants[r.seg[0].gref].flags |= GTF_writing;
    answer(r.id, r.operation, 0);
    blkdev_poll(&f->disk);
    assert_int_equal(req.status, -EIO);
    assert_true(f->dead);
}

/* Polled, the backend must find no reason to notify. */
static void polled(void **state)
{
    struct blkif_request r;
    struct blkreq req;
    int notify, i;

    (void)state;
    start(11, false);
    assert_int_equal(blkdev_set_polled(&f->disk, true), 0);
    for (i = 0; i < 3 * RING; i++) {
        req = rw(BLK_READ, 0, 8, memory);
        submit_ok(&req);
        r = take();
        *RING_GET_RESPONSE(&back, back.rsp_prod_pvt) =
            (struct blkif_response){.id = r.id, .operation = r.operation};
        back.rsp_prod_pvt++;
        RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&back, notify);
        assert_false(notify);
        blkdev_wait(&f->disk);
        assert_int_equal(req.status, 0);
    }
    assert_int_equal(blkdev_set_polled(&f->disk, false), 0);
    assert_false(blkfront_ops.ready(&f->disk));
    assert_int_equal(f->ring.sring->rsp_event, f->ring.rsp_cons + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(direct, stop),
        cmocka_unit_test_teardown(read_only_grants, stop),
        cmocka_unit_test_teardown(indirect, stop),
        cmocka_unit_test_teardown(refused, stop),
        cmocka_unit_test_teardown(wrap, stop),
        cmocka_unit_test_teardown(no_grants, stop),
        cmocka_unit_test_teardown(persistent, stop),
        cmocka_unit_test(liars),
        cmocka_unit_test_teardown(still_mapped, stop),
        cmocka_unit_test_teardown(polled, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
