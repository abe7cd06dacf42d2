/* SPDX-License-Identifier: MIT */
/*
 * A stream's log keeps its promise: any offset within the last `limit` bytes
 * reads back what was written there, across rotations and across a restart;
 * older offsets are moved up, later ones down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/console_log.h"
#include "tests/unit/scratch.h"

static char dir[64], path[96];

static char byte_at(int64_t offset)
{
    return (char)('a' + offset % 23);
}

static void append(struct console_log *log, unsigned int n)
{
    char buf[256];
    unsigned int i;

    for (i = 0; i < n; i++)
        buf[i] = byte_at(log->end + i);
    console_log_append(log, buf, n);
}

static void check_from(struct console_log *log, int64_t from)
{
    int64_t pos = console_log_clamp(log, from);
    char buf[100];
    ssize_t n, i;

    while ((n = console_log_read(log, pos, buf, sizeof(buf))) > 0) {
        for (i = 0; i < n; i++)
            assert_int_equal(buf[i], byte_at(pos + i));
        pos += n;
    }
    assert_int_equal(pos, log->end);
}

static void test_log(void **state)
{
    struct console_log log;
    unsigned int i;

    (void)state;
    assert_int_equal(console_log_open(&log, path, 1000, true), 0);
    for (i = 0; i < 200; i++) {
        append(&log, i % 100 + 1);
        check_from(&log, 0);
        check_from(&log, log.end - 500);
        check_from(&log, -1);
        assert_int_equal(console_log_clamp(&log, log.end + 1), log.end);
        if (log.end > 1000)
            assert_true(log.end - console_log_clamp(&log, 0) >= 1000);
        if (i % 50 == 49) { /* another process */
            console_log_close(&log);
            assert_int_equal(console_log_open(&log, path, 1000, true), 0);
        }
    }
    assert_int_equal(log.end, 200 * 101 / 2);
    assert_int_equal(log.lost, 0);
    console_log_close(&log);
}

static void test_anew(void **state)
{
    struct console_log log;

    (void)state;
    assert_int_equal(console_log_open(&log, path, 1000, false), 0);
    assert_int_equal(log.end, 0);
    append(&log, 10);
    check_from(&log, 0);
    console_log_close(&log);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(scratch_name(dir, sizeof(dir))))
        return -1;
    snprintf(path, sizeof(path), "%s/1.log", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* test_anew() removed the rest */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_anew),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
