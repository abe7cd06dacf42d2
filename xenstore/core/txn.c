/* SPDX-License-Identifier: MIT */
#include "xenstore/core/txn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore/core/domain.h"
#include "xenstore/core/journal.h"
#include "xenstore/core/node.h"
#include "xenstore/core/watch.h"

static struct delta *find_delta(const struct deltas *d, uint32_t id)
{
    for (unsigned int i = 0; i < d->nr; i++)
        if (d->list[i].id == id)
            return &d->list[i];
    return NULL;
}

static int deltas_grow(struct deltas *d)
{
    unsigned int size = d->size * 2;
    struct delta *p;

    if (!d->size) {
        d->list = d->few;
        d->size = sizeof(d->few) / sizeof(d->few[0]);
        return 0;
    }
    p = realloc(d->list == d->few ? NULL : d->list, size * sizeof(*p));
    if (!p)
        return -ENOMEM;
    if (d->list == d->few)
        memcpy(p, d->few, sizeof(d->few));
    d->list = p;
    d->size = size;
    return 0;
}

int deltas_add(struct deltas *d, uint32_t id, long nodes, long bytes)
{
    struct delta *e = find_delta(d, id);

    if (!e && d->nr == d->size && deltas_grow(d))
        return -ENOMEM;
    if (!e) {
        e = &d->list[d->nr++];
        *e = (struct delta){.id = id};
    }
    e->nodes += nodes;
    e->bytes += bytes;
    return 0;
}

long deltas_nodes(const struct deltas *d, uint32_t id)
{
    const struct delta *e = find_delta(d, id);

    return e ? e->nodes : 0;
}

long deltas_bytes(const struct deltas *d, uint32_t id)
{
    const struct delta *e = find_delta(d, id);

    return e ? e->bytes : 0;
}

void deltas_free(struct deltas *d)
{
    if (d->list != d->few)
        free(d->list);
    memset(d, 0, sizeof(*d));
}

struct txn *txn_create(struct store *s, uint32_t domid, uint32_t id)
{
    struct txn *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->id = id;
    t->domid = domid;
    t->last = &t->first;
    store_lock(s);
    t->base = tree_ref(s->root);
    t->root = tree_ref(s->root);
    store_unlock(s);
    return t;
}

/* Domain 0's memory is nobody's concern. */
static void book(struct store *s, struct txn *t, long bytes)
{
    if (!t->domid || !bytes)
        return;
    t->booked += bytes;
    sdom_account(s, t->domid, 0, bytes);
}

void txn_book_nodes(struct store *s, struct txn *t)
{
    long bytes = deltas_bytes(&t->deltas, t->domid);

    bytes = bytes > 0 ? bytes : 0;
    book(s, t, bytes - t->booked_new);
    t->booked_new = bytes;
}

void txn_destroy(struct store *s, struct txn *t)
{
    store_lock(s);
    tree_put(&s->tree, t->base);
    tree_put(&s->tree, t->root);
    book(s, t, -t->booked);
    store_unlock(s);
    while (t->first) {
        struct touch *next = t->first->next;

        free(t->first);
        t->first = next;
    }
    hmap_free(&t->touched);
    deltas_free(&t->deltas);
    free(t);
}

static struct touch *find_touch(struct txn *t, const char *path, uint64_t hash)
{
    struct hlink *l = hmap_first(&t->touched, hash);

    for (; l; l = l->next) {
        struct touch *e = hmap_entry(l, struct touch, link);

        if (l->hash == hash && !strcmp(e->path, path))
            return e;
    }
    return NULL;
}

static size_t touch_size(const char *path)
{
    return sizeof(struct touch) + strlen(path) + 1;
}

static struct touch *add_touch(struct store *s, struct txn *t, const char *path,
                               uint64_t hash)
{
    struct touch *e = calloc(1, touch_size(path));

    if (!e)
        return NULL;
    strcpy(e->path, path);
    if (hmap_insert(&t->touched, &e->link, hash)) {
        free(e);
        return NULL;
    }
    *t->last = e;
    t->last = &e->next;
    if (t->domid) {
        store_lock(s);
        book(s, t, touch_size(path));
        store_unlock(s);
    }
    return e;
}

/* -ENOSPC: too many nodes; -ENOMEM: too much memory. */
static int may_touch_more(struct view *v, const char *path)
{
    struct store *s = v->store;
    uint32_t id = v->who->id;
    int rc = 0;

    if (caller_privileged(v->who))
        return 0;
    store_lock(s);
    if (!quota_allows(s, id, QUOTA_TXN_NODES, v->txn->touched.count + 1))
        rc = -ENOSPC;
    else if (!quota_allows(s, id, QUOTA_MEMORY,
                           sdom_memory(s, id) + touch_size(path)))
        rc = -ENOMEM;
    store_unlock(s);
    return rc;
}

/* Adds the flags; whether that changed anything. */
static bool add_flags(struct touch *e, unsigned int flags)
{
    struct touch before = *e;

    if (flags & TXN_WRITTEN)
        e->written = true;
    if (flags & TXN_FIRE) {
        /* Seen by all if any of its changes was. */
        e->exact = flags & TXN_EXACT && (!e->fire || e->exact);
        e->fire = true;
    }
    return before.written != e->written || before.fire != e->fire ||
           before.exact != e->exact;
}

int txn_touch(struct view *v, const char *path, unsigned int flags)
{
    uint64_t hash = hmap_hash(path, strlen(path));
    struct touch *e = find_touch(v->txn, path, hash);
    bool fresh = !e;
    int rc = fresh ? may_touch_more(v, path) : 0;

    if (rc)
        return rc;
    if (fresh)
        e = add_touch(v->store, v->txn, path, hash);
    if (!e)
        return -ENOMEM;
    if (add_flags(e, flags) || fresh)
        journal_touch(v, path);
    return 0;
}

bool txn_conflicts(const struct txn *t, const struct tnode *live)
{
    for (const struct touch *e = t->first; e; e = e->next) {
        size_t len = strlen(e->path);

        if (tree_gen(t->base, e->path, len) != tree_gen(live, e->path, len))
            return true;
    }
    return false;
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(struct touch *const *)a)->path,
                  (*(struct touch *const *)b)->path);
}

/* The written paths, parents before children; *nr of them. */
static struct touch **sorted_writes(const struct txn *t, size_t *nr)
{
    struct touch **list = calloc(t->touched.count + 1, sizeof(*list));

    *nr = 0;
    for (struct touch *e = t->first; list && e; e = e->next)
        if (e->written)
            list[(*nr)++] = e;
    if (list)
        qsort(list, *nr, sizeof(*list), by_path);
    return list;
}

static int replay_one(struct tree *tree, const struct txn *t,
                      struct tnode **work, uint64_t epoch, const char *path)
{
    const struct tnode *n = tree_lookup(t->root, path, strlen(path));
    int rc;

    if (n)
        return tree_set(tree, work, epoch, path, ndata_ref(n->data), n->gen);
    rc = tree_remove(tree, work, epoch, path, tree_new_gen(tree));
    return rc == -ENOENT ? 0 : rc;
}

/* The live tree with the transaction's writes on it, or NULL: no memory. */
static struct tnode *replay(struct store *s, const struct txn *t)
{
    struct tnode *work = tree_ref(s->root);
    uint64_t epoch = tree_new_epoch(&s->tree);
    size_t nr;
    struct touch **list = sorted_writes(t, &nr);
    int rc = list ? 0 : -ENOMEM;

    for (size_t i = 0; i < nr && !rc; i++)
        rc = replay_one(&s->tree, t, &work, epoch, list[i]->path);
    free(list);
    if (!rc)
        return work;
    tree_put(&s->tree, work);
    return NULL;
}

/* What the commit made of each node, parents first. */
static void journal_writes(struct store *s, const struct txn *t)
{
    size_t nr;
    struct touch **list = s->journal ? sorted_writes(t, &nr) : NULL;

    for (size_t i = 0; list && i < nr; i++) {
        const char *path = list[i]->path;
        const struct tnode *n = tree_lookup(t->root, path, strlen(path));

        if (n)
            journal_node(s, path, n->data);
        else
            journal_rm(s, path);
    }
    free(list);
}

static int check_quota(struct view *v)
{
    if (caller_privileged(v->who))
        return 0;
    for (unsigned int i = 0; i < v->txn->deltas.nr; i++) {
        struct delta *d = &v->txn->deltas.list[i];
        struct sdom *dom = sdom_find(v->store, d->id);
        long nodes = d->nodes + (dom ? dom->nodes : 0);

        if (d->id && d->nodes > 0 &&
            !quota_allows(v->store, d->id, QUOTA_NODES, nodes))
            return -ENOSPC;
    }
    return 0;
}

static void fire_one(struct store *s, const struct txn *t,
                     const struct touch *e)
{
    size_t len = strlen(e->path);
    const struct tnode *before = tree_lookup(t->base, e->path, len);
    const struct tnode *now = tree_lookup(t->root, e->path, len);
    struct change ch = {.path = e->path, .exact = now ? false : e->exact};

    if (!before && !now)
        return; /* came and went unseen */
    ch.now = now ? now->data : before->data;
    ch.before = before ? before->data : NULL;
    ch.root = now ? t->root : t->base;
    watch_fire(s, &ch);
}

static int commit_locked(struct view *v)
{
    struct store *s = v->store;
    struct txn *t = v->txn;
    struct tnode *root = NULL;
    int rc;

    if (t->doomed)
        return -EAGAIN;
    if (t->root == t->base)
        return txn_conflicts(t, s->root) ? -EAGAIN : 0;
    if (s->root != t->base && txn_conflicts(t, s->root))
        return -EAGAIN;
    rc = check_quota(v);
    if (rc)
        return rc;
    /* Nobody else wrote: the private root is the next live one. */
    root = s->root == t->base ? tree_ref(t->root) : replay(s, t);
    if (!root)
        return -ENOMEM;
    store_publish(s, root);
    journal_writes(s, t);
    for (unsigned int i = 0; i < t->deltas.nr; i++)
        sdom_account(s, t->deltas.list[i].id, t->deltas.list[i].nodes,
                     t->deltas.list[i].bytes);
    for (struct touch *e = t->first; e; e = e->next)
        if (e->fire)
            fire_one(s, t, e);
    return 0;
}

int txn_commit(struct view *v)
{
    int rc;

    store_lock(v->store);
    rc = commit_locked(v);
    store_unlock(v->store);
    return rc;
}
