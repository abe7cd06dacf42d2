/* SPDX-License-Identifier: MIT */
/*
 * Proves that the guest kernel's Xen-free parts do what their header says:
 * printf's conversions against the C library's, numbers and command lines,
 * byte rings across the wrap and under a lying peer, the verifier's pattern
 * (every single-bit fault is seen), and the statistics.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "frontends/include/lib.h"

#define SAME_AS_LIBC(fmt, ...)                                                 \
    do {                                                                       \
        char ours_[200], libc_[200];                                           \
        int n_ = format_snprintf(ours_, sizeof(ours_), fmt, __VA_ARGS__);      \
        int m_ = snprintf(libc_, sizeof(libc_), fmt, __VA_ARGS__);             \
        assert_string_equal(ours_, libc_);                                     \
        assert_int_equal(n_, m_);                                              \
    } while (0)

static void format_numbers(void **state)
{
    (void)state;
    SAME_AS_LIBC("%d %i %u", -1, 2147483647, 4294967295u);
    SAME_AS_LIBC("%d", (int)0x80000000);
    SAME_AS_LIBC("%ld %lu %lx", INT64_MIN, UINT64_MAX, UINT64_MAX);
    SAME_AS_LIBC("%5d|%-5d|%05d|%5u|", 42, 42, -42, 7u);
    SAME_AS_LIBC("%08x|%-8X|%16lx|", 0xbeefu, 0xbeefu, 0x123456789abcdeful);
    SAME_AS_LIBC("%.3d|%6.3d|%-6.3d|", 7, -7, 7);
    SAME_AS_LIBC("%zu %zd %lld", (size_t)1 << 40, (ssize_t)-5, -1ll);
    SAME_AS_LIBC("%*d|%-*d|%*d|", 6, 1, 6, 2, -6, 3);
    SAME_AS_LIBC("%x %d%%", 0u, 0);
}

static void format_strings(void **state)
{
    (void)state;
    SAME_AS_LIBC("%s|%10s|%-10s|%.2s|%*.*s|", "abc", "abc", "abc", "abc", 5, 1,
                 "abc");
    SAME_AS_LIBC("%c%3c|%-3c|", 'a', 'b', 'c');
    SAME_AS_LIBC("%p", (void *)0x1234);
}

static void format_cut(void **state)
{
    char buf[6] = "xxxxx";

    (void)state;
    assert_int_equal(format_snprintf(buf, 4, "%s", "abcdef"), 6);
    assert_string_equal(buf, "abc");
    assert_int_equal(buf[4], 'x');
    assert_int_equal(format_snprintf(buf, 1, "%d", 12345), 5);
    assert_string_equal(buf, "");
    assert_int_equal(format_snprintf(NULL, 0, "%d", 12345), 5);
}

static void numbers(void **state)
{
    const char *p = "123abc";
    uint64_t v;

    (void)state;
    assert_int_equal(parse_u64(&p, 10, &v), 0);
    assert_int_equal(v, 123);
    assert_string_equal(p, "abc");
    assert_int_equal(parse_u64(&p, 16, &v), 0);
    assert_int_equal(v, 0xabc);
    p = "0xFf";
    assert_int_equal(parse_u64(&p, 0, &v), 0);
    assert_int_equal(v, 255);
    p = "18446744073709551615";
    assert_int_equal(parse_u64(&p, 10, &v), 0);
    assert_true(v == UINT64_MAX);
    p = "18446744073709551616";
    assert_int_equal(parse_u64(&p, 10, &v), -EINVAL);
    p = "";
    assert_int_equal(parse_u64(&p, 10, &v), -EINVAL);
    p = "-1";
    assert_int_equal(parse_u64(&p, 10, &v), -EINVAL);
}

static void command_line(void **state)
{
    const char *line = "  a=1 verbose ab=x a=two\tsize=16M big=0x2g end";
    char buf[4];

    (void)state;
    assert_true(cmdline_get(line, "a", 0, buf, sizeof(buf)));
    assert_string_equal(buf, "1");
    assert_true(cmdline_get(line, "a", 1, buf, sizeof(buf)));
    assert_string_equal(buf, "two");
    assert_false(cmdline_get(line, "a", 2, buf, sizeof(buf)));
    assert_true(cmdline_get(line, "verbose", 0, buf, sizeof(buf)));
    assert_string_equal(buf, "1");
    assert_true(cmdline_get("key=abcdef", "key", 0, buf, sizeof(buf)));
    assert_string_equal(buf, "abc");
    assert_false(cmdline_get(line, "en", 0, buf, sizeof(buf)));
    assert_int_equal(cmdline_u64(line, "size", 1), 16 << 20);
    assert_true(cmdline_u64(line, "big", 1) == 2ull << 30);
    assert_int_equal(cmdline_u64(line, "ab", 9), 9);
    assert_int_equal(cmdline_u64("", "size", 9), 9);
}

static void ring_wraps(void **state)
{
    char ring[16], in[11], out[11];
    uint32_t cons = 0xfffffff0u, prod = 0xfffffff0u;
    int round, i;

    (void)state;
    for (round = 0; round < 100; round++) {
        for (i = 0; i < 11; i++)
            in[i] = (char)(round + i);
        assert_int_equal(bytering_put(ring, 16, &cons, &prod, in, 11), 11);
        assert_int_equal(bytering_put(ring, 16, &cons, &prod, in, 11), 5);
        assert_int_equal(bytering_put(ring, 16, &cons, &prod, in, 11), 0);
        assert_int_equal(bytering_get(ring, 16, &cons, &prod, out, 11), 11);
        assert_memory_equal(in, out, 11);
        assert_int_equal(bytering_get(ring, 16, &cons, &prod, out, 11), 5);
        assert_memory_equal(in, out, 5);
        assert_int_equal(bytering_get(ring, 16, &cons, &prod, out, 11), 0);
    }
}

static void ring_liar(void **state)
{
    char ring[16] = "", buf[4] = "";
    uint32_t cons = 0, prod = 17;

    (void)state;
    assert_int_equal(bytering_get(ring, 16, &cons, &prod, buf, 4), -EPROTO);
    assert_int_equal(cons, 0);
    assert_int_equal(bytering_put(ring, 16, &cons, &prod, buf, 4), -EPROTO);
    assert_int_equal(prod, 17);
    cons = 5;
    prod = 4;
    assert_int_equal(bytering_get(ring, 16, &cons, &prod, buf, 4), -EPROTO);
}

static void pattern_faults(void **state)
{
    uint64_t s[64];
    uint8_t *b = (uint8_t *)s;
    const char *why;
    int i;

    (void)state;
    pattern_fill(s, 7, 1234567, 3);
    assert_int_equal(pattern_check(s, 7, 1234567, 3, &why), 0);
    assert_null(why);
    for (i = 0; i < 512 * 8; i++) {
        b[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(pattern_check(s, 7, 1234567, 3, &why), -EIO);
        assert_non_null(why);
        b[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_int_equal(pattern_check(s, 7, 1234568, 3, &why), -EIO);
    assert_int_equal(pattern_check(s, 7, 1234567, 4, &why), -EIO);
    assert_int_equal(pattern_check(s, 8, 1234567, 3, &why), -EIO);
}

static void fnv_known(void **state)
{
    (void)state;
    assert_true(fnv1a(FNV_INIT, "", 0) == 0xcbf29ce484222325ull);
    assert_true(fnv1a(FNV_INIT, "a", 1) == 0xaf63dc4c8601ec8cull);
    assert_true(fnv1a(FNV_INIT, "foobar", 6) == 0x85944171f73967e8ull);
}

static void quantiles(void **state)
{
    uint64_t v[1001], rng = 99;
    size_t i, k;

    (void)state;
    for (i = 0; i < 1001; i++)
        v[i] = i;
    for (i = 1001; i-- > 1;) {
        k = prng_next(&rng) % (i + 1);
        uint64_t tmp = v[i];

        v[i] = v[k];
        v[k] = tmp;
    }
    stats_sort(v, 1001);
    for (i = 0; i < 1001; i++)
        assert_int_equal(v[i], i);
    assert_int_equal(stats_quantile(v, 1001, 0), 0);
    assert_int_equal(stats_quantile(v, 1001, 500), 500);
    assert_int_equal(stats_quantile(v, 1001, 990), 990);
    assert_int_equal(stats_quantile(v, 1001, 1000), 1000);
    assert_int_equal(stats_quantile(v, 1, 500), 0);
    stats_sort(v, 0);
    stats_sort(v, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_numbers), cmocka_unit_test(format_strings),
        cmocka_unit_test(format_cut),     cmocka_unit_test(numbers),
        cmocka_unit_test(command_line),   cmocka_unit_test(ring_wraps),
        cmocka_unit_test(ring_liar),      cmocka_unit_test(pattern_faults),
        cmocka_unit_test(fnv_known),      cmocka_unit_test(quantiles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
