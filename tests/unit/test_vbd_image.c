/* SPDX-License-Identifier: MIT */
/*
 * The checks a user's disk line runs into: each kind of unusable image is
 * refused with its own errno and with words that name the file; and the lock
 * keeps a second writer away, but lets readers share.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/backend.h"
#include "backends/vbd_image.h"
#include "tests/unit/scratch.h"

static char dir[64], path[96], err[400];

static void make(long size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(scratch_name(dir, sizeof(dir))))
        return -1;
    snprintf(path, sizeof(path), "%s/disk.img", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static void expect(int want, bool rdonly, const char *word)
{
    err[0] = '\0';
    assert_int_equal(vbd_check_image(path, rdonly, err, sizeof(err)), want);
    assert_non_null(strstr(err, path));
    assert_non_null(strstr(err, word));
}

static void test_missing(void **state)
{
    (void)state;
    expect(-ENOENT, false, "does not exist");
}

static void test_sizes(void **state)
{
    (void)state;
    make(0);
    expect(-EINVAL, false, "no disk at all");
    make(1000);
    expect(-EINVAL, true, "whole number");
    make(512);
    assert_int_equal(vbd_check_image(path, false, err, sizeof(err)), 0);
}

static void test_not_a_disk(void **state)
{
    (void)state;
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(vbd_check_image(path, false, err, sizeof(err)) < 0);
    expect(-ENOTBLK, true, "neither");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect(-ENOTBLK, false, "neither"); /* and does not hang */
    unlink(path);
}

static void test_not_writable(void **state)
{
    (void)state;
    make(4096);
    chmod(path, 0400);
    if (!geteuid())
        assert_int_equal(seteuid(65534), 0);
    err[0] = '\0';
    assert_int_equal(vbd_check_image(path, false, err, sizeof(err)), -EACCES);
    assert_non_null(strstr(err, path));
    assert_int_equal(seteuid(getuid()), 0);
    chmod(path, 0600);
}

static void test_lock(void **state)
{
    struct vbd_image a, b;

    (void)state;
    make(8192);
    assert_int_equal(vbd_image_open(&a, path, false, err, sizeof(err)), 0);
    expect(-EBUSY, false, "in use");
    expect(-EBUSY, true, "in use");
    vbd_image_close(&a);
    assert_int_equal(vbd_image_open(&a, path, true, err, sizeof(err)), 0);
    assert_int_equal(vbd_image_open(&b, path, true, err, sizeof(err)), 0);
    expect(-EBUSY, false, "in use");
    vbd_image_close(&a);
    vbd_image_close(&b);
    assert_int_equal(vbd_check_image(path, false, err, sizeof(err)), 0);
    assert_int_equal(vbd_check_image(path, false, NULL, 0), 0);
}

static void test_grows(void **state)
{
    struct vbd_image a;

    (void)state;
    make(8192);
    assert_int_equal(vbd_image_open(&a, path, false, err, sizeof(err)), 0);
    assert_int_equal(a.sectors, 16);
    assert_int_equal(truncate(path, 16384), 0);
    assert_int_equal(vbd_image_measure(&a, path, err, sizeof(err)), 0);
    assert_int_equal(a.sectors, 32);
    vbd_image_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing),    cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_not_a_disk), cmocka_unit_test(test_not_writable),
        cmocka_unit_test(test_lock),       cmocka_unit_test(test_grows),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
