/* SPDX-License-Identifier: MIT */
/*
 * Proves that image files are read and unpacked as they should (plain, gzip,
 * a bzImage around gzip), and that a missing, truncated, damaged, oversized or
 * strangely packed one is refused with a reason a user can act on; every
 * prefix of a gzip file and of a bzImage included.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include "dom0/image.h"
#include "tests/unit/scratch.h"

#define PLAIN_LEN 300000

static uint8_t *plain(void)
{
    uint8_t *data = malloc(PLAIN_LEN);

    for (size_t i = 0; i < PLAIN_LEN; i++)
        data[i] = (i * i) >> 7;
    data[0] = 0x7f;
    return data;
}

static struct image image_of(const void *data, size_t len)
{
    struct image img = {strdup("/img"), malloc(len ? len : 1), len};

    memcpy(img.data, data, len);
    return img;
}

static struct image gzip_of(const void *data, size_t len)
{
    z_stream z = {0};
    struct image img = {strdup("/img.gz"), malloc(len + 1000), 0};

    deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    z.next_in = (uint8_t *)data;
    z.avail_in = len;
    z.next_out = img.data;
    z.avail_out = len + 1000;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    img.len = z.total_out;
    deflateEnd(&z);
    return img;
}

static void put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, 4);
}

/* Two setup sectors, then 64 bytes of code, then the payload. */
static struct image bzimage_of(const struct image *payload)
{
    size_t start = 3 * 512 + 64;
    struct image img = {strdup("/bzImage"), calloc(1, start + payload->len),
                        start + payload->len};

    img.data[0x1f1] = 2;
    memcpy(img.data + 0x202, "HdrS", 4);
    img.data[0x206] = 0x0c;
    img.data[0x207] = 2;
    put32(img.data + 0x248, 64);
    put32(img.data + 0x24c, payload->len);
    memcpy(img.data + start, payload->data, payload->len);
    return img;
}

static void unpacks(struct image *img, const uint8_t *data)
{
    struct image_error err = {""};
    int rc = image_unpack(img, IMAGE_MAX_BYTES, &err);

    if (rc)
        print_error("%s\n", err.text);
    assert_int_equal(rc, 0);
    assert_int_equal(img->len, PLAIN_LEN);
    assert_memory_equal(img->data, data, PLAIN_LEN);
    image_free(img);
}

static void refused(struct image *img, size_t max, int rc, const char *words)
{
    struct image_error err = {""};
    int got = image_unpack(img, max, &err);

    if (got != rc || !strstr(err.text, words))
        print_error("wanted %d '%s', got %d %s\n", rc, words, got, err.text);
    assert_int_equal(got, rc);
    assert_non_null(strstr(err.text, img->path));
    assert_non_null(strstr(err.text, words));
    image_free(img);
}

static void test_unpacks(void **state)
{
    uint8_t *data = plain();
    struct image img = image_of(data, PLAIN_LEN), gz, bz;

    (void)state;
    unpacks(&img, data);
    gz = gzip_of(data, PLAIN_LEN);
    bz = bzimage_of(&gz);
    unpacks(&gz, data);
    unpacks(&bz, data);
    gz = gzip_of(data, PLAIN_LEN);
    gz.data = realloc(gz.data, gz.len + 100);
    memset(gz.data + gz.len, 0, 100);
    gz.len += 100; /* padding behind the stream does no harm */
    unpacks(&gz, data);
    free(data);
}

static void test_bound(void **state)
{
    uint8_t *data = plain();
    struct image gz = gzip_of(data, PLAIN_LEN);
    struct image_error err;

    (void)state;
    refused(&gz, PLAIN_LEN - 1, -EFBIG, "more than 299999 bytes");
    gz = gzip_of(data, PLAIN_LEN);
    assert_int_equal(image_unpack(&gz, PLAIN_LEN, &err), 0);
    assert_int_equal(gz.len, PLAIN_LEN);
    image_free(&gz);
    free(data);
}

static void test_damaged(void **state)
{
    uint8_t *data = plain();
    struct image gz = gzip_of(data, PLAIN_LEN), bz;

    (void)state;
    gz.len /= 2;
    refused(&gz, IMAGE_MAX_BYTES, -EINVAL, "truncated");
    gz = gzip_of(data, PLAIN_LEN);
    gz.data[gz.len / 2] ^= 0x55;
    gz.data[gz.len - 6] ^= 0x55; /* the CRC too, should the first be lucky */
    refused(&gz, IMAGE_MAX_BYTES, -EINVAL, "damaged");
    gz = gzip_of(data, PLAIN_LEN);
    bz = bzimage_of(&gz);
    bz.len--;
    refused(&bz, IMAGE_MAX_BYTES, -EINVAL, "payload ends behind the file");
    bz = bzimage_of(&gz);
    put32(bz.data + 0x248, UINT32_MAX);
    refused(&bz, IMAGE_MAX_BYTES, -EINVAL, "payload ends behind the file");
    bz = bzimage_of(&gz);
    bz.data[0x206] = 7;
    refused(&bz, IMAGE_MAX_BYTES, -EOPNOTSUPP, "protocol 2.08");
    image_free(&gz);
    free(data);
}

static void test_other_packings(void **state)
{
    static const char bzip[] = "BZh91AY&SY", lzo[] = "\x89LZO\0\r\n";
    struct image img = image_of(bzip, sizeof(bzip));

    (void)state;
    refused(&img, IMAGE_MAX_BYTES, -EOPNOTSUPP, "packed with bzip2");
    img = image_of(lzo, sizeof(lzo));
    refused(&img, IMAGE_MAX_BYTES, -EOPNOTSUPP, "packed with lzo");
}

static void test_every_prefix(void **state)
{
    uint8_t *data = plain();
    struct image gz = gzip_of(data, 2000), bz = bzimage_of(&gz);
    struct image_error err;

    (void)state;
    for (size_t len = 0; len < gz.len; len++) {
        struct image img = image_of(gz.data, len);

        if (len >= 2)
            assert_int_equal(image_unpack(&img, 1 << 20, &err), -EINVAL);
        else
            assert_int_equal(image_unpack(&img, 1 << 20, &err), 0);
        image_free(&img);
    }
    for (size_t len = 0; len < bz.len; len++) {
        struct image img = image_of(bz.data, len);

        assert_int_equal(image_unpack(&img, 1 << 20, &err),
                         len < 0x250 ? 0 : -EINVAL);
        image_free(&img);
    }
    image_free(&gz);
    image_free(&bz);
    free(data);
}

static void load_fails(const char *path, size_t max, int rc, const char *words)
{
    struct image img;
    struct image_error err = {""};

    assert_int_equal(image_load_kernel(path, max, &img, &err), rc);
    if (!strstr(err.text, words))
        print_error("wanted '%s', got %s\n", words, err.text);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, words));
}

static void test_files(void **state)
{
    char dir[64], path[96], fifo[96];
    uint8_t *data = plain();
    struct image gz = gzip_of(data, PLAIN_LEN), img;
    struct image_error err;

    (void)state;
    assert_non_null(mkdtemp(scratch_name(dir, sizeof(dir))));
    snprintf(path, sizeof(path), "%s/k.gz", dir);
    snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    assert_int_equal(write(fd, gz.data, gz.len), gz.len);
    close(fd);
    assert_int_equal(image_load_kernel(path, IMAGE_MAX_BYTES, &img, &err), 0);
    assert_int_equal(img.len, PLAIN_LEN);
    assert_string_equal(img.path, path);
    image_free(&img);
    assert_int_equal(image_load_raw(path, IMAGE_MAX_BYTES, &img, &err), 0);
    assert_int_equal(img.len, gz.len);
    image_free(&img);
    load_fails(path, 100, -EFBIG, "too large");
    load_fails("/no/such/kernel", 100, -ENOENT, "check the path");
    load_fails(dir, 100, -EISDIR, "name a file");
    load_fails(fifo, 100, -EINVAL, "cannot read");
    unlink(path);
    unlink(fifo);
    rmdir(dir);
    image_free(&gz);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unpacks),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_other_packings),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
