/* SPDX-License-Identifier: MIT */
#include "xenstore/core/domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "xenstore/core/conn.h"
#include "xenstore/core/journal.h"
#include "xenstore/core/node.h"
#include "xenstore/core/watch.h"

static const char *const quota_names[QUOTA_COUNT] = {
    [QUOTA_NODES] = "nodes",
    [QUOTA_WATCHES] = "watches",
    [QUOTA_TRANSACTIONS] = "transactions",
    [QUOTA_TXN_NODES] = "transaction-nodes",
    [QUOTA_PERMS] = "node-permissions",
    [QUOTA_NODE_SIZE] = "node-size",
    [QUOTA_PATH_LEN] = "path-max",
    [QUOTA_OUTSTANDING] = "outstanding",
    [QUOTA_MEMORY] = "memory",
    [QUOTA_MEMORY_SOFT] = "memory-soft",
};

const char *quota_name(enum store_quota q)
{
    return quota_names[q];
}

int quota_by_name(const char *name)
{
    for (int q = 0; q < QUOTA_COUNT; q++)
        if (!strcmp(quota_names[q], name))
            return q;
    return -1;
}

struct sdom *sdom_find(struct store *s, uint32_t domid)
{
    struct hlink *l = hmap_first(&s->domains, domid);

    for (; l; l = l->next)
        if (hmap_entry(l, struct sdom, link)->id == domid)
            return hmap_entry(l, struct sdom, link);
    return NULL;
}

struct sdom *sdom_get(struct store *s, uint32_t domid)
{
    struct sdom *d = sdom_find(s, domid);

    if (d)
        return d;
    d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->id = domid;
    if (hmap_insert(&s->domains, &d->link, domid)) {
        free(d);
        return NULL;
    }
    return d;
}

void sdom_gc(struct store *s, struct sdom *d)
{
    if (d->introduced || d->conn || d->nodes || d->watches || d->memory ||
        d->features_set || d->id == 0)
        return;
    for (int q = 0; q < QUOTA_COUNT; q++)
        if (d->quota_set[q])
            return;
    hmap_remove(&s->domains, &d->link);
    free(d);
}

uint64_t sdom_quota(struct store *s, const struct sdom *d, enum store_quota q)
{
    return d && d->quota_set[q] ? d->quota[q] : s->quota[q];
}

static void log_refusal(struct store *s, struct sdom *d, uint32_t id,
                        enum store_quota q, uint64_t limit)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (d && d->refused_logged_at == now.tv_sec) {
        d->refused_unlogged++;
        return;
    }
    store_log(s,
              "domain %u: refused, its quota \"%s\" of %llu is used up "
              "(%u refusals since the last such line not logged); "
              "CONTROL quota set %s <n> raises it",
              id, quota_names[q], (unsigned long long)limit,
              d ? d->refused_unlogged : 0, quota_names[q]);
    if (d) {
        d->refused_logged_at = now.tv_sec;
        d->refused_unlogged = 0;
    }
}

bool quota_allows(struct store *s, uint32_t id, enum store_quota q,
                  uint64_t value)
{
    struct sdom *d = sdom_find(s, id);
    uint64_t limit = sdom_quota(s, d, q);

    if (!limit || value <= limit)
        return true;
    if (d)
        d->refused[q]++;
    log_refusal(s, d, id, q, limit);
    return false;
}

long sdom_memory(struct store *s, uint32_t id)
{
    struct sdom *d = sdom_find(s, id);

    return d ? d->memory : 0;
}

void sdom_account(struct store *s, uint32_t id, long nodes, long bytes)
{
    struct sdom *d = sdom_get(s, id);
    uint64_t soft;
    bool over;

    if (!d)
        return;
    d->nodes += nodes;
    d->memory += bytes;
    soft = sdom_quota(s, d, QUOTA_MEMORY_SOFT);
    over = id && soft && d->memory > (long)soft;
    if (over && !d->over_soft)
        store_log(s,
                  "domain %u: uses %ld bytes, more than its soft memory "
                  "quota of %llu",
                  id, d->memory, (unsigned long long)soft);
    d->over_soft = over;
    if (nodes < 0 || bytes < 0)
        sdom_gc(s, d);
}

/* Attaches a fresh connection; the caller fires the event. */
static int attach(struct store *s, uint32_t domid, struct sconn *conn)
{
    struct sdom *d = sdom_get(s, domid);

    if (!d)
        return -ENOMEM;
    d->introduced = true;
    d->shutdown = false;
    d->conn = conn;
    conn->who.target = d->target;
    conn->who.has_target = d->has_target;
    journal_domain(s, d);
    journal_conn(conn);
    return 0;
}

/* Remembers where its ring is and who it is. */
static void note_domain(struct store *s, uint32_t domid, uint64_t gfn,
                        uint32_t port)
{
    struct sdom *d;
    uint8_t handle[16] = {0};

    if (s->host->identify)
        s->host->identify(s->host_ctx, domid, handle);
    store_lock(s);
    d = sdom_get(s, domid);
    if (d) {
        d->gfn = gfn;
        d->port = port;
        memcpy(d->handle, handle, sizeof(handle));
    }
    store_unlock(s);
}

static int rebind(struct store *s, struct sdom *d, uint32_t port)
{
    int rc;

    if (!s->host || !s->host->rebind)
        return -EINVAL;
    rc = s->host->rebind(s->host_ctx, d->conn, port);
    if (rc)
        return rc;
    store_lock(s);
    d->port = port;
    journal_domain(s, d);
    store_unlock(s);
    return 0;
}

/* Gives a parked connection its wire. */
static int adopt(struct store *s, struct sdom *d, uint64_t gfn, uint32_t port)
{
    struct sconn *conn, *parked = d->conn;
    int rc;

    if (!s->host || !s->host->introduce)
        return -EINVAL;
    rc = s->host->introduce(s->host_ctx, d->id, gfn, port, &conn);
    if (rc)
        return rc;
    store_lock(s);
    d->gfn = gfn;
    d->port = port;
    conn->ops->adopt(conn, parked);
    d->conn = conn;
    journal_domain(s, d);
    sconn_unpark(parked);
    sconn_kick(conn);
    store_unlock(s);
    return 0;
}

int sdom_introduce(struct store *s, uint32_t domid, uint64_t gfn, uint32_t port)
{
    struct sconn *conn = NULL;
    struct sdom *d;
    int rc;

    store_lock(s);
    d = sdom_find(s, domid);
    store_unlock(s);
    /* Admin is held: nobody else introduces or releases meanwhile. */
    if (d && d->introduced && d->conn->parked)
        return adopt(s, d, gfn, port);
    if (d && d->introduced)
        return rebind(s, d, port);
    if (!s->host || !s->host->introduce) {
        store_log(s, "cannot introduce domain %u: there is no hv here", domid);
        return -EINVAL;
    }
    rc = s->host->introduce(s->host_ctx, domid, gfn, port, &conn);
    if (rc)
        return rc;
    note_domain(s, domid, gfn, port);
    store_lock(s);
    rc = attach(s, domid, conn);
    if (rc) {
        sconn_kill(conn, "out of memory");
    } else {
        watch_fire_special(s, STORE_INTRODUCE, domid);
        sconn_kick(conn);
    }
    store_unlock(s);
    return rc;
}

int sdom_release(struct store *s, uint32_t domid, const char *why)
{
    struct sdom *d;
    struct sconn *conn;

    store_lock(s);
    d = sdom_find(s, domid);
    if (!d || !d->introduced) {
        store_unlock(s);
        return -ENOENT;
    }
    conn = d->conn;
    d->conn = NULL;
    d->introduced = false;
    d->has_target = false;
    d->features_set = false;
    memset(d->quota_set, 0, sizeof(d->quota_set));
    journal_domain(s, d);
    if (conn) {
        conn->released = true;
        watch_del_all(conn);
    }
    store_log(s, "domain %u: released (%s)", domid, why);
    nodes_forget_domain(s, domid);
    d = sdom_find(s, domid);
    if (d)
        sdom_gc(s, d);
    watch_fire_special(s, STORE_RELEASE, domid);
    /* Its owner cannot free it before we unlock. */
    if (conn && conn->parked)
        sconn_unpark(conn);
    else if (conn)
        sconn_kill(conn, NULL);
    store_unlock(s);
    return 0;
}

int sdom_resume(struct store *s, uint32_t domid)
{
    struct sdom *d;
    int rc = -ENOENT;

    store_lock(s);
    d = sdom_find(s, domid);
    if (d && d->introduced) {
        d->shutdown = false;
        journal_domain(s, d);
        rc = 0;
    }
    store_unlock(s);
    return rc;
}

int sdom_set_target(struct store *s, uint32_t domid, uint32_t target)
{
    struct sdom *d, *t;
    int rc = -ENOENT;

    store_lock(s);
    d = sdom_find(s, domid);
    t = sdom_find(s, target);
    if (d && t && d->introduced && t->introduced) {
        d->target = target;
        d->has_target = true;
        d->conn->who.target = target;
        d->conn->who.has_target = true;
        journal_domain(s, d);
        rc = 0;
    }
    store_unlock(s);
    return rc;
}

void sdom_was_shutdown(struct store *s, uint32_t domid)
{
    struct sdom *d;

    store_lock(s);
    d = sdom_find(s, domid);
    if (d && d->introduced && !d->shutdown) {
        d->shutdown = true;
        journal_domain(s, d);
        watch_fire_special(s, STORE_RELEASE, domid);
    }
    store_unlock(s);
}

unsigned int sdom_list(struct store *s, uint32_t *ids, unsigned int max)
{
    struct hlink *l, *tmp;
    unsigned int nr = 0;
    size_t i;

    store_lock(s);
    hmap_for_each(&s->domains, l, tmp, i)
    {
        struct sdom *d = hmap_entry(l, struct sdom, link);

        if (d->introduced && nr < max)
            ids[nr++] = d->id;
    }
    store_unlock(s);
    return nr;
}

/* The domain is the one the journal speaks of: 1, 0 if not, or -Exxx. */
static int same_domain(struct store *s, const struct sdom *d)
{
    uint8_t handle[16];
    int rc = -ESRCH;

    if (s->host->identify)
        rc = s->host->identify(s->host_ctx, d->id, handle);
    if (rc)
        return rc == -ESRCH ? 0 : rc;
    return !memcmp(handle, d->handle, sizeof(handle));
}

/*
 * A domain that is there keeps what it has, even if its ring cannot be had
 * now: a hypervisor may not have noticed yet that the store before is dead.
 */
static void adopt_one(struct store *s, struct sdom *d)
{
    int same = same_domain(s, d), rc = same;

    if (!same) {
        sdom_release(s, d->id, "it ended while the store was down");
        return;
    }
    if (same > 0)
        rc = adopt(s, d, d->gfn, d->port);
    if (rc)
        store_log(s, "domain %u: its ring cannot be had yet: %s; trying again",
                  d->id, strerror(-rc));
    else
        store_log(s, "domain %u: its ring goes on", d->id);
}

void sdom_adopt_all(struct store *s)
{
    uint32_t ids[256];
    unsigned int n = sdom_list(s, ids, 256);

    while (n--) {
        struct sdom *d;

        store_lock(s);
        d = sdom_find(s, ids[n]);
        store_unlock(s);
        if (d->conn->parked)
            adopt_one(s, d);
    }
}
