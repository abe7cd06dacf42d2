/* SPDX-License-Identifier: MIT */
/*
 * The persistent tree: nodes are never changed once published.  A change
 * copies the path from the root to what it touches and yields a new root that
 * shares the rest, so a root pointer is a snapshot.
 *
 * The children of a node are a treap ordered by name, linked through the
 * nodes themselves: a change copies O(log fan-out) nodes on each level.
 *
 * Locks: everything that counts references (ref, put, set, remove) runs under
 * one lock, the store's.  Readers hold rcu_read_lock(), or a reference to the
 * root, and take no lock; what dies is freed after a grace period.
 */
#ifndef XENSTORE_CORE_TREE_H
#define XENSTORE_CORE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who may what: the first entry names the owner and everybody else's right. */
struct store_perm {
    uint32_t id;
    uint32_t perms; /* XS_PERM_* */
};

/* Links what died; a reader that is still at it never looks here. */
struct tree_dead {
    struct tree_dead *next;
};

/* What a node holds, shared by all copies of it; immutable. */
struct ndata {
    struct tree_dead dead; /* first: the two are one object */
    uint32_t ref;
    uint32_t value_len;
    uint16_t nr_perms;
    uint16_t name_len;
    uint16_t kind; /* of its memory */
    char *name;    /* leaf name, "" for the root; inside this allocation */
    char *value;   /* value_len bytes, likewise */
    struct store_perm perms[];
};

struct tnode {
    union {
        struct tree_dead dead; /* first: the two are one object */
        uint64_t epoch;        /* the operation that made this copy */
    };
    uint32_t ref;
    uint32_t prio;
    uint64_t key; /* how the name begins, in an order that integers have */
    uint64_t gen; /* changes with value, permissions and set of children */
    struct tnode *left, *right;
    struct tnode *kids;
    struct ndata *data;
};

struct grave;

/* Memory of one kind: in use again after a grace period.  tree_mem.c */
struct tree_store {
    struct grave *filling;   /* with what dies */
    struct grave *open;      /* has had its grace period: for use */
    struct grave *back;      /* likewise, a stack; atomic */
    unsigned int nr_back;    /* objects in that; atomic */
    struct tree_dead *stray; /* no memory for a grave: not used again */
};

#define TREE_KINDS 6

/* What the nodes of one store have in common. */
struct tree {
    uint64_t epoch;
    uint64_t gen;
    uint64_t seed; /* keeps guests from guessing treap priorities */
    struct tree_store mem[TREE_KINDS];
    bool buried; /* anything, ever */
};

/* Starts a tree with a root of the given data (reference taken over). */
struct tnode *tree_create(struct tree *t, struct ndata *root_data);

/*
 * Frees all dead memory; the roots must have been put.  Waits for a grace
 * period: not within a read section.
 */
void tree_destroy(struct tree *t);

/* A new operation's number; nodes it makes may be changed until it ends. */
uint64_t tree_new_epoch(struct tree *t);

/* A generation nobody had before; never 0, which stands for "no node". */
uint64_t tree_new_gen(struct tree *t);

/* Copies everything in; NULL when out of memory.  One reference. */
struct ndata *ndata_create(struct tree *t, const char *name, size_t name_len,
                           const struct store_perm *perms,
                           unsigned int nr_perms, const void *value,
                           size_t value_len);
struct ndata *ndata_ref(struct ndata *d);
void ndata_put(struct tree *t, struct ndata *d);

struct tnode *tree_ref(struct tnode *n);
void tree_put(struct tree *t, struct tnode *n);

/* The node at an absolute path of len bytes, or NULL. */
const struct tnode *tree_lookup(const struct tnode *root, const char *path,
                                size_t len);

/* The generation at a path, 0 where there is no node. */
uint64_t tree_gen(const struct tnode *root, const char *path, size_t len);

/*
 * Puts data (reference taken over, also on failure) at path with generation
 * gen; a new node also gives its parent that generation.  *root is a reference
 * private to this epoch and is replaced.  -ENOENT: no parent; -ENOMEM: *root
 * is still to be put, but no longer of use.
 */
int tree_set(struct tree *t, struct tnode **root, uint64_t epoch,
             const char *path, struct ndata *data, uint64_t gen);

/* Unlinks path with all below it; errors and *root as in tree_set(). */
int tree_remove(struct tree *t, struct tnode **root, uint64_t epoch,
                const char *path, uint64_t gen);

/* Calls fn for each child in order of name until it returns non-zero. */
int tree_for_each_child(const struct tnode *n,
                        int (*fn)(const struct tnode *child, void *arg),
                        void *arg);

/*
 * Visits n (at path) and everything below it, parents first, until fn returns
 * non-zero.  Without recursion over depth, as depth is a client's to choose.
 */
int tree_walk(const struct tnode *n, const char *path,
              int (*fn)(const struct tnode *n, const char *path, void *arg),
              void *arg);

/* The path's parent: its length within path ("/a" -> 1, "/a/b" -> 2). */
size_t path_parent_len(const char *path, size_t len);

/* Bytes a node is charged for: name, value and permissions. */
size_t ndata_size(const struct ndata *d);

#endif
