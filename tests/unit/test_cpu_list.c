/* SPDX-License-Identifier: MIT */
/* Proves that lists of CPUs are read and shown as xl's are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "dom0/cpu_list.h"

static void test_lists(void **state)
{
    static const struct {
        const char *in, *out;
    } good[] = {
        {"0", "0"},
        {"3,1", "1,3"},
        {"0-3", "0-3"},
        {"0-3,^1", "0,2-3"},
        {" 0 , 2-4 ", "0,2-4"},
        {"1023", "1023"},
        {"0-5,^2-3,3", "0-1,3-5"},
        {"all", "all"},
        {"all,^0", "1-1023"},
    };
    static const char *const bad[] = {
        "",    "^0", "0-",   "3-1",
        "a",   "0,", "1024", "0-9999999999999999999",
        "0;1", "-1", "^all", "0 1",
        "allx"};
    uint8_t map[CPU_LIST_BYTES];
    char text[64];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(cpu_list_parse(good[i].in, map), 0);
        cpu_list_format(map, 8, text, sizeof(text));
        assert_string_equal(text, good[i].out);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(cpu_list_parse(bad[i], map), -EINVAL);
    /* What is there beyond the host's does not matter. */
    assert_int_equal(cpu_list_parse("0-9", map), 0);
    cpu_list_format(map, 8, text, sizeof(text));
    assert_string_equal(text, "all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lists)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
