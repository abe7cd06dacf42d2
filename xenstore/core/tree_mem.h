/* SPDX-License-Identifier: MIT */
/*
 * The memory of a tree's nodes.  A write makes and drops a dozen of them: what
 * died is used again once no reader can see it, without malloc() and free().
 * Everything here is called under the lock that guards the tree.
 */
#ifndef XENSTORE_CORE_TREE_MEM_H
#define XENSTORE_CORE_TREE_MEM_H

#include "xenstore/core/tree.h"

/* Memory for a node, not cleared; NULL: none. */
struct tnode *tree_node_alloc(struct tree *t);
/* Memory for data of so many bytes in all, of which d->kind is set; or NULL. */
struct ndata *tree_data_alloc(struct tree *t, size_t size);

/* Nobody points to it any more but readers that are still at it. */
void tree_node_dead(struct tree *t, struct tnode *n);
void tree_data_dead(struct tree *t, struct ndata *d);

/* Bytes that are kept for use. */
size_t tree_mem_spare(const struct tree *t);

/* Frees all that is dead or spare; waits for readers. */
void tree_mem_free(struct tree *t);

#endif
