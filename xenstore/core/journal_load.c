/* SPDX-License-Identifier: MIT */
/*
 * Replay.  A ring whose domain is not connected yet is a parked connection:
 * it has watches, transactions and queues, and waits for its wire.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore/core/conn.h"
#include "xenstore/core/domain.h"
#include "xenstore/core/journal_file.h"
#include "xenstore/core/node.h"
#include "xenstore/core/txn.h"
#include "xenstore/core/watch.h"

/* A record being read; any take beyond its end sets bad. */
struct cursor {
    const char *p, *end;
    bool bad;
};

static const void *take(struct cursor *c, size_t len)
{
    const void *p = c->p;

    if (c->bad || len > (size_t)(c->end - c->p)) {
        c->bad = true;
        return NULL;
    }
    c->p += len;
    return p;
}

static uint32_t take_u32(struct cursor *c)
{
    const void *p = take(c, sizeof(uint32_t));
    uint32_t v = 0;

    if (p)
        memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t take_u64(struct cursor *c)
{
    const void *p = take(c, sizeof(uint64_t));
    uint64_t v = 0;

    if (p)
        memcpy(&v, p, sizeof(v));
    return v;
}

static const char *take_string(struct cursor *c)
{
    const char *nul = c->bad ? NULL : memchr(c->p, '\0', c->end - c->p);

    return nul ? take(c, nul + 1 - c->p) : (c->bad = true, "");
}

/* The rest of a record as a node's permissions and value. */
struct node_args {
    const struct store_perm *perms;
    uint32_t nr_perms;
    const void *value;
    size_t len;
};

static bool take_node(struct cursor *c, struct node_args *n)
{
    n->nr_perms = take_u32(c);
    if (!n->nr_perms || n->nr_perms > UINT16_MAX)
        c->bad = true;
    n->perms = take(c, n->nr_perms * sizeof(*n->perms));
    n->len = c->end - c->p;
    n->value = take(c, n->len);
    return !c->bad;
}

/* The connection of that name in the journal. */
static struct sconn *conn_of(struct store *s, uint32_t key)
{
    struct sconn *c = s->parked_sockets;
    struct sdom *d;

    if (key < JKEY_SOCKET) {
        d = sdom_find(s, key);
        return d ? d->conn : NULL;
    }
    while (c && c->jkey != key)
        c = c->next_parked;
    return c;
}

static struct txn *txn_of(struct store *s, struct cursor *c)
{
    struct sconn *conn = conn_of(s, take_u32(c));
    uint32_t id = take_u32(c);

    return conn ? sconn_find_txn(conn, id) : NULL;
}

static int load_node(struct store *s, struct cursor *c)
{
    const char *path = take_string(c);
    struct node_args n;

    if (!take_node(c, &n))
        return -EINVAL;
    return node_restore(s, NULL, path, n.perms, n.nr_perms, n.value, n.len);
}

static int load_rm(struct store *s, struct cursor *c)
{
    const char *path = take_string(c);

    return c->bad ? -EINVAL : node_restore_rm(s, NULL, path);
}

static int load_special(struct store *s, struct cursor *c)
{
    uint32_t which = take_u32(c);
    struct ndata *d, *old;
    struct node_args n;

    if (which >= STORE_NR_SPECIAL || !take_node(c, &n))
        return -EINVAL;
    d = ndata_create(&s->tree, "", 0, n.perms, n.nr_perms, NULL, 0);
    if (!d)
        return -ENOMEM;
    old = s->special[which].data;
    s->special[which].data = d;
    ndata_put(&s->tree, old);
    return 0;
}

static int load_quota(struct store *s, struct cursor *c)
{
    uint32_t domid = take_u32(c), q = take_u32(c);
    uint64_t value = take_u64(c);
    struct sdom *d;

    if (c->bad || q >= QUOTA_COUNT)
        return -EINVAL;
    if (domid == UINT32_MAX) {
        s->quota[q] = value;
        return 0;
    }
    d = sdom_get(s, domid);
    if (!d)
        return -ENOMEM;
    d->quota[q] = value;
    d->quota_set[q] = true;
    return 0;
}

static int load_domain(struct store *s, struct cursor *c)
{
    struct sdom *d = sdom_get(s, take_u32(c));
    uint32_t flags = take_u32(c);
    const void *handle;

    if (!d)
        return -ENOMEM;
    d->introduced = flags & 1;
    d->shutdown = flags & 2;
    d->has_target = flags & 4;
    d->features_set = flags & 8;
    d->target = take_u32(c);
    d->features = take_u32(c);
    d->port = take_u32(c);
    d->gfn = take_u64(c);
    handle = take(c, sizeof(d->handle));
    if (handle)
        memcpy(d->handle, handle, sizeof(d->handle));
    if (!d->introduced && d->conn) {
        sconn_unpark(d->conn);
        d->conn = NULL;
        memset(d->quota_set, 0, sizeof(d->quota_set));
    }
    return c->bad ? -EINVAL : 0;
}

static int load_socket(struct store *s, struct cursor *c)
{
    uint32_t key = take_u32(c), sent = take_u32(c);
    const char *name = take_string(c);
    struct sconn *conn;

    if (c->bad || key < JKEY_SOCKET)
        return -EINVAL;
    conn = sconn_park(s, key);
    if (!conn)
        return -ENOMEM;
    snprintf(conn->name, sizeof(conn->name), "%s", name);
    conn->out_sent = sent;
    conn->next_parked = s->parked_sockets;
    s->parked_sockets = conn;
    return 0;
}

static int load_conn(struct store *s, struct cursor *c)
{
    uint32_t key = take_u32(c), in = take_u32(c), out = take_u32(c);
    struct sdom *d = sdom_find(s, key);

    if (key >= JKEY_SOCKET)
        return conn_of(s, key) ? 0 : -EINVAL;

    if (c->bad || !d)
        return -EINVAL;
    if (d->conn)
        sconn_unpark(d->conn);
    d->conn = sconn_park(s, d->id);
    if (!d->conn)
        return -ENOMEM;
    d->conn->who.target = d->target;
    d->conn->who.has_target = d->has_target;
    d->conn->shadow->in_total = in;
    d->conn->shadow->out_total = out;
    return 0;
}

static int load_in(struct store *s, struct cursor *c)
{
    struct sconn *conn = conn_of(s, take_u32(c));

    if (!conn || c->bad)
        return -EINVAL;
    journal_in(conn, c->p, c->end - c->p);
    return 0;
}

static int load_done(struct store *s, struct cursor *c)
{
    struct sconn *conn = conn_of(s, take_u32(c));

    if (!conn || c->bad)
        return -EINVAL;
    journal_done(conn, take_u32(c));
    return 0;
}

static int load_out(struct store *s, struct cursor *c)
{
    struct sconn *conn = conn_of(s, take_u32(c));

    if (!conn || c->bad || (size_t)(c->end - c->p) < sizeof(struct xsd_sockmsg))
        return -EINVAL;
    return sconn_queue_raw(conn, c->p, c->end - c->p);
}

static int load_watch(struct store *s, struct cursor *c)
{
    struct sconn *conn = conn_of(s, take_u32(c));
    uint32_t hidden = take_u32(c);
    int depth = take_u32(c);
    const char *path = take_string(c), *token = take_string(c);

    if (!conn || c->bad || hidden > strlen(path))
        return -EINVAL;
    return watch_add(conn, path, token, hidden, depth);
}

static int load_unwatch(struct store *s, struct cursor *c)
{
    struct sconn *conn = conn_of(s, take_u32(c));
    const char *path, *token;

    take(c, 2 * sizeof(uint32_t));
    path = take_string(c);
    token = take_string(c);
    return !conn || c->bad ? -EINVAL : watch_del(conn, path, token);
}

static int load_reset(struct store *s, struct cursor *c)
{
    struct sconn *conn = conn_of(s, take_u32(c));

    if (!conn)
        return -EINVAL;
    sconn_reset(conn);
    return 0;
}

static int load_txn(struct store *s, struct cursor *c)
{
    struct sconn *conn = conn_of(s, take_u32(c));
    uint32_t id = take_u32(c);
    struct txn *t;

    if (!conn || c->bad)
        return -EINVAL;
    t = txn_create(s, conn->who.id, id);
    if (!t)
        return -ENOMEM;
    t->next = conn->txns;
    conn->txns = t;
    if (conn->next_txn < id)
        conn->next_txn = id;
    return 0;
}

static int load_txn_end(struct store *s, struct cursor *c)
{
    struct sconn *conn = conn_of(s, take_u32(c));
    uint32_t id = take_u32(c);
    struct txn **p = conn ? &conn->txns : NULL, *t;

    while (p && *p && (*p)->id != id)
        p = &(*p)->next;
    if (!p || !*p)
        return -EINVAL;
    t = *p;
    *p = t->next;
    txn_destroy(s, t);
    return 0;
}

static int load_txn_doomed(struct store *s, struct cursor *c)
{
    struct txn *t = txn_of(s, c);

    if (!t)
        return -EINVAL;
    t->doomed = true;
    return 0;
}

static int load_touch(struct store *s, struct cursor *c)
{
    struct caller who = {.id = 0};
    struct view v = {.store = s, .who = &who};
    uint32_t flags;
    const char *path;

    v.txn = txn_of(s, c);
    flags = take_u32(c);
    path = take_string(c);
    return !v.txn || c->bad ? -EINVAL : txn_touch(&v, path, flags);
}

static int load_txn_node(struct store *s, struct cursor *c)
{
    struct txn *t = txn_of(s, c);
    const char *path = take_string(c);
    struct node_args n;

    if (!t || !take_node(c, &n))
        return -EINVAL;
    return node_restore(s, t, path, n.perms, n.nr_perms, n.value, n.len);
}

static int load_txn_rm(struct store *s, struct cursor *c)
{
    struct txn *t = txn_of(s, c);
    const char *path = take_string(c);

    return !t || c->bad ? -EINVAL : node_restore_rm(s, t, path);
}

static int (*const loaders[])(struct store *s, struct cursor *c) = {
    [J_NODE] = load_node,
    [J_RM] = load_rm,
    [J_SPECIAL] = load_special,
    [J_QUOTA] = load_quota,
    [J_DOMAIN] = load_domain,
    [J_CONN] = load_conn,
    [J_IN] = load_in,
    [J_DONE] = load_done,
    [J_OUT] = load_out,
    [J_WATCH] = load_watch,
    [J_UNWATCH] = load_unwatch,
    [J_RESET] = load_reset,
    [J_TXN] = load_txn,
    [J_TXN_END] = load_txn_end,
    [J_TOUCH] = load_touch,
    [J_TXN_DOOMED] = load_txn_doomed,
    [J_TXN_NODE] = load_txn_node,
    [J_TXN_RM] = load_txn_rm,
    [J_SOCKET] = load_socket,
};

static int load_record(struct store *s, struct cursor *all)
{
    const struct jrecord *head = take(all, sizeof(*head));
    struct jrecord r = {0};
    struct cursor c;

    if (head)
        memcpy(&r, head, sizeof(r));
    c.p = take(all, r.len);
    c.end = all->p;
    c.bad = all->bad;
    if (c.bad || r.type >= sizeof(loaders) / sizeof(loaders[0]) ||
        !loaders[r.type])
        return -EINVAL;
    return loaders[r.type](s, &c);
}

int journal_load(struct store *s, const struct journal *j)
{
    const struct jheader *h = (const struct jheader *)j->map;
    struct cursor all = {.p = j->map + sizeof(*h),
                         .end = j->map + h->committed};
    int rc = 0;

    while (all.p < all.end && !rc)
        rc = load_record(s, &all);
    return rc;
}
