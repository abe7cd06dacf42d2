/* SPDX-License-Identifier: MIT */
/*
 * A domain that asks as fast as it can, at its quota or not, does not slow a
 * client served by the very same thread to less than half its speed.  The
 * flooding ring is refilled by the store's own notification, so that it is
 * never empty and takes no other CPU; the client is a real one on the socket.
 */
#include <time.h>

#include "tests/unit/test_store_host.h"
#include "xenstore/core/ring.h"

#define ROUNDS 500 /* of the client in one measurement */
#define TRIES  15

/* A ring as daemon/hvlink.c has it, with a page of our own. */
struct flooder {
    struct sring r; /* first: the two are one object */
    struct xenstore_domain_interface page;
    struct stask task;
    const char *requests; /* whole messages, over and over */
    size_t len, at;
    unsigned long turns;
    bool on;
};

static struct flooder *of_task(struct stask *t)
{
    return (struct flooder *)((char *)t - offsetof(struct flooder, task));
}

/* Reads all answers, fills the ring with requests. */
static void refill(struct flooder *f)
{
    struct xenstore_domain_interface *p = &f->page;

    p->rsp_cons = p->rsp_prod;
    while (__atomic_load_n(&f->on, __ATOMIC_RELAXED) &&
           p->req_prod - p->req_cons < XENSTORE_RING_SIZE) {
        p->req[MASK_XENSTORE_IDX(p->req_prod++)] = f->requests[f->at++];
        f->at %= f->len;
    }
}

static bool flooder_turn(struct stask *t, uint32_t events)
{
    struct flooder *f = of_task(t);

    (void)events;
    refill(f);
    sring_turn(&f->r);
    if (f->r.rest_ns)
        stask_rest(t, f->r.rest_ns);
    f->turns++;
    return __atomic_load_n(&f->on, __ATOMIC_RELAXED);
}

static void flooder_kick(struct sring *r)
{
    stask_queue(&((struct flooder *)r)->task);
}

static void flooder_end(struct stask *t)
{
    sring_fini(&of_task(t)->r);
}

static void flooder_free(struct stask *t)
{
    free(of_task(t));
}

static uint64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* The time of ROUNDS times a READ and a WRITE, ns. */
static uint64_t client_time(int fd)
{
    struct xsd_sockmsg hdr = {.len = 8};
    char msg[sizeof(hdr) + 8], answer[64];
    uint64_t start = now();

    memcpy(msg + sizeof(hdr), "/client", 8);
    for (int i = 0; i < 2 * ROUNDS; i++) {
        hdr.type = i % 2 ? XS_WRITE : XS_READ;
        memcpy(msg, &hdr, sizeof(hdr));
        assert_int_equal(send(fd, msg, sizeof(msg), 0), sizeof(msg));
        assert_true(recv(fd, answer, sizeof(answer), 0) >=
                    (ssize_t)sizeof(hdr));
    }
    return now() - start;
}

static struct flooder *flooder_new(struct host *h, uint32_t domid,
                                   const char *requests, size_t len)
{
    struct flooder *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(sring_init(&f->r, sf.s, domid, &f->page, 3), 0);
    f->r.kick = flooder_kick;
    f->requests = requests;
    f->len = len;
    f->task.worker = &h->worker;
    f->task.turn = flooder_turn;
    f->task.end = flooder_end;
    f->task.free = flooder_free;
    stask_own(&f->task);
    return f;
}

static void flood(struct flooder *f, bool on)
{
    __atomic_store_n(&f->on, on, __ATOMIC_RELAXED);
    stask_queue(&f->task);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median over pairs of neighbours in time, so that others' noise is out. */
static double slowdown(struct host *h, struct flooder *f)
{
    int fd = client_open(h);
    double ratio[TRIES];

    for (int i = 0; i < TRIES; i++) {
        uint64_t alone = client_time(fd);

        flood(f, true);
        ratio[i] = (double)client_time(fd) / alone;
        flood(f, false);
    }
    close(fd);
    qsort(ratio, TRIES, sizeof(*ratio), by_value);
    return ratio[TRIES / 2];
}

static size_t add(char *buf, uint32_t type, const void *payload, size_t len)
{
    struct xsd_sockmsg hdr = {.type = type, .len = len};

    memcpy(buf, &hdr, sizeof(hdr));
    memcpy(buf + sizeof(hdr), payload, len);
    return sizeof(hdr) + len;
}

static bool deep;

static void check(const char *what, const char *requests, size_t len)
{
    struct sf_conn *dom0 = sf_open(0);
    struct host h;
    struct flooder *f;
    double ratio = 2;

    sf_home(dom0, 3);
    sf_is(sf_write(dom0, 0, "/client", ""), "OK");
    sf.s->quota[QUOTA_NODES] = deep ? 1000 : 10;
    sf.s->quota[QUOTA_WATCHES] = 10;
    sf.s->quota[QUOTA_TRANSACTIONS] = 10;
    host_open(&h, true);
    f = flooder_new(&h, 3, requests, len);
    /* The machine may be so busy with others that once proves nothing. */
    for (int i = 0; i < 10 && ratio >= 2; i++)
        ratio = slowdown(&h, f);
    print_message("# a client beside a domain that floods the store with %s "
                  "takes %.2f times as long\n",
                  what, ratio);
    assert_true(f->turns > 10);
    host_close(&h);
    sf_close(dom0);
    assert_true(ratio < 2);
}

static void test_reads(void **state)
{
    char buf[64];

    (void)state;
    check("reads", buf, add(buf, XS_READ, "data", 5));
}

static void test_writes(void **state)
{
    char buf[64];

    (void)state;
    check("writes", buf, add(buf, XS_WRITE, "data\0value", 10));
}

/* Ten nodes are all it may have; it asks for ever new ones. */
static void test_nodes_at_quota(void **state)
{
    char buf[2048], payload[32];
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 40; i++)
        len += add(buf + len, XS_WRITE, payload,
                   sprintf(payload, "data/%d", i) + 1);
    check("nodes beyond its quota", buf, len);
    assert_non_null(strstr(sf.log, "domain 3: refused"));
    assert_non_null(strstr(sf.log, "\"nodes\""));
}

static void test_watches_at_quota(void **state)
{
    char buf[2048], payload[32];
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        int n = sprintf(payload, "data") + 1;

        n += sprintf(payload + n, "%d", i) + 1;
        len += add(buf + len, XS_WATCH, payload, n);
    }
    check("watches beyond its quota", buf, len);
    assert_non_null(strstr(sf.log, "\"watches\""));
}

static void test_transactions_at_quota(void **state)
{
    char buf[64];

    (void)state;
    check("transactions beyond its quota", buf,
          add(buf, XS_TRANSACTION_START, "", 1));
    assert_non_null(strstr(sf.log, "\"transactions\""));
}

/* The dearest requests there are: its whole quota made, and removed, by one. */
static void test_deep_trees(void **state)
{
    char buf[4096], path[1899] = "data";
    size_t len;

    (void)state;
    for (size_t i = 4; i < sizeof(path) - 1; i++)
        path[i] = i % 2 ? 'a' : '/';
    len = add(buf, XS_MKDIR, path, sizeof(path));
    len += add(buf + len, XS_RM, "data/a", 7);
    deep = true;
    check("trees as deep as they may be", buf, len);
    deep = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sf_test(test_reads),
        sf_test(test_writes),
        sf_test(test_nodes_at_quota),
        sf_test(test_watches_at_quota),
        sf_test(test_transactions_at_quota),
        sf_test(test_deep_trees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
