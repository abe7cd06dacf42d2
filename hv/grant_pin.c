/* SPDX-License-Identifier: MIT */
/*
 * The granter's side: its table, and pinning of entries with Xen's atomics.
 * The guest may change its entry at any moment; once pinned, what counts is
 * the active entry.
 */
#include "hv/grant_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How often a guest may change an entry under us before we give up on it. */
#define PIN_RETRIES 5

int gnttab_init(struct domain *d, uint32_t max_frames, uint32_t max_maptrack)
{
    struct grant_table *t = calloc(1, sizeof(*t));

    if (!t)
        return -ENOMEM;
    pthread_mutex_init(&t->lock, NULL);
    t->version = 1;
    t->max_frames = max_frames;
    t->max_maptrack = max_maptrack;
    t->active = calloc(max_frames ? max_frames : 1, sizeof(*t->active));
    d->grants = t;
    if (!t->active || maptrack_owner_init(&t->maptrack, d, max_maptrack) ||
        (max_frames && grant_grow(d, 1))) {
        gnttab_free(d);
        return -ENOMEM;
    }
    return 0;
}

void gnttab_free(struct domain *d)
{
    struct grant_table *t = d->grants;

    if (!t)
        return;
    maptrack_owner_free(&t->maptrack);
    for (uint32_t i = 0; i < t->nr_frames; i++)
        free(t->active[i]);
    free(t->active);
    pthread_mutex_destroy(&t->lock);
    free(t);
    d->grants = NULL;
}

int gnttab_conn_init(struct domain *dom0, struct maptrack_owner *o)
{
    return maptrack_owner_init(o, dom0, dom0->grants->max_maptrack);
}

int grant_grow(struct domain *d, uint32_t nr)
{
    struct grant_table *t = d->grants;
    int rc = 0;

    pthread_mutex_lock(&t->lock);
    while (t->nr_frames < nr) {
        struct active_entry *f;

        rc = -ENOSPC;
        if (t->nr_frames >= t->max_frames || t->nr_frames >= d->gnttab_nr)
            break;
        rc = -ENOMEM;
        f = calloc(GRANTS_PER_FRAME, sizeof(*f));
        if (!f)
            break;
        t->active[t->nr_frames] = f;
        __atomic_store_n(&t->nr_frames, t->nr_frames + 1, __ATOMIC_RELEASE);
        rc = 0;
    }
    pthread_mutex_unlock(&t->lock);
    return rc;
}

uint32_t grant_nr_entries(const struct domain *d)
{
    return __atomic_load_n(&d->grants->nr_frames, __ATOMIC_ACQUIRE) *
           GRANTS_PER_FRAME;
}

uint32_t *grant_shared_entry(struct domain *d, grant_ref_t ref)
{
    uint32_t *frame;

    if (ref >= grant_nr_entries(d))
        return NULL;
    frame = domain_frame(d, d->gnttab_gfn + ref / GRANTS_PER_FRAME);
    return frame ? frame + 2 * (ref % GRANTS_PER_FRAME) : NULL;
}

struct active_entry *grant_active_entry(struct domain *d, grant_ref_t ref)
{
    return &d->grants->active[ref / GRANTS_PER_FRAME][ref % GRANTS_PER_FRAME];
}

bool grant_is_pinned(const struct active_entry *act)
{
    return act->pins[GNTPIN_HOST_R] | act->pins[GNTPIN_HOST_W] |
           act->pins[GNTPIN_DEV_R] | act->pins[GNTPIN_DEV_W];
}

static bool has_writers(const struct active_entry *act)
{
    return act->pins[GNTPIN_HOST_W] | act->pins[GNTPIN_DEV_W];
}

static bool wants_pin(uint32_t how, enum grant_pin p)
{
    bool write = p == GNTPIN_HOST_W || p == GNTPIN_DEV_W;
    bool dev = p == GNTPIN_DEV_R || p == GNTPIN_DEV_W;

    return (how & (dev ? GNTMAP_device_map : GNTMAP_host_map)) &&
           write == !(how & GNTMAP_readonly);
}

static bool would_overflow(const struct active_entry *act, uint32_t how)
{
    for (enum grant_pin p = 0; p < NR_GNTPINS; p++)
        if (wants_pin(how, p) && act->pins[p] == GNTPIN_MAX)
            return true;
    return false;
}

/*
 * Sets GTF_reading (and GTF_writing) in the shared entry, provided that at
 * that same instant it grants `ld` what it asks for.
 */
static int16_t set_status(uint32_t *shared, domid_t ld, bool readonly,
                          bool mapping)
{
    uint32_t mask = GTF_type_mask | (mapping ? GTF_sub_page : 0);
    uint32_t old = __atomic_load_n(&shared[0], __ATOMIC_SEQ_CST);

    for (int i = 0; i < PIN_RETRIES; i++) {
        uint32_t new = old | GTF_reading | (readonly ? 0 : GTF_writing);

        if ((old & mask) != GTF_permit_access || old >> 16 != ld ||
            (!readonly && (old & GTF_readonly)))
            return GNTST_general_error;
        /* Full barrier: the frame is read after the entry is ours. */
        if (__atomic_compare_exchange_n(&shared[0], &old, new, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return GNTST_okay;
    }
    return GNTST_general_error; /* the guest keeps changing it */
}

/* Gives back what no pin needs any more; the guest may then reuse the entry. */
static void clear_status(uint32_t *shared, const struct active_entry *act)
{
    uint32_t bits = 0;

    if (!has_writers(act))
        bits |= GTF_writing;
    if (!grant_is_pinned(act))
        bits |= GTF_reading;
    /* Full barrier: every access to the page comes before. */
    if (bits)
        __atomic_fetch_and(&shared[0], ~bits, __ATOMIC_SEQ_CST);
}

/* The first pin takes over who and what from the shared entry. */
static int16_t first_pin(struct domain *rd, uint32_t *shared,
                         struct active_entry *act, domid_t ld)
{
    uint32_t gfn = __atomic_load_n(&shared[1], __ATOMIC_ACQUIRE);

    if (!domain_owns_frame(rd, gfn))
        return GNTST_bad_page;
    act->domid = ld;
    act->gfn = gfn;
    return GNTST_okay;
}

static int16_t pin_locked(struct domain *rd, grant_ref_t ref, domid_t ld,
                          uint32_t how, bool mapping)
{
    uint32_t *shared = grant_shared_entry(rd, ref);
    bool readonly = how & GNTMAP_readonly;
    struct active_entry *act;
    int16_t status = GNTST_okay;

    if (!shared)
        return GNTST_bad_gntref;
    act = grant_active_entry(rd, ref);
    if (grant_is_pinned(act) && (act->domid != ld || would_overflow(act, how)))
        return GNTST_general_error;
    if (!grant_is_pinned(act) || (!readonly && !has_writers(act)))
        status = set_status(shared, ld, readonly, mapping);
    if (status)
        return status;
    if (!grant_is_pinned(act))
        status = first_pin(rd, shared, act, ld);
    if (status) {
        clear_status(shared, act);
        return status;
    }
    for (enum grant_pin p = 0; p < NR_GNTPINS; p++)
        act->pins[p] += wants_pin(how, p);
    return GNTST_okay;
}

int16_t grant_pin(struct domain *rd, grant_ref_t ref, domid_t ld, uint32_t how,
                  bool mapping, uint64_t *gfn)
{
    int16_t status;

    pthread_mutex_lock(&rd->grants->lock);
    status = pin_locked(rd, ref, ld, how, mapping);
    if (!status)
        *gfn = grant_active_entry(rd, ref)->gfn;
    pthread_mutex_unlock(&rd->grants->lock);
    return status;
}

void grant_unpin(struct domain *rd, grant_ref_t ref, uint32_t how)
{
    struct active_entry *act;

    pthread_mutex_lock(&rd->grants->lock);
    act = grant_active_entry(rd, ref);
    for (enum grant_pin p = 0; p < NR_GNTPINS; p++)
        act->pins[p] -= wants_pin(how, p);
    clear_status(grant_shared_entry(rd, ref), act);
    pthread_mutex_unlock(&rd->grants->lock);
}

int gnttab_seed(struct domain *d, grant_ref_t ref, domid_t to, uint64_t gfn)
{
    uint32_t *shared;
    int rc = -EINVAL;

    if (gfn > UINT32_MAX || !domain_owns_frame(d, gfn))
        return -EINVAL;
    pthread_mutex_lock(&d->grants->lock);
    shared = grant_shared_entry(d, ref);
    if (shared && !grant_is_pinned(grant_active_entry(d, ref))) {
        __atomic_store_n(&shared[1], (uint32_t)gfn, __ATOMIC_RELAXED);
        __atomic_store_n(&shared[0], GTF_permit_access | (uint32_t)to << 16,
                         __ATOMIC_RELEASE);
        rc = 0;
    }
    pthread_mutex_unlock(&d->grants->lock);
    return rc;
}
