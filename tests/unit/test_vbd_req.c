/* SPDX-License-Identifier: MIT */
/*
 * What a guest can put in a blkif request, and what becomes of it: sectors
 * beyond the disk (also by overflow), segments that leave their page, counts
 * that leave the request, writes to a read-only disk, codes that do not
 * exist.  Nothing passes that could make the backend touch what it must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "backends/vbd_req.h"

static const struct vbd_limits disk = {.sectors = 1000, .discard = true};
static const struct vbd_limits rodisk = {.sectors = 1000, .rdonly = true};
static struct vbd_req out;

static struct blkif_request request(uint8_t op, unsigned int nr, uint64_t at)
{
    struct blkif_request r = {
        .operation = op,
        .nr_segments = (uint8_t)nr,
        .sector_number = at,
    };
    unsigned int i;

    for (i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++)
        r.seg[i] = (struct blkif_request_segment){
            .gref = i, .first_sect = 0, .last_sect = 7};
    return r;
}

static int16_t parse(const struct blkif_request *r,
                     const struct vbd_limits *lim)
{
    return vbd_req_parse(r, lim, &out);
}

static void test_good(void **state)
{
    struct blkif_request r = request(BLKIF_OP_READ, 11, 1000 - 88);

    (void)state;
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_OKAY);
    assert_int_equal(out.kind, VBD_READ);
    assert_int_equal(out.nr_sectors, 88);
    r = request(BLKIF_OP_WRITE, 1, 999);
    r.seg[0].first_sect = r.seg[0].last_sect = 7;
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_OKAY);
    assert_int_equal(out.seg[0].offset, 3584);
    assert_int_equal(out.seg[0].len, 512);
    r = request(BLKIF_OP_FLUSH_DISKCACHE, 0, UINT64_MAX);
    assert_int_equal(parse(&r, &rodisk), BLKIF_RSP_OKAY);
    assert_int_equal(out.kind, VBD_FLUSH);
    r = request(BLKIF_OP_WRITE_BARRIER, 2, 0);
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_OKAY);
    assert_int_equal(out.kind, VBD_BARRIER);
}

static void test_beyond_the_disk(void **state)
{
    static const uint64_t places[] = {
        993, 1000, 1001, UINT64_MAX, UINT64_MAX - 7, 1ull << 55, 1ull << 63};
    unsigned int i;

    (void)state;
    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct blkif_request r = request(BLKIF_OP_READ, 1, places[i]);

        assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
        r.operation = BLKIF_OP_WRITE_BARRIER;
        assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
    }
}

static void test_bad_segments(void **state)
{
    struct blkif_request r = request(BLKIF_OP_READ, 2, 0);

    (void)state;
    r.seg[1].last_sect = 8; /* leaves the page */
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
    r.seg[1].last_sect = 3;
    r.seg[1].first_sect = 4; /* ends before it begins */
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
    r.seg[1].first_sect = 255;
    r.seg[1].last_sect = 255;
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
    r = request(BLKIF_OP_READ, 12, 0);
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
    r = request(BLKIF_OP_READ, 255, 0);
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
    r = request(BLKIF_OP_WRITE, 0, 0); /* XSA-448: nothing to do */
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
}

static void test_read_only(void **state)
{
    struct blkif_request r = request(BLKIF_OP_WRITE, 1, 0);
    struct blkif_request_indirect *ind = (void *)&r;

    (void)state;
    assert_int_equal(parse(&r, &rodisk), BLKIF_RSP_ERROR);
    r.operation = BLKIF_OP_WRITE_BARRIER;
    assert_int_equal(parse(&r, &rodisk), BLKIF_RSP_ERROR);
    r.operation = BLKIF_OP_FLUSH_DISKCACHE; /* with data */
    assert_int_equal(parse(&r, &rodisk), BLKIF_RSP_ERROR);
    r.operation = BLKIF_OP_DISCARD;
    assert_int_equal(parse(&r, &rodisk), BLKIF_RSP_ERROR);
    r.operation = BLKIF_OP_INDIRECT;
    ind->indirect_op = BLKIF_OP_WRITE;
    ind->nr_segments = 1;
    assert_int_equal(parse(&r, &rodisk), BLKIF_RSP_ERROR);
    ind->indirect_op = BLKIF_OP_READ;
    assert_int_equal(parse(&r, &rodisk), BLKIF_RSP_OKAY);
}

static void test_indirect(void **state)
{
    struct blkif_request_segment segs[VBD_MAX_INDIRECT] = {0};
    struct blkif_request r = {0};
    struct blkif_request_indirect *ind = (void *)&r;
    unsigned int i;

    (void)state;
    ind->operation = BLKIF_OP_INDIRECT;
    ind->indirect_op = BLKIF_OP_WRITE;
    ind->indirect_grefs[0] = 77;
    ind->nr_segments = VBD_MAX_INDIRECT + 1;
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
    ind->nr_segments = 0;
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
    ind->nr_segments = VBD_MAX_INDIRECT;
    ind->indirect_op = BLKIF_OP_INDIRECT;
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
    ind->indirect_op = BLKIF_OP_WRITE;
    ind->sector_number = 1000 - 256;
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_OKAY);
    assert_int_equal(out.nr_indirect, 1);
    assert_int_equal(out.indirect[0], 77);
    assert_int_equal(vbd_req_segments(&out, &disk, segs), BLKIF_RSP_OKAY);
    for (i = 0; i < VBD_MAX_INDIRECT; i++)
        segs[i].last_sect = 7;
    assert_int_equal(vbd_req_segments(&out, &disk, segs), BLKIF_RSP_ERROR);
}

static void test_discard(void **state)
{
    struct blkif_request r = {0};
    struct blkif_request_discard *d = (void *)&r;
    static const struct vbd_limits none = {.sectors = 1000};

    (void)state;
    d->operation = BLKIF_OP_DISCARD;
    d->sector_number = 10;
    d->nr_sectors = 990;
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_OKAY);
    d->nr_sectors = 991;
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
    d->nr_sectors = UINT64_MAX - 9;
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_ERROR);
    d->nr_sectors = 1;
    assert_int_equal(parse(&r, &none), BLKIF_RSP_EOPNOTSUPP);
    d->flag = BLKIF_DISCARD_SECURE;
    assert_int_equal(parse(&r, &disk), BLKIF_RSP_EOPNOTSUPP);
}

static void test_unknown(void **state)
{
    unsigned int op;

    (void)state;
    for (op = 4; op < 256; op++) {
        struct blkif_request r = request((uint8_t)op, 1, 0);

        if (op != BLKIF_OP_DISCARD && op != BLKIF_OP_INDIRECT)
            assert_int_equal(parse(&r, &disk), BLKIF_RSP_EOPNOTSUPP);
    }
}

/* Random bytes: whatever passes is within the disk and its pages. */
static void test_random(void **state)
{
    union {
        struct blkif_request r;
        unsigned char bytes[sizeof(struct blkif_request)];
    } u;
    unsigned int i, n, good = 0;

    (void)state;
    srand(1);
    for (n = 0; n < 300000; n++) {
        for (i = 0; i < sizeof(u.bytes); i++)
            u.bytes[i] = rand() & 1 ? (unsigned char)(rand() % 9)
                                    : (unsigned char)rand();
        if (n & 1)
            u.r.sector_number = (uint64_t)rand() % 1100;
        if (parse(&u.r, &disk) || out.nr_indirect)
            continue;
        good++;
        assert_true(out.sector <= 1000 && out.nr_sectors <= 1000 - out.sector);
        assert_true(out.nr_segs <= BLKIF_MAX_SEGMENTS_PER_REQUEST);
        for (i = 0; i < out.nr_segs; i++)
            assert_in_range(out.seg[i].offset + out.seg[i].len, 512, 4096);
    }
    assert_true(good > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_beyond_the_disk),
        cmocka_unit_test(test_bad_segments),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_indirect),
        cmocka_unit_test(test_discard),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
