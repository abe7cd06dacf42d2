/* SPDX-License-Identifier: MIT */
/* Grants mapped and copied, our own ones. Source: xen/grant_table.h */
#include "frontends/guests/answers/answers.h"
#include "frontends/include/gnttab.h"

static domid_t self;
static struct frame page, spot;
static grant_ref_t rw, ro, other;

/* A channel for ourselves tells our number. */
static domid_t own_number(void)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF,
                                     .remote_dom = DOMID_SELF};
    struct evtchn_status s = {.dom = DOMID_SELF};
    struct evtchn_close c;

    EVTCHN_OP(alloc_unbound, &a);
    s.port = c.port = a.port;
    EVTCHN_OP(status, &s);
    EVTCHN_OP(close, &c);
    return s.u.unbound.dom;
}

/* Status and handle; a mapping that was made is undone. */
static void map(const char *name, domid_t dom, grant_ref_t ref, uint32_t flags,
                uint64_t where)
{
    struct gnttab_map_grant_ref m = {
        .host_addr = where, .flags = flags, .ref = ref, .dom = dom};
    struct gnttab_unmap_grant_ref u;

    answer(hypervisor_grant_table_op(GNTTABOP_map_grant_ref, &m, 1),
           "gntmap/map %s", name);
    answer_status(m.status, "gntmap/map %s, status", name);
    if (m.status)
        return;
    u = (struct gnttab_unmap_grant_ref){.host_addr = where, .handle = m.handle};
    hypervisor_grant_table_op(GNTTABOP_unmap_grant_ref, &u, 1);
    answer_status(u.status, "gntmap/unmap %s, status", name);
}

static void maps(void)
{
    uint64_t va = (uint64_t)spot.va;

    map("writable", self, rw, GNTMAP_host_map, va);
    map("read-only", self, rw, GNTMAP_host_map | GNTMAP_readonly, va);
    map("a read-only grant read-only", self, ro,
        GNTMAP_host_map | GNTMAP_readonly, va);
    map("a read-only grant writable", self, ro, GNTMAP_host_map, va);
    map("one for another", self, other, GNTMAP_host_map, va);
    map("none", self, 1u << 30, GNTMAP_host_map, va);
    map("an unused one", self, 500, GNTMAP_host_map, va);
    map("without flags", self, rw, 0, va);
    map("for a device alone", self, rw, GNTMAP_device_map, va);
    map("of no domain", NO_DOMAIN, rw, GNTMAP_host_map, va);
    map("of a bad number", BAD_DOMAIN, rw, GNTMAP_host_map, va);
    map("of DOMID_SELF", DOMID_SELF, rw, GNTMAP_host_map, va);
    map("where no table is", self, rw, GNTMAP_host_map, (uint64_t)NOWHERE);
    map("at Xen's", self, rw, GNTMAP_host_map, (uint64_t)XENS);
    map("not canonical", self, rw, GNTMAP_host_map, BENT);
    map("into an entry of none", self, rw,
        GNTMAP_host_map | GNTMAP_contains_pte, 1ul << 51);
    map("into an entry in no table", self, rw,
        GNTMAP_host_map | GNTMAP_contains_pte, page.mfn << PAGE_SHIFT);
    map("into an unaligned entry", self, rw,
        GNTMAP_host_map | GNTMAP_contains_pte, (page.mfn << PAGE_SHIFT) + 4);
}

static void unmap(const char *name, uint64_t where, grant_handle_t handle)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = where, .handle = handle};

    answer(hypervisor_grant_table_op(GNTTABOP_unmap_grant_ref, &u, 1),
           "gntmap/unmap %s", name);
    answer_status(u.status, "gntmap/unmap %s, status", name);
}

/* What a mapping shows and does. */
static void mapped(void)
{
    struct gnttab_map_grant_ref m = {.host_addr = (uint64_t)spot.va,
                                     .flags = GNTMAP_host_map,
                                     .ref = rw,
                                     .dom = self};
    struct frame elsewhere = frame_alloc();

    hypervisor_grant_table_op(GNTTABOP_map_grant_ref, &m, 1);
    *(uint64_t *)page.va = 0x1234;
    answer_yes(*(volatile uint64_t *)spot.va == 0x1234,
               "gntmap/mapped, seen there");
    printf("gntmap/mapped, flags: %x\n",
           gnttab_entry(rw)->flags & ~GTF_permit_access);
    answer(gnttab_end(rw), "gntmap/mapped, taken back");
    unmap("with another handle", (uint64_t)spot.va, m.handle + 100);
    unmap("with handle -1", (uint64_t)spot.va, ~0u);
    unmap("elsewhere", (uint64_t)elsewhere.va, m.handle);
    unmap("at nowhere", (uint64_t)NOWHERE, m.handle);
    unmap("right", (uint64_t)spot.va, m.handle);
    unmap("again", (uint64_t)spot.va, m.handle);
    printf("gntmap/unmapped, flags: %x\n",
           gnttab_entry(rw)->flags & ~GTF_permit_access);
}

static void replaced(const char *name, uint64_t from, uint64_t to,
                     grant_handle_t handle)
{
    struct gnttab_unmap_and_replace r = {
        .host_addr = from, .new_addr = to, .handle = handle};

    answer(hypervisor_grant_table_op(GNTTABOP_unmap_and_replace, &r, 1),
           "gntmap/replace %s", name);
    answer_status(r.status, "gntmap/replace %s, status", name);
}

static void replaces(void)
{
    struct frame with = frame_alloc();
    struct gnttab_map_grant_ref m = {.host_addr = (uint64_t)spot.va,
                                     .flags = GNTMAP_host_map,
                                     .ref = rw,
                                     .dom = self};

    hypervisor_grant_table_op(GNTTABOP_map_grant_ref, &m, 1);
    *(uint64_t *)with.va = 0x5678;
    replaced("with a bad handle", (uint64_t)spot.va, (uint64_t)with.va, ~0u);
    replaced("by nothing", (uint64_t)spot.va, (uint64_t)NOWHERE, m.handle);
    replaced("right", (uint64_t)spot.va, (uint64_t)with.va, m.handle);
    answer_yes(*(volatile uint64_t *)spot.va == 0x5678,
               "gntmap/replace right, seen there");
    frame_remap(&with, PTE_RAM_RW);
    frame_remap(&spot, PTE_RAM_RW);
    page_free(with.va, 1);
}

#define FROM GNTCOPY_source_gref
#define TO   GNTCOPY_dest_gref

static void copy(const char *name, struct gnttab_copy c)
{
    answer(hypervisor_grant_table_op(GNTTABOP_copy, &c, 1), "gntmap/copy %s",
           name);
    answer_status(c.status, "gntmap/copy %s, status", name);
}

static void copies(void)
{
    struct gnttab_copy c = {.flags = FROM, .len = 8};

    c.source.u.ref = rw;
    c.source.domid = self;
    c.dest.u.gmfn = spot.mfn;
    c.dest.domid = DOMID_SELF;
    *(uint64_t *)page.va = 0x9abc;
    copy("from a grant", c);
    answer_yes(*(volatile uint64_t *)spot.va == 0x9abc,
               "gntmap/copy from a grant, done");
    c.len = 0;
    copy("of nothing", c);
    c.len = 4096;
    copy("of a page", c);
    c.source.offset = 1;
    copy("over the source's end", c);
    c.source.offset = 4096;
    c.len = 0;
    copy("of nothing at the end", c);
    c.source.offset = 5000;
    copy("of nothing beyond the end", c);
    c.source.offset = 0;
    c.dest.offset = 4090;
    c.len = 8;
    copy("over the destination's end", c);
    c.dest.offset = 0;
    c.source.u.ref = ro;
    copy("from a read-only grant", c);
    c.source.u.ref = other;
    copy("from one for another", c);
    c.source.u.ref = 1u << 30;
    copy("from no grant", c);
    c.source.u.ref = 500;
    copy("from an unused one", c);
    c.source.u.ref = rw;
    c.source.domid = NO_DOMAIN;
    copy("from no domain", c);
    c.source.domid = DOMID_SELF;
    copy("from DOMID_SELF's grant", c);
    c.source.domid = 0;
    copy("from domain 0's unused grant", c);
}

static void more_copies(void)
{
    struct gnttab_copy c = {.flags = TO, .len = 8};

    c.source.u.gmfn = page.mfn;
    c.source.domid = DOMID_SELF;
    c.dest.u.ref = rw;
    c.dest.domid = self;
    copy("to a grant", c);
    c.dest.u.ref = ro;
    copy("to a read-only grant", c);
    c.dest.u.ref = rw;
    c.source.u.gmfn = 1ul << 40;
    copy("from a frame of none", c);
    c.source.domid = 0;
    copy("from domain 0's frame", c);
    c.source.domid = self;
    c.source.u.gmfn = page.mfn;
    copy("from our number's frame", c);
    c.flags = 0;
    c.dest.u.gmfn = spot.mfn;
    c.source.domid = c.dest.domid = DOMID_SELF;
    copy("between frames", c);
    c.flags = 1 << 5;
    copy("with an unknown flag", c);
    c.flags = FROM | TO;
    c.source.u.ref = ro;
    c.dest.u.ref = rw;
    c.source.domid = c.dest.domid = self;
    copy("between grants", c);
}

void answers_grant_maps(void)
{
    self = own_number();
    page = frame_alloc();
    spot = frame_alloc();
    rw = (grant_ref_t)gnttab_grant(self, page.va, false);
    ro = (grant_ref_t)gnttab_grant(self, page.va, true);
    other = (grant_ref_t)gnttab_grant(0, page.va, false);
    maps();
    frame_remap(&spot, PTE_RAM_RW);
    mapped();
    frame_remap(&spot, PTE_RAM_RW);
    rw = (grant_ref_t)gnttab_grant(self, page.va, false);
    replaces();
    copies();
    more_copies();
}
