/* SPDX-License-Identifier: MIT */
/*
 * The guest's wire: requests and replies longer than the ring go through in
 * pieces and around its end; impossible indices (XSA-38) and broken messages
 * stop that one domain, say so in the page and the log, and a reconnect
 * brings it back with nothing of its past.
 */
#include "tests/unit/test_store_fixture.h"
#include "xenstore/core/ring.h"

struct guest {
    struct sring r;
    struct xenstore_domain_interface page;
    unsigned int notified;
    unsigned int
        late; /* bytes that can be seen no earlier than the next kick */
};

static void notify(struct sring *r)
{
    struct guest *g = (struct guest *)r;

    g->notified++;
    g->page.req_prod += g->late;
    g->late = 0;
}

static struct guest *guest_new(uint32_t domid)
{
    struct guest *g = calloc(1, sizeof(*g));

    sring_init(&g->r, sf.s, domid, &g->page, 3);
    g->r.notify = notify;
    return g;
}

static void guest_free(struct guest *g)
{
    sring_fini(&g->r);
    free(g);
}

static void turn(struct guest *g)
{
    while (sring_turn(&g->r))
        ;
}

/* As a frontend's xb_write(). */
static void put(struct guest *g, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        struct xenstore_domain_interface *p = &g->page;

        if (p->req_prod - p->req_cons == XENSTORE_RING_SIZE)
            turn(g);
        assert_true(p->req_prod - p->req_cons < XENSTORE_RING_SIZE);
        p->req[MASK_XENSTORE_IDX(p->req_prod)] = ((const char *)bytes)[i];
        p->req_prod++;
    }
}

static void get(struct guest *g, void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        struct xenstore_domain_interface *p = &g->page;

        if (p->rsp_prod == p->rsp_cons)
            turn(g);
        assert_true(p->rsp_prod != p->rsp_cons);
        ((char *)bytes)[i] = p->rsp[MASK_XENSTORE_IDX(p->rsp_cons)];
        p->rsp_cons++;
    }
}

static char *talk(struct guest *g, uint32_t type, const void *payload,
                  size_t len, struct xsd_sockmsg *hdr)
{
    static char body[XENSTORE_PAYLOAD_MAX + 1];

    *hdr = (struct xsd_sockmsg){.type = type, .req_id = 9, .len = len};
    put(g, hdr, sizeof(*hdr));
    put(g, payload, len);
    get(g, hdr, sizeof(*hdr));
    assert_true(hdr->len <= XENSTORE_PAYLOAD_MAX);
    get(g, body, hdr->len);
    body[hdr->len] = '\0';
    return body;
}

static void test_around_the_ring(void **state)
{
    struct sf_conn *dom0 = sf_open(0);
    struct guest *g = guest_new(3);
    struct xsd_sockmsg hdr;
    char msg[1500] = "data";

    (void)state;
    sf_home(dom0, 3);
    g->page.req_prod = g->page.req_cons = 0xfffffe00; /* wraps soon */
    g->page.rsp_prod = g->page.rsp_cons = 0xffffff00;
    memset(msg + 5, 'v', sizeof(msg) - 5);
    for (int i = 0; i < 200; i++) {
        size_t len = 5 + rand() % (sizeof(msg) - 5);

        sf_is(talk(g, XS_WRITE, msg, len, &hdr), "OK");
        talk(g, XS_READ, "data", 5, &hdr);
        assert_int_equal(hdr.len, len - 5);
        assert_int_equal(hdr.type, XS_READ);
    }
    assert_true(g->notified > 0);
    assert_int_equal(g->page.server_features, 3);
    guest_free(g);
    sf_close(dom0);
}

static void expect_ignored(struct guest *g, uint32_t error)
{
    uint32_t rsp = g->page.rsp_prod;

    turn(g);
    assert_true(g->r.conn.ignored);
    assert_int_equal(g->page.error, error);
    assert_int_equal(g->page.rsp_prod, rsp);
    assert_non_null(strstr(sf.log, "domain 3"));
    sf.log_lines = 0;
    turn(g);
    assert_int_equal(sf.log_lines, 0); /* said once */
}

static void test_bad_indices(void **state)
{
    static const struct {
        uint32_t req_cons, req_prod, rsp_cons, rsp_prod;
    } bad[] = {
        {0, XENSTORE_RING_SIZE + 1, 0, 0},
        {1, 0, 0, 0},
        {0, 0x80000000, 0, 0},
        {0, UINT32_MAX, 0, 0},
        {0, 0, 1, 0},
        {0, 0, 0, XENSTORE_RING_SIZE + 1},
        {0, 0, 0, 0x80000000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct guest *g = guest_new(3);

        store_lock(sf.s);
        sconn_event(&g->r.conn, "/x", "t"); /* something to send */
        store_unlock(sf.s);
        g->page.req_cons = bad[i].req_cons;
        g->page.req_prod = bad[i].req_prod;
        g->page.rsp_cons = bad[i].rsp_cons;
        g->page.rsp_prod = bad[i].rsp_prod;
        expect_ignored(g, XENSTORE_ERROR_RINGIDX);
        guest_free(g);
    }
}

static void test_bad_length(void **state)
{
    struct guest *g = guest_new(3);
    struct xsd_sockmsg hdr = {.type = XS_READ, .len = 4097};

    (void)state;
    put(g, &hdr, sizeof(hdr));
    expect_ignored(g, XENSTORE_ERROR_PROTO);
    guest_free(g);
}

static void test_reconnect(void **state)
{
    struct sf_conn *dom0 = sf_open(0);
    struct guest *g = guest_new(3);
    struct xsd_sockmsg hdr;

    (void)state;
    sf_home(dom0, 3);
    sf_is(talk(g, XS_WATCH, "data\0t", 7, &hdr), "OK");
    talk(g, XS_TRANSACTION_START, "", 1, &hdr); /* the event, in fact */
    put(g, "half a header", 8);
    turn(g);
    g->page.req_prod += 5000; /* and then it went mad */
    expect_ignored(g, XENSTORE_ERROR_RINGIDX);
    g->page.connection = XENSTORE_RECONNECT;
    turn(g);
    assert_int_equal(g->page.connection, XENSTORE_CONNECTED);
    assert_int_equal(g->page.error, XENSTORE_ERROR_NONE);
    assert_int_equal(g->page.req_cons | g->page.req_prod | g->page.rsp_cons |
                         g->page.rsp_prod,
                     0);
    assert_int_equal(sf.s->nr_watches, 0);
    assert_null(g->r.conn.txns);
    sf_is(talk(g, XS_WRITE, "data\0new", 8, &hdr), "OK");
    sf_is(sf_read(dom0, 0, "/local/domain/3/data"), "new");
    guest_free(g);
    sf_close(dom0);
}

/* The domain writes into the page while it is served. */
static void test_junk(void **state)
{
    struct sf_conn *dom0 = sf_open(0);

    (void)state;
    sf_home(dom0, 3);
    srand(7);
    for (int i = 0; i < 3000; i++) {
        struct guest *g = guest_new(3);

        for (size_t k = 0; k < sizeof(g->page.req); k++)
            g->page.req[k] = rand() % 4 ? 0 : rand();
        g->page.req_prod = rand() % 2 ? XENSTORE_RING_SIZE : (uint32_t)rand();
        for (int n = 0; n < 20; n++)
            turn(g);
        guest_free(g);
    }
    sf_is(sf_read(dom0, 0, "/local/domain/3/data"), "");
    sf_close(dom0);
}

/* A domain that never takes its answers: bounded, and alone in it. */
static void test_never_reads(void **state)
{
    struct sf_conn *dom0 = sf_open(0);
    struct guest *g = guest_new(3);
    struct xsd_sockmsg hdr = {.type = XS_GET_DOMAIN_PATH, .len = 2};
    struct xenstore_domain_interface *p = &g->page;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        if (p->req_prod - p->req_cons <= XENSTORE_RING_SIZE - 18) {
            put(g, &hdr, sizeof(hdr));
            put(g, "3", 2);
        }
        sring_turn(&g->r);
    }
    assert_true(g->r.conn.out_count <= 20);
    sf_is(sf_write(dom0, 0, "/x", "1"), "OK");
    /* Once it reads, it goes on. */
    for (int i = 0; i < 20; i++) {
        char body[64];

        get(g, &hdr, sizeof(hdr));
        get(g, body, hdr.len);
        assert_memory_equal(body, "/local/domain/3", 16);
    }
    guest_free(g);
    sf_close(dom0);
}

/*
 * Linux moves req_prod, looks at req_cons and does not kick if that is old: its
 * last byte may come into sight when all others have been taken, without a
 * kick.
 */
static void test_unseen_byte(void **state)
{
    struct sf_conn *dom0 = sf_open(0);
    struct guest *g = guest_new(3);
    struct xsd_sockmsg hdr = {.type = XS_READ, .req_id = 9, .len = 5};
    char body[8];

    (void)state;
    sf_home(dom0, 3);
    put(g, &hdr, sizeof(hdr));
    put(g, "data", 5);
    g->page.req_prod--;
    g->late = 1;
    turn(g);
    assert_int_equal(g->page.req_cons, g->page.req_prod);
    get(g, &hdr, sizeof(hdr));
    assert_int_equal(hdr.req_id, 9);
    get(g, body, hdr.len);
    guest_free(g);
    sf_close(dom0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sf_test(test_around_the_ring),
        sf_test(test_bad_indices),
        sf_test(test_bad_length),
        sf_test(test_reconnect),
        sf_test(test_junk),
        sf_test(test_never_reads),
        sf_test(test_unseen_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
