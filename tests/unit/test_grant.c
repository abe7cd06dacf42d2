/* SPDX-License-Identifier: MIT */
/*
 * Grants, one caller at a time: what may be mapped and what not,
 * with Xen's statuses; that pins and the flags the guest sees are paired; that
 * a guest which changes its entries gains nothing; that a connection or a
 * domain which goes away leaves nothing behind.
 */
#include "tests/unit/grant_fixture.h"

/* ---- table ---- */

static void test_setup_table_grows(void **state)
{
    uint64_t list[FX_GNTTAB_NR + 1] = {0};
    struct gnttab_setup_table op = {.dom = DOMID_SELF, .nr_frames = 3};
    struct gnttab_query_size qs = {.dom = DOMID_SELF};

    (void)state;
    op.frame_list.p = (void *)list;
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_query_size, &qs, 1), 0);
    assert_int_equal(qs.status, GNTST_okay);
    assert_int_equal(qs.nr_frames, 1);
    assert_int_equal(qs.max_nr_frames, FX_GNTTAB_NR);
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_setup_table, &op, 1), 0);
    assert_int_equal(op.status, GNTST_okay);
    for (int i = 0; i < 3; i++)
        assert_int_equal(list[i], FX_GNTTAB + i);
    assert_int_equal(list[3], 0);
    fx_grant(fx_guest(1), GNTTABOP_query_size, &qs, 1);
    assert_int_equal(qs.nr_frames, 3);

    op.nr_frames = FX_GNTTAB_NR + 1;
    fx_grant(fx_guest(1), GNTTABOP_setup_table, &op, 1);
    assert_int_equal(op.status, GNTST_general_error);
    op.nr_frames = UINT32_MAX;
    fx_grant(fx_guest(1), GNTTABOP_setup_table, &op, 1);
    assert_int_equal(op.status, GNTST_general_error);
    op.nr_frames = 2;
    op.frame_list.p = NULL;
    fx_grant(fx_guest(1), GNTTABOP_setup_table, &op, 1);
    assert_int_equal(op.status, GNTST_bad_virt_addr);
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_setup_table, &op, 2),
                     -EINVAL);
}

static void test_whose_table(void **state)
{
    uint64_t list[1];
    struct gnttab_setup_table op = {.dom = 2, .nr_frames = 1};
    struct gnttab_query_size qs = {.dom = 2};
    struct gnttab_get_version gv = {.dom = 2};
    struct gnttab_get_status_frames sf = {.dom = 2};
    struct gnttab_dump_table dt = {.dom = 2};

    (void)state;
    op.frame_list.p = (void *)list;
    fx_grant(fx_guest(1), GNTTABOP_setup_table, &op, 1);
    assert_int_equal(op.status, GNTST_permission_denied);
    fx_grant(fx_guest(1), GNTTABOP_query_size, &qs, 1);
    assert_int_equal(qs.status, GNTST_permission_denied);
    fx_grant(fx_guest(1), GNTTABOP_get_status_frames, &sf, 1);
    assert_int_equal(sf.status, GNTST_permission_denied);
    fx_grant(fx_guest(1), GNTTABOP_dump_table, &dt, 1);
    assert_int_equal(dt.status, GNTST_permission_denied);
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_get_version, &gv, 1),
                     -EPERM);
    fx_grant(fx_conn(&conn), GNTTABOP_setup_table, &op, 1);
    assert_int_equal(op.status, GNTST_okay);
    assert_int_equal(list[0], FX_GNTTAB);
    op.dom = qs.dom = gv.dom = 7;
    fx_grant(fx_conn(&conn), GNTTABOP_setup_table, &op, 1);
    assert_int_equal(op.status, GNTST_bad_domain);
    fx_grant(fx_conn(&conn), GNTTABOP_query_size, &qs, 1);
    assert_int_equal(qs.status, GNTST_bad_domain);
    assert_int_equal(fx_grant(fx_conn(&conn), GNTTABOP_get_version, &gv, 1),
                     -ESRCH);
    dt.dom = DOMID_SELF;
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_dump_table, &dt, 1), 0);
    assert_int_equal(dt.status, GNTST_okay);
    assert_int_equal(fx.logged, 1);
}

/* 18/134, 26/255/379/384, 382: version 2 and its status frames don't exist. */
static void xsa255_only_version_1(void **state)
{
    struct gnttab_set_version sv = {.version = 2};
    struct gnttab_get_version gv = {.dom = DOMID_SELF};
    struct gnttab_get_status_frames sf = {.dom = DOMID_SELF, .nr_frames = 1};

    (void)state;
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_set_version, &sv, 1),
                     -ENOSYS);
    assert_int_equal(sv.version, 1);
    sv.version = 3;
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_set_version, &sv, 1),
                     -EINVAL);
    assert_int_equal(sv.version, 1);
    grant(1, 0, 0, 5, GTF_permit_access);
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_set_version, &sv, 1), 0);
    assert_int_equal(entry(1, 0)->frame, 5); /* the table is left as it is */
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_get_version, &gv, 1), 0);
    assert_int_equal(gv.version, 1);
    fx_grant(fx_guest(1), GNTTABOP_get_status_frames, &sf, 1);
    assert_int_equal(sf.status, GNTST_general_error);
    sf.nr_frames = 0;
    fx_grant(fx_guest(1), GNTTABOP_get_status_frames, &sf, 1);
    assert_int_equal(sf.status, GNTST_okay);
}

static void test_unknown_ops(void **state)
{
    uint64_t junk[16] = {0};
    struct gnttab_transfer tr = {.mfn = 1, .domid = 2, .status = 99};

    (void)state;
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_cache_flush, junk, 1), 0);
    assert_int_equal(fx_grant(fx_guest(1), 13, junk, 1), -ENOSYS);
    assert_int_equal(fx_grant(fx_guest(1), UINT32_MAX, junk, 1), -ENOSYS);
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_map_grant_ref, NULL, 1),
                     -EFAULT);
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_map_grant_ref, NULL, 0), 0);
    assert_int_equal(
        fx_grant(fx_guest(1), GNTTABOP_map_grant_ref, junk, UINT32_MAX),
        -EINVAL);
    /* The page stays its owner's only if this is what it is told. */
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_transfer, &tr, 1), 0);
    assert_int_equal(tr.status, GNTST_bad_page);
}

static void test_seed(void **state)
{
    struct domain *d = fx.doms[1];

    (void)state;
    assert_int_equal(gnttab_seed(d, GNTTAB_RESERVED_XENSTORE, 0, 9), 0);
    assert_int_equal(entry(1, 1)->flags, GTF_permit_access);
    assert_int_equal(entry(1, 1)->domid, 0);
    assert_int_equal(entry(1, 1)->frame, 9);
    assert_int_equal(gnttab_seed(d, 1, 0, FX_OWN), -EINVAL);
    assert_int_equal(gnttab_seed(d, 1, 0, 1ull << 32), -EINVAL);
    assert_int_equal(gnttab_seed(d, GRANTS_PER_FRAME, 0, 9), -EINVAL);
    assert_int_equal(map(fx_conn(&conn), 1, 1, GNTMAP_host_map, 0).status, 0);
    assert_int_equal(gnttab_seed(d, 1, 0, 9), -EINVAL); /* in use */
}

static void test_swap(void **state)
{
    struct gnttab_swap_grant_ref op[3] = {
        {.ref_a = 3, .ref_b = 4}, {.ref_a = 3, .ref_b = 3}, {.ref_a = 3}};
    struct gnttab_map_grant_ref m;

    (void)state;
    op[2].ref_b = GRANTS_IN_TABLE;
    grant(1, 3, 0, 5, GTF_permit_access);
    grant(1, 4, 2, 6, GTF_permit_access | GTF_readonly);
    assert_int_equal(fx_grant(fx_guest(1), GNTTABOP_swap_grant_ref, op, 3), 0);
    assert_int_equal(op[0].status, GNTST_okay);
    assert_int_equal(op[1].status, GNTST_okay);
    assert_int_equal(op[2].status, GNTST_bad_gntref);
    assert_int_equal(entry(1, 3)->frame, 6);
    assert_int_equal(entry(1, 4)->frame, 5);
    m = map(fx_conn(&conn), 1, 4, GNTMAP_host_map, 0);
    assert_int_equal(m.status, 0);
    fx_grant(fx_guest(1), GNTTABOP_swap_grant_ref, op, 1);
    assert_int_equal(op[0].status, GNTST_eagain);
    assert_int_equal(unmap(fx_conn(&conn), m.handle, 0, 0), 0);
}

/* ---- mapping by a connection ---- */

static void test_conn_map_and_unmap(void **state)
{
    struct caller c = fx_conn(&conn);
    struct gnttab_map_grant_ref m;

    (void)state;
    grant(1, 8, 0, 5, GTF_permit_access);
    m = map(c, 1, 8, GNTMAP_host_map, 0);
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(m.dev_bus_addr, 5 << 12);
    assert_int_equal(entry(1, 8)->flags,
                     GTF_permit_access | GTF_reading | GTF_writing);
    assert_int_equal(unmap(c, m.handle, 0, 0), GNTST_okay);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access);
    assert_int_equal(unmap(c, m.handle, 0, 0), GNTST_bad_handle);
    assert_int_equal(unmap(c, 512, 0, 0), GNTST_bad_handle);
    assert_int_equal(unmap(c, UINT32_MAX, 0, 0), GNTST_bad_handle);
}

static void test_map_refusals(void **state)
{
    struct caller c = fx_conn(&conn);

    (void)state;
    grant(1, 1, 0, 5, GTF_permit_access);
    grant(1, 2, 2, 5, GTF_permit_access);
    grant(1, 3, 0, 5, GTF_permit_access | GTF_readonly);
    grant(1, 4, 0, FX_SHARED, GTF_permit_access);
    grant(1, 5, 0, UINT32_MAX, GTF_permit_access);
    grant(1, 6, 0, 5, GTF_accept_transfer);
    grant(1, 7, 0, 5, GTF_transitive);
    grant(1, 8, 0, 5, GTF_permit_access | GTF_sub_page);

    assert_int_equal(map(c, 1, 1, 0, 0).status, GNTST_bad_gntref);
    assert_int_equal(map(c, 7, 1, GNTMAP_host_map, 0).status, GNTST_bad_domain);
    assert_int_equal(map(c, DOMID_SELF, 1, GNTMAP_host_map, 0).status,
                     GNTST_bad_domain);
    assert_int_equal(map(c, 1, 2, GNTMAP_host_map, 0).status,
                     GNTST_general_error);
    assert_int_equal(map(c, 1, 0, GNTMAP_host_map, 0).status,
                     GNTST_general_error);
    assert_int_equal(map(c, 1, 3, GNTMAP_host_map, 0).status,
                     GNTST_general_error);
    assert_int_equal(map(c, 1, 4, GNTMAP_host_map, 0).status, GNTST_bad_page);
    assert_int_equal(map(c, 1, 5, GNTMAP_host_map, 0).status, GNTST_bad_page);
    for (grant_ref_t ref = 6; ref <= 8; ref++)
        assert_int_equal(map(c, 1, ref, GNTMAP_host_map, 0).status,
                         GNTST_general_error);
    assert_int_equal(map(c, 1, GRANTS_PER_FRAME, GNTMAP_host_map, 0).status,
                     GNTST_bad_gntref);
    assert_int_equal(map(c, 1, UINT32_MAX, GNTMAP_host_map, 0).status,
                     GNTST_bad_gntref);
    assert_int_equal(map(c, 0, 1, GNTMAP_host_map, 0).status, GNTST_bad_gntref);
    /* A refusal leaves no mark. */
    assert_int_equal(entry(1, 3)->flags, GTF_permit_access | GTF_readonly);
    assert_int_equal(entry(1, 4)->flags, GTF_permit_access);
    assert_int_equal(conn.grants.in_use, 0);
}

/* Flags follow the pins: writing goes with the last writer, then reading. */
static void test_flags_follow_pins(void **state)
{
    struct caller c = fx_conn(&conn);
    struct gnttab_map_grant_ref r1, r2, w1, w2;

    (void)state;
    grant(1, 8, 0, 5, GTF_permit_access);
    r1 = map(c, 1, 8, GNTMAP_host_map | GNTMAP_readonly, 0);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access | GTF_reading);
    w1 = map(c, 1, 8, GNTMAP_host_map, 0);
    w2 = map(c, 1, 8, GNTMAP_device_map, 0);
    r2 = map(c, 1, 8, GNTMAP_device_map | GNTMAP_readonly, 0);
    assert_int_equal(r1.status | r2.status | w1.status | w2.status, 0);
    assert_int_equal(unmap(c, w1.handle, 0, 0), 0);
    assert_int_equal(entry(1, 8)->flags,
                     GTF_permit_access | GTF_reading | GTF_writing);
    assert_int_equal(unmap(c, w2.handle, 0, 0), 0);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access | GTF_reading);
    assert_int_equal(unmap(c, r1.handle, 0, 0), 0);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access | GTF_reading);
    assert_int_equal(unmap(c, r2.handle, 0, 0), 0);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access);
}

/* What counts after the first pin is hv's record, not the guest's entry. */
static void test_entry_changed_under_a_pin(void **state)
{
    struct caller c = fx_conn(&conn);
    struct gnttab_map_grant_ref r, again;

    (void)state;
    grant(1, 8, 0, 5, GTF_permit_access);
    r = map(c, 1, 8, GNTMAP_host_map | GNTMAP_readonly, 0);
    assert_int_equal(r.status, 0);
    entry(1, 8)->frame = 6;
    again = map(c, 1, 8, GNTMAP_host_map | GNTMAP_readonly, 0);
    assert_int_equal(again.dev_bus_addr, 5 << 12);
    entry(1, 8)->domid = 2;
    assert_int_equal(map(fx_guest(2), 1, 8, GNTMAP_host_map, 0x1000).status,
                     GNTST_general_error);
    assert_int_equal(map(c, 1, 8, GNTMAP_host_map, 0).status,
                     GNTST_general_error); /* write access is asked for anew */
    entry(1, 8)->flags = 0;
    entry(1, 8)->domid = 0;
    assert_int_equal(unmap(c, r.handle, 0, 0), 0);
    assert_int_equal(unmap(c, again.handle, 0, 0), 0);
    assert_int_equal(entry(1, 8)->flags, 0);
    assert_int_equal(map(c, 1, 8, GNTMAP_host_map, 0).status,
                     GNTST_general_error);
}

/* 230/236: pins are counted to an end and refused beyond, never wrapped. */
static void xsa236_pin_overflow(void **state)
{
    struct caller c = fx_conn(&conn);
    grant_handle_t handles[GNTPIN_MAX];

    (void)state;
    grant(1, 8, 0, 5, GTF_permit_access);
    for (int i = 0; i < GNTPIN_MAX; i++) {
        struct gnttab_map_grant_ref m = map(c, 1, 8, GNTMAP_host_map, 0);

        assert_int_equal(m.status, 0);
        handles[i] = m.handle;
    }
    assert_int_equal(map(c, 1, 8, GNTMAP_host_map, 0).status,
                     GNTST_general_error);
    assert_int_equal(
        map(c, 1, 8, GNTMAP_host_map | GNTMAP_device_map, 0).status,
        GNTST_general_error);
    for (int i = 0; i < GNTPIN_MAX; i++)
        assert_int_equal(unmap(c, handles[i], 0, 0), 0);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access);
}

/* 224: both kinds of one mapping are dropped once each, in any order. */
static void xsa224_map_unmap_pairing(void **state)
{
    struct caller g = fx_guest(2);
    struct active_entry *act = grant_active_entry(fx.doms[1], 8);
    struct gnttab_map_grant_ref m;

    (void)state;
    grant(1, 8, 2, 5, GTF_permit_access);
    for (int order = 0; order < 2; order++) {
        m = map(g, 1, 8, GNTMAP_host_map | GNTMAP_device_map, 0x3000);
        assert_int_equal(m.status, 0);
        assert_int_equal(act->pins[GNTPIN_HOST_W], 1);
        assert_int_equal(act->pins[GNTPIN_DEV_W], 1);
        assert_int_equal(unmap(g, m.handle, 0, 0), 0); /* names neither */
        assert_int_equal(unmap(g, m.handle, 0, 0x1000), GNTST_bad_dev_addr);
        assert_int_equal(act->pins[GNTPIN_DEV_W], 1);
        assert_int_equal(
            unmap(g, m.handle, order ? 0x3000 : 0, order ? 0 : m.dev_bus_addr),
            0);
        assert_int_equal(act->pins[GNTPIN_HOST_W], !order);
        assert_int_equal(act->pins[GNTPIN_DEV_W], order);
        assert_int_equal(windows_used(2), 1);
        /* The kind that is gone is ignored, the other one goes. */
        assert_int_equal(unmap(g, m.handle, order ? 0 : 0x3000, m.dev_bus_addr),
                         0);
        assert_false(grant_is_pinned(act));
        assert_int_equal(windows_used(2), 0);
        assert_int_equal(unmap(g, m.handle, 0x3000, 0), GNTST_bad_handle);
    }
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access);
}

static void test_maptrack_limit(void **state)
{
    struct caller c = fx_conn(&conn);
    struct gnttab_map_grant_ref m = {0};
    grant_handle_t last = 0;

    (void)state;
    for (grant_ref_t ref = 0; ref < GRANTS_PER_FRAME; ref++)
        grant(1, ref, 0, 5, GTF_permit_access);
    for (unsigned int i = 0; i < 2 * MAPTRACK_PER_FRAME; i++) {
        m = map(c, 1, i, GNTMAP_host_map, 0);
        assert_int_equal(m.status, 0);
        last = m.handle;
    }
    grant(1, 0, 0, 5, GTF_permit_access);
    assert_int_equal(map(c, 1, 0, GNTMAP_host_map, 0).status, GNTST_no_space);
    assert_int_equal(unmap(c, last, 0, 0), 0);
    assert_int_equal(map(c, 1, 0, GNTMAP_host_map, 0).status, 0);
}

static void test_owner_close_unmaps_its_own(void **state)
{
    struct privcmd_conn other;
    struct gnttab_map_grant_ref mine, theirs;

    (void)state;
    grant(1, 8, 0, 5, GTF_permit_access);
    grant(1, 9, 0, 6, GTF_permit_access);
    fx_conn_open(&other);
    theirs = map(fx_conn(&other), 1, 8, GNTMAP_host_map, 0);
    mine = map(fx_conn(&conn), 1, 8, GNTMAP_host_map | GNTMAP_readonly, 0);
    assert_int_equal(mine.status | theirs.status, 0);
    assert_int_equal(map(fx_conn(&other), 1, 9, GNTMAP_host_map, 0).status, 0);
    fx_conn_close(&other);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access | GTF_reading);
    assert_int_equal(entry(1, 9)->flags, GTF_permit_access);
    assert_int_equal(unmap(fx_conn(&conn), mine.handle, 0, 0), 0);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access);
}

/* ---- mapping by a guest ---- */

static void test_guest_map_by_address(void **state)
{
    struct caller g = fx_guest(2);
    struct gnttab_map_grant_ref m;
    uint64_t pte;

    (void)state;
    grant(1, 8, 2, 5, GTF_permit_access | GTF_readonly);
    m = map(g, 1, 8,
            GNTMAP_host_map | GNTMAP_readonly | GNTMAP_application_map |
                1u << _GNTMAP_guest_avail0,
            0x3000);
    assert_int_equal(m.status, 0);
    assert_int_equal(m.dev_bus_addr, FX_WINDOW << 12);
    assert_ptr_equal(fx.window[2][0].rd, fx.doms[1]);
    assert_int_equal(fx.window[2][0].rgfn, 5);
    assert_true(fx.window[2][0].readonly);
    pte = pte_of(2, 0x3000);
    /* present, user, accessed, dirty, avail bit 9, not writable */
    assert_int_equal(pte, FX_WINDOW << 12 | 1 | 4 | 0x20 | 0x40 | 0x200);
    assert_int_equal(unmap(g, m.handle, 0x4000, 0), GNTST_general_error);
    ((uint64_t *)page(2, FX_PT))[5] = 7 << 12 | 1; /* of another page */
    assert_int_equal(unmap(g, m.handle, 0x5000, 0), GNTST_general_error);
    assert_int_equal(unmap(g, m.handle, 512 << 12, 0), GNTST_general_error);
    assert_int_equal(windows_used(2), 1);
    assert_int_equal(unmap(g, m.handle, 0x3000, 0), 0);
    assert_int_equal(pte_of(2, 0x3000), 0);
    assert_int_equal(windows_used(2), 0);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access | GTF_readonly);
}

/* A page that the guest sees through its TLB gives way to the granted one. */
static void test_guest_map_over_a_page(void **state)
{
    struct caller g = fx_guest(2);

    (void)state;
    grant(1, 8, 2, 5, GTF_permit_access);
    assert_int_equal(map(g, 1, 8, GNTMAP_host_map, 0x3000).status, 0);
    assert_int_equal(fx.flushes, 0);
    ((uint64_t *)page(2, FX_PT))[4] = 7 << 12 | 1;
    assert_int_equal(map(g, 1, 8, GNTMAP_host_map, 0x4000).status, 0);
    assert_int_equal(fx.flushes, 1);
}

static void test_guest_map_failures_undo(void **state)
{
    struct caller g = fx_guest(2);
    uint32_t pte = GNTMAP_host_map | GNTMAP_contains_pte;

    (void)state;
    grant(1, 8, 2, 5, GTF_permit_access);
    assert_int_equal(map(g, 1, 8, GNTMAP_host_map, 512 << 12).status,
                     GNTST_general_error); /* no L1 table there */
    assert_int_equal(map(g, 1, 8, pte, FX_SHARED << 12).status,
                     GNTST_general_error); /* not in the guest's memory */
    assert_int_equal(map(g, 1, 8, pte, UINT64_MAX & ~7ull).status,
                     GNTST_general_error);
    fx.pte_rc = -EINVAL;
    assert_int_equal(map(g, 1, 8, GNTMAP_host_map, 0x3000).status,
                     GNTST_general_error);
    fx.pte_rc = 0;
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access);
    assert_int_equal(windows_used(2), 0);
    for (int i = 0; i < FX_WINDOW_NR; i++)
        assert_int_equal(map(g, 1, 8, GNTMAP_device_map, 0).status, 0);
    assert_int_equal(map(g, 1, 8, GNTMAP_device_map, 0).status, GNTST_no_space);
}

static int replace(struct caller c, grant_handle_t handle, uint64_t addr,
                   uint64_t new_addr)
{
    struct gnttab_unmap_and_replace op = {
        .host_addr = addr, .new_addr = new_addr, .handle = handle};

    assert_int_equal(fx_grant(c, GNTTABOP_unmap_and_replace, &op, 1), 0);
    return op.status;
}

static void test_unmap_and_replace(void **state)
{
    uint64_t *l1 = domain_frame(fx.doms[2], FX_PT);
    struct caller g = fx_guest(2);
    uint32_t with_pte = GNTMAP_host_map | GNTMAP_contains_pte;
    struct gnttab_map_grant_ref m, other;

    (void)state;
    grant(1, 8, 2, 5, GTF_permit_access);
    m = map(g, 1, 8, GNTMAP_host_map, 0x3000);
    l1[7] = 9 << 12 | 0x63;
    assert_int_equal(replace(g, m.handle + 1, 0x3000, 0x7000),
                     GNTST_bad_handle);
    assert_int_equal(replace(g, m.handle, 0x4000, 0x7000), GNTST_general_error);
    assert_int_equal(replace(g, m.handle, 0x3000, 0x3000), GNTST_general_error);
    assert_int_equal(replace(g, m.handle, 0x3000, 512 << 12),
                     GNTST_general_error);
    assert_int_equal(windows_used(2), 1);
    assert_int_equal(replace(g, m.handle, 0x3000, 0x7000), GNTST_okay);
    assert_int_equal(l1[3], 9 << 12 | 0x63);
    assert_int_equal(l1[7], 0);
    assert_int_equal(windows_used(2), 0);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access);
    assert_int_equal(replace(g, m.handle, 0x3000, 0x7000), GNTST_bad_handle);

    m = map(g, 1, 8, GNTMAP_host_map, 0x3000);
    assert_int_equal(replace(g, m.handle, 0x3000, 0), GNTST_okay);
    assert_int_equal(l1[3], 0);
    m = map(g, 1, 8, with_pte, FX_PT * FRAME_SIZE + 24);
    assert_int_equal(replace(g, m.handle, FX_PT * FRAME_SIZE + 24, 0x7000),
                     GNTST_general_error);
    grant(1, 9, 0, 6, GTF_permit_access);
    other = map(fx_conn(&conn), 1, 9, GNTMAP_host_map, 0);
    assert_int_equal(replace(fx_conn(&conn), other.handle, 0, 0),
                     GNTST_general_error); /* no tables, nothing to move */
    assert_int_equal(unmap(fx_conn(&conn), other.handle, 0, 0), 0);
}

/* 227: a page-table entry is eight bytes, aligned. */
static void xsa227_misaligned_pte(void **state)
{
    struct caller g = fx_guest(2);
    uint64_t at = FX_PT * FRAME_SIZE + 64;
    struct gnttab_map_grant_ref m;
    uint32_t how = GNTMAP_host_map | GNTMAP_contains_pte;

    (void)state;
    grant(1, 8, 2, 5, GTF_permit_access);
    for (uint64_t off = 1; off < 8; off++)
        assert_int_equal(map(g, 1, 8, how, at + off).status,
                         GNTST_general_error);
    m = map(g, 1, 8, how, at);
    assert_int_equal(m.status, 0);
    assert_int_equal(pte_of(2, 8 << 12) >> 12, FX_WINDOW);
    assert_int_equal(unmap(g, m.handle, at + 4, 0), GNTST_general_error);
    assert_int_equal(unmap(g, m.handle, at, 0), 0);
    assert_int_equal(pte_of(2, 8 << 12), 0);
}

/* ---- death ---- */

static void test_granter_dies_mapped(void **state)
{
    struct domain *d = fx.doms[1];
    struct gnttab_map_grant_ref m, w;

    (void)state;
    grant(1, 8, 0, 5, GTF_permit_access);
    grant(1, 9, 2, 6, GTF_permit_access);
    m = map(fx_conn(&conn), 1, 8, GNTMAP_host_map, 0);
    w = map(fx_guest(2), 1, 9, GNTMAP_host_map, 0x3000);
    assert_int_equal(m.status | w.status, 0);
    fx_kill(d);
    assert_int_equal(fx.freed, 0);
    ((uint8_t *)domain_frame(d, 5))[7] = 1; /* still there */
    assert_int_equal(map(fx_conn(&conn), 1, 8, GNTMAP_host_map, 0).status,
                     GNTST_bad_domain);
    assert_int_equal(unmap(fx_conn(&conn), m.handle, 0, 0), 0);
    assert_int_equal(fx.freed, 0);
    assert_int_equal(unmap(fx_guest(2), w.handle, 0x3000, 0), 0);
    assert_int_equal(fx.freed, 1);
}

static void test_grantee_dies_mapped(void **state)
{
    (void)state;
    grant(1, 8, 2, 5, GTF_permit_access);
    grant(2, 8, 1, 5, GTF_permit_access); /* and the other way: no cycle */
    grant(2, 9, 2, 5, GTF_permit_access); /* and its own */
    assert_int_equal(map(fx_guest(2), 1, 8, GNTMAP_host_map, 0x3000).status, 0);
    assert_int_equal(map(fx_guest(1), 2, 8, GNTMAP_host_map, 0x3000).status, 0);
    assert_int_equal(map(fx_guest(2), 2, 9, GNTMAP_host_map, 0x4000).status, 0);
    fx_kill(fx.doms[2]);
    assert_int_equal(entry(1, 8)->flags, GTF_permit_access);
    assert_int_equal(windows_used(2), 0);
    assert_int_equal(fx.freed, 0);
    fx_kill(fx.doms[1]);
    assert_int_equal(fx.freed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_setup_table_grows),
        T(test_whose_table),
        T(xsa255_only_version_1),
        T(test_unknown_ops),
        T(test_seed),
        T(test_swap),
        T(test_conn_map_and_unmap),
        T(test_map_refusals),
        T(test_flags_follow_pins),
        T(test_entry_changed_under_a_pin),
        T(xsa236_pin_overflow),
        T(xsa224_map_unmap_pairing),
        T(test_maptrack_limit),
        T(test_owner_close_unmaps_its_own),
        T(test_guest_map_by_address),
        T(test_guest_map_over_a_page),
        T(test_guest_map_failures_undo),
        T(test_unmap_and_replace),
        T(xsa227_misaligned_pte),
        T(test_granter_dies_mapped),
        T(test_grantee_dies_mapped),
    };

    return cmocka_run_group_tests_name("grant", tests, NULL, NULL);
}
