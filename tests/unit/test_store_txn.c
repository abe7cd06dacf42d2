/* SPDX-License-Identifier: MIT */
/*
 * Transactions: they see one moment, others see them only when committed, and
 * exactly those fail whose looked-at nodes others changed.
 */
#include "tests/unit/test_store_fixture.h"

static void test_isolated(void **state)
{
    struct sf_conn *a = sf_open(0), *b = sf_open(0);
    uint32_t t;

    (void)state;
    sf_is(sf_write(a, 0, "/x", "old"), "OK");
    t = sf_start(a);
    sf_is(sf_write(b, 0, "/y", "late"), "OK");
    sf_is(sf_read(a, t, "/y"), "ENOENT");
    sf_is(sf_write(a, t, "/x", "new"), "OK");
    sf_is(sf_read(a, t, "/x"), "new");
    sf_is(sf_read(b, 0, "/x"), "old");
    /* It looked at /y, which came. */
    sf_is(sf_end(a, t, "T"), "EAGAIN");
    sf_is(sf_read(b, 0, "/x"), "old");
    sf_close(a);
    sf_close(b);
}

static void test_unrelated_writes_merge(void **state)
{
    struct sf_conn *a = sf_open(0), *b = sf_open(0);
    uint32_t t, u;

    (void)state;
    sf_is(sf_write(a, 0, "/l/a", "0"), "OK");
    sf_is(sf_write(a, 0, "/l/b", "0"), "OK");
    t = sf_start(a);
    u = sf_start(b);
    sf_is(sf_write(a, t, "/l/a", "1"), "OK");
    sf_is(sf_write(b, u, "/l/b", "1"), "OK");
    sf_is(sf_write(b, 0, "/elsewhere", "1"), "OK");
    sf_is(sf_end(a, t, "T"), "OK");
    sf_is(sf_end(b, u, "T"), "OK");
    sf_is(sf_read(a, 0, "/l/a"), "1");
    sf_is(sf_read(a, 0, "/l/b"), "1");
    sf_is(sf_read(a, 0, "/elsewhere"), "1");
    sf_close(a);
    sf_close(b);
}

/* What A does in a transaction, what B does meanwhile, what comes of it. */
struct conflict {
    const char *name;
    uint32_t a_type;
    const char *a_path;
    uint32_t b_type;
    const char *b_path;
    const char *result;
};

static const struct conflict conflicts[] = {
    {"read, written", XS_READ, "/d/x", XS_WRITE, "/d/x", "EAGAIN"},
    {"read, removed", XS_READ, "/d/x", XS_RM, "/d/x", "EAGAIN"},
    {"read, parent removed", XS_READ, "/d/x", XS_RM, "/d", "EAGAIN"},
    {"read, sibling written", XS_READ, "/d/x", XS_WRITE, "/d/y", "OK"},
    {"missing, created", XS_READ, "/d/new", XS_WRITE, "/d/new", "EAGAIN"},
    {"listed, child made", XS_DIRECTORY, "/d", XS_WRITE, "/d/new", "EAGAIN"},
    {"listed, child written", XS_DIRECTORY, "/d", XS_WRITE, "/d/x", "OK"},
    {"listed, child gone", XS_DIRECTORY, "/d", XS_RM, "/d/x", "EAGAIN"},
    {"written, written", XS_WRITE, "/d/x", XS_WRITE, "/d/x", "EAGAIN"},
    {"made, made", XS_WRITE, "/d/new", XS_WRITE, "/d/new", "EAGAIN"},
    {"made, sibling made", XS_WRITE, "/d/n1", XS_WRITE, "/d/n2", "EAGAIN"},
    {"made, elsewhere", XS_WRITE, "/d/n1", XS_WRITE, "/e/n2", "OK"},
    {"removed, child made", XS_RM, "/d", XS_WRITE, "/d/new", "EAGAIN"},
    {"removed, child written", XS_RM, "/d", XS_WRITE, "/d/x", "EAGAIN"},
    {"removed, removed", XS_RM, "/d/x", XS_RM, "/d/x", "EAGAIN"},
    {"made, parent gone", XS_WRITE, "/d/new", XS_RM, "/d", "EAGAIN"},
};

static void test_conflicts(void **state)
{
    struct sf_conn *a = sf_open(0), *b = sf_open(0);

    (void)state;
    for (size_t i = 0; i < sizeof(conflicts) / sizeof(conflicts[0]); i++) {
        const struct conflict *c = &conflicts[i];
        uint32_t t;

        sf_is(sf_write(b, 0, "/d/x", "1"), "OK");
        sf_is(sf_write(b, 0, "/d/y", "1"), "OK");
        sf_is(sf_write(b, 0, "/e", "1"), "OK");
        t = sf_start(a);
        sf_path(a, c->a_type, t, c->a_path);
        sf_is(sf_path(b, c->b_type, 0, c->b_path), "OK");
        if (strcmp(sf_end(a, t, "T"), c->result))
            fail_msg("%s: %s, not %s", c->name, a->reply, c->result);
        sf_is(sf_path(b, XS_RM, 0, "/d"), "OK");
        sf_is(sf_path(b, XS_RM, 0, "/e"), "OK");
    }
    sf_close(a);
    sf_close(b);
}

/* Removal and re-creation within one, replayed on a tree that moved on. */
static void test_replay(void **state)
{
    struct sf_conn *a = sf_open(0), *b = sf_open(0);
    uint32_t t;

    (void)state;
    sf_is(sf_write(a, 0, "/r/old/deep", "1"), "OK");
    sf_is(sf_write(a, 0, "/r/stay", "1"), "OK");
    t = sf_start(a);
    sf_is(sf_path(a, XS_RM, t, "/r/old"), "OK");
    sf_is(sf_write(a, t, "/r/old/new", "2"), "OK");
    sf_is(sf_write(a, t, "/r/q/w/e", "3"), "OK");
    sf_is(sf_perms(a, t, "/r/stay", "r0"), "OK");
    sf_is(sf_write(b, 0, "/moved-on", "1"), "OK");
    sf_is(sf_end(a, t, "T"), "OK");
    sf_is(sf_read(a, 0, "/r/old/deep"), "ENOENT");
    sf_is(sf_read(a, 0, "/r/old/new"), "2");
    sf_is(sf_read(a, 0, "/r/old"), "");
    sf_is(sf_read(a, 0, "/r/q/w/e"), "3");
    sf_is(sf_path(a, XS_GET_PERMS, 0, "/r/stay"), "r0");
    sf_is(sf_read(a, 0, "/moved-on"), "1");
    sf_close(a);
    sf_close(b);
}

static void test_arguments(void **state)
{
    struct sf_conn *a = sf_open(0), *b = sf_open(0);
    uint32_t t;

    (void)state;
    sf_is(sf_end(a, 0, "T"), "ENOENT");
    sf_is(sf_end(a, 99, "T"), "ENOENT");
    sf_is(sf_read(a, 99, "/tool"), "ENOENT");
    t = sf_start(a);
    assert_int_not_equal(t, 0);
    sf_is(sf_path(a, XS_TRANSACTION_START, t, ""), "EBUSY");
    sf_is(sf_end(a, t, "X"), "EINVAL");
    /* Another connection's number is not mine. */
    sf_is(sf_end(b, t, "T"), "ENOENT");
    sf_is(sf_write(a, t, "/gone", "1"), "OK");
    sf_is(sf_end(a, t, "F"), "OK");
    sf_is(sf_read(a, 0, "/gone"), "ENOENT");
    sf_is(sf_end(a, t, "F"), "ENOENT");
    sf_start(a); /* left open: closing the connection drops it */
    sf_close(a);
    sf_close(b);
}

/* XSA-484: resetting inside a transaction takes the transaction away too. */
static void test_reset_in_transaction(void **state)
{
    struct sf_conn *a = sf_open(0);
    uint32_t t = sf_start(a);

    (void)state;
    sf_is(sf_write(a, t, "/x", "1"), "OK");
    sf_is(sf_path(a, XS_RESET_WATCHES, t, ""), "OK");
    sf_is(sf_write(a, t, "/x", "1"), "ENOENT");
    sf_is(sf_end(a, t, "T"), "ENOENT");
    sf_close(a);
}

/* XSA-421, 414: nothing of a failed transaction stays on the books. */
static void test_accounting(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    long nodes;
    uint32_t t;

    (void)state;
    sf_home(dom0, 3);
    nodes = sdom_find(sf.s, 3)->nodes;
    for (int i = 0; i < 50; i++) {
        t = sf_start(g);
        sf_is(sf_write(g, t, "data/a/b/c", "1"), "OK");
        sf_is(sf_path(g, XS_RM, t, "data/a"), "OK");
        sf_is(sf_write(g, t, "data/a/d", "1"), "OK");
        sf_is(sf_end(g, t, i % 2 ? "T" : "F"), "OK");
        if (i % 2)
            sf_is(sf_path(g, XS_RM, 0, "data/a"), "OK");
        assert_int_equal(sdom_find(sf.s, 3)->nodes, nodes);
    }
    sf_close(g);
    sf_close(dom0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sf_test(test_isolated),   sf_test(test_unrelated_writes_merge),
        sf_test(test_conflicts),  sf_test(test_replay),
        sf_test(test_arguments),  sf_test(test_reset_in_transaction),
        sf_test(test_accounting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
