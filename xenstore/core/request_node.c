/* SPDX-License-Identifier: MIT */
/* Requests on nodes, watches and transactions. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu.h>

#include "xenstore/core/domain.h"
#include "xenstore/core/journal.h"
#include "xenstore/core/request.h"
#include "xenstore/core/txn.h"
#include "xenstore/core/watch.h"

int do_read(struct call *call)
{
    const struct tnode *n;
    int rc;

    rcu_read_lock();
    rc = node_get(&call->v, call->path, XS_PERM_READ, &n);
    if (!rc)
        rc = call_reply(call, n->data->value, n->data->value_len);
    rcu_read_unlock();
    return rc;
}

int do_write(struct call *call)
{
    return node_write(&call->v, call->path, call->tail, call->tail_len);
}

int do_mkdir(struct call *call)
{
    return node_mkdir(&call->v, call->path);
}

int do_rm(struct call *call)
{
    return node_rm(&call->v, call->path);
}

/* The names of children, each with its end, from byte `skip` of the list. */
struct listing {
    size_t skip, max, len;
    bool more;
    char *buf;
};

static int list_child(const struct tnode *child, void *arg)
{
    struct listing *l = arg;
    size_t n = child->data->name_len + 1, skip = l->skip < n ? l->skip : n;

    l->skip -= skip;
    n -= skip;
    if (l->len + n > l->max) {
        l->more = true;
        return 1;
    }
    memcpy(l->buf + l->len, child->data->name + skip, n);
    l->len += n;
    return 0;
}

int do_directory(struct call *call)
{
    char buf[XENSTORE_PAYLOAD_MAX];
    struct listing l = {.max = sizeof(buf), .buf = buf};
    const struct tnode *n;
    int rc;

    rcu_read_lock();
    rc = node_get(&call->v, call->path, XS_PERM_READ, &n);
    if (!rc)
        tree_for_each_child(n, list_child, &l);
    rcu_read_unlock();
    if (rc)
        return rc;
    return l.more ? -E2BIG : call_reply(call, buf, l.len);
}

int do_directory_part(struct call *call)
{
    char buf[XENSTORE_PAYLOAD_MAX];
    struct listing l = {0};
    const struct tnode *n;
    uint64_t offset;
    int rc = number_parse(call->argv[1], UINT32_MAX, &offset), gen_len;

    if (rc)
        return rc;
    l.skip = offset;
    rcu_read_lock();
    rc = node_get(&call->v, call->path, XS_PERM_READ, &n);
    if (!rc) {
        gen_len = sprintf(buf, "%" PRIu64, n->gen) + 1;
        l.buf = buf + gen_len;
        l.max = sizeof(buf) - gen_len - 1;
        tree_for_each_child(n, list_child, &l);
    }
    rcu_read_unlock();
    if (rc)
        return rc;
    if (!l.more)
        l.buf[l.len++] = '\0'; /* an empty name ends the list */
    return call_reply(call, buf, gen_len + l.len);
}

static int reply_perms(struct call *call, const struct ndata *d)
{
    char buf[XENSTORE_PAYLOAD_MAX];
    size_t len = 0;

    for (unsigned int i = 0; i < d->nr_perms; i++) {
        if (len + 16 > sizeof(buf))
            return -E2BIG;
        len += perm_format(buf + len, 16, &d->perms[i]) + 1;
    }
    return call_reply(call, buf, len);
}

static int special_get(struct call *call, const struct ndata **d)
{
    struct store_special *sp =
        special_find(call->v.store, call->path, strlen(call->path));

    if (!sp)
        return -EINVAL;
    *d = rcu_dereference(sp->data);
    return perms_for(call->v.who, *d) & XS_PERM_READ ? 0 : -EACCES;
}

int do_get_perms(struct call *call)
{
    const struct ndata *d = NULL;
    const struct tnode *n;
    int rc;

    rcu_read_lock();
    if (call->path[0] == '@') {
        rc = special_get(call, &d);
    } else {
        rc = node_get(&call->v, call->path, XS_PERM_READ, &n);
        d = rc ? NULL : n->data;
    }
    if (!rc)
        rc = reply_perms(call, d);
    rcu_read_unlock();
    return rc;
}

/* Parses the strings of the tail into a list the caller frees. */
static int parse_perms(struct call *call, struct store_perm **perms,
                       unsigned int *nr)
{
    const char *p = call->tail, *end = p + call->tail_len;
    int rc = 0;

    if (!call->tail_len || end[-1])
        return -EINVAL;
    *perms = calloc(call->tail_len, sizeof(**perms));
    if (!*perms)
        return -ENOMEM;
    for (*nr = 0; p < end && !rc; p += strlen(p) + 1)
        rc = perm_parse(&(*perms)[(*nr)++], p);
    if (rc)
        free(*perms);
    return rc;
}

int do_set_perms(struct call *call)
{
    struct store_perm *perms;
    unsigned int nr;
    int rc = parse_perms(call, &perms, &nr);

    if (rc)
        return rc;
    if (call->path[0] == '@')
        rc = special_set_perms(&call->v, call->path, perms, nr);
    else
        rc = node_set_perms(&call->v, call->path, perms, nr);
    free(perms);
    return rc;
}

/* How much of a canonical path the client left out when it wrote `given`. */
static size_t hidden_part(const struct call *call, const char *given)
{
    if (given[0] == '/' || given[0] == '@')
        return 0;
    return path_home_len(call->c->who.id);
}

/* "@introduceDomain" and "@releaseDomain", with "/<domid>" or without. */
static bool special_watchable(struct store *s, const char *path)
{
    size_t len = strcspn(path, "/");

    return special_find(s, path, len) != NULL;
}

static int parse_depth(struct call *call, int *depth)
{
    uint64_t value;

    *depth = WATCH_ANY_DEPTH;
    if (call->argc < 3 || !call->argv[2][0])
        return 0;
    if (number_parse(call->argv[2], INT32_MAX, &value))
        return -EINVAL;
    *depth = value;
    return 0;
}

int do_watch(struct call *call)
{
    struct sconn *c = call->c;
    size_t hidden = hidden_part(call, call->argv[0]);
    int depth, rc = parse_depth(call, &depth);

    if (rc)
        return rc;
    if (call->path[0] == '@' && !special_watchable(c->store, call->path))
        return -EINVAL;
    store_lock(c->store);
    rc = watch_add(c, call->path, call->argv[1], hidden, depth);
    if (!rc) {
        /* The answer first, then the event every new watch gets. */
        rc = call_reply(call, "OK", 3);
        if (!rc)
            sconn_event(c, call->path + hidden, call->argv[1]);
    }
    store_unlock(c->store);
    return rc;
}

int do_unwatch(struct call *call)
{
    int rc;

    store_lock(call->c->store);
    rc = watch_del(call->c, call->path, call->argv[1]);
    store_unlock(call->c->store);
    return rc;
}

int do_reset_watches(struct call *call)
{
    sconn_reset(call->c);
    return 0;
}

static int count_txns(const struct sconn *c)
{
    int n = 0;

    for (struct txn *t = c->txns; t; t = t->next)
        n++;
    return n;
}

static bool txn_allowed(struct sconn *c)
{
    bool ok;

    if (caller_privileged(&c->who))
        return true;
    store_lock(c->store);
    ok = quota_allows(c->store, c->who.id, QUOTA_TRANSACTIONS,
                      count_txns(c) + 1);
    store_unlock(c->store);
    return ok;
}

int do_transaction_start(struct call *call)
{
    struct sconn *c = call->c;
    char id[16];
    struct txn *t;

    if (call->v.txn)
        return -EBUSY;
    if (!txn_allowed(c))
        return -ENOSPC;
    do {
        c->next_txn++;
    } while (!c->next_txn || sconn_find_txn(c, c->next_txn));
    t = txn_create(c->store, c->who.id, c->next_txn);
    if (!t)
        return -ENOMEM;
    t->next = c->txns;
    c->txns = t;
    journal_txn(c, t);
    snprintf(id, sizeof(id), "%u", t->id);
    return call_reply_string(call, id);
}

int do_transaction_end(struct call *call)
{
    struct sconn *c = call->c;
    struct txn **p = &c->txns, *t = call->v.txn;
    bool commit = !strcmp(call->argv[0], "T");
    int rc = 0;

    if (!commit && strcmp(call->argv[0], "F"))
        return -EINVAL;
    if (!t)
        return -ENOENT;
    while (*p != t)
        p = &(*p)->next;
    *p = t->next;
    if (commit)
        rc = txn_commit(&call->v);
    journal_txn_end(c, t);
    txn_destroy(c->store, t);
    return rc;
}
