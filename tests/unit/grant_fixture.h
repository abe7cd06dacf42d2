/* SPDX-License-Identifier: MIT */
/* What the programs that test grants share; each includes it once. */
#ifndef TESTS_UNIT_GRANT_FIXTURE_H
#define TESTS_UNIT_GRANT_FIXTURE_H

#include "tests/unit/hv_fixture.h"

#define GRANTS_IN_TABLE (FX_GNTTAB_NR * GRANTS_PER_FRAME)

static inline struct grant_entry_v1 *entry(domid_t dom, grant_ref_t ref)
{
    return (struct grant_entry_v1 *)domain_frame(fx.doms[dom], FX_GNTTAB) + ref;
}

static inline void grant(domid_t dom, grant_ref_t ref, domid_t to, uint32_t gfn,
                         uint16_t flags)
{
    *entry(dom, ref) =
        (struct grant_entry_v1){.flags = flags, .domid = to, .frame = gfn};
}

static inline struct gnttab_map_grant_ref map(struct caller c, domid_t dom,
                                              grant_ref_t ref, uint32_t flags,
                                              uint64_t addr)
{
    struct gnttab_map_grant_ref op = {
        .host_addr = addr, .flags = flags, .ref = ref, .dom = dom};

    assert_int_equal(fx_grant(c, GNTTABOP_map_grant_ref, &op, 1), 0);
    return op;
}

static inline int unmap(struct caller c, grant_handle_t handle, uint64_t addr,
                        uint64_t dev)
{
    struct gnttab_unmap_grant_ref op = {
        .host_addr = addr, .dev_bus_addr = dev, .handle = handle};

    assert_int_equal(fx_grant(c, GNTTABOP_unmap_grant_ref, &op, 1), 0);
    return op.status;
}

static inline uint64_t pte_of(domid_t dom, uint64_t va)
{
    return ((uint64_t *)domain_frame(fx.doms[dom], FX_PT))[va >> 12];
}

static inline uint8_t *page(domid_t dom, uint64_t gfn)
{
    return domain_frame(fx.doms[dom], gfn);
}

static inline unsigned int windows_used(domid_t dom)
{
    unsigned int n = 0;

    for (int i = 0; i < FX_WINDOW_NR; i++)
        n += fx.window[dom][i].rd != NULL;
    return n;
}

/* A connection besides what fx_setup() makes. */
static struct privcmd_conn conn;

static inline int setup(void **state)
{
    fx_setup(state);
    fx_conn_open(&conn);
    return 0;
}

static inline int teardown(void **state)
{
    fx_conn_close(&conn);
    return fx_teardown(state);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
