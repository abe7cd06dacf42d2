/* SPDX-License-Identifier: MIT */
/*
 * Watches, found by a hash of the watched path: an event at /a/b/c looks up
 * its four prefixes, however many watches there are.
 * Everything here is called with store->lock held.
 */
#ifndef XENSTORE_CORE_WATCH_H
#define XENSTORE_CORE_WATCH_H

#include <urcu/list.h>

#include "xenstore/core/store.h"

#define WATCH_ANY_DEPTH (-1)

struct watch_point {
    struct hlink link;
    struct cds_list_head watches;
    char path[];
};

struct watch {
    struct cds_list_head at_point;
    struct cds_list_head of_conn;
    struct watch_point *point;
    struct sconn *conn;
    size_t hidden; /* leading bytes left out of reported paths */
    int depth;     /* levels below the path that count, or any */
    char token[];
};

/*
 * Adds a watch on an absolute or special path.  hidden: bytes of the path that
 * the client did not write (its home).  -EEXIST, -ENOSPC (quota), -ENOMEM
 * (also for the memory quota).
 * The caller sends the first event, for the path itself.
 */
int watch_add(struct sconn *c, const char *path, const char *token,
              size_t hidden, int depth);
/* -ENOENT: no such watch. */
int watch_del(struct sconn *c, const char *path, const char *token);
void watch_del_all(struct sconn *c);

/* One thing that happened, for watches to be told of. */
struct change {
    const char *path;
    bool exact;                 /* only for watches on this very path */
    const struct ndata *now;    /* the node, or what was removed */
    const struct ndata *before; /* its older permissions, or NULL */
    const struct tnode *root;   /* where the parent's permissions are read */
};

void watch_fire(struct store *s, const struct change *ch);

/* @introduceDomain or @releaseDomain (STORE_INTRODUCE ...) for domid. */
void watch_fire_special(struct store *s, int which, uint32_t domid);

#endif
