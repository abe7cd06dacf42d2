/* SPDX-License-Identifier: MIT */
/* The toolstack's side of the store: node plans and a lasting connection. */
#ifndef DOM0_TSTORE_H
#define DOM0_TSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xenstore.h>
#include "dom0/loop.h"

/* Who may do what with a node, as libxl names them. Dom0 always may all. */
enum node_perms {
    NODE_INHERIT, /* as the parent */
    NODE_PRIVATE, /* dom0's alone */
    NODE_RO,      /* dom0's, the domain reads */
    NODE_RW,      /* the domain's alone */
    NODE_FRONT,   /* the domain's, dom0 reads: a frontend's folder */
};

struct node {
    char *path;
    char *value; /* NULL: only make the node */
    enum node_perms perms;
};

/* Nodes to be made together; zero filled is an empty plan. */
struct plan {
    uint32_t domid; /* whose permissions */
    struct node *nodes;
    size_t nr;
    bool failed; /* out of memory while planning */
};

/* Appends; a later entry for the same path wins. */
void plan_add(struct plan *plan, enum node_perms perms, const char *value,
              const char *path_fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same with a number in decimal for the value. */
void plan_add_num(struct plan *plan, enum node_perms perms, long long value,
                  const char *path_fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The last entry for path, or NULL. */
const struct node *plan_find(const struct plan *plan, const char *path);
void plan_free(struct plan *plan);

struct tstore;

/* One line of a watch: a node at or below the watched path has changed. */
typedef void tstore_event_fn(void *owner, const char *path, const char *token);
/* The connection is (again) there: set watches and check what you know. */
typedef void tstore_ready_fn(void *owner);

/*
 * Keeps a connection to kxenstored and reopens it when that dies.  ready is
 * called at each (re)connection, the first time from tstore_create if the store
 * is already up.  0, -ENOMEM.
 */
int tstore_create(struct tstore **out, struct loop *loop,
                  tstore_event_fn *event, tstore_ready_fn *ready, void *owner);
void tstore_destroy(struct tstore *store);
bool tstore_up(const struct tstore *store);

/* All return 0 or -errno; -ENOTCONN while the store is away. */
int tstore_apply(struct tstore *store, const struct plan *plan);
int tstore_write(struct tstore *store, const char *value, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int tstore_rm(struct tstore *store, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int tstore_watch(struct tstore *store, const char *path, const char *token);
int tstore_unwatch(struct tstore *store, const char *path, const char *token);
int tstore_introduce(struct tstore *store, uint32_t domid, uint64_t mfn,
                     uint32_t port);
int tstore_release(struct tstore *store, uint32_t domid);
/* 1 introduced, 0 not. */
int tstore_introduced(struct tstore *store, uint32_t domid);

/* The value, to be freed, or NULL with errno. */
char *tstore_read(struct tstore *store, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Names of the children, one free() for all, or NULL with errno. */
char **tstore_list(struct tstore *store, unsigned *nr, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
