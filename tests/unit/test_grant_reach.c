/* SPDX-License-Identifier: MIT */
/*
 * A granter gets its page back when the other guest can no longer reach it, and
 * not before: also where hv has as many mappings as a process may have and so
 * cannot take a page out of that guest's window.
 */
#include "tests/unit/hv_fixture.h"

#define VA      0x3000ull
#define BAD_VA  (512ull << 12) /* no L1 table there */
#define IN_USE  (GTF_permit_access | GTF_reading | GTF_writing)
#define GRANTER 1
#define MAPPER  2

static struct grant_entry_v1 *entry(grant_ref_t ref)
{
    struct grant_entry_v1 *frame =
        domain_frame(fx.doms[GRANTER], fx.doms[GRANTER]->gnttab_gfn);

    return &frame[ref];
}

static struct gnttab_map_grant_ref map(grant_ref_t ref, uint64_t va)
{
    struct gnttab_map_grant_ref op = {
        .host_addr = va, .flags = GNTMAP_host_map, .ref = ref, .dom = GRANTER};

    *entry(ref) = (struct grant_entry_v1){
        .flags = GTF_permit_access, .domid = MAPPER, .frame = ref};
    assert_int_equal(fx_grant(fx_guest(MAPPER), GNTTABOP_map_grant_ref, &op, 1),
                     0);
    return op;
}

static int unmap(grant_handle_t handle, uint64_t va)
{
    struct gnttab_unmap_grant_ref op = {.host_addr = va, .handle = handle};

    assert_int_equal(
        fx_grant(fx_guest(MAPPER), GNTTABOP_unmap_grant_ref, &op, 1), 0);
    return op.status;
}

static void xsa394_page_in_reach_stays_pinned(void **state)
{
    struct gnttab_map_grant_ref m = map(8, VA);

    (void)state;
    assert_int_equal(m.status, GNTST_okay);
    fx.window_rc = -ENOMEM;
    assert_int_equal(unmap(m.handle, VA), GNTST_no_space);
    assert_int_equal(entry(8)->flags, IN_USE);
    /* With the guest its reach ends. */
    fx_kill(fx.doms[MAPPER]);
    assert_int_equal(entry(8)->flags, GTF_permit_access);
    fx.window_rc = 0;
}

static void test_failed_map_whose_page_stays(void **state)
{
    (void)state;
    fx.window_rc = -ENOMEM;
    assert_int_equal(map(9, BAD_VA).status, GNTST_general_error);
    assert_int_equal(entry(9)->flags, IN_USE);
    fx_kill(fx.doms[MAPPER]);
    assert_int_equal(entry(9)->flags, GTF_permit_access);
    fx.window_rc = 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(xsa394_page_in_reach_stays_pinned),
        T(test_failed_map_whose_page_stays),
    };

    return cmocka_run_group_tests_name("grant_reach", tests, NULL, NULL);
}
