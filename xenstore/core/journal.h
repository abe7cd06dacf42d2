/* SPDX-License-Identifier: MIT */
/*
 * What a SIGKILL must not lose: a file mapped into memory, to which every
 * change is added before anybody is told of it.  A new store reads it and goes
 * on: tree, quotas, domains, and of each ring its watches, transactions,
 * half-read request and unsent replies.
 *
 * Records are physical (what became of a node, which bytes were queued), so
 * replay needs no judgement.  They count only when the group they are in is
 * complete: a group is what happens between the outermost store_lock() and
 * store_unlock().  The file survives the process, not the machine; it belongs
 * in the run dir.
 *
 * Everything here is called with store->lock held, and does nothing in a store
 * without a journal.
 */
#ifndef XENSTORE_CORE_JOURNAL_H
#define XENSTORE_CORE_JOURNAL_H

#include "xenstore/core/store.h"

struct journal;

/*
 * Connections are named by a ring's domain, or by JKEY_SOCKET plus a socket's
 * descriptor.  The latter are written only for a live update, which hands the
 * descriptors on; otherwise a socket's client sees its connection close.
 */
#define JKEY_SOCKET 0x10000u

/* What the journal knows of a ring that the connection itself does not. */
struct sconn_shadow {
    uint32_t in_total;  /* bytes taken off the request ring, ever */
    uint32_t out_total; /* bytes queued for the reply ring, ever */
    size_t in_len;      /* of a request not yet run */
    char in[2 * (16 + 4096)];
};

/*
 * Reads the journal at path into the (fresh) store, then keeps it there.  A
 * missing file is an empty one.  -EBUSY: another process holds it; -EINVAL: it
 * is not a journal of this version; others: -errno of the file.
 */
int journal_open(struct store *s, const char *path);
/* Unmaps it; with forget, the file is removed. */
void journal_close(struct store *s, bool forget);

/*
 * Writes a socket's connection, of descriptor fd, for the process that takes
 * over.  It then stands in s->parked_sockets there, once journal_open() is
 * done.  -ENOMEM.
 */
int journal_socket(struct sconn *c, int fd);

/* Completes the group under way. */
void journal_commit(struct store *s);

void journal_node(struct store *s, const char *path, const struct ndata *d);
void journal_rm(struct store *s, const char *path);
void journal_special(struct store *s, int which);
void journal_quota(struct store *s, const struct sdom *d, int q);
void journal_domain(struct store *s, const struct sdom *d);

/* A ring's connection begins (again), with nothing in it. */
void journal_conn(struct sconn *c);
void journal_in(struct sconn *c, const void *bytes, size_t len);
/* Its front request, of len bytes, was run. */
void journal_done(struct sconn *c, size_t len);
void journal_out(struct sconn *c, const void *bytes, size_t len);
void journal_watch(const struct watch *w);
void journal_unwatch(const struct watch *w);
/* All its watches and transactions are gone. */
void journal_reset(struct sconn *c);

void journal_txn(struct sconn *c, const struct txn *t);
void journal_txn_end(struct sconn *c, const struct txn *t);
void journal_touch(const struct view *v, const char *path);
/* d NULL: removed. */
void journal_txn_node(const struct view *v, const char *path,
                      const struct ndata *d);

#endif
