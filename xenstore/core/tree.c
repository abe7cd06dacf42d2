/* SPDX-License-Identifier: MIT */
#include "xenstore/core/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu.h>

#include "xenstore/core/hmap.h"

#define PATH_BYTES  3073 /* XENSTORE_ABS_PATH_MAX and the end */
#define DEAD_ENOUGH 256  /* dead objects that are worth a grace period */

/* What one grace period frees. */
struct grave {
    struct rcu_head rcu;
    struct tnode *nodes;
    struct ndata *data;
};

static void free_dead(struct tnode *nodes, struct ndata *data)
{
    while (nodes) {
        struct tnode *next = nodes->next_dead;

        free(nodes);
        nodes = next;
    }
    while (data) {
        struct ndata *next = data->next_dead;

        free(data);
        data = next;
    }
}

static void grave_free(struct rcu_head *head)
{
    struct grave *g = caa_container_of(head, struct grave, rcu);

    free_dead(g->nodes, g->data);
    free(g);
}

/* Hands the dead over to RCU.  Without memory for that they wait on. */
static void bury(struct tree *t)
{
    struct grave *g;

    if (t->nr_dead < DEAD_ENOUGH)
        return;
    g = malloc(sizeof(*g));
    if (!g)
        return;
    g->nodes = t->dead_nodes;
    g->data = t->dead_data;
    t->dead_nodes = NULL;
    t->dead_data = NULL;
    t->nr_dead = 0;
    call_rcu(&g->rcu, grave_free);
}

size_t ndata_size(const struct ndata *d)
{
    return sizeof(*d) + d->name_len + d->value_len +
           d->nr_perms * sizeof(d->perms[0]);
}

struct ndata *ndata_create(const char *name, size_t name_len,
                           const struct store_perm *perms,
                           unsigned int nr_perms, const void *value,
                           size_t value_len)
{
    size_t perm_bytes = nr_perms * sizeof(*perms);
    struct ndata *d =
        malloc(sizeof(*d) + perm_bytes + name_len + 1 + value_len);

    if (!d)
        return NULL;
    d->ref = 1;
    d->next_dead = NULL;
    d->value_len = value_len;
    d->nr_perms = nr_perms;
    d->name_len = name_len;
    d->name = (char *)d + sizeof(*d) + perm_bytes;
    d->value = d->name + name_len + 1;
    memcpy(d->perms, perms, perm_bytes);
    memcpy(d->name, name, name_len);
    d->name[name_len] = '\0';
    if (value_len)
        memcpy(d->value, value, value_len);
    return d;
}

struct ndata *ndata_ref(struct ndata *d)
{
    d->ref++;
    return d;
}

void ndata_put(struct tree *t, struct ndata *d)
{
    if (!d || --d->ref)
        return;
    d->next_dead = t->dead_data;
    t->dead_data = d;
    t->nr_dead++;
}

struct tnode *tree_ref(struct tnode *n)
{
    if (n)
        n->ref++;
    return n;
}

/* Drops one reference; a node that dies joins the work list. */
static void drop(struct tnode *n, struct tnode **work)
{
    if (!n || --n->ref)
        return;
    n->next_dead = *work;
    *work = n;
}

void tree_put(struct tree *t, struct tnode *n)
{
    struct tnode *work = NULL;

    drop(n, &work);
    while (work) {
        n = work;
        work = n->next_dead;
        drop(n->left, &work);
        drop(n->right, &work);
        drop(n->kids, &work);
        ndata_put(t, n->data);
        n->next_dead = t->dead_nodes;
        t->dead_nodes = n;
        t->nr_dead++;
    }
    bury(t);
}

uint64_t tree_new_epoch(struct tree *t)
{
    return ++t->epoch;
}

uint64_t tree_new_gen(struct tree *t)
{
    return ++t->gen;
}

static uint32_t name_prio(const struct tree *t, const struct ndata *d)
{
    uint64_t h = hmap_hash(d->name, d->name_len) ^ t->seed;

    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdull;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ull;
    return h >> 32;
}

static struct tnode *tnode_create(struct tree *t, uint64_t epoch,
                                  struct ndata *data, uint64_t gen)
{
    struct tnode *n = calloc(1, sizeof(*n));

    if (!n)
        return NULL;
    n->ref = 1;
    n->epoch = epoch;
    n->gen = gen;
    n->prio = name_prio(t, data);
    n->data = data;
    return n;
}

struct tnode *tree_create(struct tree *t, struct ndata *root_data)
{
    struct tnode *root;

    root = tnode_create(t, tree_new_epoch(t), root_data, tree_new_gen(t));
    if (!root)
        ndata_put(t, root_data);
    return root;
}

void tree_destroy(struct tree *t)
{
    synchronize_rcu();
    free_dead(t->dead_nodes, t->dead_data);
    t->dead_nodes = NULL;
    t->dead_data = NULL;
    t->nr_dead = 0;
    rcu_barrier();
}

size_t path_parent_len(const char *path, size_t len)
{
    while (len > 1 && path[len - 1] != '/')
        len--;
    return len > 1 ? len - 1 : 1;
}

static int name_cmp(const char *a, size_t alen, const struct ndata *d)
{
    size_t n = alen < d->name_len ? alen : d->name_len;
    int c = memcmp(a, d->name, n);

    return c ? c : (alen > d->name_len) - (alen < d->name_len);
}

/*
 * Takes the next component off *path (of *len bytes): its start, and its
 * length in *n; 0 at the end.
 */
static const char *next_component(const char **path, size_t *len, size_t *n)
{
    const char *start = *path, *slash;

    while (*len && *start == '/') {
        start++;
        (*len)--;
    }
    slash = *len ? memchr(start, '/', *len) : NULL;
    *n = slash ? (size_t)(slash - start) : *len;
    *path = start + *n;
    *len -= *n;
    return start;
}

const struct tnode *tree_lookup(const struct tnode *root, const char *path,
                                size_t len)
{
    const struct tnode *n = root;
    const char *name;
    size_t name_len;

    for (;;) {
        name = next_component(&path, &len, &name_len);
        if (!name_len || !n)
            return n;
        n = n->kids;
        while (n) {
            int c = name_cmp(name, name_len, n->data);

            if (!c)
                break;
            n = c < 0 ? n->left : n->right;
        }
    }
}

uint64_t tree_gen(const struct tnode *root, const char *path, size_t len)
{
    const struct tnode *n = tree_lookup(root, path, len);

    return n ? n->gen : 0;
}

/* Makes *slot a node that only this epoch sees, copying if need be. */
static struct tnode *own(struct tree *t, struct tnode **slot, uint64_t epoch)
{
    struct tnode *old = *slot, *n;

    if (old->ref == 1 && old->epoch == epoch)
        return old;
    n = malloc(sizeof(*n));
    if (!n)
        return NULL;
    *n = *old;
    n->ref = 1;
    n->epoch = epoch;
    tree_ref(n->left);
    tree_ref(n->right);
    tree_ref(n->kids);
    ndata_ref(n->data);
    tree_put(t, old);
    *slot = n;
    return n;
}

/*
 * Walks to the parent of path's last component, owning every node on the way.
 * *name and *name_len are that component; with path "/" name_len is 0 and the
 * root itself is owned.
 */
static int own_parent(struct tree *t, struct tnode **root, uint64_t epoch,
                      const char *path, struct tnode **parent,
                      const char **name, size_t *name_len)
{
    size_t len = strlen(path);
    struct tnode *n = own(t, root, epoch);

    if (!n)
        return -ENOMEM;
    *name = next_component(&path, &len, name_len);
    while (len) {
        struct tnode **slot = &n->kids;

        while (*slot) {
            int c = name_cmp(*name, *name_len, (*slot)->data);

            if (!own(t, slot, epoch))
                return -ENOMEM;
            if (!c)
                break;
            slot = c < 0 ? &(*slot)->left : &(*slot)->right;
        }
        if (!*slot)
            return -ENOENT;
        n = *slot;
        *name = next_component(&path, &len, name_len);
    }
    *parent = n;
    return 0;
}

/*
 * Splits the treap at *rest (a reference, taken over) around name, which is
 * not in it, into *l and *r.  On failure the rest hangs at one side.
 */
static int split(struct tree *t, struct tnode *rest, uint64_t epoch,
                 const struct ndata *d, struct tnode **l, struct tnode **r)
{
    while (rest) {
        if (!own(t, &rest, epoch)) {
            *l = rest;
            *r = NULL;
            return -ENOMEM;
        }
        if (name_cmp(d->name, d->name_len, rest->data) > 0) {
            *l = rest;
            l = &rest->right;
            rest = *l;
        } else {
            *r = rest;
            r = &rest->left;
            rest = *r;
        }
    }
    *l = NULL;
    *r = NULL;
    return 0;
}

static int insert_child(struct tree *t, struct tnode **slot, uint64_t epoch,
                        struct tnode *child)
{
    const struct ndata *d = child->data;
    struct tnode *rest;

    while (*slot && (*slot)->prio >= child->prio) {
        int c = name_cmp(d->name, d->name_len, (*slot)->data);

        if (!own(t, slot, epoch))
            goto nomem;
        slot = c < 0 ? &(*slot)->left : &(*slot)->right;
    }
    rest = *slot;
    *slot = child;
    return split(t, rest, epoch, d, &child->left, &child->right);
nomem:
    tree_put(t, child);
    return -ENOMEM;
}

/* The slot that holds the named child, all above it owned; NULL: no memory. */
static struct tnode **find_slot(struct tree *t, struct tnode *parent,
                                uint64_t epoch, const char *name,
                                size_t name_len)
{
    struct tnode **slot = &parent->kids;

    while (*slot) {
        int c = name_cmp(name, name_len, (*slot)->data);

        if (!c)
            break;
        if (!own(t, slot, epoch))
            return NULL;
        slot = c < 0 ? &(*slot)->left : &(*slot)->right;
    }
    return slot;
}

static bool has_child(const struct tnode *parent, const char *name, size_t len)
{
    return tree_lookup(parent, name, len) != NULL;
}

static void replace_data(struct tree *t, struct tnode *n, struct ndata *data,
                         uint64_t gen)
{
    ndata_put(t, n->data);
    n->data = data;
    n->gen = gen;
}

static int add_child(struct tree *t, struct tnode *parent, uint64_t epoch,
                     struct ndata *data, uint64_t gen)
{
    struct tnode *child = tnode_create(t, epoch, data, gen);

    if (!child) {
        ndata_put(t, data);
        return -ENOMEM;
    }
    parent->gen = gen;
    return insert_child(t, &parent->kids, epoch, child);
}

int tree_set(struct tree *t, struct tnode **root, uint64_t epoch,
             const char *path, struct ndata *data, uint64_t gen)
{
    struct tnode *parent, **slot;
    const char *name;
    size_t name_len;
    int rc = own_parent(t, root, epoch, path, &parent, &name, &name_len);

    if (rc)
        goto fail;
    if (!name_len) {
        replace_data(t, parent, data, gen);
        return 0;
    }
    if (!has_child(parent, name, name_len))
        return add_child(t, parent, epoch, data, gen);
    slot = find_slot(t, parent, epoch, name, name_len);
    rc = -ENOMEM;
    if (!slot || !own(t, slot, epoch))
        goto fail;
    replace_data(t, *slot, data, gen);
    return 0;
fail:
    ndata_put(t, data);
    return rc;
}

/* Joins two treaps (references taken over), all of l before all of r. */
static int merge(struct tree *t, struct tnode **slot, struct tnode *l,
                 struct tnode *r, uint64_t epoch)
{
    while (l && r) {
        bool left = l->prio >= r->prio;

        if (!own(t, left ? &l : &r, epoch)) {
            *slot = l;
            tree_put(t, r);
            return -ENOMEM;
        }
        if (left) {
            *slot = l;
            slot = &l->right;
            l = *slot;
        } else {
            *slot = r;
            slot = &r->left;
            r = *slot;
        }
    }
    *slot = l ? l : r;
    return 0;
}

int tree_remove(struct tree *t, struct tnode **root, uint64_t epoch,
                const char *path, uint64_t gen)
{
    struct tnode *parent, **slot, *gone;
    const char *name;
    size_t name_len;
    int rc = own_parent(t, root, epoch, path, &parent, &name, &name_len);

    if (rc)
        return rc;
    if (!name_len)
        return -EINVAL;
    if (!has_child(parent, name, name_len))
        return -ENOENT;
    slot = find_slot(t, parent, epoch, name, name_len);
    if (!slot)
        return -ENOMEM;
    gone = *slot;
    parent->gen = gen;
    rc = merge(t, slot, tree_ref(gone->left), tree_ref(gone->right), epoch);
    tree_put(t, gone);
    return rc;
}

/* Recursion here is over a treap, whose depth is logarithmic by its seed. */
static int each(const struct tnode *n,
                int (*fn)(const struct tnode *child, void *arg), void *arg)
{
    int rc;

    if (!n)
        return 0;
    rc = each(n->left, fn, arg);
    if (!rc)
        rc = fn(n, arg);
    return rc ? rc : each(n->right, fn, arg);
}

int tree_for_each_child(const struct tnode *n,
                        int (*fn)(const struct tnode *child, void *arg),
                        void *arg)
{
    return each(n->kids, fn, arg);
}

/* A stack of nodes still to visit, with the length of the path above each. */
struct walk {
    struct {
        const struct tnode *n;
        size_t parent_len;
    } * todo;
    size_t nr, size;
    size_t parent_len;
};

static int walk_push(const struct tnode *n, void *arg)
{
    struct walk *w = arg;

    if (w->nr == w->size) {
        size_t size = w->size ? w->size * 2 : 64;
        void *p = realloc(w->todo, size * sizeof(*w->todo));

        if (!p)
            return -ENOMEM;
        w->todo = p;
        w->size = size;
    }
    w->todo[w->nr].n = n;
    w->todo[w->nr++].parent_len = w->parent_len;
    return 0;
}

/* Appends the node's name to the path of its parent; -1 if it cannot fit. */
static int walk_path(char *path, size_t parent_len, const struct ndata *d,
                     size_t *len)
{
    if (parent_len + 1 + d->name_len >= PATH_BYTES)
        return -1;
    if (parent_len > 1)
        path[parent_len++] = '/';
    memcpy(path + parent_len, d->name, d->name_len + 1);
    *len = parent_len + d->name_len;
    return 0;
}

int tree_walk(const struct tnode *n, const char *start,
              int (*fn)(const struct tnode *n, const char *path, void *arg),
              void *arg)
{
    struct walk w = {.parent_len = strlen(start)};
    char path[PATH_BYTES + 1];
    size_t len;
    int rc;

    if (w.parent_len >= PATH_BYTES)
        return -EINVAL;
    memcpy(path, start, w.parent_len + 1);
    rc = fn(n, path, arg);
    if (!rc)
        rc = tree_for_each_child(n, walk_push, &w);
    while (!rc && w.nr) {
        w.nr--;
        n = w.todo[w.nr].n;
        if (walk_path(path, w.todo[w.nr].parent_len, n->data, &len))
            continue;
        rc = fn(n, path, arg);
        w.parent_len = len;
        if (!rc)
            rc = tree_for_each_child(n, walk_push, &w);
    }
    free(w.todo);
    return rc;
}
