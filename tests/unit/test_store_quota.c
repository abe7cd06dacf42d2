/* SPDX-License-Identifier: MIT */
/*
 * Quotas: each bites at its value and not before, is given back, binds only
 * the unprivileged, can be changed for all or for one, and every refusal names
 * the domain and the quota in the log.
 */
#include "tests/unit/test_store_fixture.h"

static void check_log(const char *quota)
{
    char want[64];

    snprintf(want, sizeof(want), "\"%s\"", quota);
    if (!strstr(sf.log, "domain 3") || !strstr(sf.log, want))
        fail_msg("the log says: %s", sf.log);
    sf.log[0] = '\0';
    store_lock(sf.s);
    if (sdom_find(sf.s, 3))
        sdom_find(sf.s, 3)->refused_logged_at = 0;
    store_unlock(sf.s);
}

static void set(const char *name, long value)
{
    store_lock(sf.s);
    sf.s->quota[quota_by_name(name)] = value;
    store_unlock(sf.s);
}

/* Writes data/0.. until refused; how many went. */
static int fill(struct sf_conn *g, const char **why)
{
    char path[32];

    for (int i = 0; i < 5000; i++) {
        sprintf(path, "data/%d", i);
        *why = sf_write(g, 0, path, "v");
        if (strcmp(*why, "OK"))
            return i;
    }
    return 5000;
}

static void test_nodes(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    const char *why;

    (void)state;
    sf_home(dom0, 3);
    set("nodes", 11); /* "data" is one of them */
    assert_int_equal(fill(g, &why), 10);
    sf_is(why, "ENOSPC");
    check_log("nodes");
    sf_is(sf_write(g, 0, "data/0", "other"), "OK"); /* no new node */
    sf_is(sf_path(g, XS_RM, 0, "data/0"), "OK");
    sf_is(sf_write(g, 0, "data/new", "v"), "OK");
    sf_is(sf_write(g, 0, "data/newer", "v"), "ENOSPC");
    sf_is(sf_write(dom0, 0, "/local/domain/3/data/by0", "v"), "OK");
    sf_close(g);
    sf_close(dom0);
}

/* XSA-272, 419: neither transactions nor deep paths go round the quota. */
static void test_nodes_in_transactions(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    uint32_t t, u;

    (void)state;
    sf_home(dom0, 3);
    set("nodes", 5);
    sf_is(sf_write(g, 0, "data/a/b/c/d/e", "v"), "ENOSPC");
    sf_is(sf_read(g, 0, "data/a"), "ENOENT");
    t = sf_start(g);
    sf_is(sf_write(g, t, "data/a/b", "v"), "OK");
    sf_is(sf_write(g, t, "data/c/d/e", "v"), "ENOSPC");
    sf_is(sf_write(g, t, "data/c/d", "v"), "OK");
    sf_is(sf_end(g, t, "T"), "OK");
    check_log("nodes");
    sf_is(sf_path(g, XS_RM, 0, "data/a"), "OK");
    sf_is(sf_path(g, XS_RM, 0, "data/c"), "OK");
    sf_is(sf_write(g, 0, "data/p", "v"), "OK");
    sf_is(sf_write(g, 0, "data/q", "v"), "OK");
    /* Two that fit one by one, not together. */
    t = sf_start(g);
    u = sf_start(g);
    sf_is(sf_write(g, t, "data/p/1", "v"), "OK");
    sf_is(sf_write(g, t, "data/p/2", "v"), "OK");
    sf_is(sf_write(g, u, "data/q/1", "v"), "OK");
    sf_is(sf_end(g, t, "T"), "OK");
    sf_is(sf_end(g, u, "T"), "ENOSPC");
    sf_close(g);
    sf_close(dom0);
}

static void test_watches(void **state)
{
    struct sf_conn *g = sf_open(3), *dom0 = sf_open(0);
    char token[16];

    (void)state;
    set("watches", 3);
    for (int i = 0; i < 10; i++) {
        sprintf(token, "%d", i);
        sf_is(sf_watch(g, "/w", token), i < 3 ? "OK" : "ENOSPC");
        sf_is(sf_watch(dom0, "/w", token), "OK");
    }
    check_log("watches");
    sf_is(sf_two(g, XS_UNWATCH, 0, "/w", "1", true), "OK");
    sf_is(sf_watch(g, "/w", "again"), "OK");
    sf_close(g);
    sf_close(dom0);
}

static void test_transactions(void **state)
{
    struct sf_conn *g = sf_open(3);
    uint32_t t = 0;
    char path[32];

    (void)state;
    for (int i = 0; i < 10; i++)
        t = sf_start(g);
    sf_is(sf_path(g, XS_TRANSACTION_START, 0, ""), "ENOSPC");
    check_log("transactions");
    set("transaction-nodes", 20);
    for (int i = 0; i < 30; i++) {
        sprintf(path, "/x/%d", i);
        sf_is(sf_read(g, t, path), i < 19 ? "EACCES" : "ENOSPC");
    }
    check_log("transaction-nodes");
    sf_is(sf_end(g, t, "F"), "OK");
    assert_int_not_equal(sf_start(g), 0);
    sf_close(g);
}

static void test_sizes(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    char big[3000], path[600];

    (void)state;
    sf_home(dom0, 3);
    memset(big, 'v', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    sf_is(sf_write(g, 0, "data/big", big), "ENOSPC");
    check_log("node-size");
    sf_is(sf_write(dom0, 0, "/local/domain/3/data/big", big), "OK");
    big[2000] = '\0';
    sf_is(sf_write(g, 0, "data/less", big), "OK");
    sf_is(sf_perms(g, 0, "data/less", "n3 r1 r2 r4 r5"), "OK");
    sf_is(sf_perms(g, 0, "data/less", "n3 r1 r2 r4 r5 r6"), "ENOSPC");
    check_log("node-permissions");
    set("path-max", 500);
    memset(path, 'p', sizeof(path));
    memcpy(path, "data/", 5);
    path[500] = '\0'; /* counted behind /local/domain/3/ */
    sf_is(sf_write(g, 0, path, "v"), "OK");
    path[500] = 'p';
    path[501] = '\0';
    sf_is(sf_write(g, 0, path, "v"), "EINVAL");
    check_log("path-max");
    sf_close(g);
    sf_close(dom0);
}

static void test_memory(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    char value[1000];
    char path[32];
    int i;

    (void)state;
    sf_home(dom0, 3);
    set("memory", 30000);
    set("memory-soft", 10000);
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    for (i = 0; i < 100; i++) {
        sprintf(path, "data/%d", i);
        if (strcmp(sf_write(g, 0, path, value), "OK"))
            break;
    }
    assert_in_range(i, 20, 30);
    sf_is(g->reply, "ENOMEM");
    check_log("memory");
    sf_is(sf_path(g, XS_RM, 0, "data/0"), "OK");
    sf_is(sf_write(g, 0, "data/0", value), "OK");
    sf_close(g);
    sf_close(dom0);
}

static void test_outstanding(void **state)
{
    struct sf_conn *g = sf_open(3);

    (void)state;
    g->room = 0;
    for (int i = 0; i < 100; i++)
        sf_put_request(g, XS_READ, 0, "/x", 3);
    sf_run(g);
    /* It gets no further until it reads its answers. */
    assert_int_equal(g->c.out_count, 20);
    assert_true(sconn_stalled(&g->c));
    g->room = SIZE_MAX;
    for (int i = 0; i < 10; i++)
        sf_run(g);
    assert_int_equal(g->out_len, 100 * (sizeof(struct xsd_sockmsg) + 7));
    sf_close(g);
}

static void test_outstanding_of_one(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_home(dom0, 3);
    sf_is(sf_talk(dom0, XS_SET_QUOTA_, 0, "3\0outstanding\0005", 16, NULL),
          "OK");
    g->room = 0;
    for (int i = 0; i < 100; i++)
        sf_put_request(g, XS_READ, 0, "/x", 3);
    sf_run(g);
    assert_int_equal(g->c.out_count, 5);
    sf_close(g);
    sf_close(dom0);
}

static long memory_of(uint32_t id)
{
    long bytes;

    store_lock(sf.s);
    bytes = sdom_memory(sf.s, id);
    store_unlock(sf.s);
    return bytes;
}

/* Paths and tokens of watches cost memory, until they are taken back. */
static void test_memory_of_watches(void **state)
{
    struct sf_conn *g = sf_open(3);
    char token[1000];
    int i;

    (void)state;
    set("memory", 30000);
    memset(token, 't', sizeof(token));
    token[sizeof(token) - 1] = '\0';
    for (i = 0; i < 100; i++) {
        sprintf(token, "%d", i);
        token[strlen(token)] = 't';
        if (strcmp(sf_watch(g, "data", token), "OK"))
            break;
    }
    assert_in_range(i, 20, 29);
    sf_is(g->reply, "ENOMEM");
    check_log("memory");
    sf_is(sf_talk(g, XS_RESET_WATCHES, 0, "", 1, NULL), "OK");
    assert_int_equal(memory_of(3), 0);
    sf_is(sf_watch(g, "data", token), "OK");
    sf_close(g);
    assert_int_equal(memory_of(3), 0);
}

/* So do the paths a transaction only looked at, and what it wrote. */
static void test_memory_of_transactions(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    char path[1000], value[1000];
    uint32_t t, other;
    long before;
    int i;

    (void)state;
    sf_home(dom0, 3);
    set("memory", 30000);
    before = memory_of(3);
    t = sf_start(g);
    memset(path, 'p', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    for (i = 0; i < 100; i++) {
        path[sprintf(path, "data/%d", i)] = 'p';
        if (!strcmp(sf_read(g, t, path), "ENOMEM"))
            break;
    }
    assert_in_range(i, 15, 29);
    check_log("memory");
    sf_is(sf_end(g, t, "F"), "OK");
    assert_int_equal(memory_of(3), before);
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    t = sf_start(g);
    for (i = 0; i < 40; i++) /* over and over: it is one value */
        sf_is(sf_write(g, t, "data/a", value), "OK");
    other = sf_start(g);
    for (i = 0; i < 100; i++) {
        sprintf(path, "data/%d", i);
        if (strcmp(sf_write(g, other, path, value), "OK"))
            break;
    }
    assert_in_range(i, 15, 28); /* the first one has a part of it */
    sf_is(sf_end(g, other, "F"), "OK");
    sf_is(sf_end(g, t, "T"), "OK");
    assert_in_range(memory_of(3) - before, 1000, 1200);
    sf_close(g);
    sf_close(dom0);
}

static void test_refusals_are_counted(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    const char *why;

    (void)state;
    sf_home(dom0, 3);
    set("nodes", 5);
    fill(g, &why);
    fill(g, &why);
    why = sf_talk(dom0, XS_CONTROL, 0, "quota\0003", 8, NULL);
    assert_non_null(strstr(why, "       5 (refused 2 times)\n"));
    why = sf_talk(dom0, XS_CONTROL, 0, "quota", 6, NULL);
    assert_non_null(strstr(why, "domain 3 was refused nodes 2 times\n"));
    sf_close(g);
    sf_close(dom0);
}

/* A domain that reads none of its many events gets each one once. */
static void test_unread_events(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    char path[64];
    unsigned int queued;

    (void)state;
    sf_home(dom0, 3);
    sf_is(sf_watch(g, "data", "token"), "OK");
    sf_event(g);
    g->room = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++) {
            sprintf(path, "/local/domain/3/data/%d", i);
            sf_is(sf_write(dom0, 0, path, "v"), "OK");
        }
        if (!round)
            queued = g->c.out_count;
        assert_int_equal(g->c.out_count, queued);
    }
    assert_int_equal(queued, 1000);
    g->room = SIZE_MAX;
    for (int i = 0; i < 1000; i++) {
        sprintf(path, "data/%d token", i);
        assert_string_equal(sf_event(g), path);
    }
    sf_is(sf_write(dom0, 0, "/local/domain/3/data/7", "v"), "OK");
    assert_string_equal(sf_event(g), "data/7 token");
    sf_close(g);
    sf_close(dom0);
}

static void test_settable(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    const char *why;

    (void)state;
    sf_home(dom0, 3);
    sf_is(sf_path(dom0, XS_GET_QUOTA_, 0, "nodes"), "1000");
    sf_is(sf_talk(dom0, XS_SET_QUOTA_, 0, "3\0nodes\0004", 9, NULL), "EINVAL");
    sf_is(sf_talk(dom0, XS_SET_QUOTA_, 0, "3\0nodes\0004", 10, NULL), "OK");
    sf_is(sf_talk(dom0, XS_GET_QUOTA_, 0, "3\0nodes", 8, NULL), "4");
    sf_is(sf_talk(dom0, XS_GET_QUOTA_, 0, "4\0nodes", 8, NULL), "ENOENT");
    assert_int_equal(fill(g, &why), 3);
    sf_is(sf_talk(dom0, XS_CONTROL, 0, "quota\0set\0nodes\0002", 18, NULL),
          "OK");
    sf_is(sf_path(dom0, XS_GET_QUOTA_, 0, "nodes"), "2");
    assert_non_null(strstr(sf_path(dom0, XS_GET_QUOTA_, 0, ""), "EINVAL"));
    assert_non_null(
        strstr(sf_talk(dom0, XS_GET_QUOTA_, 0, "", 0, NULL), "nodes watches"));
    sf_is(sf_talk(dom0, XS_SET_QUOTA_, 0, "nodes\0x", 8, NULL), "EINVAL");
    sf_is(sf_talk(dom0, XS_SET_QUOTA_, 0, "rabbits\0001", 10, NULL), "EINVAL");
    sf_close(g);
    sf_close(dom0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sf_test(test_nodes),
        sf_test(test_nodes_in_transactions),
        sf_test(test_watches),
        sf_test(test_transactions),
        sf_test(test_sizes),
        sf_test(test_memory),
        sf_test(test_outstanding),
        sf_test(test_outstanding_of_one),
        sf_test(test_memory_of_watches),
        sf_test(test_memory_of_transactions),
        sf_test(test_refusals_are_counted),
        sf_test(test_unread_events),
        sf_test(test_settable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
