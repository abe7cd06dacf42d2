/* SPDX-License-Identifier: MIT */
#include "xenstore/core/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu.h>
#include <xenstore_lib.h>

#include "xenstore/core/domain.h"
#include "xenstore/core/journal.h"
#include "xenstore/core/txn.h"
#include "xenstore/core/watch.h"

/* A change kept until the new tree is published. */
struct pending {
    struct pending *next;
    unsigned int flags; /* TXN_* */
    bool removed;
    struct ndata *now, *before;
    char path[];
};

#define ROOM 256

/* One operation: a private root, what it costs, whom it tells. */
struct op {
    struct view *v;
    struct tnode *work;
    uint64_t epoch, gen;
    struct deltas deltas;
    struct pending *first, **last;
    /* Of the first change, which mostly is the only one. */
    char room[ROOM] __attribute__((aligned(sizeof(void *))));
};

struct tnode *view_root(const struct view *v)
{
    return v->txn ? v->txn->root : rcu_dereference(v->store->root);
}

void store_publish(struct store *s, struct tnode *root)
{
    struct tnode *old = s->root;

    rcu_assign_pointer(s->root, root);
    tree_put(&s->tree, old);
}

static const struct tnode *nearest_parent(const struct tnode *root,
                                          const char *path, size_t *len)
{
    const struct tnode *n = NULL;

    *len = strlen(path);
    while (!n) {
        *len = path_parent_len(path, *len);
        n = tree_lookup(root, path, *len);
    }
    return n;
}

static int touch_len(struct view *v, const char *path, size_t len)
{
    char buf[STORE_PATH_BYTES];

    memcpy(buf, path, len);
    buf[len] = '\0';
    return txn_touch(v, buf, 0);
}

/*
 * What to say to a caller who may not have, or cannot find, a node: the truth
 * only if the nearest existing ancestor would have let them.
 */
static int polite_errno(struct view *v, const char *path, uint32_t perm, int rc)
{
    const struct tnode *up;
    size_t len;
    int touched = 0;

    if (caller_privileged(v->who) && !v->txn)
        return rc;
    up = nearest_parent(view_root(v), path, &len);
    if (v->txn)
        touched = touch_len(v, path, len);
    if (touched)
        return touched;
    return perms_for(v->who, up->data) & perm ? rc : -EACCES;
}

int node_get(struct view *v, const char *path, uint32_t perm,
             const struct tnode **node)
{
    const struct tnode *n = tree_lookup(view_root(v), path, strlen(path));
    int rc = v->txn ? txn_touch(v, path, 0) : 0;

    if (rc)
        return rc;
    *node = n;
    if (n && (perms_for(v->who, n->data) & perm) == perm)
        return 0;
    return polite_errno(v, path, perm, n ? -EACCES : -ENOENT);
}

static void op_begin(struct op *op, struct view *v)
{
    memset(op, 0, offsetof(struct op, room));
    op->v = v;
    op->work = tree_ref(view_root(v));
    op->epoch = tree_new_epoch(&v->store->tree);
    op->gen = tree_new_gen(&v->store->tree);
    op->last = &op->first;
}

/* Remembers a change; data references are taken here. */
static int op_note(struct op *op, const char *path, unsigned int flags,
                   struct ndata *now, struct ndata *before, bool removed)
{
    size_t len = strlen(path), size = sizeof(struct pending) + len + 1;
    struct pending *p = (struct pending *)op->room;

    if (op->first || size > ROOM)
        p = malloc(size);
    if (!p)
        return -ENOMEM;
    p->next = NULL;
    p->flags = flags;
    p->removed = removed;
    p->now = now ? ndata_ref(now) : NULL;
    p->before = before ? ndata_ref(before) : NULL;
    memcpy(p->path, path, len + 1);
    *op->last = p;
    op->last = &p->next;
    return 0;
}

/* Notes the parent of path as changed, for the sake of transactions. */
static int op_note_parent(struct op *op, const char *path)
{
    char parent[STORE_PATH_BYTES];
    size_t len = path_parent_len(path, strlen(path));

    if (!op->v->txn)
        return 0;
    memcpy(parent, path, len);
    parent[len] = '\0';
    return op_note(op, parent, TXN_WRITTEN, NULL, NULL, false);
}

/* Whether a change of `old` into `new` (either may be NULL) was booked. */
static int op_account(struct op *op, const struct ndata *old,
                      const struct ndata *new)
{
    int rc = 0;

    if (old)
        rc = deltas_add(&op->deltas, old->perms[0].id, -1,
                        -(long)ndata_size(old));
    if (!rc && new)
        rc = deltas_add(&op->deltas, new->perms[0].id, 1, ndata_size(new));
    return rc;
}

/* Puts data at path, consuming it. */
static int op_set(struct op *op, const char *path, struct ndata *data,
                  struct ndata *old, unsigned int flags)
{
    struct ndata *before = old && flags & TXN_FIRE ? old : NULL;
    int rc = op_account(op, old, data);

    if (!rc)
        rc = op_note(op, path, flags | TXN_WRITTEN, data, before, false);
    if (rc) {
        ndata_put(&op->v->store->tree, data);
        return rc;
    }
    return tree_set(&op->v->store->tree, &op->work, op->epoch, path, data,
                    op->gen);
}

/* Unprivileged callers may not push anyone over a quota. */
static int op_check_quota(struct op *op)
{
    struct store *s = op->v->store;
    struct txn *t = op->v->txn;

    if (caller_privileged(op->v->who))
        return 0;
    for (unsigned int i = 0; i < op->deltas.nr; i++) {
        struct delta *d = &op->deltas.list[i];
        struct sdom *dom = sdom_find(s, d->id);
        long nodes = d->nodes + (dom ? dom->nodes : 0);
        long bytes = d->bytes + (dom ? dom->memory : 0);

        if (t) {
            nodes += deltas_nodes(&t->deltas, d->id);
            bytes += deltas_bytes(&t->deltas, d->id);
            if (d->id == t->domid)
                bytes -= t->booked_new; /* they are in both */
        }
        if (d->id == 0)
            continue;
        if (d->nodes > 0 && !quota_allows(s, d->id, QUOTA_NODES, nodes))
            return -ENOSPC;
        if (d->bytes > 0 && !quota_allows(s, d->id, QUOTA_MEMORY, bytes))
            return -ENOMEM;
    }
    return 0;
}

/* The transaction takes over the new root and remembers what it touched. */
static int op_into_txn(struct op *op)
{
    struct txn *t = op->v->txn;
    struct tnode *old = t->root;
    int rc = 0;

    for (struct pending *p = op->first; p && !rc; p = p->next)
        rc = txn_touch(op->v, p->path, p->flags);
    for (unsigned int i = 0; i < op->deltas.nr && !rc; i++)
        rc = deltas_add(&t->deltas, op->deltas.list[i].id,
                        op->deltas.list[i].nodes, op->deltas.list[i].bytes);
    if (rc)
        return rc;
    for (struct pending *p = op->first; p; p = p->next)
        if (p->removed ? !(p->flags & TXN_EXACT) : p->now != NULL)
            journal_txn_node(op->v, p->path, p->removed ? NULL : p->now);
    txn_book_nodes(op->v->store, t);
    t->root = op->work;
    op->work = NULL;
    tree_put(&op->v->store->tree, old);
    return 0;
}

static void op_publish(struct op *op)
{
    struct store *s = op->v->store;
    struct tnode *before = tree_ref(s->root);

    store_publish(s, op->work);
    op->work = NULL;
    for (struct pending *p = op->first; p; p = p->next) {
        if (!p->removed)
            journal_node(s, p->path, p->now);
        else if (!(p->flags & TXN_EXACT))
            journal_rm(s, p->path);
    }
    for (unsigned int i = 0; i < op->deltas.nr; i++)
        sdom_account(s, op->deltas.list[i].id, op->deltas.list[i].nodes,
                     op->deltas.list[i].bytes);
    for (struct pending *p = op->first; p; p = p->next) {
        struct change ch = {.path = p->path,
                            .exact = p->flags & TXN_EXACT,
                            .now = p->now,
                            .before = p->before,
                            .root = p->removed ? before : s->root};

        if (p->flags & TXN_FIRE)
            watch_fire(s, &ch);
    }
    tree_put(&s->tree, before);
}

/* Makes the operation real unless rc says it failed; returns the result. */
static int op_end(struct op *op, int rc)
{
    struct tree *tree = &op->v->store->tree;

    if (!rc)
        rc = op_check_quota(op);
    if (!rc && op->v->txn)
        rc = op_into_txn(op);
    else if (!rc)
        op_publish(op);
    while (op->first) {
        struct pending *p = op->first;

        op->first = p->next;
        ndata_put(tree, p->now);
        ndata_put(tree, p->before);
        if ((char *)p != op->room)
            free(p);
    }
    deltas_free(&op->deltas);
    tree_put(tree, op->work);
    return rc;
}

static int check_size(struct view *v, const struct ndata *d)
{
    size_t size = d->value_len + d->nr_perms * sizeof(d->perms[0]);

    if (caller_privileged(v->who) ||
        quota_allows(v->store, v->who->id, QUOTA_NODE_SIZE, size))
        return 0;
    return -ENOSPC;
}

/* Puts a value under the permissions of `like`, owned by owner. */
static int op_put_value(struct op *op, const char *path, size_t path_len,
                        const struct ndata *like, uint32_t owner,
                        struct ndata *old, const void *value, size_t len,
                        unsigned int flags)
{
    size_t parent = path_parent_len(path, path_len);
    const char *name = path + parent + (parent > 1);
    char at[STORE_PATH_BYTES];
    struct ndata *d;
    int rc;

    memcpy(at, path, path_len);
    at[path_len] = '\0';
    d = ndata_create(&op->v->store->tree, name, path_len - (name - path),
                     like->perms, like->nr_perms, value, len);
    if (!d)
        return -ENOMEM;
    d->perms[0].id = owner;
    rc = check_size(op->v, d);
    if (rc) {
        ndata_put(&op->v->store->tree, d);
        return rc;
    }
    return op_set(op, at, d, old, flags);
}

/* Creates path and the missing nodes above it, which stay empty. */
static int op_create(struct op *op, const char *path, const void *value,
                     size_t len)
{
    size_t path_len = strlen(path), at;
    const struct tnode *up = nearest_parent(op->work, path, &at);
    struct ndata *like = ndata_ref(up->data);
    uint32_t owner = like->perms[0].id;
    int rc = 0;

    if (!caller_privileged(op->v->who))
        owner = op->v->who->id;
    while (!rc && at < path_len) {
        const char *next = memchr(path + at + 1, '/', path_len - at - 1);
        size_t end = next ? (size_t)(next - path) : path_len;
        bool last = end == path_len;
        char prefix[STORE_PATH_BYTES];

        memcpy(prefix, path, end);
        prefix[end] = '\0';
        rc = op_note_parent(op, prefix);
        if (!rc)
            rc = op_put_value(op, path, end, like, owner, NULL,
                              last ? value : NULL, last ? len : 0,
                              last ? TXN_FIRE : 0);
        at = end;
    }
    ndata_put(&op->v->store->tree, like);
    return rc;
}

static int write_or_create(struct op *op, const char *path, const void *value,
                           size_t len, bool replace)
{
    const struct tnode *n;
    int rc = node_get(op->v, path, XS_PERM_WRITE, &n);
    size_t path_len = strlen(path);

    if (rc == -ENOENT)
        return op_create(op, path, value, len);
    if (rc || !replace)
        return rc;
    if (path_len == 1) {
        struct ndata *d =
            ndata_create(&op->v->store->tree, "", 0, n->data->perms,
                         n->data->nr_perms, value, len);

        return d ? op_set(op, path, d, n->data, TXN_FIRE) : -ENOMEM;
    }
    return op_put_value(op, path, path_len, n->data, n->data->perms[0].id,
                        n->data, value, len, TXN_FIRE);
}

int node_write(struct view *v, const char *path, const void *value, size_t len)
{
    struct op op;
    int rc;

    store_lock(v->store);
    op_begin(&op, v);
    rc = op_end(&op, write_or_create(&op, path, value, len, true));
    store_unlock(v->store);
    return rc;
}

int node_mkdir(struct view *v, const char *path)
{
    struct op op;
    int rc;

    store_lock(v->store);
    op_begin(&op, v);
    rc = op_end(&op, write_or_create(&op, path, NULL, 0, false));
    store_unlock(v->store);
    return rc;
}

struct removal {
    struct op *op;
    size_t top_len;
};

/* Books and notes one node of a subtree that goes. */
static int remove_one(const struct tnode *n, const char *path, void *arg)
{
    struct removal *r = arg;
    bool top = strlen(path) == r->top_len;
    unsigned int flags = TXN_WRITTEN | TXN_FIRE | (top ? 0 : TXN_EXACT);
    int rc = op_account(r->op, n->data, NULL);

    if (rc || (!top && !r->op->v->txn && !r->op->v->store->nr_watches))
        return rc;
    return op_note(r->op, path, flags, n->data, NULL, true);
}

static int op_remove(struct op *op, const struct tnode *n, const char *path)
{
    struct removal r = {.op = op, .top_len = strlen(path)};
    int rc = op_note_parent(op, path);

    if (!rc)
        rc = tree_walk(n, path, remove_one, &r);
    if (!rc)
        rc = tree_remove(&op->v->store->tree, &op->work, op->epoch, path,
                         op->gen);
    return rc;
}

static int rm_checked(struct op *op, const char *path)
{
    const struct tnode *n;
    int rc = node_get(op->v, path, XS_PERM_WRITE, &n);
    size_t parent = path_parent_len(path, strlen(path));

    if (rc == -ENOENT)
        return tree_lookup(op->work, path, parent) ? 0 : -ENOENT;
    if (rc)
        return rc;
    return path[1] ? op_remove(op, n, path) : -EINVAL;
}

int node_rm(struct view *v, const char *path)
{
    struct op op;
    int rc;

    store_lock(v->store);
    op_begin(&op, v);
    rc = op_end(&op, rm_checked(&op, path));
    store_unlock(v->store);
    return rc;
}

static int set_perms_checked(struct op *op, const char *path,
                             const struct store_perm *perms, unsigned int nr)
{
    struct view *v = op->v;
    bool privileged = caller_privileged(v->who);
    const struct tnode *n;
    struct ndata *d;
    int rc = node_get(v, path, XS_PERM_WRITE | XS_PERM_OWNER, &n);

    if (rc)
        return rc;
    if (!privileged && perms[0].id != n->data->perms[0].id)
        return -EPERM;
    if (!privileged && !quota_allows(v->store, v->who->id, QUOTA_PERMS, nr))
        return -ENOSPC;
    d = ndata_create(&v->store->tree, n->data->name, n->data->name_len, perms,
                     nr, n->data->value, n->data->value_len);
    if (!d)
        return -ENOMEM;
    rc = check_size(v, d);
    if (rc) {
        ndata_put(&v->store->tree, d);
        return rc;
    }
    return op_set(op, path, d, n->data, TXN_FIRE);
}

int node_set_perms(struct view *v, const char *path,
                   const struct store_perm *perms, unsigned int nr)
{
    struct op op;
    int rc;

    store_lock(v->store);
    op_begin(&op, v);
    rc = op_end(&op, set_perms_checked(&op, path, perms, nr));
    store_unlock(v->store);
    return rc;
}

int node_restore(struct store *s, struct txn *txn, const char *path,
                 const struct store_perm *perms, unsigned int nr_perms,
                 const void *value, size_t len)
{
    struct caller who = {.id = 0};
    struct view v = {.store = s, .who = &who, .txn = txn};
    const char *slash = strrchr(path, '/');
    const struct tnode *n;
    struct ndata *d;
    struct op op;

    if (!slash)
        return -EINVAL;
    d = ndata_create(&s->tree, slash + 1, strlen(slash + 1), perms, nr_perms,
                     value, len);
    if (!d)
        return -ENOMEM;
    op_begin(&op, &v);
    n = tree_lookup(op.work, path, strlen(path));
    return op_end(&op, op_set(&op, path, d, n ? n->data : NULL, 0));
}

int node_restore_rm(struct store *s, struct txn *txn, const char *path)
{
    struct caller who = {.id = 0};
    struct view v = {.store = s, .who = &who, .txn = txn};
    const struct tnode *n;
    struct op op;

    op_begin(&op, &v);
    n = tree_lookup(op.work, path, strlen(path));
    return op_end(&op, n && path[1] ? op_remove(&op, n, path) : 0);
}

struct forgetting {
    struct op *op;
    uint32_t domid;
};

/* A copy without the domain's entries; a root it owned becomes domain 0's. */
static struct ndata *without_domain(struct tree *t, const struct ndata *d,
                                    uint32_t domid)
{
    struct ndata *n = ndata_create(t, d->name, d->name_len, d->perms,
                                   d->nr_perms, d->value, d->value_len);
    unsigned int kept = 1;

    if (!n)
        return NULL;
    if (n->perms[0].id == domid)
        n->perms[0] = (struct store_perm){.id = 0, .perms = XS_PERM_NONE};
    for (unsigned int i = 1; i < d->nr_perms; i++)
        if (d->perms[i].id != domid)
            n->perms[kept++] = d->perms[i];
    n->nr_perms = kept;
    return n;
}

static bool names_domain(const struct ndata *d, uint32_t domid)
{
    for (unsigned int i = 0; i < d->nr_perms; i++)
        if (d->perms[i].id == domid)
            return true;
    return false;
}

static int forget_one(const struct tnode *n, const char *path, void *arg)
{
    struct forgetting *f = arg;
    struct ndata *old = n->data, *d;

    if (!names_domain(old, f->domid) ||
        !tree_lookup(f->op->work, path, strlen(path)))
        return 0;
    if (old->perms[0].id == f->domid && path[1])
        return op_remove(f->op, n, path);
    d = without_domain(&f->op->v->store->tree, old, f->domid);
    return d ? op_set(f->op, path, d, old, 0) : -ENOMEM;
}

/* The right to hear of special events ends with the domain too (XSA-417). */
static int forget_special(struct store *s, uint32_t domid)
{
    for (int i = 0; i < STORE_NR_SPECIAL; i++) {
        struct ndata *d, *old = s->special[i].data;

        if (!names_domain(old, domid))
            continue;
        d = without_domain(&s->tree, old, domid);
        if (!d)
            return -ENOMEM;
        rcu_assign_pointer(s->special[i].data, d);
        ndata_put(&s->tree, old);
        journal_special(s, i);
    }
    return 0;
}

void nodes_forget_domain(struct store *s, uint32_t domid)
{
    struct caller who = {.id = 0};
    struct view v = {.store = s, .who = &who};
    struct tnode *root = tree_ref(s->root);
    struct forgetting f = {.domid = domid};
    struct op op;
    int rc;

    op_begin(&op, &v);
    f.op = &op;
    rc = op_end(&op, tree_walk(root, "/", forget_one, &f));
    tree_put(&s->tree, root);
    if (!rc)
        rc = forget_special(s, domid);
    if (rc)
        store_log(s,
                  "domain %u: could not clear its nodes and permissions: %s; "
                  "remove /local/domain/%u before its number is used again",
                  domid, strerror(-rc), domid);
}
