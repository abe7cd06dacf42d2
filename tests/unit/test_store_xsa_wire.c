/* SPDX-License-Identifier: MIT */
/*
 * Xen's security advisories about how a store is spoken to: rings, message
 * sizes, what a client leaves unread, domains that come and go.  Each test is
 * named after the advisory it repeats.
 */
#include "tests/unit/test_store_fixture.h"
#include "xenstore/core/ring.h"

struct guest {
    struct sring r;
    struct xenstore_domain_interface page;
};

static struct guest *guest_new(uint32_t domid)
{
    struct guest *g = calloc(1, sizeof(*g));

    assert_non_null(g);
    assert_int_equal(sring_init(&g->r, sf.s, domid, &g->page, 3), 0);
    return g;
}

static void guest_free(struct guest *g)
{
    sring_fini(&g->r);
    free(g);
}

/* As many READs of "/x" as fit into the ring. */
static unsigned int flood(struct guest *g)
{
    struct xsd_sockmsg hdr = {.type = XS_READ, .len = 3};
    char msg[sizeof(hdr) + 3];
    unsigned int n = 0;

    memcpy(msg, &hdr, sizeof(hdr));
    memcpy(msg + sizeof(hdr), "/x", 3);
    while (g->page.req_prod - g->page.req_cons <=
           XENSTORE_RING_SIZE - sizeof(msg)) {
        for (size_t i = 0; i < sizeof(msg); i++)
            g->page.req[MASK_XENSTORE_IDX(g->page.req_prod++)] = msg[i];
        n++;
    }
    return n;
}

/* Impossible indices: that one ring is ignored, the store goes on. */
static void xsa38_ring_state(void **state)
{
    static const uint32_t prods[] = {XENSTORE_RING_SIZE + 1, 0x80000000,
                                     0xffffffff};
    static const uint32_t conses[] = {1, 0x80000000, XENSTORE_RING_SIZE};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct guest *g = guest_new(3);

        g->page.req_prod = prods[i];
        while (sring_turn(&g->r))
            ;
        assert_int_equal(g->page.error, XENSTORE_ERROR_RINGIDX);
        assert_int_equal(g->page.req_cons, 0);
        guest_free(g);
        g = guest_new(3);
        flood(g);
        g->page.rsp_cons = conses[i];
        while (sring_turn(&g->r))
            ;
        assert_int_equal(g->page.error, XENSTORE_ERROR_RINGIDX);
        assert_int_equal(g->page.rsp_prod, 0);
        guest_free(g);
    }
}

/* A reply that does not fit is an error, never a longer message. */
static void xsa72_oversize_reply(void **state)
{
    struct sf_conn *dom0 = sf_open(0);
    char path[32], perms[XENSTORE_PAYLOAD_MAX] = "/p";
    size_t len = 3;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        sprintf(path, "/d/child-%d", i);
        sf_is(sf_path(dom0, XS_MKDIR, 0, path), "OK");
    }
    sf_is(sf_path(dom0, XS_DIRECTORY, 0, "/d"), "E2BIG");
    sf_is(sf_path(dom0, XS_MKDIR, 0, "/p"), "OK");
    /* "n0" comes back as long as it went in; the path makes it more. */
    while (len + 3 <= sizeof(perms)) {
        memcpy(perms + len, "n0", 3);
        len += 3;
    }
    sf_is(sf_talk(dom0, XS_SET_PERMS, 0, perms, len, NULL), "OK");
    sf_path(dom0, XS_GET_PERMS, 0, "/p");
    sf_is(sf_read(dom0, 0, "/p"), "");
    sf_close(dom0);
}

/* One turn of a ring that is always full is a bounded piece of work. */
static void xsa206_write_rate(void **state)
{
    struct guest *g = guest_new(3);
    unsigned int sent = flood(g);

    (void)state;
    assert_true(sent > 40);
    for (int i = 0; i < 100; i++) {
        uint32_t before = g->page.req_cons;

        sring_turn(&g->r);
        assert_true(g->page.req_cons - before <= 17 * 19);
        g->page.rsp_cons = g->page.rsp_prod;
        flood(g);
    }
    guest_free(g);
}

static struct guest *introduced;
static unsigned int kicked;

static void note_kick(struct sring *r)
{
    (void)r;
    kicked++;
}

static int fake_introduce(void *ctx, uint32_t domid, uint64_t gfn,
                          uint32_t port, struct sconn **conn)
{
    (void)ctx;
    (void)gfn;
    (void)port;
    introduced = guest_new(domid);
    introduced->r.kick = note_kick;
    *conn = &introduced->r.conn;
    return 0;
}

static const struct store_host host = {.introduce = fake_introduce};

static char *introduce(struct sf_conn *dom0, const char *what)
{
    return sf_talk(dom0, XS_INTRODUCE, 0, what, 6, NULL);
}

/* Introduced and released twice: each connection ends once. */
static void xsa233_double_unlink(void **state)
{
    struct sf_conn *dom0 = sf_open(0);
    struct guest *first;

    (void)state;
    sf.s->host = &host;
    sf_is(introduce(dom0, "3\0001\0005"), "OK");
    first = introduced;
    sf_is(introduce(dom0, "3\0001\0005"), "EINVAL"); /* no rebind here */
    assert_ptr_equal(first, introduced);
    sf_is(sf_path(dom0, XS_RELEASE, 0, "3"), "OK");
    assert_true(first->r.conn.closing);
    sf_is(sf_path(dom0, XS_RELEASE, 0, "3"), "ENOENT");
    sf_is(sf_path(dom0, XS_RELEASE, 0, "0"), "EINVAL");
    sf_is(introduce(dom0, "3\0001\0005"), "OK");
    assert_ptr_not_equal(first, introduced);
    guest_free(first); /* its owner comes to it only now */
    sf_is(sf_path(dom0, XS_RELEASE, 0, "3"), "OK");
    guest_free(introduced);
    sf_close(dom0);
}

/*
 * A domain that is down but not yet gone still has its connection; its watches
 * end with its release even if its owner never gets to run.
 */
static void xsa325_kept_till_destroy(void **state)
{
    static const char watch[] = "@releaseDomain\0t";
    struct sf_conn *dom0 = sf_open(0);
    struct guest *g;

    (void)state;
    sf.s->host = &host;
    sf_is(sf_talk(dom0, XS_WATCH, 0, watch, sizeof(watch), NULL), "OK");
    sf_is(sf_event(dom0), "@releaseDomain t");
    sf_is(introduce(dom0, "3\0001\0005"), "OK");
    g = introduced;
    pthread_mutex_lock(&sf.s->admin);
    sdom_was_shutdown(sf.s, 3);
    sdom_was_shutdown(sf.s, 3);
    pthread_mutex_unlock(&sf.s->admin);
    sf_is(sf_event(dom0), "@releaseDomain t");
    sf_no_event(dom0);
    assert_false(g->r.conn.closing);
    sf_is(sf_path(dom0, XS_IS_DOMAIN_INTRODUCED, 0, "3"), "T");
    store_lock(sf.s);
    assert_int_equal(watch_add(&g->r.conn, "/w", "t", 0, -1), 0);
    store_unlock(sf.s);
    sf_is(sf_path(dom0, XS_RELEASE, 0, "3"), "OK");
    sf_is(sf_event(dom0), "@releaseDomain t");
    assert_int_equal(sf.s->nr_watches, 1);
    sf_is(sf_path(dom0, XS_IS_DOMAIN_INTRODUCED, 0, "3"), "F");
    guest_free(g);
    sf_close(dom0);
}

/* Who does not read gets only so many answers made, and is not read either. */
static void xsa326_in_flight(void **state)
{
    struct guest *g = guest_new(3);
    struct sf_conn *dom0 = sf_open(0);

    (void)state;
    for (int i = 0; i < 200; i++) {
        flood(g);
        sring_turn(&g->r);
    }
    assert_true(g->r.conn.out_count <= 20);
    assert_true(g->r.conn.out_bytes <= 20 * SCONN_MESSAGE_MAX);
    assert_int_equal(g->page.rsp_prod - g->page.rsp_cons, XENSTORE_RING_SIZE);
    /* Nor do events pile up: the same one waits once. */
    store_lock(sf.s);
    assert_int_equal(watch_add(&g->r.conn, "/w", "t", 0, -1), 0);
    store_unlock(sf.s);
    sf_is(sf_path(dom0, XS_MKDIR, 0, "/w"), "OK");
    sf_is(sf_perms(dom0, 0, "/w", "r0"), "OK");
    for (int i = 0; i < 10000; i++)
        sf_is(sf_write(dom0, 0, "/w", "v"), "OK");
    assert_true(g->r.conn.out_count <= 22);
    sf_close(dom0);
    guest_free(g);
}

/* Events that differ count against the memory quota, and end the client. */
static void xsa326_event_memory(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    char path[32];

    (void)state;
    sf_is(sf_perms(dom0, 0, "/", "r0"), "OK");
    sf_is(sf_watch(g, "/", "t"), "OK");
    g->room = 0;
    store_lock(sf.s);
    sf.s->quota[QUOTA_MEMORY] = 20000;
    store_unlock(sf.s);
    for (int i = 0; i < 5000; i++) {
        sprintf(path, "/w%d", i);
        sf_is(sf_write(dom0, 0, path, "v"), "OK");
    }
    assert_true(g->c.out_bytes <= 20000);
    assert_true(g->c.overrun);
    assert_int_equal(sconn_flush(&g->c), -ENOSPC);
    assert_non_null(strstr(sf.log, "domain 3"));
    sf_close(g);
    sf_close(dom0);
}

/* Lengths that look negative or end beyond the buffer. */
static void xsa420_negative_size(void **state)
{
    static const uint32_t lens[] = {0xffffffff, 0x80000000, 0xfffffff0,
                                    XENSTORE_PAYLOAD_MAX + 1};

    (void)state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct xsd_sockmsg hdr = {.type = XS_READ, .len = lens[i]};
        struct guest *g = guest_new(3);
        struct sf_conn *dom0 = sf_open(0);

        memcpy(g->page.req, &hdr, sizeof(hdr));
        g->page.req_prod = sizeof(hdr);
        while (sring_turn(&g->r))
            ;
        assert_int_equal(g->page.error, XENSTORE_ERROR_PROTO);
        assert_int_equal(g->page.rsp_prod, 0);
        sf_put(dom0, &hdr, sizeof(hdr));
        assert_true(sconn_input(&dom0->c, 10) < 0);
        assert_true(dom0->protocol_error);
        sf_close(dom0);
        guest_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sf_test(xsa38_ring_state),         sf_test(xsa72_oversize_reply),
        sf_test(xsa206_write_rate),        sf_test(xsa233_double_unlink),
        sf_test(xsa325_kept_till_destroy), sf_test(xsa326_in_flight),
        sf_test(xsa326_event_memory),      sf_test(xsa420_negative_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
