/* SPDX-License-Identifier: MIT */
/*
 * The console page: bytes come out and go in in order, across the end of the
 * arrays and of the 32-bit indices, never more than there is room for; and
 * indices that cannot be are noticed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "backends/console_ring.h"

static struct xencons_interface page;

static void start_at(XENCONS_RING_IDX at)
{
    memset(&page, 0, sizeof(page));
    page.in_cons = page.in_prod = page.out_cons = page.out_prod = at;
}

static void guest_says(const char *s)
{
    for (; *s; s++)
        page.out[MASK_XENCONS_IDX(page.out_prod++, page.out)] = *s;
}

static void test_out(void **state)
{
    static const XENCONS_RING_IDX at[] = {0, 2045, 0xfffffffdu};
    char buf[4096];
    unsigned int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        start_at(at[i]);
        assert_int_equal(console_ring_read(&page, buf, sizeof(buf)), 0);
        guest_says("hello world");
        assert_int_equal(console_ring_read(&page, buf, 5), 5);
        assert_memory_equal(buf, "hello", 5);
        assert_int_equal(console_ring_read(&page, buf, sizeof(buf)), 6);
        assert_memory_equal(buf, " world", 6);
        page.out_prod += 2048; /* all of it */
        assert_int_equal(console_ring_read(&page, buf, sizeof(buf)), 2048);
        assert_int_equal(page.out_cons, page.out_prod);
    }
}

static void test_in(void **state)
{
    char buf[2048];

    (void)state;
    memset(buf, 'x', sizeof(buf));
    start_at(0xffffff00u);
    assert_int_equal(console_ring_write(&page, "abc", 3), 3);
    assert_int_equal(page.in[MASK_XENCONS_IDX(0xffffff01u, page.in)], 'b');
    assert_int_equal(console_ring_write(&page, buf, sizeof(buf)), 1021);
    assert_int_equal(console_ring_write(&page, buf, 1), 0);
    page.in_cons += 10;
    assert_int_equal(console_ring_write(&page, buf, sizeof(buf)), 10);
}

static void test_garbage(void **state)
{
    static const XENCONS_RING_IDX bad[] = {2049, 0x80000000u, 0xffffffffu};
    char buf[16];
    unsigned int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        start_at(5);
        page.out_prod = 5 + bad[i];
        assert_int_equal(console_ring_read(&page, buf, sizeof(buf)), -1);
        assert_int_equal(page.out_cons, 5);
        page.in_cons = 5 - bad[i];
        assert_int_equal(console_ring_write(&page, buf, 1), -1);
    }
    start_at(0);
    page.in_prod = 1025;
    assert_int_equal(console_ring_write(&page, buf, 1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out),
        cmocka_unit_test(test_in),
        cmocka_unit_test(test_garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
