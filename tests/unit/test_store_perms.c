/* SPDX-License-Identifier: MIT */
/*
 * Paths and permissions: who may read, write, create and give away, and that
 * an error tells a domain nothing about nodes it may not look at.
 */
#include "tests/unit/test_store_fixture.h"

static void test_paths(void **state)
{
    static const char *const bad[] = {
        "//a",  "/a/",   "/a//b", "/a b", "/a\x01", "/a.b",
        "/a:b", "@nope", "",      "a/",   "/\xff",  "/a/b/",
    };
    struct sf_conn *c = sf_open(0);
    char longest[STORE_PATH_BYTES + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        sf_is(sf_read(c, 0, bad[i]), "EINVAL");
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[STORE_PATH_BYTES] = '\0';
    sf_is(sf_write(c, 0, longest, "v"), "EINVAL");
    longest[STORE_PATH_BYTES - 1] = '\0';
    sf_is(sf_write(c, 0, longest, "v"), "OK");
    sf_is(sf_read(c, 0, longest), "v");
    sf_is(sf_write(c, 0, "/A-z_0@9", "v"), "OK");
    sf_close(c);
}

static void test_relative(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_home(dom0, 3);
    sf_is(sf_write(g, 0, "data/x", "1"), "OK");
    sf_is(sf_read(dom0, 0, "/local/domain/3/data/x"), "1");
    sf_is(sf_write(dom0, 0, "name", "Domain-0"), "OK");
    sf_is(sf_read(dom0, 0, "/local/domain/0/name"), "Domain-0");
    sf_close(g);
    sf_close(dom0);
}

static void test_errors_hide(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_is(sf_write(dom0, 0, "/secret/key", "1"), "OK");
    /* Present and absent look the same from where nothing is readable. */
    sf_is(sf_read(g, 0, "/secret/key"), "EACCES");
    sf_is(sf_read(g, 0, "/secret/other"), "EACCES");
    sf_is(sf_path(g, XS_RM, 0, "/secret/other"), "EACCES");
    sf_is(sf_path(g, XS_DIRECTORY, 0, "/"), "EACCES");
    sf_is(sf_path(g, XS_GET_PERMS, 0, "/secret"), "EACCES");
    /* Where the parent is readable, the truth. */
    sf_is(sf_perms(dom0, 0, "/secret", "n0 r3"), "OK");
    sf_is(sf_read(g, 0, "/secret/other"), "ENOENT");
    sf_is(sf_read(g, 0, "/secret/key"), "EACCES");
    sf_is(sf_write(g, 0, "/secret/other", "x"), "EACCES");
    sf_is(sf_read(dom0, 0, "/nope"), "ENOENT");
    sf_close(g);
    sf_close(dom0);
}

static void test_create_and_inherit(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_is(sf_path(dom0, XS_MKDIR, 0, "/shared"), "OK");
    sf_is(sf_perms(dom0, 0, "/shared", "n0 b3 r4"), "OK");
    sf_is(sf_write(g, 0, "/shared/a/b", "v"), "OK");
    /* Entries are inherited, the owner is who made it. */
    sf_is(sf_path(dom0, XS_GET_PERMS, 0, "/shared/a"), "n3");
    sf_is(dom0->reply + 3, "b3");
    sf_is(dom0->reply + 6, "r4");
    sf_is(sf_write(dom0, 0, "/shared/a/c", "v"), "OK");
    sf_is(sf_path(dom0, XS_GET_PERMS, 0, "/shared/a/c"), "n3");
    sf_is(sf_path(g, XS_MKDIR, 0, "/shared/a"), "OK");
    sf_is(sf_path(g, XS_MKDIR, 0, "/local"), "EACCES");
    sf_close(g);
    sf_close(dom0);
}

static void test_set_perms(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3), *o = sf_open(4);

    (void)state;
    sf_home(dom0, 3);
    sf_is(sf_write(g, 0, "data/x", "1"), "OK");
    sf_is(sf_perms(g, 0, "data/x", "n3 r4"), "OK");
    sf_is(sf_read(o, 0, "/local/domain/3/data/x"), "1");
    /* XSA-352: nobody unprivileged gives a node away. */
    sf_is(sf_perms(g, 0, "data/x", "n4"), "EPERM");
    sf_is(sf_perms(o, 0, "/local/domain/3/data/x", "b4"), "EACCES");
    sf_is(sf_perms(g, 0, "data/x", "n3 r1 r2 r4 r5 r6"), "ENOSPC");
    sf_is(sf_perms(g, 0, "data/x", "x3"), "EINVAL");
    sf_is(sf_perms(g, 0, "data/x", "n3 r"), "EINVAL");
    sf_is(sf_perms(g, 0, "data/x", "r99999"), "EINVAL");
    sf_is(sf_path(g, XS_SET_PERMS, 0, "data/x"), "EINVAL");
    /* XSA-353: the root's permissions can be set and hold. */
    sf_is(sf_perms(dom0, 0, "/", "r0"), "OK");
    sf_is(sf_path(g, XS_GET_PERMS, 0, "/"), "r0");
    sf_is(sf_perms(g, 0, "/", "b0"), "EACCES");
    sf_close(o);
    sf_close(g);
    sf_close(dom0);
}

static void test_rm(void **state)
{
    struct sf_conn *dom0 = sf_open(0);

    (void)state;
    sf_is(sf_write(dom0, 0, "/a/b/c", "1"), "OK");
    sf_is(sf_path(dom0, XS_RM, 0, "/"), "EINVAL");
    sf_is(sf_path(dom0, XS_RM, 0, "/a/x"), "OK");
    sf_is(sf_path(dom0, XS_RM, 0, "/x/y"), "ENOENT");
    sf_is(sf_path(dom0, XS_RM, 0, "/a"), "OK");
    sf_is(sf_read(dom0, 0, "/a/b/c"), "ENOENT");
    sf_is(sf_path(dom0, XS_DIRECTORY, 0, "/"), "tool");
    sf_close(dom0);
}

static void test_privilege(void **state)
{
    static const uint32_t only_dom0[] = {
        XS_CONTROL,
        XS_INTRODUCE,
        XS_RELEASE,
        XS_RESUME,
        XS_IS_DOMAIN_INTRODUCED,
        XS_SET_TARGET,
        XS_GET_FEATURE_,
        XS_SET_FEATURE_,
        XS_GET_QUOTA_,
        XS_SET_QUOTA_,
    };
    struct sf_conn *g = sf_open(3);

    (void)state;
    for (size_t i = 0; i < sizeof(only_dom0) / sizeof(only_dom0[0]); i++)
        sf_is(sf_talk(g, only_dom0[i], 0, "1\0002\0003", 6, NULL), "EACCES");
    sf_is(sf_path(g, XS_GET_DOMAIN_PATH, 0, "7"), "/local/domain/7");
    sf_is(sf_perms(g, 0, "@releaseDomain", "r3"), "EACCES");
    sf_close(g);
}

static void test_target(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *stub = sf_open(5);

    (void)state;
    sf_home(dom0, 3);
    sf_is(sf_read(stub, 0, "/local/domain/3/data"), "EACCES");
    stub->c.who.target = 3;
    stub->c.who.has_target = true;
    sf_is(sf_read(stub, 0, "/local/domain/3/data"), "");
    sf_is(sf_write(stub, 0, "/local/domain/3/data/x", "1"), "OK");
    sf_close(stub);
    sf_close(dom0);
}

/* XSA-322, 415: the next domain of a number inherits nothing. */
static void test_domid_reuse(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_home(dom0, 3);
    sf_is(sf_write(g, 0, "data/x", "1"), "OK");
    sf_is(sf_write(dom0, 0, "/shared", "1"), "OK");
    sf_is(sf_perms(dom0, 0, "/shared", "n0 b3 r4"), "OK");
    sf_is(sf_watch(dom0, "/local/domain/3/data", "t"), "OK");
    sf_is(sf_event(dom0), "/local/domain/3/data t");
    store_lock(sf.s);
    sdom_get(sf.s, 3)->introduced = true;
    store_unlock(sf.s);
    pthread_mutex_lock(&sf.s->admin);
    assert_int_equal(sdom_release(sf.s, 3, "test"), 0);
    pthread_mutex_unlock(&sf.s->admin);
    sf_is(sf_read(dom0, 0, "/local/domain/3/data"), "ENOENT");
    sf_is(sf_event(dom0), "/local/domain/3/data t");
    sf_is(sf_path(dom0, XS_GET_PERMS, 0, "/shared"), "n0");
    sf_is(dom0->reply + 3, "r4");
    sf_is(sf_path(dom0, XS_GET_PERMS, 0, "/local/domain/3"), "n0");
    assert_int_equal(dom0->reply[3], 0);
    sf_close(g);
    sf_close(dom0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sf_test(test_paths),       sf_test(test_relative),
        sf_test(test_errors_hide), sf_test(test_create_and_inherit),
        sf_test(test_set_perms),   sf_test(test_rm),
        sf_test(test_privilege),   sf_test(test_target),
        sf_test(test_domid_reuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
