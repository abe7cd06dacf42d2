/* SPDX-License-Identifier: MIT */
/*
 * Watches: who hears of what, when, and under which name; that nobody hears of
 * what they may not know (XSA-115); that slow readers cost only themselves.
 */
#include "tests/unit/test_store_fixture.h"

static void test_fires(void **state)
{
    struct sf_conn *c = sf_open(0);

    (void)state;
    sf_is(sf_watch(c, "/a/b", "t"), "OK");
    sf_is(sf_event(c), "/a/b t"); /* once at registration */
    sf_no_event(c);
    sf_is(sf_write(c, 0, "/a/b", "1"), "OK");
    sf_is(sf_event(c), "/a/b t");
    sf_is(sf_write(c, 0, "/a/b/c/d", "1"), "OK");
    sf_is(sf_event(c), "/a/b/c/d t");
    sf_is(sf_perms(c, 0, "/a/b", "r0"), "OK");
    sf_is(sf_event(c), "/a/b t");
    sf_is(sf_write(c, 0, "/a/bb", "1"), "OK");
    sf_is(sf_write(c, 0, "/a", "1"), "OK");
    sf_is(sf_path(c, XS_MKDIR, 0, "/a/b"), "OK"); /* already there */
    sf_no_event(c);
    sf_is(sf_path(c, XS_RM, 0, "/a/b/c/d"), "OK");
    sf_is(sf_event(c), "/a/b/c/d t");
    sf_is(sf_path(c, XS_RM, 0, "/a"), "OK");
    sf_is(sf_event(c), "/a/b t"); /* the watched path, not the removed one */
    sf_no_event(c);
    sf_close(c);
}

static void test_removal_tells_each_once(void **state)
{
    struct sf_conn *c = sf_open(0);

    (void)state;
    sf_is(sf_write(c, 0, "/r/a/b", "1"), "OK");
    sf_is(sf_watch(c, "/r", "top"), "OK");
    sf_is(sf_watch(c, "/r/a/b", "leaf"), "OK");
    sf_is(sf_watch(c, "/", "root"), "OK");
    while (*sf_event(c))
        ;
    sf_is(sf_path(c, XS_RM, 0, "/r"), "OK");
    sf_is(sf_event(c), "/r root");
    sf_is(sf_event(c), "/r top");
    sf_is(sf_event(c), "/r/a/b leaf");
    sf_no_event(c);
    sf_close(c);
}

static void test_register_and_unwatch(void **state)
{
    struct sf_conn *c = sf_open(0), *d = sf_open(0);

    (void)state;
    sf_is(sf_watch(c, "/w", "t"), "OK");
    sf_is(sf_watch(c, "/w", "t"), "EEXIST");
    sf_is(sf_watch(c, "/w", "u"), "OK");
    sf_is(sf_watch(d, "/w", "t"), "OK");
    sf_is(sf_two(c, XS_UNWATCH, 0, "/w", "nope", true), "ENOENT");
    sf_is(sf_two(c, XS_UNWATCH, 0, "/v", "t", true), "ENOENT");
    sf_is(sf_two(c, XS_UNWATCH, 0, "/w", "t", true), "OK");
    while (*sf_event(c))
        ;
    sf_event(d);
    sf_is(sf_write(d, 0, "/w", "1"), "OK");
    sf_is(sf_event(c), "/w u");
    sf_no_event(c);
    sf_is(sf_event(d), "/w t");
    sf_is(sf_path(c, XS_RESET_WATCHES, 0, ""), "OK");
    sf_is(sf_write(d, 0, "/w", "2"), "OK");
    sf_no_event(c);
    sf_is(sf_watch(c, "@nothing", "t"), "EINVAL");
    sf_is(sf_watch(c, "/w/", "t"), "EINVAL");
    sf_is(sf_path(c, XS_WATCH, 0, "/w"), "EINVAL");
    sf_close(d);
    sf_close(c);
    assert_int_equal(sf.s->nr_watches, 0);
    assert_int_equal(sf.s->watch_points.count, 0);
}

static void test_relative(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_home(dom0, 3);
    sf_is(sf_watch(g, "data", "t"), "OK");
    sf_is(sf_event(g), "data t");
    sf_is(sf_write(dom0, 0, "/local/domain/3/data/x", "1"), "OK");
    sf_is(sf_event(g), "data/x t");
    sf_is(sf_watch(g, "/local/domain/3/data", "abs"), "OK");
    sf_is(sf_event(g), "/local/domain/3/data abs");
    sf_close(g);
    sf_close(dom0);
}

static void test_transactions_fire_at_commit(void **state)
{
    struct sf_conn *a = sf_open(0), *b = sf_open(0);
    uint32_t t;

    (void)state;
    sf_is(sf_watch(b, "/t", "t"), "OK");
    sf_event(b);
    t = sf_start(a);
    sf_is(sf_write(a, t, "/t/x", "1"), "OK");
    sf_is(sf_write(a, t, "/t/x", "2"), "OK");
    sf_is(sf_write(a, t, "/t/y", "1"), "OK");
    sf_is(sf_path(a, XS_RM, t, "/t/y"), "OK");
    sf_no_event(b);
    sf_is(sf_end(a, t, "T"), "OK");
    sf_is(sf_event(b), "/t/x t");
    sf_no_event(b);
    t = sf_start(a);
    sf_is(sf_write(a, t, "/t/x", "3"), "OK");
    sf_is(sf_end(a, t, "F"), "OK");
    sf_no_event(b);
    sf_close(a);
    sf_close(b);
}

/* XSA-115: no event about nodes a domain cannot read. */
static void test_permission(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_is(sf_watch(g, "/secret", "t"), "OK");
    sf_is(sf_event(g), "/secret t");
    sf_is(sf_write(dom0, 0, "/secret", "1"), "OK");
    sf_is(sf_write(dom0, 0, "/secret/key", "1"), "OK");
    sf_no_event(g);
    /* It becomes readable, is written, becomes unreadable: all told. */
    sf_is(sf_perms(dom0, 0, "/secret", "n0 r3"), "OK");
    sf_is(sf_event(g), "/secret t");
    sf_is(sf_write(dom0, 0, "/secret", "2"), "OK");
    sf_is(sf_event(g), "/secret t");
    /* A child under a readable parent. */
    sf_is(sf_perms(dom0, 0, "/secret/key", "n0"), "OK");
    sf_is(sf_event(g), "/secret/key t");
    sf_is(sf_perms(dom0, 0, "/secret", "n0"), "OK");
    sf_is(sf_event(g), "/secret t");
    sf_is(sf_write(dom0, 0, "/secret", "3"), "OK");
    sf_no_event(g);
    /* A readable node that goes is told of though nothing is left. */
    sf_is(sf_perms(dom0, 0, "/secret", "n0 r3"), "OK");
    sf_event(g);
    sf_is(sf_path(dom0, XS_RM, 0, "/secret"), "OK");
    sf_is(sf_event(g), "/secret t");
    sf_close(g);
    sf_close(dom0);
}

static void test_special(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_is(sf_watch(dom0, "@releaseDomain", "r"), "OK");
    sf_is(sf_event(dom0), "@releaseDomain r");
    sf_is(sf_watch(g, "@releaseDomain", "r"), "OK");
    sf_event(g);
    store_lock(sf.s);
    watch_fire_special(sf.s, STORE_RELEASE, 9);
    store_unlock(sf.s);
    sf_is(sf_event(dom0), "@releaseDomain r");
    sf_no_event(g); /* until it is allowed to */
    sf_is(sf_path(g, XS_GET_PERMS, 0, "@releaseDomain"), "EACCES");
    sf_is(sf_perms(dom0, 0, "@releaseDomain", "n0 r3"), "OK");
    sf_is(sf_path(g, XS_GET_PERMS, 0, "@releaseDomain"), "n0");
    store_lock(sf.s);
    watch_fire_special(sf.s, STORE_RELEASE, 9);
    watch_fire_special(sf.s, STORE_INTRODUCE, 9);
    store_unlock(sf.s);
    sf_is(sf_event(g), "@releaseDomain r");
    sf_no_event(g);
    sf_close(g);
    sf_close(dom0);
}

static void test_depth(void **state)
{
    struct sf_conn *c = sf_open(0);

    (void)state;
    sf_is(sf_talk(c, XS_WATCH, 0, "/d\0t\0001", 7, NULL), "OK");
    sf_event(c);
    sf_is(sf_write(c, 0, "/d/a", "1"), "OK");
    sf_is(sf_event(c), "/d/a t");
    sf_is(sf_write(c, 0, "/d/a/b", "1"), "OK");
    sf_no_event(c);
    sf_is(sf_talk(c, XS_WATCH, 0, "/\0r\0001", 6, NULL), "OK");
    sf_event(c);
    sf_is(sf_write(c, 0, "/e", "1"), "OK");
    sf_is(sf_event(c), "/e r");
    sf_is(sf_talk(c, XS_WATCH, 0, "/d\0x\0y", 7, NULL), "EINVAL");
    sf_is(sf_talk(c, XS_WATCH, 0, "@releaseDomain\0d\0001", 19, NULL), "OK");
    sf_event(c);
    store_lock(sf.s);
    watch_fire_special(sf.s, STORE_RELEASE, 9);
    store_unlock(sf.s);
    sf_is(sf_event(c), "@releaseDomain/9 d");
    sf_close(c);
}

/* XSA-326, 349: a domain that does not read hears the same thing once. */
static void test_slow_domain(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_home(dom0, 3);
    sf_is(sf_watch(g, "data", "t"), "OK");
    sf_event(g);
    g->room = 0;
    for (int i = 0; i < 1000; i++)
        sf_is(sf_write(dom0, 0, "/local/domain/3/data", "1"), "OK");
    assert_int_equal(g->c.out_count, 1);
    g->room = SIZE_MAX;
    sf_is(sf_event(g), "data t");
    sf_no_event(g);
    sf_close(g);
    sf_close(dom0);
}

static void test_endless_reader_is_cut_off(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);
    char path[64];

    (void)state;
    sf_home(dom0, 3);
    store_lock(sf.s);
    sf.s->quota[QUOTA_MEMORY] = 20000;
    store_unlock(sf.s);
    sf_is(sf_watch(g, "/local/domain/3", "t"), "OK");
    g->room = 0;
    for (int i = 0; i < 1000; i++) {
        sprintf(path, "/local/domain/3/data/%d", i);
        sf_is(sf_write(dom0, 0, path, "1"), "OK");
    }
    assert_true(g->c.overrun);
    assert_true(g->c.out_bytes <= 20000);
    assert_int_equal(sconn_flush(&g->c), -ENOSPC);
    assert_non_null(strstr(sf.log, "domain 3"));
    sf_close(g);
    sf_close(dom0);
}

/* XSA-324: an event that does not fit the wire is not sent. */
static void test_oversize_event(void **state)
{
    struct sf_conn *c = sf_open(0);
    char token[2001], path[2201];

    (void)state;
    memset(token, 't', 2000);
    token[2000] = '\0';
    memset(path, 'p', 2200);
    path[0] = '/';
    path[2200] = '\0';
    sf_is(sf_watch(c, "/", token), "OK");
    assert_true(sf_event(c)[0] == '/');
    sf_is(sf_write(c, 0, path, "1"), "OK");
    sf_no_event(c);
    sf_is(sf_write(c, 0, "/short", "1"), "OK");
    assert_memory_equal(sf_event(c), "/short t", 8);
    sf_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sf_test(test_fires),
        sf_test(test_removal_tells_each_once),
        sf_test(test_register_and_unwatch),
        sf_test(test_relative),
        sf_test(test_transactions_fire_at_commit),
        sf_test(test_permission),
        sf_test(test_special),
        sf_test(test_depth),
        sf_test(test_slow_domain),
        sf_test(test_endless_reader_is_cut_off),
        sf_test(test_oversize_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
