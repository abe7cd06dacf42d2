/* SPDX-License-Identifier: MIT */
/*
 * A store that is killed and comes back: at whatever moment, the next one has
 * the same tree, quotas and permissions; each ring goes on with its watches,
 * transactions, half-read requests and unsent replies; every request has its
 * effect once and its answer once.  "Killed" is: the process's memory is
 * forgotten, the journal and the guest's page stay as they are.
 *
 * A busy disk takes its time over a journal that is synced after each change.
 * timeout: 300
 */
#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/test_store_fixture.h"
#include "xenstore/core/journal.h"
#include "xenstore/core/ring.h"

#define GUEST 3

/* The guest and its machine outlive the store. */
static struct {
    struct xenstore_domain_interface page;
    struct sring *ring;
    char journal[64];
    bool gone; /* the domain died meanwhile */
    bool busy; /* the machine still has its ring as the dead store's */
} m;

static int host_introduce(void *ctx, uint32_t domid, uint64_t gfn,
                          uint32_t port, struct sconn **conn)
{
    (void)ctx;
    assert_int_equal(gfn, 77);
    assert_int_equal(port, 5);
    if (m.busy)
        return -EINVAL;
    m.ring = calloc(1, sizeof(*m.ring));
    assert_int_equal(sring_init(m.ring, sf.s, domid, &m.page, 3), 0);
    *conn = &m.ring->conn;
    return 0;
}

static int host_identify(void *ctx, uint32_t domid, uint8_t handle[16])
{
    (void)ctx;
    memset(handle, domid, 16);
    return m.gone ? -ESRCH : 0;
}

static const struct store_host host = {
    .introduce = host_introduce,
    .identify = host_identify,
};

static void boot(void)
{
    assert_int_equal(sf_setup(NULL), 0);
    sf.s->host = &host;
    assert_int_equal(journal_open(sf.s, m.journal), 0);
    pthread_mutex_lock(&sf.s->admin);
    sdom_adopt_all(sf.s);
    pthread_mutex_unlock(&sf.s->admin);
}

/* Nothing of this reaches the journal or the page. */
static void forget_memory(void)
{
    journal_close(sf.s, false);
    if (m.ring) {
        store_lock(sf.s);
        if (sdom_find(sf.s, GUEST))
            sdom_find(sf.s, GUEST)->conn = NULL;
        store_unlock(sf.s);
        sring_fini(m.ring);
        free(m.ring);
        m.ring = NULL;
    }
    sf_teardown(NULL);
}

static void die_and_return(void)
{
    forget_memory();
    boot();
}

static int setup(void **state)
{
    (void)state;
    memset(&m, 0, sizeof(m));
    snprintf(m.journal, sizeof(m.journal), "/tmp/test-journal-%d", getpid());
    unlink(m.journal);
    boot();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    forget_memory();
    unlink(m.journal);
    return 0;
}

static void introduce(void)
{
    struct sf_conn *dom0 = sf_open(0);

    sf_home(dom0, GUEST);
    sf_is(sf_talk(dom0, XS_INTRODUCE, 0, "3\00077\0005", 7, NULL), "OK");
    sf_close(dom0);
}

static void turn(void)
{
    while (sring_turn(m.ring))
        ;
}

static void put(const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (m.page.req_prod - m.page.req_cons == XENSTORE_RING_SIZE)
            turn();
        m.page.req[MASK_XENSTORE_IDX(m.page.req_prod++)] =
            ((const char *)bytes)[i];
    }
}

/* The next message, if it is wholly there; NUL-terminated payload. */
static bool get(struct xsd_sockmsg *hdr, char *body)
{
    uint32_t at = m.page.rsp_cons;

    if (m.page.rsp_prod - at < sizeof(*hdr))
        return false;
    for (size_t i = 0; i < sizeof(*hdr); i++)
        ((char *)hdr)[i] = m.page.rsp[MASK_XENSTORE_IDX(at++)];
    assert_true(hdr->len < 900); /* all of this test's fit the ring */
    if (m.page.rsp_prod - at < hdr->len)
        return false;
    for (size_t i = 0; i < hdr->len; i++)
        body[i] = m.page.rsp[MASK_XENSTORE_IDX(at++)];
    body[hdr->len] = '\0';
    m.page.rsp_cons = at;
    return true;
}

static char *ask(uint32_t type, uint32_t tx, const void *payload, size_t len)
{
    static char body[1024];
    struct xsd_sockmsg hdr = {.type = type, .tx_id = tx, .len = len};

    put(&hdr, sizeof(hdr));
    put(payload, len);
    turn();
    do {
        assert_true(get(&hdr, body));
    } while (hdr.type == XS_WATCH_EVENT);
    return body;
}

#define ASK(type, tx, text) ask(type, tx, text, sizeof(text))

static void test_tree_and_quotas(void **state)
{
    struct sf_conn *c = sf_open(0);
    uint32_t t;

    (void)state;
    sf_is(sf_write(c, 0, "/a/b", "1"), "OK");
    sf_is(sf_write(c, 0, "/a/c", "2"), "OK");
    sf_is(sf_path(c, XS_RM, 0, "/a/b"), "OK");
    sf_is(sf_perms(c, 0, "/a", "n0 r3 b4"), "OK");
    sf_is(sf_perms(c, 0, "@releaseDomain", "n0 r9"), "OK");
    sf_is(sf_write(c, 0, "/other", "0"), "OK");
    t = sf_start(c);
    sf_is(sf_write(c, t, "/t/x", "in"), "OK");
    sf_is(sf_path(c, XS_RM, t, "/a/c"), "OK");
    sf_is(sf_write(c, 0, "/other", "1"), "OK"); /* so that it is replayed */
    sf_is(sf_end(c, t, "T"), "OK");
    t = sf_start(c);
    sf_is(sf_write(c, t, "/never", "1"), "OK");
    sf_is(sf_talk(c, XS_SET_QUOTA_, 0, "nodes\00055", 9, NULL), "OK");
    sf_is(sf_talk(c, XS_SET_QUOTA_, 0, "3\0nodes\0007", 10, NULL), "OK");
    sf_close(c);
    for (int i = 0; i < 2; i++) { /* from records, then from a dump */
        die_and_return();
        c = sf_open(0);
        sf_is(sf_read(c, 0, "/a/b"), "ENOENT");
        sf_is(sf_read(c, 0, "/a/c"), "ENOENT");
        sf_is(sf_read(c, 0, "/t/x"), "in");
        sf_is(sf_read(c, 0, "/never"), "ENOENT");
        sf_is(sf_path(c, XS_GET_PERMS, 0, "/a"), "n0");
        sf_is(c->reply + 6, "b4");
        sf_is(sf_path(c, XS_GET_PERMS, 0, "@releaseDomain"), "n0");
        sf_is(c->reply + 3, "r9");
        sf_is(sf_path(c, XS_GET_QUOTA_, 0, "nodes"), "55");
        sf_is(sf_talk(c, XS_GET_QUOTA_, 0, "3\0nodes", 8, NULL), "7");
        sf_close(c);
    }
}

static void test_ring_keeps_watches_and_transactions(void **state)
{
    struct sf_conn *dom0;
    struct xsd_sockmsg hdr;
    char body[1024], *id;
    uint32_t won, lost, gone;

    (void)state;
    introduce();
    sf_is(ASK(XS_WATCH, 0, "data\0tok"), "OK");
    assert_true(get(&hdr, body)); /* the first event */
    sf_is(ASK(XS_WATCH, 0, "data\0gone"), "OK");
    assert_true(get(&hdr, body));
    sf_is(ASK(XS_UNWATCH, 0, "data\0gone"), "OK");
    id = ASK(XS_TRANSACTION_START, 0, "");
    won = atoi(id);
    lost = atoi(ASK(XS_TRANSACTION_START, 0, ""));
    gone = atoi(ASK(XS_TRANSACTION_START, 0, ""));
    sf_is(ASK(XS_WRITE, won, "data/won\0001"), "OK");
    sf_is(ASK(XS_READ, lost, "data/seen"), "ENOENT");
    sf_is(ASK(XS_WRITE, lost, "data/lost\0001"), "OK");
    sf_is(ASK(XS_TRANSACTION_END, gone, "F"), "OK");
    die_and_return();
    dom0 = sf_open(0);
    sf_is(sf_write(dom0, 0, "/local/domain/3/data/seen", "x"), "OK");
    die_and_return();
    turn();
    assert_true(get(&hdr, body));
    assert_int_equal(hdr.type, XS_WATCH_EVENT);
    sf_is(body, "data/seen");
    sf_is(body + 10, "tok");
    assert_false(get(&hdr, body));
    sf_is(ASK(XS_TRANSACTION_END, gone, "T"), "ENOENT");
    sf_is(ASK(XS_TRANSACTION_END, lost, "T"), "EAGAIN");
    /* "seen" is a new child of data, which "won" changed too. */
    sf_is(ASK(XS_READ, won, "data/won"), "1");
    sf_is(ASK(XS_TRANSACTION_END, won, "T"), "EAGAIN");
    won = atoi(ASK(XS_TRANSACTION_START, 0, ""));
    assert_int_not_equal(won, lost);
    sf_is(ASK(XS_WRITE, won, "data/won\0001"), "OK");
    die_and_return();
    sf_is(ASK(XS_READ, 0, "data/won"), "ENOENT");
    sf_is(ASK(XS_TRANSACTION_END, won, "T"), "OK");
    sf_is(ASK(XS_READ, 0, "data/won"), "1");
    sf_is(ASK(XS_WATCH, 0, "data\0tok"), "EEXIST");
    free(dom0);
}

static void test_domain_that_ended(void **state)
{
    struct sf_conn *c;

    (void)state;
    introduce();
    sf_is(ASK(XS_WRITE, 0, "data/x\0001"), "OK");
    m.gone = true;
    die_and_return();
    c = sf_open(0);
    sf_is(sf_path(c, XS_IS_DOMAIN_INTRODUCED, 0, "3"), "F");
    sf_is(sf_read(c, 0, "/local/domain/3/data/x"), "ENOENT");
    sf_close(c);
}

/* A domain whose ring is late keeps all it has and goes on with it. */
static void test_ring_is_late(void **state)
{
    struct sf_conn *c;

    (void)state;
    introduce();
    sf_is(ASK(XS_WRITE, 0, "data/x\0001"), "OK");
    m.busy = true;
    die_and_return();
    c = sf_open(0);
    sf_is(sf_path(c, XS_IS_DOMAIN_INTRODUCED, 0, "3"), "T");
    sf_is(sf_read(c, 0, "/local/domain/3/data/x"), "1");
    sf_close(c);
    m.busy = false;
    pthread_mutex_lock(&sf.s->admin);
    sdom_adopt_all(sf.s);
    pthread_mutex_unlock(&sf.s->admin);
    sf_is(ASK(XS_READ, 0, "data/x"), "1");
}

static void test_ignored_stays_ignored(void **state)
{
    (void)state;
    introduce();
    m.page.req_prod += 9999;
    turn();
    assert_int_equal(m.page.error, XENSTORE_ERROR_RINGIDX);
    die_and_return();
    assert_true(m.ring->conn.ignored);
    m.page.connection = XENSTORE_RECONNECT;
    turn();
    die_and_return();
    sf_is(ASK(XS_READ, 0, "data"), "");
}

/* A byte stream of requests: each appends its number to a counter's value. */
struct stream {
    unsigned int sent, answered, events;
    char out[128]; /* the request being written */
    size_t len, at;
};

static void next_request(struct stream *st)
{
    struct xsd_sockmsg hdr = {.req_id = st->sent};
    char *p = st->out + sizeof(hdr);
    int n;

    if (st->sent % 3 == 2) {
        hdr.type = XS_READ;
        n = sprintf(p, "data/n") + 1;
    } else {
        hdr.type = XS_WRITE;
        n = sprintf(p, "data/n%c%u", 0, st->sent);
    }
    hdr.len = n;
    memcpy(st->out, &hdr, sizeof(hdr));
    st->len = sizeof(hdr) + n;
    st->at = 0;
    st->sent++;
}

/* Puts some bytes, at random in the middle of a request. */
static void feed(struct stream *st)
{
    size_t n = rand() % 400;

    while (n-- && m.page.req_prod - m.page.req_cons < XENSTORE_RING_SIZE) {
        if (st->at == st->len)
            next_request(st);
        m.page.req[MASK_XENSTORE_IDX(m.page.req_prod++)] = st->out[st->at++];
    }
}

static void drain(struct stream *st)
{
    struct xsd_sockmsg hdr;
    char body[1024], want[16];

    while (rand() % 8 && get(&hdr, body)) {
        if (hdr.type == XS_WATCH_EVENT) {
            assert_memory_equal(body, "data", 4);
            st->events++;
            continue;
        }
        assert_int_equal(hdr.req_id, st->answered);
        if (hdr.type == XS_READ) {
            sprintf(want, "%u", st->answered - 1);
            sf_is(body, want);
        } else {
            assert_int_equal(hdr.type, XS_WRITE);
            sf_is(body, "OK");
        }
        st->answered++;
    }
}

/* Killed hundreds of times at the worst places. */
static void test_stream(void **state)
{
    struct stream st = {0};

    (void)state;
    introduce();
    sf_is(ASK(XS_WATCH, 0, "data\0tok"), "OK");
    srand(11);
    for (int i = 0; i < 20000 || st.answered < 1000; i++) {
        uint32_t req_cons = m.page.req_cons, rsp_prod = m.page.rsp_prod;

        feed(&st);
        sring_turn(m.ring);
        if (rand() % 40 == 0) {
            /* Between the journal and the page. */
            if (rand() % 2)
                m.page.req_cons = req_cons;
            if (rand() % 2)
                m.page.rsp_prod = rsp_prod;
            die_and_return();
        }
        drain(&st);
        assert_false(m.ring->conn.ignored);
    }
    for (int i = 0; i < 1000; i++) {
        turn();
        drain(&st);
    }
    /* All but the one still being written. */
    assert_in_range(st.answered, st.sent - 1, st.sent);
    assert_in_range(st.events, 1, st.sent);
}

/* Every prefix of complete groups loads, and damage is survived. */
static void test_damage(void **state)
{
    char bytes[8192];
    ssize_t n;
    int fd;

    (void)state;
    introduce();
    sf_is(ASK(XS_WRITE, 0, "data/x\0001"), "OK");
    forget_memory();
    fd = open(m.journal, O_RDWR);
    n = read(fd, bytes, sizeof(bytes));
    assert_int_equal(n, sizeof(bytes));
    srand(5);
    for (int i = 0; i < 2000; i++) {
        char bad[sizeof(bytes)];

        memcpy(bad, bytes, sizeof(bad));
        for (int k = rand() % 4; k >= 0; k--)
            bad[64 + rand() % 1200] = rand();
        assert_int_equal(pwrite(fd, bad, sizeof(bad), 0), sizeof(bad));
        sf_setup(NULL);
        sf.s->host = &host;
        assert_int_equal(journal_open(sf.s, m.journal), 0);
        journal_close(sf.s, false);
        sf_teardown(NULL);
        close(fd); /* the file was replaced */
        fd = open(m.journal, O_RDWR);
    }
    memcpy(bytes, "not one", 8);
    assert_int_equal(pwrite(fd, bytes, 64, 0), 64);
    close(fd);
    sf_setup(NULL);
    assert_int_equal(journal_open(sf.s, m.journal), -EINVAL);
    sf_teardown(NULL);
    unlink(m.journal);
    boot();
}

/* Live update: a socket's client goes on too, in the middle of everything. */
static void test_socket_handed_on(void **state)
{
    struct sf_conn *c = sf_open(0), *n;
    struct sconn *parked;
    uint32_t t;

    (void)state;
    sf_is(sf_write(c, 0, "/d/x", "1"), "OK");
    sf_is(sf_watch(c, "/d", "tok"), "OK");
    sf_event(c);
    t = sf_start(c);
    sf_is(sf_write(c, t, "/d/y", "2"), "OK");
    c->room = 10; /* a reply is half sent, a request half read */
    sf_put_request(c, XS_READ, 0, "/d/x", 5);
    sf_put(c, "half", 4);
    sf_run(c);
    assert_int_equal(c->out_len - c->out_pos, 10);
    assert_int_equal(journal_socket(&c->c, 9), 0);
    journal_close(sf.s, false);
    sf_close(c);
    die_and_return();
    parked = sf.s->parked_sockets;
    assert_non_null(parked);
    assert_int_equal(parked->jkey, JKEY_SOCKET + 9);
    n = sf_open(0);
    store_lock(sf.s);
    sf.s->parked_sockets = parked->next_parked;
    assert_int_equal(
        sconn_take_over(&n->c, parked, parked->out_bytes - parked->out_sent),
        0);
    free(n->c.shadow);
    n->c.shadow = NULL;
    store_unlock(sf.s);
    sconn_unpark(parked);
    assert_int_equal(sconn_flush(&n->c), 0);
    assert_int_equal(n->out_len, sizeof(struct xsd_sockmsg) + 1 - 10);
    assert_int_equal(n->out[n->out_len - 1], '1');
    assert_int_equal(n->c.in_end - n->c.in_start, 4);
    n->c.in_start = n->c.in_end = n->out_len = n->out_pos = 0;
    sf_is(sf_read(n, t, "/d/y"), "2");
    sf_is(sf_end(n, t, "T"), "OK");
    sf_is(sf_event(n), "/d/y tok");
    sf_close(n);
    die_and_return();
    assert_null(sf.s->parked_sockets);
    assert_int_equal(sf.s->nr_watches, 0);
}

/* A journal is renewed when it has grown, with a ring in full use. */
static void test_checkpoint(void **state)
{
    struct sf_conn *c;
    char path[64], value[2001];

    (void)state;
    introduce();
    c = sf_open(0);
    memset(value, 'v', 2000);
    value[2000] = '\0';
    sf_is(ASK(XS_WATCH, 0, "data\0tok"), "OK");
    put("half", 4);
    turn();
    for (int i = 0; i < 20000; i++) {
        sprintf(path, "/local/domain/3/data/%d", i % 100);
        sf_is(sf_write(c, 0, path, value), "OK");
    }
    sf_close(c);
    die_and_return();
    assert_int_equal(m.ring->conn.in_end, 4);
    assert_true(m.ring->conn.out_bytes > 100);
    assert_int_equal(sf.s->nr_watches, 1);
    c = sf_open(0);
    sf_is(sf_read(c, 0, path), value);
    sf_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tree_and_quotas, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_ring_keeps_watches_and_transactions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_domain_that_ended, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_ring_is_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ignored_stays_ignored, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_socket_handed_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checkpoint, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
