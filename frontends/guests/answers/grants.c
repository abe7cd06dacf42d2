/* SPDX-License-Identifier: MIT */
/* grant_table_op, but for mapping and copying. Source: xen/grant_table.h */
#include "frontends/guests/answers/answers.h"
#include "frontends/include/gnttab.h"

#define ASK(op, arg, n, ...)                                                   \
    answer(hypervisor_grant_table_op(GNTTABOP_##op, arg, n), __VA_ARGS__)

/* Operations on a domain's table: a status for each domain named. */
static const struct {
    const char *name;
    domid_t dom;
} doms[] = {
    {"our own", DOMID_SELF},
    {"domain 0's", 0},
    {"none's", NO_DOMAIN},
    {"a bad number's", BAD_DOMAIN},
};

static void tables(void)
{
    xen_pfn_t list[4];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(doms); i++) {
        struct gnttab_setup_table setup = {.dom = doms[i].dom, .nr_frames = 1};
        struct gnttab_query_size query = {.dom = doms[i].dom};
        struct gnttab_get_version version = {.dom = doms[i].dom};
        struct gnttab_dump_table dump = {.dom = doms[i].dom};
        struct gnttab_get_status_frames status = {.dom = doms[i].dom};

        set_xen_guest_handle(setup.frame_list, list);
        ASK(setup_table, &setup, 1, "gnttab/setup_table of %s", doms[i].name);
        answer_status(setup.status, "gnttab/setup_table of %s, status",
                      doms[i].name);
        ASK(query_size, &query, 1, "gnttab/query_size of %s", doms[i].name);
        answer_status(query.status, "gnttab/query_size of %s, status",
                      doms[i].name);
        ASK(get_version, &version, 1, "gnttab/get_version of %s", doms[i].name);
        ASK(dump_table, &dump, 1, "gnttab/dump_table of %s", doms[i].name);
        answer_status(dump.status, "gnttab/dump_table of %s, status",
                      doms[i].name);
        ASK(get_status_frames, &status, 1, "gnttab/get_status_frames of %s",
            doms[i].name);
        answer_status(status.status, "gnttab/get_status_frames of %s, status",
                      doms[i].name);
    }
}

static void sizes(void)
{
    struct gnttab_query_size query = {.dom = DOMID_SELF};
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 99999};
    struct gnttab_get_status_frames status = {.dom = DOMID_SELF,
                                              .nr_frames = 1};
    xen_pfn_t list[4];

    hypervisor_grant_table_op(GNTTABOP_query_size, &query, 1);
    answer(query.max_nr_frames, "gnttab/query_size, most frames");
    set_xen_guest_handle(setup.frame_list, list);
    ASK(setup_table, &setup, 1, "gnttab/setup_table of too many");
    answer_status(setup.status, "gnttab/setup_table of too many, status");
    setup.nr_frames = 1;
    set_xen_guest_handle(setup.frame_list, (xen_pfn_t *)NOWHERE);
    ASK(setup_table, &setup, 1, "gnttab/setup_table to nowhere");
    answer_status(setup.status, "gnttab/setup_table to nowhere, status");
    set_xen_guest_handle(status.frame_list, (uint64_t *)list);
    ASK(get_status_frames, &status, 1, "gnttab/get_status_frames in version 1");
    answer_status(status.status,
                  "gnttab/get_status_frames in version 1, status");
}

static void versions(void)
{
    static const uint32_t asked[] = {0, 1, 3, ~0u, 2};
    struct gnttab_get_version now = {.dom = DOMID_SELF};
    struct gnttab_set_version v;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(asked); i++) {
        v.version = asked[i];
        ASK(set_version, &v, 1, "gnttab/set_version %d", (int)asked[i]);
        answer(v.version, "gnttab/set_version %d gives", (int)asked[i]);
    }
    hypervisor_grant_table_op(GNTTABOP_get_version, &now, 1);
    answer(now.version, "gnttab/get_version after that");
    v.version = 1;
    hypervisor_grant_table_op(GNTTABOP_set_version, &v, 1);
}

static void counts(void)
{
    struct gnttab_query_size q[2] = {{.dom = DOMID_SELF}, {.dom = DOMID_SELF}};

    ASK(query_size, q, 0, "gnttab/query_size, none");
    ASK(query_size, q, 2, "gnttab/query_size, two");
    ASK(query_size, q, ~0u, "gnttab/query_size, -1");
    ASK(map_grant_ref, NOWHERE, 0, "gnttab/map_grant_ref, none at nowhere");
    ASK(map_grant_ref, NOWHERE, ~0u, "gnttab/map_grant_ref, -1");
    ASK(copy, NOWHERE, 0, "gnttab/copy, none at nowhere");
}

static void pointers(void)
{
    unsigned int op;

    for (op = 0; op <= GNTTABOP_cache_flush + 2; op++) {
        answer(hypervisor_grant_table_op(op, NOWHERE, 1),
               "gnttab/op %u at nowhere", op);
        answer(hypervisor_grant_table_op(op, XENS, 1), "gnttab/op %u at Xen's",
               op);
    }
    answer(hypervisor_grant_table_op(99, NOWHERE, 1), "gnttab/op 99");
}

static void swap(const char *name, grant_ref_t a, grant_ref_t b)
{
    struct gnttab_swap_grant_ref s = {.ref_a = a, .ref_b = b};

    ASK(swap_grant_ref, &s, 1, "gnttab/swap %s", name);
    answer_status(s.status, "gnttab/swap %s, status", name);
}

static void swaps(void)
{
    struct frame f = frame_alloc(), g = frame_alloc();
    int a = gnttab_grant(0, f.va, false), b = gnttab_grant(0, g.va, true);

    swap("one with itself", (grant_ref_t)a, (grant_ref_t)a);
    swap("two", (grant_ref_t)a, (grant_ref_t)b);
    answer_yes(gnttab_entry((grant_ref_t)a)->frame == g.mfn,
               "gnttab/swap two, done");
    swap("with none", (grant_ref_t)a, 1u << 30);
    swap("none with itself", 1u << 30, 1u << 30);
    gnttab_end((grant_ref_t)a);
    gnttab_end((grant_ref_t)b);
    page_free(f.va, 1);
    page_free(g.va, 1);
}

static void transfer(const char *name, domid_t dom, grant_ref_t ref,
                     unsigned long mfn)
{
    struct gnttab_transfer t = {.mfn = mfn, .domid = dom, .ref = ref};

    ASK(transfer, &t, 1, "gnttab/transfer %s", name);
    answer_status(t.status, "gnttab/transfer %s, status", name);
}

static void flush(const char *name, uint64_t addr, uint16_t offset,
                  uint16_t length, uint32_t op)
{
    struct gnttab_cache_flush c = {
        .a.dev_bus_addr = addr, .offset = offset, .length = length, .op = op};

    ASK(cache_flush, &c, 1, "gnttab/cache_flush %s", name);
}

void answers_grants(void)
{
    struct frame f = frame_alloc();

    tables();
    sizes();
    versions();
    counts();
    pointers();
    swaps();
    transfer("of a frame of none", 0, 8, 1ul << 40);
    transfer("to none, of none", NO_DOMAIN, 8, 1ul << 40);
    flush("of ours", f.mfn << PAGE_SHIFT, 0, 64, GNTTAB_CACHE_CLEAN);
    flush("of nothing", f.mfn << PAGE_SHIFT, 0, 64, 0);
    flush("over the end", f.mfn << PAGE_SHIFT, 4000, 200, GNTTAB_CACHE_CLEAN);
    flush("of none", 1ul << 51, 0, 64, GNTTAB_CACHE_CLEAN);
    page_free(f.va, 1);
}
