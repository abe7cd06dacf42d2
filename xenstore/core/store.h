/* SPDX-License-Identifier: MIT */
/*
 * The store: the tree, its domains and its watches, in one object.
 *
 * Locks, outermost first: store->admin (one INTRODUCE, RELEASE or hv event at
 * a time), store->lock (every change), a connection's out_lock.  A thread that
 * reads nodes is registered with RCU (store_thread_enter).
 */
#ifndef XENSTORE_CORE_STORE_H
#define XENSTORE_CORE_STORE_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xenstore/core/hmap.h"
#include "xenstore/core/names.h"
#include "xenstore/core/tree.h"

struct journal;
struct sconn;
struct store;
struct txn;
struct watch;

/* On whose behalf something is done; DOMID 0 may do everything. */
struct caller {
    uint32_t id;
    uint32_t target; /* acts for this domain too, see has_target */
    bool has_target;
};

/* All quotas are per unprivileged domain; 0 means no limit. */
enum store_quota {
    QUOTA_NODES,
    QUOTA_WATCHES,
    QUOTA_TRANSACTIONS,
    QUOTA_TXN_NODES,
    QUOTA_PERMS,
    QUOTA_NODE_SIZE,
    QUOTA_PATH_LEN,
    QUOTA_OUTSTANDING,
    QUOTA_MEMORY,      /* hard: refused beyond */
    QUOTA_MEMORY_SOFT, /* beyond it only a warning is logged */
    QUOTA_COUNT,
};

/* What the store keeps about a domain; lives while anything refers to it. */
struct sdom {
    struct hlink link;
    uint32_t id;
    bool introduced;
    bool shutdown; /* told by @releaseDomain that it went down */
    bool over_soft;
    struct sconn *conn; /* its ring, while introduced */
    uint32_t target;
    bool has_target;
    long nodes;
    long memory; /* bytes, see ndata_size() */
    long watches;
    uint64_t quota[QUOTA_COUNT];
    uint32_t features; /* offered to its ring instead of the store's */
    bool features_set;
    uint64_t gfn;       /* as introduced */
    uint32_t port;      /* the domain's own end */
    uint8_t handle[16]; /* tells it from an earlier domain of its number */
    bool quota_set[QUOTA_COUNT]; /* own value instead of the store's */
    unsigned long refused[QUOTA_COUNT];
    long refused_logged_at; /* seconds; limits the log's growth */
    unsigned int refused_unlogged;
};

/*
 * What the store needs from the machine around it; NULL members are things
 * this machine cannot do.  Called with store->admin held, store->lock not.
 */
struct store_host {
    /*
     * Maps a domain's ring page and binds its port.  The connection is handed
     * out in *conn, not yet reading.  -Exxx.
     */
    int (*introduce)(void *ctx, uint32_t domid, uint64_t gfn, uint32_t port,
                     struct sconn **conn);
    /* The domain's handle (UUID); -ESRCH: there is no such domain. */
    int (*identify)(void *ctx, uint32_t domid, uint8_t handle[16]);
    /* Binds an introduced domain's connection to another port. */
    int (*rebind)(void *ctx, struct sconn *conn, uint32_t port);
};

struct store_special {
    const char *name;
    struct ndata *data; /* only its permissions count */
};

enum { STORE_INTRODUCE, STORE_RELEASE, STORE_NR_SPECIAL };

struct store {
    pthread_mutex_t lock; /* recursive: a ring's request holds it throughout */
    unsigned int depth;   /* of the lock */
    struct journal *journal;      /* NULL: nothing is kept */
    struct sconn *to_push;        /* have events to send at the unlock */
    struct sconn *parked_sockets; /* handed on by a live update */
    /*
     * Replaces the process by binary (NULL: its own) with those arguments,
     * parted by blanks (NULL: those it has).  NULL: cannot.
     */
    int (*live_update)(void *ctx, const char *binary, const char *arguments);
    void *live_update_ctx;
    char *new_binary;    /* set by CONTROL live-update -f */
    char *new_arguments; /* set by CONTROL live-update -c */
    bool loading;        /* what happens has happened before: no events */
    pthread_mutex_t admin;
    struct tnode *root; /* published by rcu_assign_pointer() */
    struct tree tree;
    struct hmap domains;      /* struct sdom by id */
    struct hmap watch_points; /* struct watch_point by path */
    unsigned long nr_watches;
    struct store_special special[STORE_NR_SPECIAL];
    uint64_t quota[QUOTA_COUNT];
    uint32_t features; /* XENSTORE_SERVER_FEATURE_* offered to rings */
    bool trace;        /* CONTROL log: every request is logged */
    const struct store_host *host;
    void *host_ctx;
    void (*log)(void *ctx, const char *line); /* NULL: stderr */
    void *log_ctx;
};

/* NULL when out of memory. */
struct store *store_create(void);
/* All connections must have been closed. */
void store_destroy(struct store *s);

/* Around the life of every thread that uses a store. */
void store_thread_enter(void);
void store_thread_leave(void);

void store_lock(struct store *s);
void store_unlock(struct store *s);

/* One line, no newline at its end. */
void store_log(struct store *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

bool caller_privileged(const struct caller *who);

/* What who may do with a node: XS_PERM_READ, _WRITE and _OWNER. */
uint32_t perms_for(const struct caller *who, const struct ndata *d);

/* A caller's look at the store, through a transaction or not. */
struct view {
    struct store *store;
    const struct caller *who;
    struct txn *txn;    /* NULL: the live tree */
    struct sconn *conn; /* the ring that asks, whose journal is kept; or NULL */
};

/*
 * Node operations.  path is absolute and valid.  All return 0 or -Exxx by the
 * rules of the wire: -ENOENT, -EACCES (also instead of anything a caller may
 * not know), -EAGAIN, -ENOSPC (quota), -EINVAL, -EPERM, -ENOMEM.
 *
 * node_get() needs rcu_read_lock() held, or a transaction; the node is valid
 * as long.  The others take the store's lock themselves.
 */
int node_get(struct view *v, const char *path, uint32_t perm,
             const struct tnode **node);
int node_write(struct view *v, const char *path, const void *value, size_t len);
int node_mkdir(struct view *v, const char *path);
int node_rm(struct view *v, const char *path);
int node_set_perms(struct view *v, const char *path,
                   const struct store_perm *perms, unsigned int nr);

/* Permissions of "@..." names; -EINVAL for other names, privileged only. */
int special_set_perms(struct view *v, const char *name,
                      const struct store_perm *perms, unsigned int nr);
struct store_special *special_find(struct store *s, const char *name,
                                   size_t len);

#endif
