/* SPDX-License-Identifier: MIT */
/*
 * Transactions: a snapshot of the root, a private root on top of it, and the
 * set of touched paths.  Committing compares the touched paths' generations in
 * the snapshot and in the live tree; nothing else can conflict.
 * A transaction belongs to its connection's thread.
 */
#ifndef XENSTORE_CORE_TXN_H
#define XENSTORE_CORE_TXN_H

#include "xenstore/core/store.h"

/* Nodes and bytes an operation adds to a domain. */
struct delta {
    uint32_t id;
    long nodes, bytes;
};

struct deltas {
    struct delta *list;
    unsigned int nr, size;
    struct delta few[2]; /* the list, as long as it is no longer */
};

/* -ENOMEM */
int deltas_add(struct deltas *d, uint32_t id, long nodes, long bytes);
long deltas_nodes(const struct deltas *d, uint32_t id);
long deltas_bytes(const struct deltas *d, uint32_t id);
void deltas_free(struct deltas *d);

struct touch {
    struct hlink link;
    struct touch *next; /* in the order of first touch */
    bool written;       /* replayed at commit */
    bool fire;          /* watches hear of it */
    bool exact;
    char path[];
};

struct txn {
    struct txn *next; /* of the same connection */
    uint32_t id;
    struct tnode *base, *root;
    struct hmap touched;
    struct touch *first, **last;
    struct deltas deltas;
    uint32_t domid;  /* whose it is */
    long booked;     /* bytes of paths and nodes, in its domain's memory */
    long booked_new; /* of these, what nodes grew by */
    bool doomed;     /* in conflict with something before a restart */
};

/* Takes a snapshot for a domain; NULL when out of memory. */
struct txn *txn_create(struct store *s, uint32_t domid, uint32_t id);
void txn_destroy(struct store *s, struct txn *t);

/* Books what its nodes grew by; store->lock is held. */
void txn_book_nodes(struct store *s, struct txn *t);

#define TXN_WRITTEN 1u
#define TXN_FIRE    2u
#define TXN_EXACT   4u

/*
 * Notes that path was looked at (flags 0) or changed.  -ENOMEM, also for the
 * memory quota, or -ENOSPC when an unprivileged caller touches too many.
 */
int txn_touch(struct view *v, const char *path, unsigned int flags);

/* Whether anyone else changed what the transaction looked at. */
bool txn_conflicts(const struct txn *t, const struct tnode *live);

/*
 * Makes the transaction's changes real and fires watches.  -EAGAIN: something
 * it touched was changed by others; -ENOSPC, -ENOMEM.  Destroy it after.
 */
int txn_commit(struct view *v);

#endif
