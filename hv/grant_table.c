/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_grant_table_op: batches of elements, each with its own status,
 * and the calls about a table.  Source: xen/grant_table.h.
 */
#include "hv/grant_private.h"

#include <errno.h>
#include "hv/hypercall.h"
#include "hv/log.h"

/*
 * A batch runs to its end in one go (there is no continuation), so it has an
 * end.  Xen's frontends and backends use a few hundred at most.
 */
#define BATCH_MAX   8192u
#define CHUNK_BYTES 1024

/* The domain that an argument names, with a reference, if c may ask. */
static int16_t target_get(const struct caller *c, domid_t domid,
                          struct domain **out)
{
    struct domain *d = domain_get_for(c, domid);

    if (!d)
        return GNTST_bad_domain;
    if (d != c->d && c->d->domid != DOMID_HV0) {
        domain_put(d);
        return GNTST_permission_denied;
    }
    *out = d;
    return GNTST_okay;
}

static int16_t put_frames(struct caller *c, guest_addr_t list, uint64_t first,
                          uint32_t nr)
{
    for (uint32_t i = 0; i < nr; i++) {
        uint64_t gfn = first + i;

        if (copy_to_guest(c, guest_addr_index(list, i, sizeof(gfn)), &gfn,
                          sizeof(gfn)))
            return GNTST_bad_virt_addr;
    }
    return GNTST_okay;
}

static int setup_table(struct caller *c, void *arg)
{
    struct gnttab_setup_table *op = arg;
    struct domain *d;

    op->status = target_get(c, op->dom, &d);
    if (op->status)
        return 0;
    if (grant_grow(d, op->nr_frames))
        op->status = GNTST_general_error;
    else
        op->status = put_frames(c, GUEST_ADDR(op->frame_list.p), d->gnttab_gfn,
                                op->nr_frames);
    domain_put(d);
    return 0;
}

/* Version 2 alone has status frames, and it is not offered. */
static int get_status_frames(struct caller *c, void *arg)
{
    struct gnttab_get_status_frames *op = arg;
    struct domain *d;

    op->status = target_get(c, op->dom, &d);
    if (op->status)
        return 0;
    if (op->nr_frames)
        op->status = GNTST_general_error;
    domain_put(d);
    return 0;
}

static int query_size(struct caller *c, void *arg)
{
    struct gnttab_query_size *op = arg;
    struct domain *d;

    op->status = target_get(c, op->dom, &d);
    if (op->status)
        return 0;
    op->nr_frames = grant_nr_entries(d) / GRANTS_PER_FRAME;
    op->max_nr_frames = d->grants->max_frames;
    domain_put(d);
    return 0;
}

static int set_version(struct caller *c, void *arg)
{
    struct gnttab_set_version *op = arg;
    uint32_t wanted = op->version;

    op->version = c->d->grants->version;
    if (wanted != 1 && wanted != 2)
        return -EINVAL;
    return wanted == 2 ? -ENOSYS : 0;
}

static int get_version(struct caller *c, void *arg)
{
    struct gnttab_get_version *op = arg;
    struct domain *d;
    int16_t status = target_get(c, op->dom, &d);

    if (status)
        return status == GNTST_bad_domain ? -ESRCH : -EPERM;
    op->version = d->grants->version;
    domain_put(d);
    return 0;
}

static int dump_table(struct caller *c, void *arg)
{
    struct gnttab_dump_table *op = arg;
    struct domain *d;
    uint32_t pinned = 0;

    op->status = target_get(c, op->dom, &d);
    if (op->status)
        return 0;
    pthread_mutex_lock(&d->grants->lock);
    for (grant_ref_t ref = 0; ref < grant_nr_entries(d); ref++)
        pinned += grant_is_pinned(grant_active_entry(d, ref));
    pthread_mutex_unlock(&d->grants->lock);
    domain_log(d, "grant table: version %u, %u of %u entries in use by others",
               d->grants->version, pinned, grant_nr_entries(d));
    domain_put(d);
    return 0;
}

static void swap_locked(struct domain *d, struct gnttab_swap_grant_ref *op)
{
    uint32_t *a = grant_shared_entry(d, op->ref_a);
    uint32_t *b = grant_shared_entry(d, op->ref_b);

    op->status = GNTST_bad_gntref;
    if (!a || !b)
        return;
    op->status = GNTST_okay;
    if (a == b)
        return;
    op->status = GNTST_eagain;
    if (grant_is_pinned(grant_active_entry(d, op->ref_a)) ||
        grant_is_pinned(grant_active_entry(d, op->ref_b)))
        return;
    for (int i = 0; i < 2; i++) {
        uint32_t was = __atomic_load_n(&a[i], __ATOMIC_RELAXED);

        __atomic_store_n(&a[i], __atomic_load_n(&b[i], __ATOMIC_RELAXED),
                         __ATOMIC_RELAXED);
        __atomic_store_n(&b[i], was, __ATOMIC_RELAXED);
    }
    op->status = GNTST_okay;
}

static int swap_grant_ref(struct caller *c, void *arg)
{
    pthread_mutex_lock(&c->d->grants->lock);
    swap_locked(c->d, arg);
    pthread_mutex_unlock(&c->d->grants->lock);
    return 0;
}

/* bad_page is the one status that leaves the page with its owner. */
static int transfer(struct caller *c, void *arg)
{
    struct gnttab_transfer *op = arg;

    (void)c;
    op->status = GNTST_bad_page;
    return 0;
}

static int map_grant_ref(struct caller *c, void *arg)
{
    grant_map_one(c, arg);
    return 0;
}

static int unmap_grant_ref(struct caller *c, void *arg)
{
    grant_unmap_one(c, arg);
    return 0;
}

static int unmap_and_replace(struct caller *c, void *arg)
{
    grant_replace_one(c, arg);
    return 0;
}

static int copy(struct caller *c, void *arg)
{
    grant_copy_one(c, arg);
    return 0;
}

/* x86's caches are coherent: what was asked for is done already. */
static int cache_flush(struct caller *c, void *arg)
{
    const struct gnttab_cache_flush *op = arg;
    uint32_t known =
        GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL | GNTTAB_CACHE_SOURCE_GREF;

    if (op->offset + op->length > FRAME_SIZE || (op->op & ~known))
        return -EINVAL;
    if (!op->length || !op->op || (op->op & GNTTAB_CACHE_SOURCE_GREF))
        return 0;
    return c->v && !domain_owns_frame(c->d, op->a.dev_bus_addr / FRAME_SIZE)
               ? -EINVAL
               : 0;
}

struct grant_op {
    const char *name;
    size_t size;
    bool single; /* count must be 1 */
    int (*fn)(struct caller *c, void *arg);
};

#define BATCH(nr)                                                              \
    [GNTTABOP_##nr] = {                                                        \
        .name = #nr,                                                           \
        .size = sizeof(struct gnttab_##nr),                                    \
        .fn = nr,                                                              \
    }
#define SINGLE(nr)                                                             \
    [GNTTABOP_##nr] = {                                                        \
        .name = #nr,                                                           \
        .size = sizeof(struct gnttab_##nr),                                    \
        .single = true,                                                        \
        .fn = nr,                                                              \
    }

static const struct grant_op ops[] = {
    BATCH(map_grant_ref),     BATCH(unmap_grant_ref), SINGLE(setup_table),
    SINGLE(dump_table),       BATCH(transfer),        BATCH(copy),
    SINGLE(query_size),       SINGLE(set_version),    BATCH(swap_grant_ref),
    SINGLE(get_version),      BATCH(cache_flush),     SINGLE(get_status_frames),
    BATCH(unmap_and_replace),
};

/* Runs n elements copied to buf; the results go back to where they were. */
static int run_chunk(struct caller *c, const struct grant_op *op,
                     guest_addr_t at, uint8_t *buf, uint32_t n)
{
    int rc = 0;

    for (uint32_t i = 0; i < n && !rc; i++)
        rc = op->fn(c, buf + i * op->size);
    if (copy_to_guest(c, at, buf, n * op->size))
        return -EFAULT;
    return rc;
}

static long run_batch(struct caller *c, const struct grant_op *op,
                      guest_addr_t args, uint32_t count)
{
    uint64_t buf[CHUNK_BYTES / 8];
    uint32_t done = 0, chunk = sizeof(buf) / op->size;
    int rc = 0;

    while (done < count && !rc) {
        guest_addr_t at = guest_addr_index(args, done, op->size);
        uint32_t n = count - done < chunk ? count - done : chunk;

        /* Elements before a hole in the guest's memory are still served. */
        if (copy_from_guest(c, buf, at, n * op->size)) {
            if (n == 1)
                return -EFAULT;
            chunk = 1;
            continue;
        }
        rc = run_chunk(c, op, at, (uint8_t *)buf, n);
        done += n;
        if (__atomic_load_n(&c->d->state, __ATOMIC_RELAXED) == DOMAIN_DYING)
            return -EINTR;
    }
    return rc;
}

long do_grant_table_op(struct caller *c, const uint64_t args[6])
{
    uint64_t cmd = args[0];
    uint32_t count = args[2];

    if (cmd >= sizeof(ops) / sizeof(ops[0]) || !ops[cmd].fn)
        return -ENOSYS;
    if (count > BATCH_MAX || (ops[cmd].single && count != 1))
        return -EINVAL;
    return run_batch(c, &ops[cmd], GUEST_ADDR(args[1]), count);
}
