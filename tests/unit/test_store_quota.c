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
        sf_test(test_nodes),       sf_test(test_nodes_in_transactions),
        sf_test(test_watches),     sf_test(test_transactions),
        sf_test(test_sizes),       sf_test(test_memory),
        sf_test(test_outstanding), sf_test(test_settable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
