/* SPDX-License-Identifier: MIT */
#include "xenstore/core/tree.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore/core/hmap.h"
#include "xenstore/core/tree_mem.h"

#define PATH_BYTES 3073 /* XENSTORE_ABS_PATH_MAX and the end */
size_t ndata_size(const struct ndata *d)
{
    return sizeof(*d) + d->name_len + d->value_len +
           d->nr_perms * sizeof(d->perms[0]);
}

struct ndata *ndata_create(struct tree *t, const char *name, size_t name_len,
                           const struct store_perm *perms,
                           unsigned int nr_perms, const void *value,
                           size_t value_len)
{
    size_t perm_bytes = nr_perms * sizeof(*perms);
    struct ndata *d =
        tree_data_alloc(t, sizeof(*d) + perm_bytes + name_len + 1 + value_len);

    if (!d)
        return NULL;
    d->ref = 1;
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
    if (d && !--d->ref)
        tree_data_dead(t, d);
}

struct tnode *tree_ref(struct tnode *n)
{
    if (n)
        n->ref++;
    return n;
}

/* Drops one reference; a node that dies joins the work list. */
static void drop(struct tnode *n, struct tree_dead **work)
{
    if (!n || --n->ref)
        return;
    n->dead.next = *work;
    *work = &n->dead;
}

void tree_put(struct tree *t, struct tnode *n)
{
    struct tree_dead *work = NULL;

    drop(n, &work);
    while (work) {
        n = (struct tnode *)work;
        work = work->next;
        drop(n->left, &work);
        drop(n->right, &work);
        drop(n->kids, &work);
        ndata_put(t, n->data);
        tree_node_dead(t, n);
    }
}

uint64_t tree_new_epoch(struct tree *t)
{
    return ++t->epoch;
}

uint64_t tree_new_gen(struct tree *t)
{
    return ++t->gen;
}

/* Its first eight bytes, zeros behind, the first one counting most. */
static uint64_t name_key(const char *name, size_t len)
{
    uint64_t key = 0;

    memcpy(&key, name, len < sizeof(key) ? len : sizeof(key));
    return htobe64(key);
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
    struct tnode *n = tree_node_alloc(t);

    if (!n)
        return NULL;
    *n = (struct tnode){.ref = 1,
                        .epoch = epoch,
                        .gen = gen,
                        .prio = name_prio(t, data),
                        .key = name_key(data->name, data->name_len),
                        .data = data};
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
    tree_mem_free(t);
}

size_t path_parent_len(const char *path, size_t len)
{
    while (len > 1 && path[len - 1] != '/')
        len--;
    return len > 1 ? len - 1 : 1;
}

/* One component of a path. */
struct name {
    const char *at;
    size_t len;
    uint64_t key;
};

static struct name name_of(const struct ndata *d)
{
    return (struct name){d->name, d->name_len, name_key(d->name, d->name_len)};
}

/* Names have no zero byte: a key that ends in one is the whole name. */
static inline int name_cmp(const struct name *a, const struct tnode *n)
{
    const struct ndata *d;
    size_t len;
    int c;

    if (a->key != n->key)
        return a->key < n->key ? -1 : 1;
    if (!(a->key & 0xff))
        return 0;
    d = n->data;
    len = a->len < d->name_len ? a->len : d->name_len;
    c = memcmp(a->at, d->name, len);
    return c ? c : (a->len > d->name_len) - (a->len < d->name_len);
}

/* Takes the next component off *path (of *len bytes); of len 0 at the end. */
static inline struct name next_component(const char **path, size_t *len)
{
    const char *p = *path, *end = p + *len;
    int shift = 64;
    struct name name = {0};

    while (p < end && *p == '/')
        p++;
    name.at = p;
    for (; p < end && *p != '/'; p++)
        if (shift)
            name.key |= (uint64_t)(unsigned char)*p << (shift -= 8);
    name.len = p - name.at;
    *path = p;
    *len = end - p;
    return name;
}

static const struct tnode *find_child(const struct tnode *parent,
                                      const struct name *name)
{
    const struct tnode *n = parent->kids;

    while (n) {
        int c = name_cmp(name, n);

        if (!c)
            break;
        n = c < 0 ? n->left : n->right;
    }
    return n;
}

const struct tnode *tree_lookup(const struct tnode *root, const char *path,
                                size_t len)
{
    const struct tnode *n = root;

    while (n) {
        struct name name = next_component(&path, &len);

        if (!name.len)
            break;
        n = find_child(n, &name);
    }
    return n;
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
    n = tree_node_alloc(t);
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
 * *name is that component; with path "/" its length is 0 and the root itself
 * is owned.
 */
static int own_parent(struct tree *t, struct tnode **root, uint64_t epoch,
                      const char *path, struct tnode **parent,
                      struct name *name)
{
    size_t len = strlen(path);
    struct tnode *n = own(t, root, epoch);

    if (!n)
        return -ENOMEM;
    *name = next_component(&path, &len);
    while (len) {
        struct tnode **slot = &n->kids;

        while (*slot) {
            int c = name_cmp(name, *slot);

            if (!own(t, slot, epoch))
                return -ENOMEM;
            if (!c)
                break;
            slot = c < 0 ? &(*slot)->left : &(*slot)->right;
        }
        if (!*slot)
            return -ENOENT;
        n = *slot;
        *name = next_component(&path, &len);
    }
    *parent = n;
    return 0;
}

/*
 * Splits the treap at *rest (a reference, taken over) around name, which is
 * not in it, into *l and *r.  On failure the rest hangs at one side.
 */
static int split(struct tree *t, struct tnode *rest, uint64_t epoch,
                 const struct name *name, struct tnode **l, struct tnode **r)
{
    while (rest) {
        if (!own(t, &rest, epoch)) {
            *l = rest;
            *r = NULL;
            return -ENOMEM;
        }
        if (name_cmp(name, rest) > 0) {
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
    struct name name = name_of(child->data);
    struct tnode *rest;

    while (*slot && (*slot)->prio >= child->prio) {
        int c = name_cmp(&name, *slot);

        if (!own(t, slot, epoch))
            goto nomem;
        slot = c < 0 ? &(*slot)->left : &(*slot)->right;
    }
    rest = *slot;
    *slot = child;
    return split(t, rest, epoch, &name, &child->left, &child->right);
nomem:
    tree_put(t, child);
    return -ENOMEM;
}

/* The slot that holds the named child, all above it owned; NULL: no memory. */
static struct tnode **find_slot(struct tree *t, struct tnode *parent,
                                uint64_t epoch, const struct name *name)
{
    struct tnode **slot = &parent->kids;

    while (*slot) {
        int c = name_cmp(name, *slot);

        if (!c)
            break;
        if (!own(t, slot, epoch))
            return NULL;
        slot = c < 0 ? &(*slot)->left : &(*slot)->right;
    }
    return slot;
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
    struct name name;
    int rc = own_parent(t, root, epoch, path, &parent, &name);

    if (rc)
        goto fail;
    if (!name.len) {
        replace_data(t, parent, data, gen);
        return 0;
    }
    if (!find_child(parent, &name))
        return add_child(t, parent, epoch, data, gen);
    slot = find_slot(t, parent, epoch, &name);
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
    struct name name;
    int rc = own_parent(t, root, epoch, path, &parent, &name);

    if (rc)
        return rc;
    if (!name.len)
        return -EINVAL;
    if (!find_child(parent, &name))
        return -ENOENT;
    slot = find_slot(t, parent, epoch, &name);
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
