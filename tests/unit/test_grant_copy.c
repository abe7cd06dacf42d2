/* SPDX-License-Identifier: MIT */
/* Grants copied from and to, and batches of grant operations. */
#include "tests/unit/grant_fixture.h"

/* ---- copying ---- */

static int copy(struct caller c, struct gnttab_copy *op)
{
    op->status = 99;
    assert_int_equal(fx_grant(c, GNTTABOP_copy, op, 1), 0);
    return op->status;
}

/* All four kinds of ends, by domain 2 with domain 1's grants. */
static void test_copy_all_ends(void **state)
{
    struct caller g = fx_guest(2);

    (void)state;
    grant(1, 8, 2, 5, GTF_permit_access | GTF_readonly);
    grant(1, 9, 2, 6, GTF_permit_access);
    for (int flags = 0; flags < 4; flags++) {
        bool sg = flags & GNTCOPY_source_gref, dg = flags & GNTCOPY_dest_gref;
        uint8_t *src = sg ? page(1, 5) : page(2, 7);
        uint8_t *dst = dg ? page(1, 6) : page(2, 8);
        struct gnttab_copy op = {.len = 100, .flags = flags};

        op.source.domid = sg ? 1 : DOMID_SELF;
        op.source.u.gmfn = sg ? 8 : 7;
        op.source.offset = 4096 - 100;
        op.dest.domid = dg ? 1 : DOMID_SELF;
        op.dest.u.gmfn = dg ? 9 : 8;
        op.dest.offset = 3;
        memset(src, 0, FRAME_SIZE);
        memset(dst, 0xee, FRAME_SIZE);
        for (int i = 0; i < 100; i++)
            src[4096 - 100 + i] = i + flags;
        assert_int_equal(copy(g, &op), GNTST_okay);
        assert_memory_equal(dst + 3, src + 4096 - 100, 100);
        assert_int_equal(dst[2], 0xee);
        assert_int_equal(dst[103], 0xee);
    }
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access | GTF_readonly);
    assert_int_equal(entry(1, 9)->flags, GTF_permit_access);
    assert_int_equal(fx.doms[1]->refs, 1);
}

static void test_copy_by_connection(void **state)
{
    uint8_t *arena = aligned_alloc(FRAME_SIZE, 2 * FRAME_SIZE);
    struct gnttab_copy op = {.len = FRAME_SIZE - 8,
                             .flags = GNTCOPY_source_gref};

    (void)state;
    grant(1, 8, 0, 5, GTF_permit_access);
    memset(page(1, 5), 0x5a, FRAME_SIZE);
    memset(arena, 0, 2 * FRAME_SIZE);
    op.source.domid = 1;
    op.source.u.ref = 8;
    op.dest.domid = DOMID_SELF;
    op.dest.u.gmfn = (uintptr_t)arena >> 12;
    op.dest.offset = 8;
    assert_int_equal(copy(fx_conn(&conn), &op), 0);
    assert_int_equal(arena[7], 0);
    assert_int_equal(arena[8], 0x5a);
    assert_int_equal(arena[FRAME_SIZE - 1], 0x5a);
    assert_int_equal(arena[FRAME_SIZE], 0);

    arena[8] = 1;
    op.flags = GNTCOPY_dest_gref;
    op.source = op.dest;
    op.dest.domid = 1;
    op.dest.u.ref = 8;
    op.dest.offset = 0;
    assert_int_equal(copy(fx_conn(&conn), &op), 0);
    assert_int_equal(page(1, 5)[0], 1);
    op.source.u.gmfn = 0; /* not in the arena */
    assert_int_equal(copy(fx_conn(&conn), &op), GNTST_bad_page);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access);

    op.flags = 0; /* arena to arena */
    op.source.u.gmfn = (uintptr_t)arena >> 12;
    op.dest.domid = DOMID_SELF;
    op.dest.u.gmfn = op.source.u.gmfn + 1;
    assert_int_equal(copy(fx_conn(&conn), &op), 0);
    assert_int_equal(arena[FRAME_SIZE], 1);
    free(arena);
}

static void test_copy_refusals(void **state)
{
    struct caller g = fx_guest(2);
    const struct gnttab_copy good = {
        .source = {.u.ref = 8, .domid = 1},
        .dest = {.u.gmfn = 7, .domid = DOMID_SELF},
        .len = 16,
        .flags = GNTCOPY_source_gref,
    };
    struct gnttab_copy op = good;

    (void)state;
    grant(1, 8, 2, 5, GTF_permit_access | GTF_readonly);
    assert_int_equal(copy(g, &op), 0);
    op.source.offset = 4081;
    assert_int_equal(copy(g, &op), GNTST_bad_copy_arg);
    op = good;
    op.dest.offset = 4081;
    assert_int_equal(copy(g, &op), GNTST_bad_copy_arg);
    op = good;
    op.len = 4097;
    assert_int_equal(copy(g, &op), GNTST_bad_copy_arg);
    op = good;
    op.source.offset = op.len = UINT16_MAX;
    assert_int_equal(copy(g, &op), GNTST_bad_copy_arg);
    op = good;
    op.source.domid = 7;
    assert_int_equal(copy(g, &op), GNTST_bad_domain);
    op = good;
    op.source.u.ref = 100000;
    assert_int_equal(copy(g, &op), GNTST_bad_gntref);
    op = good;
    op.dest.domid = 1; /* a frame by number, but not one's own */
    assert_int_equal(copy(g, &op), GNTST_permission_denied);
    op = good;
    op.dest.u.gmfn = FX_GNTTAB; /* hv's */
    assert_int_equal(copy(g, &op), GNTST_bad_page);
    op = good;
    op.dest.u.gmfn = UINT64_MAX;
    assert_int_equal(copy(g, &op), GNTST_bad_page);
    op = good;
    op.dest = (struct gnttab_copy_ptr){.u.ref = 8, .domid = 1};
    op.flags |= GNTCOPY_dest_gref; /* granted for reading only */
    assert_int_equal(copy(g, &op), GNTST_general_error);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access | GTF_readonly);
    assert_false(grant_is_pinned(grant_active_entry(fx.doms[1], 8)));
}

/* 226: a transitive grant, which could lead to the next, is no grant. */
static void xsa226_no_transitive_copy(void **state)
{
    struct gnttab_copy op = {
        .source = {.u.ref = 8, .domid = 1},
        .dest = {.u.gmfn = 7, .domid = DOMID_SELF},
        .len = 16,
        .flags = GNTCOPY_source_gref,
    };

    (void)state;
    grant(1, 8, 2, 8, GTF_transitive);
    assert_int_equal(copy(fx_guest(2), &op), GNTST_general_error);
}

/* 448's neighbour: a copy of no bytes is fine and leaves no pin. */
static void test_copy_of_nothing(void **state)
{
    struct gnttab_copy op = {
        .source = {.u.ref = 8, .domid = 1, .offset = 4096},
        .dest = {.u.gmfn = 7, .domid = DOMID_SELF},
        .flags = GNTCOPY_source_gref,
    };

    (void)state;
    grant(1, 8, 2, 5, GTF_permit_access);
    assert_int_equal(copy(fx_guest(2), &op), 0);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access);
}

/* ---- batches ---- */

/* 318: an element that fails does not end the batch, or its result. */
static void xsa318_batch_goes_on(void **state)
{
    static struct gnttab_copy op[500];

    (void)state;
    grant(1, 8, 2, 5, GTF_permit_access);
    for (int i = 0; i < 500; i++) {
        op[i] = (struct gnttab_copy){
            .source = {.u.ref = i % 3 ? 8 : 9, .domid = 1},
            .dest = {.u.gmfn = i % 7 ? 7 : FX_SHARED, .domid = DOMID_SELF},
            .len = 1,
            .flags = GNTCOPY_source_gref,
            .status = 99,
        };
    }
    assert_int_equal(fx_grant(fx_guest(2), GNTTABOP_copy, op, 500), 0);
    for (int i = 0; i < 500; i++)
        assert_int_equal(op[i].status, i % 3 == 0   ? GNTST_general_error
                                       : i % 7 == 0 ? GNTST_bad_page
                                                    : GNTST_okay);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access);
}

/* What lies before a hole in the guest's memory is served, then -EFAULT. */
static void test_batch_into_a_hole(void **state)
{
    static struct gnttab_map_grant_ref op[40];

    (void)state;
    for (int i = 0; i < 40; i++) {
        grant(1, i, 0, 5, GTF_permit_access);
        op[i] = (struct gnttab_map_grant_ref){
            .flags = GNTMAP_host_map, .ref = i, .dom = 1, .status = 99};
    }
    fx.fault_lo = (uintptr_t)&op[37];
    fx.fault_hi = fx.fault_lo + sizeof(op[0]);
    assert_int_equal(fx_grant(fx_conn(&conn), GNTTABOP_map_grant_ref, op, 40),
                     -EFAULT);
    fx.fault_lo = fx.fault_hi = 0;
    for (int i = 0; i < 40; i++)
        assert_int_equal(op[i].status, i < 37 ? 0 : 99);
    assert_int_equal(conn.grants.in_use, 37);
}

/* A batch of a domain that is being destroyed does not hold that up. */
static void test_batch_ends_with_the_domain(void **state)
{
    static struct gnttab_copy op[500];

    (void)state;
    for (int i = 0; i < 500; i++)
        op[i].status = 99;
    fx.doms[2]->state = DOMAIN_DYING;
    assert_int_equal(fx_grant(fx_guest(2), GNTTABOP_copy, op, 500), -EINTR);
    assert_int_equal(op[499].status, 99);
    fx.doms[2]->state = DOMAIN_ALIVE;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_copy_all_ends),     T(test_copy_by_connection),
        T(test_copy_refusals),     T(xsa226_no_transitive_copy),
        T(test_copy_of_nothing),   T(xsa318_batch_goes_on),
        T(test_batch_into_a_hole), T(test_batch_ends_with_the_domain),
    };

    return cmocka_run_group_tests_name("grant_copy", tests, NULL, NULL);
}
