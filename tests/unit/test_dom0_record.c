/* SPDX-License-Identifier: MIT */
/*
 * Proves that dom0's records survive being cut off at any point: a write
 * replaces the old file whole or not at all, leftovers of a killed write are
 * swept up, and a damaged record is set aside instead of stopping the others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dom0/record.h"
#include "tests/unit/scratch.h"

static char dir[64];

static const char *in_dir(const char *leaf)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, leaf);
    return path;
}

static void put(const char *leaf, const char *text)
{
    FILE *f = fopen(in_dir(leaf), "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(scratch_name(dir, sizeof(dir))) ? 0 : -1;
}

static int teardown(void **state)
{
    char cmd[128];

    (void)state;
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    return system(cmd);
}

static void written_is_read(void **state)
{
    json_t *rec = json_pack("{s:i, s:s}", "domid", 3, "name", "w\"e\nb");
    json_t *back;

    (void)state;
    assert_int_equal(record_write(in_dir("3.json"), rec), 0);
    back = record_read(in_dir("3.json"));
    assert_true(json_equal(rec, back));
    assert_int_equal(access(in_dir("3.json.tmp"), F_OK), -1);
    json_decref(rec);
    json_decref(back);
}

static void failed_write_keeps_the_old(void **state)
{
    json_t *old = json_pack("{s:i}", "v", 1), *new = json_pack("{s:i}", "v", 2);
    json_t *back;

    (void)state;
    assert_int_equal(record_write(in_dir("4.json"), old), 0);
    assert_int_equal(mkdir(in_dir("4.json.tmp"), 0700), 0); /* in the way */
    assert_int_equal(record_write(in_dir("4.json"), new), -EISDIR);
    back = record_read(in_dir("4.json"));
    assert_true(json_equal(old, back));
    json_decref(old);
    json_decref(new);
    json_decref(back);
}

static void damaged_is_said(void **state)
{
    (void)state;
    put("5.json", "{\"domid\": 5, \"na");
    assert_null(record_read(in_dir("5.json")));
    assert_int_equal(errno, EBADMSG);
    assert_null(record_read(in_dir("none.json")));
    assert_int_equal(errno, ENOENT);
}

struct seen {
    unsigned nr;
    uint32_t domid[8];
};

static void see(void *arg, uint32_t domid, json_t *rec)
{
    struct seen *seen = arg;

    assert_true(json_is_object(rec));
    seen->domid[seen->nr++] = domid;
}

static void each_takes_the_sound_ones(void **state)
{
    struct seen seen = {0};

    (void)state;
    put("10.json", "{\"domid\": 10}");
    put("2.json", "{\"domid\": 2}");
    put("7.json", "{\"domid\": 7, ");
    put("8.json", "[1]");
    put("9.json.tmp", "{}");
    put("ended.json", "{}");
    put(".json", "{}");
    assert_int_equal(record_each(dir, see, &seen), 0);
    assert_int_equal(seen.nr, 2);
    assert_int_equal(seen.domid[0], 2);
    assert_int_equal(seen.domid[1], 10);
    assert_int_equal(access(in_dir("7.json.bad"), F_OK), 0);
    assert_int_equal(access(in_dir("8.json.bad"), F_OK), 0);
    assert_int_equal(access(in_dir("9.json.tmp"), F_OK), -1);
    assert_int_equal(record_each("/nonexistent", see, &seen), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(written_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_write_keeps_the_old, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(damaged_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(each_takes_the_sound_ones, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
