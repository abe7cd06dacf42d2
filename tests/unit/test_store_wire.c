/* SPDX-License-Identifier: MIT */
/*
 * The decoder against hostile bytes: oversize and negative lengths, halves of
 * messages, unknown types, missing ends of strings, noise.  The store answers
 * or closes the one connection; nothing else happens.
 */
#include "tests/unit/test_store_fixture.h"

static void test_byte_by_byte(void **state)
{
    struct sf_conn *c = sf_open(0);
    struct xsd_sockmsg hdr = {.type = XS_WRITE, .req_id = 5, .len = 5};
    char msg[sizeof(hdr) + 5];
    uint32_t type;
    size_t len;

    (void)state;
    memcpy(msg, &hdr, sizeof(hdr));
    memcpy(msg + sizeof(hdr), "/a\0vv", 5);
    for (size_t i = 0; i < sizeof(msg); i++) {
        assert_null(sf_next(c, &type, &len));
        sf_put(c, msg + i, 1);
        sf_run(c);
        assert_int_equal(c->input_rc, 0);
    }
    sf_is(sf_next(c, &type, &len), "OK");
    assert_int_equal(type, XS_WRITE);
    sf_is(sf_read(c, 0, "/a"), "vv");
    sf_close(c);
}

static void test_many_at_once(void **state)
{
    struct sf_conn *c = sf_open(0);
    uint32_t type;
    size_t len;

    (void)state;
    sf_is(sf_write(c, 0, "/a", "v"), "OK");
    for (int i = 0; i < 1000; i++)
        sf_put_request(c, XS_READ, 0, "/a", 3);
    sf_run(c);
    for (int i = 0; i < 1000; i++) {
        assert_non_null(sf_next(c, &type, &len));
        assert_int_equal(type, XS_READ);
        assert_int_equal(len, 1);
    }
    sf_close(c);
}

static void bad_len(uint32_t len)
{
    struct sf_conn *c = sf_open(3);
    struct xsd_sockmsg hdr = {.type = XS_READ, .len = len};

    sf_put(c, &hdr, sizeof(hdr));
    sf_run(c);
    assert_int_equal(c->input_rc, -EPROTO);
    assert_true(c->protocol_error);
    assert_non_null(strstr(sf.log, "domain 3"));
    assert_int_equal(c->out_len, 0);
    sf_close(c);
}

/* XSA-72, 420: lengths beyond the limit, and those that look negative. */
static void test_lengths(void **state)
{
    (void)state;
    bad_len(XENSTORE_PAYLOAD_MAX + 1);
    bad_len(0x7fffffff);
    bad_len(0x80000000);
    bad_len(0xffffffff);
}

static void test_largest(void **state)
{
    struct sf_conn *c = sf_open(0);
    char buf[XENSTORE_PAYLOAD_MAX] = "/big";

    (void)state;
    memset(buf + 5, 'x', sizeof(buf) - 5);
    for (int i = 0; i < 3; i++)
        sf_is(sf_talk(c, XS_WRITE, 0, buf, sizeof(buf), NULL), "OK");
    assert_int_equal(strlen(sf_read(c, 0, "/big")), sizeof(buf) - 5);
    sf_close(c);
}

static void test_unknown_types(void **state)
{
    static const uint32_t types[] = {XS_WATCH_EVENT, XS_ERROR,   20,        27,
                                     1000,           XS_INVALID, UINT32_MAX};
    struct sf_conn *c = sf_open(0);

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        uint32_t type;
        size_t len;

        sf_put_request(c, types[i], 0, "/a", 3);
        sf_run(c);
        sf_is(sf_next(c, &type, &len), "ENOSYS");
        assert_int_equal(type, XS_ERROR);
    }
    sf_close(c);
}

static void test_unended_strings(void **state)
{
    struct sf_conn *c = sf_open(0);

    (void)state;
    for (uint32_t type = 0; type < XS_TYPE_COUNT + 4; type++) {
        const struct request_type *t = request_find(type);

        if (!t || type == XS_TRANSACTION_START || type == XS_RESET_WATCHES)
            continue;
        sf_is(sf_talk(c, type, 0, "/abc", 4, NULL), "EINVAL");
        if (t->min_args)
            sf_is(sf_talk(c, type, 0, "", 0, NULL), "EINVAL");
    }
    sf_is(sf_talk(c, XS_READ, 0, "/a\0/b", 6, NULL), "EINVAL");
    sf_close(c);
}

static void test_values_are_bytes(void **state)
{
    struct sf_conn *c = sf_open(0);
    size_t len;

    (void)state;
    sf_is(sf_talk(c, XS_WRITE, 0, "/z\0a\0\xff\0", 7, NULL), "OK");
    assert_memory_equal(sf_talk(c, XS_READ, 0, "/z", 3, &len), "a\0\xff\0", 4);
    assert_int_equal(len, 4);
    sf_is(sf_talk(c, XS_WRITE, 0, "/z", 3, NULL), "OK");
    sf_talk(c, XS_READ, 0, "/z", 3, &len);
    assert_int_equal(len, 0);
    sf_close(c);
}

/* A listing too long for one reply, fetched in parts and put together. */
static void test_directory_part(void **state)
{
    struct sf_conn *c = sf_open(0);
    char path[64], offset[16], *list = malloc(200000);
    size_t at = 0, len = 0;
    int n = 0;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        sprintf(path, "/d/child-with-a-long-name-%06d", i);
        sf_is(sf_write(c, 0, path, ""), "OK");
    }
    sf_is(sf_path(c, XS_DIRECTORY, 0, "/d"), "E2BIG");
    for (;;) {
        size_t gen;

        sprintf(offset, "%zu", at);
        sf_two(c, XS_DIRECTORY_PART, 0, "/d", offset, true);
        gen = strlen(c->reply) + 1;
        for (len = 0; c->reply[gen + len];)
            len += strlen(c->reply + gen + len) + 1;
        memcpy(list + at, c->reply + gen, len);
        at += len;
        if (len < 3000)
            break;
    }
    for (size_t i = 0; i < at; i += strlen(list + i) + 1, n++) {
        sprintf(path, "child-with-a-long-name-%06d", n);
        assert_string_equal(list + i, path);
    }
    assert_int_equal(n, 2000);
    sf_is(sf_two(c, XS_DIRECTORY_PART, 0, "/d", "-1", true), "EINVAL");
    sf_is(sf_two(c, XS_DIRECTORY_PART, 0, "/d", "x", true), "EINVAL");
    sf_two(c, XS_DIRECTORY_PART, 0, "/d", "4000000000", true);
    assert_int_equal(c->reply[strlen(c->reply) + 1], 0);
    free(list);
    sf_close(c);
}

static void noise(struct sf_conn *c, unsigned int seed)
{
    static const char *const parts[] = {
        "/",  "/a", "/local/domain/3", "data", "@releaseDomain", "n0", "b3",
        "T",  "F",  "quota",           "set",  "nodes",          "1",  "",
        "//", "-1", "4294967296",      "3",
    };
    char buf[64];
    struct xsd_sockmsg hdr = {.req_id = rand()};
    size_t len = 0;

    srand(seed);
    hdr.type = rand() % 30;
    hdr.tx_id = rand() % 4;
    for (int i = rand() % 4; i > 0; i--) {
        const char *p = parts[rand() % (sizeof(parts) / sizeof(parts[0]))];

        memcpy(buf + len, p, strlen(p) + 1);
        len += strlen(p) + 1;
    }
    if (len && rand() % 8 == 0)
        len--;
    if (len && rand() % 8 == 0)
        buf[rand() % len] = rand();
    hdr.len = len;
    sf_put(c, &hdr, sizeof(hdr));
    sf_put(c, buf, len);
}

static void test_noise(void **state)
{
    struct sf_conn *dom0 = sf_open(0), *g = sf_open(3);

    (void)state;
    sf_home(dom0, 3);
    for (int i = 0; i < 60000; i++) {
        struct sf_conn *c = i % 2 ? g : dom0;

        noise(c, i);
        sf_run(c);
        assert_true(c->input_rc >= 0);
        assert_int_equal(c->flush_rc, 0);
        c->out_len = c->out_pos = 0;
    }
    sf_close(g);
    sf_close(dom0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sf_test(test_byte_by_byte),
        sf_test(test_many_at_once),
        sf_test(test_lengths),
        sf_test(test_largest),
        sf_test(test_unknown_types),
        sf_test(test_unended_strings),
        sf_test(test_values_are_bytes),
        sf_test(test_directory_part),
        sf_test(test_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
