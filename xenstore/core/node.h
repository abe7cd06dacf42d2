/* SPDX-License-Identifier: MIT */
/* Node operations that the rest of the core needs beyond store.h. */
#ifndef XENSTORE_CORE_NODE_H
#define XENSTORE_CORE_NODE_H

#include "xenstore/core/store.h"

/* The tree a view looks at. With store->lock held, or as node_get(). */
struct tnode *view_root(const struct view *v);

/*
 * Removes what a gone domain owned and its name from other permissions, so
 * that the next domain of that number inherits nothing (XSA-322, 415).
 * With store->lock held.
 */
void nodes_forget_domain(struct store *s, uint32_t domid);

/*
 * Puts or removes a node as the journal tells, in a transaction or (txn NULL)
 * in the live tree: no checks, no events.  Removing what is not there is fine.
 */
int node_restore(struct store *s, struct txn *txn, const char *path,
                 const struct store_perm *perms, unsigned int nr_perms,
                 const void *value, size_t len);
int node_restore_rm(struct store *s, struct txn *txn, const char *path);

/* Makes root the live tree (reference taken over); store->lock held. */
void store_publish(struct store *s, struct tnode *root);

#endif
