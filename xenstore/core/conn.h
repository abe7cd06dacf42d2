/* SPDX-License-Identifier: MIT */
/*
 * A connection: one client, on whatever wire.  It decodes requests from a
 * byte stream, runs them and queues replies and watch events.
 *
 * A connection belongs to one thread, which alone reads it, runs its requests,
 * flushes and destroys it.  Other threads may queue events (store->lock and
 * out_lock held) and kick it.
 */
#ifndef XENSTORE_CORE_CONN_H
#define XENSTORE_CORE_CONN_H

#include <sys/types.h>
#include <sys/uio.h>
#include <urcu/list.h>
#include <xenstore_lib.h>

#include "xenstore/core/store.h"

#define SCONN_MESSAGE_MAX (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

struct sconn_ops {
    /*
     * Takes up to len bytes.  0: nothing now; -Exxx: the wire is dead or its
     * peer misbehaved, the connection is to be closed.
     */
    ssize_t (*read)(struct sconn *c, void *buf, size_t len);
    /* Sends what it can; 0 and -Exxx likewise. */
    ssize_t (*writev)(struct sconn *c, const struct iovec *iov, int nr);
    /* Work came up (output, death): wake the owner.  From any thread. */
    void (*kick)(struct sconn *c);
    /*
     * Whether writev may be called right now by whoever has an event for it,
     * instead of waking its owner for that.  May be NULL: never.
     */
    bool (*can_push)(struct sconn *c);
    /*
     * Goes on where a parked connection stopped, before its first turn.
     * store->lock held; rings only.
     */
    void (*adopt)(struct sconn *c, struct sconn *parked);
    /* Told once that the peer broke the protocol; may be NULL. */
    void (*protocol_error)(struct sconn *c);
    /*
     * Ask for the bytes of one message at a time, so that what was not yet
     * understood stays with the client.
     */
    bool exact_reads;
};

/* A reply or event on its way out. */
struct outmsg {
    struct outmsg *next;
    struct hlink same; /* of its connection's events, if hashed */
    bool hashed;
    uint32_t len;
    bool event;
    char bytes[]; /* header and payload */
};

struct sconn {
    struct store *store;
    const struct sconn_ops *ops;
    struct caller who;
    char name[48]; /* for the log: "domain 3", "pid 4711 (xl)" */

    struct cds_list_head watches; /* store->lock */
    struct txn *txns;
    uint32_t next_txn;

    size_t in_start, in_end; /* unread bytes of in[] */
    char in[2 * SCONN_MESSAGE_MAX];

    uint32_t jkey;               /* its name in the journal, see journal.h */
    struct sconn *next_parked;   /* of the store: sockets, see journal.h */
    struct sconn_shadow *shadow; /* a ring's, where there is a journal */
    bool parked;                 /* read from the journal, without a wire */

    pthread_mutex_t out_lock;
    struct outmsg *out_first, **out_last;
    size_t out_sent;        /* bytes of the first that are gone */
    size_t out_bytes;       /* queued in all */
    unsigned int out_count; /* messages queued; read without the lock */
    struct hmap events;     /* queued, of an unprivileged client, by content */
    bool overrun;           /* events came faster than they were read */

    struct sconn *next_push; /* of the store, store->lock */
    bool to_push;            /* it is in that list */

    bool closing;  /* to be destroyed by the owner */
    bool ignored;  /* broke the protocol: stays, but is not served */
    bool released; /* its domain is gone: watches are removed */
};

/* Prepares the memory the owner provides. */
void sconn_init(struct sconn *c, struct store *s, const struct sconn_ops *ops,
                uint32_t domid, const char *name);

/* Removes watches, transactions and queues; the memory is the owner's. */
void sconn_fini(struct sconn *c);

/* Drops all watches and transactions of the client. */
void sconn_reset(struct sconn *c);

/*
 * Reads and runs at most `budget` requests.  Returns 1 if there may be more
 * at once, 0 if not, -Exxx when the connection is to be closed.
 */
int sconn_input(struct sconn *c, unsigned int budget);

/* Sends queued output: 1 if some is left, 0 if none, -Exxx to close. */
int sconn_flush(struct sconn *c);

/* Takes the first message off the queue, whose lock is held. */
void sconn_out_drop(struct sconn *c);

/* Has the events of a queue that was just taken over found by content. */
void sconn_index_events(struct sconn *c);

/*
 * Whether its output is so far behind that it should not be read.  Takes
 * store->lock for an unprivileged client.
 */
bool sconn_stalled(struct sconn *c);

/* A connection without a wire, read from a journal; freed by sconn_unpark(). */
struct sconn *sconn_park(struct store *s, uint32_t jkey);
void sconn_unpark(struct sconn *c);
/* Drops sockets that nobody handed on: their clients are gone. */
void sconn_unpark_sockets(struct store *s);

/*
 * Moves everything of a parked connection to c.  Of its output, the last
 * `unsent` bytes are still to go; -ERANGE: so much is not there.
 */
int sconn_take_over(struct sconn *c, struct sconn *parked, uint32_t unsent);

/* Queues a whole message, header and all.  -ENOMEM. */
int sconn_queue_raw(struct sconn *c, const void *bytes, size_t len);

/* Forgets what was read and what is to be sent: the client starts anew. */
void sconn_restart(struct sconn *c);

/* Queues one message; -ENOMEM.  The payload is copied. */
int sconn_send(struct sconn *c, uint32_t type, uint32_t req_id, uint32_t tx_id,
               const void *payload, size_t len);

/* Queues an allocated message, consuming it. */
void sconn_queue(struct sconn *c, struct outmsg *m);

/* An outmsg with a filled header and room for len bytes; NULL: no memory. */
struct outmsg *outmsg_create(uint32_t type, uint32_t req_id, uint32_t tx_id,
                             size_t len);
char *outmsg_payload(struct outmsg *m);

/*
 * Sends what was queued for connections that can be pushed; the owners of the
 * others, and of those that take no more, are kicked.  store->lock held.
 */
void sconn_push_all(struct store *s);

/* Queues a watch event, to go out by store_unlock().  store->lock held. */
void sconn_event(struct sconn *c, const char *path, const char *token);

void sconn_kick(struct sconn *c);

/* Has the owner destroy it; why (may be NULL) goes to the log. */
void sconn_kill(struct sconn *c, const char *why);

/* Runs one decoded request; the reply is queued.  request.c. */
void sconn_run(struct sconn *c, const struct xsd_sockmsg *hdr, char *payload);

struct txn *sconn_find_txn(struct sconn *c, uint32_t id);

#endif
