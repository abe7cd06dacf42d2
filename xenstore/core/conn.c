/* SPDX-License-Identifier: MIT */
#include "xenstore/core/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore/core/domain.h"
#include "xenstore/core/journal.h"
#include "xenstore/core/txn.h"
#include "xenstore/core/watch.h"

#define FLUSH_MESSAGES 16          /* per writev */
#define PRIVILEGED_LAG 1024        /* messages a trusted client may be behind */
#define PRIVILEGED_MAX (64u << 20) /* bytes; beyond it is taken for dead */

void sconn_init(struct sconn *c, struct store *s, const struct sconn_ops *ops,
                uint32_t domid, const char *name)
{
    memset(c, 0, sizeof(*c));
    c->store = s;
    c->ops = ops;
    c->who.id = domid;
    c->jkey = domid;
    snprintf(c->name, sizeof(c->name), "%s", name);
    CDS_INIT_LIST_HEAD(&c->watches);
    pthread_mutex_init(&c->out_lock, NULL);
    c->out_last = &c->out_first;
}

/* The lock is held. */
static void count_out(struct sconn *c, int messages, ssize_t bytes)
{
    c->out_bytes += bytes;
    __atomic_store_n(&c->out_count, c->out_count + messages, __ATOMIC_RELAXED);
}

void sconn_out_drop(struct sconn *c)
{
    struct outmsg *m = c->out_first;

    c->out_first = m->next;
    if (!c->out_first)
        c->out_last = &c->out_first;
    count_out(c, -1, -(ssize_t)m->len);
    if (m->hashed)
        hmap_remove(&c->events, &m->same);
    free(m);
}

static void drop_output(struct sconn *c)
{
    while (c->out_first)
        sconn_out_drop(c);
    c->out_sent = 0;
    hmap_free(&c->events);
}

void sconn_reset(struct sconn *c)
{
    store_lock(c->store);
    watch_del_all(c);
    while (c->txns) {
        struct txn *t = c->txns;

        c->txns = t->next;
        txn_destroy(c->store, t);
    }
    journal_reset(c);
    store_unlock(c->store);
}

void sconn_restart(struct sconn *c)
{
    sconn_reset(c);
    pthread_mutex_lock(&c->out_lock);
    drop_output(c);
    pthread_mutex_unlock(&c->out_lock);
    c->in_start = c->in_end = 0;
    c->overrun = false;
}

void sconn_fini(struct sconn *c)
{
    free(c->shadow); /* first: the end of a wire is not the journal's */
    c->shadow = NULL;
    sconn_reset(c);
    drop_output(c);
    pthread_mutex_destroy(&c->out_lock);
}

struct txn *sconn_find_txn(struct sconn *c, uint32_t id)
{
    struct txn *t = c->txns;

    while (t && t->id != id)
        t = t->next;
    return t;
}

void sconn_kick(struct sconn *c)
{
    if (c->ops->kick)
        c->ops->kick(c);
}

void sconn_kill(struct sconn *c, const char *why)
{
    if (why)
        store_log(c->store, "%s: disconnected: %s", c->name, why);
    c->closing = true;
    sconn_kick(c);
}

struct outmsg *outmsg_create(uint32_t type, uint32_t req_id, uint32_t tx_id,
                             size_t len)
{
    struct xsd_sockmsg hdr = {
        .type = type, .req_id = req_id, .tx_id = tx_id, .len = len};
    struct outmsg *m = malloc(sizeof(*m) + sizeof(hdr) + len);

    if (!m)
        return NULL;
    m->next = NULL;
    m->hashed = false;
    m->len = sizeof(hdr) + len;
    m->event = type == XS_WATCH_EVENT;
    memcpy(m->bytes, &hdr, sizeof(hdr));
    return m;
}

char *outmsg_payload(struct outmsg *m)
{
    return m->bytes + sizeof(struct xsd_sockmsg);
}

/*
 * Only the unprivileged are spared doubles: toolstacks may count on each.  A
 * parked queue has all that was sent since the journal began.
 */
static bool spares_doubles(const struct sconn *c, const struct outmsg *m)
{
    return m->event && !caller_privileged(&c->who) && !c->parked;
}

/* Without memory for it, doubles go out. */
static void index_event(struct sconn *c, struct outmsg *m)
{
    if (spares_doubles(c, m))
        m->hashed =
            !hmap_insert(&c->events, &m->same, hmap_hash(m->bytes, m->len));
}

void sconn_index_events(struct sconn *c)
{
    for (struct outmsg *m = c->out_first; m; m = m->next)
        index_event(c, m);
}

static void append(struct sconn *c, struct outmsg *m)
{
    *c->out_last = m;
    c->out_last = &m->next;
    count_out(c, 1, m->len);
    index_event(c, m);
    journal_out(c, m->bytes, m->len);
}

void sconn_queue(struct sconn *c, struct outmsg *m)
{
    pthread_mutex_lock(&c->out_lock);
    append(c, m);
    pthread_mutex_unlock(&c->out_lock);
}

int sconn_queue_raw(struct sconn *c, const void *bytes, size_t len)
{
    struct outmsg *m = malloc(sizeof(*m) + len);
    struct xsd_sockmsg hdr;

    if (!m)
        return -ENOMEM;
    memcpy(&hdr, bytes, sizeof(hdr));
    m->next = NULL;
    m->hashed = false;
    m->len = len;
    m->event = hdr.type == XS_WATCH_EVENT;
    memcpy(m->bytes, bytes, len);
    sconn_queue(c, m);
    return 0;
}

int sconn_send(struct sconn *c, uint32_t type, uint32_t req_id, uint32_t tx_id,
               const void *payload, size_t len)
{
    struct outmsg *m = outmsg_create(type, req_id, tx_id, len);

    if (!m)
        return -ENOMEM;
    memcpy(outmsg_payload(m), payload, len);
    sconn_queue(c, m);
    return 0;
}

/* Whether the very same event is waiting, not yet begun to be sent. */
static bool event_waiting(const struct sconn *c, const struct outmsg *m)
{
    uint64_t hash;
    struct hlink *l;

    if (!spares_doubles(c, m) || !c->events.count)
        return false;
    hash = hmap_hash(m->bytes, m->len);
    for (l = hmap_first(&c->events, hash); l; l = l->next) {
        const struct outmsg *o = hmap_entry(l, struct outmsg, same);

        if (o == c->out_first && c->out_sent)
            continue;
        if (l->hash == hash && o->len == m->len &&
            !memcmp(o->bytes, m->bytes, m->len))
            return true;
    }
    return false;
}

/*
 * What a client may leave unread before it is cut off.  store->lock is held.
 */
static size_t output_limit(struct sconn *c)
{
    if (caller_privileged(&c->who))
        return PRIVILEGED_MAX;
    return sdom_quota(c->store, sdom_find(c->store, c->who.id), QUOTA_MEMORY);
}

/* Has the event go out when the change is made, by us if we may. */
static void push_later(struct sconn *c)
{
    if (c->to_push)
        return;
    if (!c->ops->can_push || !c->ops->can_push(c)) {
        sconn_kick(c);
        return;
    }
    c->to_push = true;
    c->next_push = c->store->to_push;
    c->store->to_push = c;
}

void sconn_event(struct sconn *c, const char *path, const char *token)
{
    size_t path_len = strlen(path) + 1, token_len = strlen(token) + 1;
    size_t limit = output_limit(c);
    struct outmsg *m;
    bool drop;

    /* An event too long for the wire is not sent at all (XSA-324). */
    if (path_len + token_len > XENSTORE_PAYLOAD_MAX || c->ignored)
        return;
    m = outmsg_create(XS_WATCH_EVENT, 0, 0, path_len + token_len);
    if (!m) {
        c->overrun = true;
        sconn_kick(c);
        return;
    }
    memcpy(outmsg_payload(m), path, path_len);
    memcpy(outmsg_payload(m) + path_len, token, token_len);
    pthread_mutex_lock(&c->out_lock);
    c->overrun |= limit && c->out_bytes + m->len > limit;
    drop = c->overrun || event_waiting(c, m);
    if (!drop)
        append(c, m);
    pthread_mutex_unlock(&c->out_lock);
    if (drop)
        free(m);
    push_later(c);
}

bool sconn_stalled(struct sconn *c)
{
    uint64_t limit = PRIVILEGED_LAG;

    if (!caller_privileged(&c->who)) {
        store_lock(c->store);
        limit = sdom_quota(c->store, sdom_find(c->store, c->who.id),
                           QUOTA_OUTSTANDING);
        store_unlock(c->store);
    }
    return limit && __atomic_load_n(&c->out_count, __ATOMIC_RELAXED) >= limit;
}

/* Takes n sent bytes off the queue; its lock is held. */
static void sent(struct sconn *c, size_t n)
{
    c->out_sent += n;
    while (c->out_first && c->out_sent >= c->out_first->len) {
        c->out_sent -= c->out_first->len;
        sconn_out_drop(c);
    }
}

/* Gathers the head of the queue; its lock is held. */
static int gather(struct sconn *c, struct iovec *iov)
{
    size_t skip = c->out_sent;
    int nr = 0;

    for (struct outmsg *m = c->out_first; m && nr < FLUSH_MESSAGES;
         m = m->next) {
        iov[nr].iov_base = m->bytes + skip;
        iov[nr++].iov_len = m->len - skip;
        skip = 0;
    }
    return nr;
}

/* Sends queued output: as sconn_flush(). */
static int send_queued(struct sconn *c)
{
    struct iovec iov[FLUSH_MESSAGES];
    ssize_t n = 1;
    int nr = 1;

    pthread_mutex_lock(&c->out_lock);
    while (n > 0 && (nr = gather(c, iov))) {
        n = c->ops->writev(c, iov, nr);
        if (n > 0)
            sent(c, n);
    }
    pthread_mutex_unlock(&c->out_lock);
    return n < 0 ? (int)n : nr > 0;
}

/* No owner destroys his before it has the lock that we hold. */
void sconn_push_all(struct store *s)
{
    while (s->to_push) {
        struct sconn *c = s->to_push;

        s->to_push = c->next_push;
        c->to_push = false;
        if (c->overrun || send_queued(c))
            sconn_kick(c);
    }
}

int sconn_flush(struct sconn *c)
{
    if (c->overrun) {
        store_log(c->store,
                  "%s: disconnected: it leaves its watch events unread and "
                  "%zu bytes wait; read them, or watch less",
                  c->name, c->out_bytes);
        return -ENOSPC;
    }
    return send_queued(c);
}

/* How many bytes the message at the front still lacks; 0 if it is whole. */
static size_t missing(const struct sconn *c, const struct xsd_sockmsg *hdr)
{
    size_t have = c->in_end - c->in_start;

    if (have < sizeof(*hdr))
        return sizeof(*hdr) - have;
    return have < sizeof(*hdr) + hdr->len ? sizeof(*hdr) + hdr->len - have : 0;
}

static void peek_header(const struct sconn *c, struct xsd_sockmsg *hdr)
{
    memset(hdr, 0, sizeof(*hdr));
    if (c->in_end - c->in_start >= sizeof(*hdr))
        memcpy(hdr, c->in + c->in_start, sizeof(*hdr));
}

static int bad_length(struct sconn *c, const struct xsd_sockmsg *hdr)
{
    store_log(c->store,
              "%s: sent a message of type %u with %u bytes of payload, where "
              "%u is the most; it is not listened to any more",
              c->name, hdr->type, hdr->len, XENSTORE_PAYLOAD_MAX);
    if (c->ops->protocol_error)
        c->ops->protocol_error(c);
    return -EPROTO;
}

/* Reads once; the bytes got, 0 or -Exxx. */
static ssize_t fill(struct sconn *c, size_t lacking)
{
    size_t room;
    ssize_t n;

    if (c->in_start == c->in_end)
        c->in_start = c->in_end = 0;
    if (c->in_start + lacking + (c->in_end - c->in_start) > sizeof(c->in)) {
        memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
        c->in_end -= c->in_start;
        c->in_start = 0;
    }
    room = c->ops->exact_reads ? lacking : sizeof(c->in) - c->in_end;
    n = c->ops->read(c, c->in + c->in_end, room);
    if (n > 0)
        c->in_end += n;
    return n;
}

int sconn_input(struct sconn *c, unsigned int budget)
{
    struct xsd_sockmsg hdr;

    while (budget) {
        size_t lacking;
        char *payload;
        ssize_t n;

        peek_header(c, &hdr);
        if (hdr.len > XENSTORE_PAYLOAD_MAX)
            return bad_length(c, &hdr);
        lacking = missing(c, &hdr);
        if (lacking) {
            n = fill(c, lacking);
            if (n <= 0)
                return n;
            continue;
        }
        if (sconn_stalled(c))
            return 0;
        payload = c->in + c->in_start + sizeof(hdr);
        c->in_start += sizeof(hdr) + hdr.len;
        sconn_run(c, &hdr, payload);
        budget--;
    }
    return 1;
}
