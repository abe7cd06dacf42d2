/* SPDX-License-Identifier: MIT */
/*
 * The grantee's side: mapping, unmapping and copying, one element of a batch
 * each.  A guest sees a granted page in its foreign window and has a
 * page-table entry written for it; a connection of domain 0 is told where the
 * page lies in the granter's memory and maps that itself.
 */
#include "hv/grant_private.h"

#include <errno.h>
#include <string.h>
#include "hv/log.h"
#include "hv/privcmd.h"
#include "hv/pv/foreign.h"
#include "hv/pv/pv.h"
#include "hv/vcpu.h"

#define MAP_KINDS ((uint32_t)(GNTMAP_host_map | GNTMAP_device_map))

/* The bits of a guest's entry for a granted page. */
#define PTE_PRESENT     (1ull << 0)
#define PTE_RW          (1ull << 1)
#define PTE_USER        (1ull << 2)
#define PTE_ACCESSED    (1ull << 5)
#define PTE_DIRTY       (1ull << 6)
#define PTE_AVAIL_SHIFT 9
#define PTE_AVAIL_MASK  7ull
#define PTE_FRAME       0x000ffffffffff000ull

static struct maptrack_owner *maptrack_of(const struct caller *c)
{
    return c->conn ? privcmd_grant_owner(c->conn) : &c->d->grants->maptrack;
}

/* ---- a guest's page-table entry ---- */

static int find_pte(struct vcpu *v, uint32_t flags, uint64_t addr,
                    uint64_t *maddr)
{
    if (!(flags & GNTMAP_contains_pte))
        return guest_va_to_pte(v, addr, maddr);
    if (addr % sizeof(uint64_t))
        return -EINVAL;
    *maddr = addr;
    return 0;
}

static uint64_t grant_pte(uint64_t gfn, uint32_t flags)
{
    uint64_t pte = gfn << 12 | PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY;

    if (!(flags & GNTMAP_readonly))
        pte |= PTE_RW;
    if (flags & GNTMAP_application_map)
        pte |= PTE_USER;
    return pte | (flags >> _GNTMAP_guest_avail0 & PTE_AVAIL_MASK)
                     << PTE_AVAIL_SHIFT;
}

static int read_pte(struct vcpu *v, uint64_t maddr, uint64_t *pte)
{
    uint8_t *frame = domain_frame(v->d, maddr >> 12);

    if (!frame)
        return -EINVAL;
    *pte = __atomic_load_n((uint64_t *)(frame + maddr % FRAME_SIZE),
                           __ATOMIC_RELAXED);
    return 0;
}

/* What was there before may still be in TLBs. */
static int replace_pte(struct vcpu *v, uint64_t maddr, uint64_t val)
{
    uint64_t was;
    int rc = read_pte(v, maddr, &was);

    if (!rc)
        rc = guest_pte_write(v, maddr, val);
    if (!rc && (was & PTE_PRESENT))
        rc = pv_flush_tlb_mask(v, PV_ALL_VCPUS);
    return rc;
}

static int16_t map_host(struct vcpu *v, uint64_t addr, uint32_t flags,
                        uint64_t gfn)
{
    uint64_t maddr;

    if (find_pte(v, flags, addr, &maddr) ||
        replace_pte(v, maddr, grant_pte(gfn, flags)))
        return GNTST_general_error;
    return GNTST_okay;
}

/* Finds the entry at addr, which must be one of gfn. */
static int16_t find_mapping(struct vcpu *v, uint64_t addr, uint32_t flags,
                            uint64_t gfn, uint64_t *maddr)
{
    uint64_t pte;

    if (find_pte(v, flags, addr, maddr) || read_pte(v, *maddr, &pte))
        return GNTST_general_error;
    if (!(pte & PTE_PRESENT) || (pte & PTE_FRAME) >> 12 != gfn)
        return GNTST_general_error;
    return GNTST_okay;
}

/* Clears the entry at addr, if it is one of gfn. */
static int16_t unmap_host(struct vcpu *v, uint64_t addr, uint32_t flags,
                          uint64_t gfn)
{
    uint64_t maddr;
    int16_t status = find_mapping(v, addr, flags, gfn, &maddr);

    if (!status && guest_pte_write(v, maddr, 0))
        status = GNTST_general_error;
    return status;
}

/* The same, but what is mapped at new_addr moves there. */
static int16_t replace_host(struct vcpu *v, uint64_t addr, uint64_t new_addr,
                            const struct maptrack_entry *e)
{
    uint64_t to, from, pte;

    if (e->flags & GNTMAP_contains_pte)
        return GNTST_general_error; /* an entry has no place to move to */
    if (find_mapping(v, addr, e->flags, e->gfn, &to) ||
        guest_va_to_pte(v, new_addr, &from) || from == to ||
        read_pte(v, from, &pte))
        return GNTST_general_error;
    if (replace_pte(v, from, 0) || replace_pte(v, to, pte))
        return GNTST_general_error;
    return GNTST_okay;
}

/* ---- mapping ---- */

/*
 * Makes a pinned page reachable: *gfn is the granter's, then the caller's.
 * stuck: it failed, and yet the page is within the caller's reach.
 */
static int16_t map_for_caller(struct caller *c,
                              const struct gnttab_map_grant_ref *op,
                              struct domain *rd, uint64_t *gfn, bool *stuck)
{
    bool readonly = op->flags & GNTMAP_readonly;
    int16_t status = GNTST_okay;
    uint64_t window;

    if (c->conn)
        return GNTST_okay;
    if (foreign_window_map(c->d, rd, *gfn, readonly, &window))
        return GNTST_no_space;
    if (op->flags & GNTMAP_host_map)
        status = map_host(c->v, op->host_addr, op->flags, window);
    if (status)
        *stuck = foreign_window_unmap(c->d, window) != 0;
    *gfn = window;
    return status;
}

/*
 * With a handle of its own, and a reference to rd that goes into it: also when
 * it is stuck, so that both go when the caller does.
 */
static int16_t map_with(struct caller *c, struct gnttab_map_grant_ref *op,
                        struct domain *rd, struct maptrack_entry *e,
                        bool *stuck)
{
    uint64_t gfn;
    int16_t status = grant_pin(rd, op->ref, c->d->domid, op->flags, true, &gfn);

    if (status)
        return status;
    status = map_for_caller(c, op, rd, &gfn, stuck);
    if (status && !*stuck) {
        grant_unpin(rd, op->ref, op->flags);
        return status;
    }
    e->rd = rd;
    e->ref = op->ref;
    e->flags = op->flags;
    e->gfn = gfn;
    op->dev_bus_addr = gfn << 12;
    return status;
}

static int16_t map_grant_ref(struct caller *c, struct gnttab_map_grant_ref *op)
{
    struct maptrack_owner *o = maptrack_of(c);
    struct domain *rd;
    bool stuck = false;
    int16_t status;

    if (!(op->flags & MAP_KINDS))
        return GNTST_bad_gntref;
    rd = op->dom == DOMID_SELF ? NULL : domain_get_for(c, op->dom);
    if (!rd)
        return GNTST_bad_domain;
    status = GNTST_no_space;
    if (maptrack_get(o, &op->handle))
        goto out;
    status = map_with(c, op, rd, maptrack_entry(o, op->handle), &stuck);
    if (!status || stuck) {
        maptrack_publish(o, op->handle);
        return status;
    }
    maptrack_put(o, op->handle);
out:
    domain_put(rd);
    return status;
}

void grant_map_one(struct caller *c, void *arg)
{
    struct gnttab_map_grant_ref *op = arg;

    op->status = map_grant_ref(c, op);
    if (op->status)
        op->handle = ~0u;
}

/* ---- unmapping ---- */

/* The page is out of reach before the granter is told so. */
static bool out_of_reach(struct maptrack_owner *o,
                         const struct maptrack_entry *e)
{
    return o->d->domid == DOMID_HV0 || !foreign_window_unmap(o->d, e->gfn) ||
           __atomic_load_n(&o->d->state, __ATOMIC_RELAXED) == DOMAIN_DYING;
}

/*
 * Ends the kinds `done` of a claimed mapping; with the last one its page and
 * handle go too.  GNTST_no_space: they do not, it stays mapped and pinned.
 */
static int16_t mapping_end(struct maptrack_owner *o, uint32_t handle,
                           struct maptrack_entry *e, uint32_t done)
{
    struct domain *rd = e->rd;
    bool last = !(e->flags & MAP_KINDS & ~done);

    if (last && !out_of_reach(o, e)) {
        maptrack_publish(o, handle);
        return GNTST_no_space;
    }
    if (done)
        grant_unpin(rd, e->ref, done | (e->flags & GNTMAP_readonly));
    if (!last) {
        e->flags &= ~done;
        maptrack_publish(o, handle);
        return GNTST_okay;
    }
    maptrack_put(o, handle);
    domain_put(rd);
    return GNTST_okay;
}

/* Which kinds an unmap ends; a status if one of them can't be. */
static int16_t unmap_kinds(struct caller *c,
                           const struct gnttab_unmap_grant_ref *op,
                           const struct maptrack_entry *e, uint32_t *done)
{
    int16_t status = GNTST_okay;

    if (op->dev_bus_addr && (e->flags & GNTMAP_device_map)) {
        if (op->dev_bus_addr != e->gfn << 12)
            return GNTST_bad_dev_addr;
        *done |= GNTMAP_device_map;
    }
    if (c->conn) { /* it has no address: the handle says it all */
        *done = e->flags & MAP_KINDS;
        return GNTST_okay;
    }
    if (op->host_addr && (e->flags & GNTMAP_host_map)) {
        status = unmap_host(c->v, op->host_addr, e->flags, e->gfn);
        if (!status)
            *done |= GNTMAP_host_map;
    }
    return status;
}

void grant_unmap_one(struct caller *c, void *arg)
{
    struct gnttab_unmap_grant_ref *op = arg;
    struct maptrack_owner *o = maptrack_of(c);
    struct maptrack_entry *e = maptrack_claim(o, op->handle);
    uint32_t done = 0;
    int16_t status;

    if (!e) {
        op->status = GNTST_bad_handle;
        return;
    }
    op->status = unmap_kinds(c, op, e, &done);
    status = mapping_end(o, op->handle, e, done);
    if (status)
        op->status = status;
}

void grant_replace_one(struct caller *c, void *arg)
{
    struct gnttab_unmap_and_replace *op = arg;
    struct maptrack_owner *o = maptrack_of(c);
    struct maptrack_entry *e = maptrack_claim(o, op->handle);
    int16_t status;

    if (!e) {
        op->status = GNTST_bad_handle;
        return;
    }
    op->status = GNTST_general_error;
    if (c->v && e->flags & GNTMAP_host_map)
        op->status = op->new_addr
                         ? replace_host(c->v, op->host_addr, op->new_addr, e)
                         : unmap_host(c->v, op->host_addr, e->flags, e->gfn);
    status = mapping_end(o, op->handle, e, op->status ? 0 : GNTMAP_host_map);
    if (status)
        op->status = status;
}

static void unmap_all(struct maptrack_owner *o)
{
    for (uint32_t h = 0; h < o->nr_frames * MAPTRACK_PER_FRAME; h++) {
        struct maptrack_entry *e = maptrack_claim(o, h);

        if (e)
            mapping_end(o, h, e, e->flags & MAP_KINDS);
    }
}

void maptrack_owner_closed(struct maptrack_owner *o)
{
    unmap_all(o);
    maptrack_owner_free(o);
}

void gnttab_destroy(struct domain *d)
{
    if (d->grants)
        unmap_all(&d->grants->maptrack);
}

/* ---- copying ---- */

/* One end of a copy: a page of some domain, or an address in the arena. */
struct copy_end {
    struct domain *rd; /* pinned in it; NULL: the caller's own */
    grant_ref_t ref;
    uint32_t how;
    uint8_t *data;      /* NULL: in the connection's arena ... */
    guest_addr_t arena; /* ... here */
};

static int16_t copy_claim_own(struct caller *c, const struct gnttab_copy_ptr *p,
                              struct copy_end *e)
{
    if (p->domid != DOMID_SELF)
        return GNTST_permission_denied;
    if (c->conn) {
        e->arena.addr = (p->u.gmfn << 12) + p->offset;
        return GNTST_okay;
    }
    if (!domain_owns_frame(c->d, p->u.gmfn))
        return GNTST_bad_page;
    e->data = (uint8_t *)domain_frame(c->d, p->u.gmfn) + p->offset;
    return GNTST_okay;
}

static int16_t copy_claim(struct caller *c, const struct gnttab_copy_ptr *p,
                          bool gref, bool readonly, struct copy_end *e)
{
    struct domain *rd;
    uint64_t gfn;
    int16_t status;

    if (!gref)
        return copy_claim_own(c, p, e);
    rd = domain_get_for(c, p->domid);
    if (!rd)
        return GNTST_bad_domain;
    e->ref = p->u.ref;
    e->how = GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0);
    status = grant_pin(rd, e->ref, c->d->domid, e->how, false, &gfn);
    if (status) {
        domain_put(rd);
        return status;
    }
    e->rd = rd;
    e->data = (uint8_t *)domain_frame(rd, gfn) + p->offset;
    return GNTST_okay;
}

static void copy_release(struct copy_end *e)
{
    if (!e->rd)
        return;
    grant_unpin(e->rd, e->ref, e->how);
    domain_put(e->rd);
}

/* len is at most a page. */
static int copy_bytes(struct caller *c, struct copy_end *dst,
                      struct copy_end *src, size_t len)
{
    uint8_t bounce[FRAME_SIZE];
    int rc;

    if (dst->data && src->data) {
        memmove(dst->data, src->data, len); /* may be one page */
        return 0;
    }
    if (dst->data)
        return copy_from_guest(c, dst->data, src->arena, len);
    if (src->data)
        return copy_to_guest(c, dst->arena, src->data, len);
    rc = copy_from_guest(c, bounce, src->arena, len);
    return rc ? rc : copy_to_guest(c, dst->arena, bounce, len);
}

static bool copy_bounds_ok(const struct gnttab_copy *op)
{
    return (uint32_t)op->source.offset + op->len <= FRAME_SIZE &&
           (uint32_t)op->dest.offset + op->len <= FRAME_SIZE;
}

void grant_copy_one(struct caller *c, void *arg)
{
    struct gnttab_copy *op = arg;
    struct copy_end src = {0}, dst = {0};

    if (!copy_bounds_ok(op)) {
        op->status = GNTST_bad_copy_arg;
        return;
    }
    op->status =
        copy_claim(c, &op->source, op->flags & GNTCOPY_source_gref, true, &src);
    if (op->status)
        return;
    op->status =
        copy_claim(c, &op->dest, op->flags & GNTCOPY_dest_gref, false, &dst);
    if (!op->status && copy_bytes(c, &dst, &src, op->len))
        op->status = GNTST_bad_page;
    copy_release(&dst);
    copy_release(&src);
}
