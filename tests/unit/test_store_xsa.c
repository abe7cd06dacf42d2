/* SPDX-License-Identifier: MIT */
/*
 * Xen's security advisories about what a store keeps: permissions, quotas,
 * transactions, watches.  Each test is named after the advisory it repeats and
 * shows that the same request from a hostile domain does no harm here.
 */
#include <malloc.h>

#include "tests/unit/test_store_fixture.h"

#include "xenstore/core/tree_mem.h"

static long nodes_of(uint32_t id)
{
    struct sdom *d;
    long n;

    store_lock(sf.s);
    d = sdom_find(sf.s, id);
    n = d ? d->nodes : 0;
    store_unlock(sf.s);
    return n;
}

static void set_quota(enum store_quota q, uint64_t value)
{
    store_lock(sf.s);
    sf.s->quota[q] = value;
    store_unlock(sf.s);
}

/* The domain was there and is gone. */
static void release(uint32_t id)
{
    store_lock(sf.s);
    sdom_get(sf.s, id)->introduced = true;
    store_unlock(sf.s);
    pthread_mutex_lock(&sf.s->admin);
    assert_int_equal(sdom_release(sf.s, id, "test"), 0);
    pthread_mutex_unlock(&sf.s->admin);
}

/* "/a/a/a...", as deep as a path may be. */
static void deep_path(char *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf[i] = i % 2 ? 'a' : '/';
    buf[len] = '\0';
}

/* A watch tells nothing of nodes that its owner may not read. */
static void xsa115_watch_permissions(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_is(sf_watch(g, "/", "t"), "OK");
    sf_is(sf_event(g), "/ t");
    sf_is(sf_watch(g, "@releaseDomain", "r"), "OK");
    sf_is(sf_event(g), "@releaseDomain r");
    sf_is(sf_write(dom0, 0, "/secret/a", "1"), "OK");
    sf_is(sf_path(dom0, XS_RM, 0, "/secret/a"), "OK");
    release(9);
    sf_no_event(g);
    sf_is(sf_perms(dom0, 0, "/secret", "n0 r3"), "OK");
    sf_is(sf_event(g), "/secret t");
    sf_is(sf_perms(dom0, 0, "/secret", "n0"), "OK"); /* it could read that */
    sf_is(sf_event(g), "/secret t");
    sf_is(sf_perms(dom0, 0, "/secret", "n0"), "OK");
    sf_no_event(g);
    sf_close(g);
    sf_close(dom0);
}

/* Parents made on the way count as much as the node that was asked for. */
static void xsa272_entry_quota(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_home(dom0, 3);
    set_quota(QUOTA_NODES, 5);
    sf_is(sf_write(g, 0, "data/a/b/c/d/e/f", "v"), "ENOSPC");
    sf_is(sf_path(g, XS_MKDIR, 0, "data/a/b/c/d/e"), "ENOSPC");
    sf_is(sf_path(g, XS_MKDIR, 0, "data/a/b/c/d"), "OK");
    sf_is(sf_path(g, XS_MKDIR, 0, "data/x"), "ENOSPC");
    assert_int_equal(nodes_of(3), 5);
    assert_non_null(strstr(sf.log, "domain 3"));
    sf_close(g);
    sf_close(dom0);
}

static void check_inheritance(struct sf_conn *dom0, struct sf_conn *g)
{
    sf_is(sf_write(dom0, 0, "/shared/x", "1"), "OK");
    sf_is(sf_perms(dom0, 0, "/shared/x", "n0 b3 r4"), "OK");
    sf_is(sf_write(g, 0, "/shared/x", "2"), "OK");
    sf_is(sf_write(g, 0, "data/mine", "2"), "OK");
    sf_close(g);
    release(3);
    g = sf_open(3);
    sf_is(sf_read(g, 0, "/shared/x"), "EACCES");
    sf_is(sf_write(g, 0, "/shared/x", "3"), "EACCES");
    sf_is(sf_read(g, 0, "data/mine"), "EACCES");
    sf_is(sf_path(dom0, XS_GET_PERMS, 0, "/shared/x"), "n0");
    sf_is(dom0->reply + 3, "r4");
    assert_int_equal(nodes_of(3), 0);
    sf_close(g);
}

/* The next domain of a number has nothing of the last one's rights. */
static void xsa322_domid_reuse(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_home(dom0, 3);
    check_inheritance(dom0, g);
    sf_close(dom0);
}

/* Nor of its rights to special watches; nor by a node it left unremoved. */
static void xsa417_domid_reuse_special(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g;

    (void)state;
    sf_is(sf_perms(dom0, 0, "@releaseDomain", "n0 r3 r4"), "OK");
    sf_is(sf_perms(dom0, 0, "@introduceDomain", "r3"), "OK");
    sf_is(sf_perms(dom0, 0, "/", "n0 b3"), "OK");
    release(3);
    sf_is(sf_path(dom0, XS_GET_PERMS, 0, "@releaseDomain"), "n0");
    sf_is(dom0->reply + 3, "r4");
    sf_is(sf_path(dom0, XS_GET_PERMS, 0, "@introduceDomain"), "n0");
    g = sf_open(3);
    sf_is(sf_write(g, 0, "/x", "1"), "EACCES");
    sf_is(sf_watch(g, "@releaseDomain", "t"), "OK");
    sf_is(sf_event(g), "@releaseDomain t");
    release(4);
    sf_no_event(g);
    sf_close(g);
    sf_close(dom0);
}

/* Long relative paths never become ones that others cannot handle. */
static void xsa323_path_length(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    char rel[XENSTORE_REL_PATH_MAX + 2] = "data/";
    char full[XENSTORE_ABS_PATH_MAX + 3];

    (void)state;
    sf_home(dom0, 3);
    memset(rel + 5, 'p', sizeof(rel) - 5);
    rel[XENSTORE_REL_PATH_MAX + 1] = '\0';
    sf_is(sf_path(g, XS_MKDIR, 0, rel), "EINVAL");
    sf_is(sf_watch(g, rel, "t"), "EINVAL");
    rel[XENSTORE_REL_PATH_MAX] = '\0';
    sf_is(sf_path(g, XS_MKDIR, 0, rel), "OK");
    snprintf(full, sizeof(full), "/local/domain/3/%s", rel);
    sf_is(sf_read(dom0, 0, full), "");
    sf_is(sf_path(dom0, XS_RM, 0, full), "OK");
    memset(full, 'p', sizeof(full));
    full[0] = '/';
    full[XENSTORE_ABS_PATH_MAX + 1] = '\0';
    sf_is(sf_path(dom0, XS_MKDIR, 0, full), "EINVAL");
    full[XENSTORE_ABS_PATH_MAX] = '\0';
    sf_is(sf_path(dom0, XS_MKDIR, 0, full), "OK");
    sf_close(g);
    sf_close(dom0);
}

/* A watch whose event is too long for the wire hears nothing, harmlessly. */
static void xsa324_oversize_event(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    char token[XENSTORE_PAYLOAD_MAX - 8], path[2000] = "data/";

    (void)state;
    sf_home(dom0, 3);
    memset(token, 't', sizeof(token));
    token[sizeof(token) - 1] = '\0';
    memset(path + 5, 'p', sizeof(path) - 5);
    path[sizeof(path) - 1] = '\0';
    sf_is(sf_watch(g, "data", token), "OK");
    assert_int_equal(strlen(sf_event(g)), strlen("data ") + strlen(token));
    sf_is(sf_write(g, 0, path, "1"), "OK");
    sf_no_event(g);
    sf_is(sf_write(g, 0, "data", "1"), "OK");
    assert_int_equal(strlen(sf_event(g)), strlen("data ") + strlen(token));
    sf_close(g);
    sf_close(dom0);
}

/* What RESET_WATCHES drops is given back, each time. */
static void xsa330_reset_watches_leak(void **state)
{
    struct sf_conn *g = sf_open(3);
    char token[16];

    (void)state;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 128; i++) {
            sprintf(token, "%d", i);
            sf_is(sf_watch(g, "/w", token), "OK");
        }
        sf_is(sf_watch(g, "/w", "more"), "ENOSPC");
        sf_is(sf_path(g, XS_RESET_WATCHES, 0, ""), "OK");
        assert_int_equal(sf.s->nr_watches, 0);
        g->out_pos = g->out_len = g->events_len = 0;
    }
    assert_null(sdom_find(sf.s, 3));
    sf_close(g);
}

/* Nobody unprivileged gives a node away. */
static void xsa352_owner_change(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    uint32_t t;

    (void)state;
    sf_home(dom0, 3);
    sf_is(sf_perms(g, 0, "data", "n4"), "EPERM");
    sf_is(sf_perms(g, 0, "data", "n0 b3"), "EPERM");
    t = sf_start(g);
    sf_is(sf_perms(g, t, "data", "n4"), "EPERM");
    sf_is(sf_write(g, t, "data/x", "1"), "OK");
    sf_is(sf_perms(g, t, "data/x", "b4"), "EPERM");
    sf_is(sf_end(g, t, "T"), "OK");
    sf_is(sf_path(g, XS_GET_PERMS, 0, "data/x"), "n3");
    sf_close(g);
    sf_close(dom0);
}

/* The root's permissions are checked like every other node's. */
static void xsa353_root_permissions(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_is(sf_read(g, 0, "/"), "EACCES");
    sf_is(sf_path(g, XS_DIRECTORY, 0, "/"), "EACCES");
    sf_is(sf_path(g, XS_GET_PERMS, 0, "/"), "EACCES");
    sf_is(sf_perms(g, 0, "/", "b3"), "EACCES");
    sf_is(sf_write(g, 0, "/", "x"), "EACCES");
    sf_is(sf_path(g, XS_RM, 0, "/"), "EACCES");
    sf_is(sf_path(g, XS_MKDIR, 0, "/new"), "EACCES");
    sf_is(sf_perms(dom0, 0, "/", "r0"), "OK");
    sf_is(sf_path(g, XS_DIRECTORY, 0, "/"), "tool");
    sf_is(sf_write(g, 0, "/", "x"), "EACCES");
    sf_close(g);
    sf_close(dom0);
}

/* Of a creation that fails half way nothing stays, in the tree or booked. */
static void xsa414_create_rollback(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    char big[3000];

    (void)state;
    sf_home(dom0, 3);
    memset(big, 'v', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    sf_is(sf_write(g, 0, "data/a/b/c", big), "ENOSPC");
    sf_is(sf_read(g, 0, "data/a"), "ENOENT");
    set_quota(QUOTA_NODES, 3);
    sf_is(sf_write(g, 0, "data/a/b/c", "v"), "ENOSPC");
    sf_is(sf_read(g, 0, "data/a"), "ENOENT");
    assert_int_equal(nodes_of(3), 1);
    sf_close(g);
    sf_close(dom0);
}

/* A domain's end takes nodes below its own with them, and books it. */
static void xsa415_orphan_nodes(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3), *o = sf_open(4);

    (void)state;
    sf_home(dom0, 3);
    sf_is(sf_perms(g, 0, "data", "n3 b4"), "OK");
    sf_is(sf_write(o, 0, "/local/domain/3/data/x/y", "1"), "OK");
    assert_int_equal(nodes_of(4), 2);
    release(3);
    sf_is(sf_read(dom0, 0, "/local/domain/3/data/x/y"), "ENOENT");
    sf_is(sf_path(dom0, XS_MKDIR, 0, "/local/domain/3/data"), "OK");
    sf_is(sf_path(dom0, XS_DIRECTORY, 0, "/local/domain/3/data"), "");
    assert_int_equal(nodes_of(3), 0);
    assert_int_equal(nodes_of(4), 0);
    sf_close(o);
    sf_close(g);
    sf_close(dom0);
}

/* Bytes in use, once what the store threw away is freed. */
static size_t memory_used(void)
{
    rcu_barrier();
    return mallinfo2().uordblks - tree_mem_spare(&sf.s->tree);
}

/* Requests that fail keep no memory, however many there are. */
static void xsa416_temporary_memory(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    size_t before = 0, after;

    (void)state;
    sf_home(dom0, 3);
    set_quota(QUOTA_NODES, 3);
    for (int i = 0; i < 30000; i++) {
        uint32_t t = sf_start(g);

        sf_write(g, t, "data/a/b/c/d", "v");
        sf_write(g, t, "data/a", "v");
        sf_perms(g, 0, "data", "n4");
        sf_perms(g, 0, "data", "n3 x");
        sf_write(g, 0, "data/a/b/c/d", "v");
        sf_end(g, t, "F");
        if (i == 2000)
            before = memory_used();
    }
    after = memory_used();
    assert_true(after < before + (512u << 10));
    sf_close(g);
    sf_close(dom0);
}

static void *deep_in_a_small_stack(void *arg)
{
    struct sf_conn *dom0 = arg;
    char path[XENSTORE_ABS_PATH_MAX + 1];

    store_thread_enter();
    deep_path(path, XENSTORE_ABS_PATH_MAX);
    sf_is(sf_write(dom0, 0, path, "v"), "OK");
    sf_is(sf_read(dom0, 0, path), "v");
    sf_is(sf_path(dom0, XS_CONTROL, 0, "check"), "OK");
    sf_is(sf_path(dom0, XS_RM, 0, "/a"), "OK");
    sf_is(sf_read(dom0, 0, path), "ENOENT");
    store_thread_leave();
    return NULL;
}

/* Depth is the client's to choose, so no recursion depends on it. */
static void xsa418_recursion(void **state)
{
    struct sf_conn *dom0 = sf_open(0);
    pthread_attr_t attr;
    pthread_t thread;

    (void)state;
    pthread_attr_init(&attr);
    assert_int_equal(pthread_attr_setstacksize(&attr, 192 << 10), 0);
    assert_int_equal(
        pthread_create(&thread, &attr, deep_in_a_small_stack, dom0), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    sf_close(dom0);
}

/* Several transactions together get no more than their domain may have. */
static void xsa419_quota_bypass(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    uint32_t t[8];
    char path[32];
    int good = 0;

    (void)state;
    sf_home(dom0, 3);
    for (int i = 0; i < 8; i++) {
        sprintf(path, "data/%d", i);
        sf_is(sf_path(g, XS_MKDIR, 0, path), "OK");
    }
    set_quota(QUOTA_NODES, 14);
    for (int i = 0; i < 8; i++) {
        t[i] = sf_start(g);
        for (int k = 0; k < 3; k++) {
            sprintf(path, "data/%d/%d", i, k);
            sf_is(sf_write(g, t[i], path, "v"), "OK");
        }
    }
    for (int i = 0; i < 8; i++)
        good += !strcmp(sf_end(g, t[i], "T"), "OK");
    assert_int_equal(good, 1);
    assert_int_equal(nodes_of(3), 12);
    sf_close(g);
    sf_close(dom0);
}

/* Removing in a transaction what is gone already is not booked twice. */
static void xsa421_transaction_delete(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    uint32_t t;

    (void)state;
    sf_home(dom0, 3);
    for (int i = 0; i < 10; i++) {
        sf_is(sf_write(g, 0, "data/x", "v"), "OK");
        t = sf_start(g);
        sf_is(sf_path(g, XS_RM, t, "data/x"), "OK");
        sf_is(sf_path(g, XS_RM, t, "data/x"), "OK");
        sf_is(sf_path(g, XS_RM, 0, "data/x"), "OK");
        sf_is(sf_end(g, t, "T"), "EAGAIN");
        t = sf_start(g);
        sf_is(sf_write(g, t, "data/y", "v"), "OK");
        sf_is(sf_path(g, XS_RM, t, "data/y"), "OK");
        sf_is(sf_end(g, t, "T"), "OK");
        assert_int_equal(nodes_of(3), 1);
    }
    sf_close(g);
    sf_close(dom0);
}

/* A path that is a prefix of the homes and nothing more. */
static void xsa481_local_domain_path(void **state)
{
    static const char *const paths[] = {
        "/local/domain/",     "/local/domain//",
        "/local/domain/3/",   "/local/domain/99999",
        "/local/domain/-1/x", "/local/domain/x",
        "/local/domain",      "/local/domain/4294967299/x",
    };
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_home(dom0, 3);
    set_quota(QUOTA_PATH_LEN, 10);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const char *got = sf_read(g, 0, paths[i]);

        assert_true(!strcmp(got, "EINVAL") || !strcmp(got, "EACCES"));
        got = sf_watch(g, paths[i], "t");
        assert_true(!strcmp(got, "EINVAL") || !strcmp(got, "OK"));
        got = sf_path(g, XS_MKDIR, 0, paths[i]);
        assert_true(!strcmp(got, "EINVAL") || !strcmp(got, "EACCES"));
    }
    sf_is(sf_read(dom0, 0, "/local/domain/"), "EINVAL");
    sf_close(g);
    sf_close(dom0);
}

/* RESET_WATCHES inside a transaction ends it with the others. */
static void xsa484_reset_in_transaction(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    uint32_t t, u;

    (void)state;
    sf_home(dom0, 3);
    t = sf_start(g);
    u = sf_start(g);
    sf_is(sf_write(g, t, "data/x", "1"), "OK");
    sf_is(sf_watch(g, "data", "t"), "OK");
    sf_is(sf_event(g), "data t");
    sf_is(sf_path(g, XS_RESET_WATCHES, t, ""), "OK");
    sf_is(sf_write(g, t, "data/x", "1"), "ENOENT");
    sf_is(sf_end(g, t, "T"), "ENOENT");
    sf_is(sf_end(g, u, "F"), "ENOENT");
    sf_is(sf_read(g, 0, "data/x"), "ENOENT");
    for (int i = 0; i < 10; i++)
        sf_is(sf_end(g, sf_start(g), "T"), "OK");
    sf_close(g);
    sf_close(dom0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sf_test(xsa115_watch_permissions),
        sf_test(xsa272_entry_quota),
        sf_test(xsa322_domid_reuse),
        sf_test(xsa323_path_length),
        sf_test(xsa324_oversize_event),
        sf_test(xsa330_reset_watches_leak),
        sf_test(xsa352_owner_change),
        sf_test(xsa353_root_permissions),
        sf_test(xsa414_create_rollback),
        sf_test(xsa415_orphan_nodes),
        sf_test(xsa416_temporary_memory),
        sf_test(xsa417_domid_reuse_special),
        sf_test(xsa418_recursion),
        sf_test(xsa419_quota_bypass),
        sf_test(xsa421_transaction_delete),
        sf_test(xsa481_local_domain_path),
        sf_test(xsa484_reset_in_transaction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
