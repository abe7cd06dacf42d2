/* SPDX-License-Identifier: MIT */
#include "xenstore/core/ring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "xenstore/core/journal.h"

#define TURN_REQUESTS 4     /* one domain's share before others get theirs */
#define TURN_NS       50000 /* ... or as many as begin within this time */
#define REST          4     /* times as long as a turn that was longer */

static uint32_t load(const uint32_t *index)
{
    /* Pairs with the frontend's barrier before it moves its index. */
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void publish(uint32_t *index, uint32_t value)
{
    /* Pairs with the frontend's barrier after it loads ours. */
    __atomic_store_n(index, value, __ATOMIC_RELEASE);
}

/* Notes in the journal that the ring is as new, at the page's indices. */
static void journal_restart(struct sring *r)
{
    struct sconn *c = &r->conn;

    if (!c->shadow)
        return;
    store_lock(c->store);
    c->shadow->in_total = r->page->req_cons;
    c->shadow->out_total = r->page->rsp_prod;
    journal_conn(c);
    store_unlock(c->store);
}

/* Stops serving the client; it learns the reason from the page. */
static void ignore(struct sring *r, uint32_t error)
{
    if (r->conn.ignored)
        return;
    r->conn.ignored = true;
    sconn_restart(&r->conn);
    journal_restart(r);
    publish(&r->page->error, error);
    r->moved = true;
}

static int bad_indices(struct sring *r, const char *which, uint32_t cons,
                       uint32_t prod)
{
    store_log(r->conn.store,
              "%s: its %s ring is impossible (cons %u, prod %u, size %u); "
              "ignored until it reconnects",
              r->conn.name, which, cons, prod, XENSTORE_RING_SIZE);
    ignore(r, XENSTORE_ERROR_RINGIDX);
    return -EPROTO;
}

static ssize_t ring_read(struct sconn *c, void *buf, size_t len)
{
    struct sring *r = (struct sring *)c;
    uint32_t cons = load(&r->page->req_cons);
    uint32_t prod = load(&r->page->req_prod);
    uint32_t at = MASK_XENSTORE_IDX(cons), first;

    if (prod - cons > XENSTORE_RING_SIZE)
        return bad_indices(r, "request", cons, prod);
    if (len > prod - cons)
        len = prod - cons;
    if (!len)
        return 0;
    first = XENSTORE_RING_SIZE - at < len ? XENSTORE_RING_SIZE - at : len;
    memcpy(buf, r->page->req + at, first);
    memcpy((char *)buf + first, r->page->req, len - first);
    /* Ours to remember before it is the domain's to overwrite. */
    store_lock(c->store);
    journal_in(c, buf, len);
    store_unlock(c->store);
    publish(&r->page->req_cons, cons + len);
    r->moved = true;
    return len;
}

static size_t put(struct sring *r, uint32_t prod, const char *p, size_t len)
{
    uint32_t at = MASK_XENSTORE_IDX(prod);
    size_t first =
        XENSTORE_RING_SIZE - at < len ? XENSTORE_RING_SIZE - at : len;

    memcpy(r->page->rsp + at, p, first);
    memcpy(r->page->rsp, p + first, len - first);
    return len;
}

static ssize_t ring_writev(struct sconn *c, const struct iovec *iov, int nr)
{
    struct sring *r = (struct sring *)c;
    uint32_t cons = load(&r->page->rsp_cons);
    uint32_t prod = load(&r->page->rsp_prod);
    size_t room, done = 0;

    if (prod - cons > XENSTORE_RING_SIZE)
        return -ERANGE; /* sring_turn() says so, outside the output lock */
    room = XENSTORE_RING_SIZE - (prod - cons);
    for (int i = 0; i < nr && done < room; i++) {
        size_t len = iov[i].iov_len;

        if (len > room - done)
            len = room - done;
        done += put(r, prod + done, iov[i].iov_base, len);
    }
    if (done) {
        publish(&r->page->rsp_prod, prod + done);
        r->moved = true;
    }
    return done;
}

static void ring_kick(struct sconn *c)
{
    struct sring *r = (struct sring *)c;

    if (r->kick)
        r->kick(r);
}

static void ring_protocol_error(struct sconn *c)
{
    ignore((struct sring *)c, XENSTORE_ERROR_PROTO);
}

/*
 * The indices may be older than the journal, never newer: what was taken off
 * the ring and what was put on it is in the journal first.
 */
static void ring_adopt(struct sconn *c, struct sconn *parked)
{
    struct sring *r = (struct sring *)c;
    uint32_t sent = load(&r->page->rsp_prod);
    int rc = sconn_take_over(c, parked, parked->shadow->out_total - sent);

    publish(&r->page->req_cons, c->shadow->in_total);
    c->ignored = r->page->error != XENSTORE_ERROR_NONE;
    if (rc && !c->ignored)
        bad_indices(r, "reply", r->page->rsp_cons, sent);
    r->moved = true;
}

static const struct sconn_ops ring_ops = {
    .read = ring_read,
    .writev = ring_writev,
    .kick = ring_kick,
    .adopt = ring_adopt,
    .protocol_error = ring_protocol_error,
    .exact_reads = true,
};

int sring_init(struct sring *r, struct store *s, uint32_t domid,
               struct xenstore_domain_interface *page, uint32_t features)
{
    char name[32];

    snprintf(name, sizeof(name), "domain %u", domid);
    memset(r, 0, sizeof(*r));
    sconn_init(&r->conn, s, &ring_ops, domid, name);
    r->page = page;
    page->server_features = features;
    if (!s->journal)
        return 0;
    r->conn.shadow = calloc(1, sizeof(*r->conn.shadow));
    if (!r->conn.shadow) {
        sconn_fini(&r->conn);
        return -ENOMEM;
    }
    r->conn.shadow->in_total = page->req_cons;
    r->conn.shadow->out_total = page->rsp_prod;
    return 0;
}

/* The client asked to begin again: with nothing of its past. */
static void reconnect(struct sring *r)
{
    store_log(r->conn.store, "%s: reconnects", r->conn.name);
    sconn_restart(&r->conn);
    r->conn.ignored = false;
    r->page->req_cons = r->page->req_prod = 0;
    r->page->rsp_cons = r->page->rsp_prod = 0;
    r->page->error = XENSTORE_ERROR_NONE;
    journal_restart(r);
    publish(&r->page->connection, XENSTORE_CONNECTED);
    r->moved = true;
}

/*
 * Under the store's lock, so that nothing goes out whose group in the journal
 * is not complete.
 */
static int flush(struct sconn *c)
{
    int rc;

    store_lock(c->store);
    rc = sconn_flush(c);
    store_unlock(c->store);
    return rc;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Runs requests for a while: as sconn_input(). */
static int input(struct sring *r)
{
    uint64_t start = now_ns(), spent = 0;
    int in = 1;

    for (int i = 0; i < TURN_REQUESTS && in > 0 && spent < TURN_NS; i++) {
        in = sconn_input(&r->conn, 1);
        spent = now_ns() - start;
    }
    r->rest_ns = spent < TURN_NS ? 0 : REST * spent;
    return in;
}

static bool serve(struct sring *r)
{
    bool stalled;
    int in = input(r), out;

    stalled = sconn_stalled(&r->conn);
    out = in < 0 ? in : flush(&r->conn);
    if (out == -ERANGE && !r->conn.ignored)
        bad_indices(r, "reply", r->page->rsp_cons, r->page->rsp_prod);
    else if (out < 0)
        ignore(r, XENSTORE_ERROR_COMM);
    if (out < 0)
        return false;
    return in > 0 || (stalled && !sconn_stalled(&r->conn));
}

/*
 * Linux looks at req_cons right after it has moved req_prod, without a barrier,
 * and does not kick if it sees an old one: its look may have been before its
 * move could be seen here.  A look after ours can be seen, and a system call
 * later, is late enough.
 */
static bool more_came(struct sring *r)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return !sconn_stalled(&r->conn) &&
           load(&r->page->req_prod) != load(&r->page->req_cons);
}

/* The same of replies: it kicks for room only where it sees a full ring. */
static bool room_came(struct sring *r)
{
    return r->conn.out_first &&
           load(&r->page->rsp_prod) - load(&r->page->rsp_cons) <
               XENSTORE_RING_SIZE;
}

bool sring_turn(struct sring *r)
{
    bool more = false;

    r->rest_ns = 0;
    if (load(&r->page->connection) == XENSTORE_RECONNECT)
        reconnect(r);
    if (!r->conn.ignored && !r->conn.closing)
        more = serve(r);
    if (r->moved && r->notify) {
        r->notify(r);
        more |= more_came(r) || room_came(r);
    }
    r->moved = false;
    return more && !r->conn.ignored;
}

void sring_fini(struct sring *r)
{
    sconn_fini(&r->conn);
}
