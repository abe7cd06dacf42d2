/* SPDX-License-Identifier: MIT */
/*
 * Proves that kernels packed with xz, lzma, zstd and lz4 (legacy frame, with
 * the length that Linux puts behind it) are unpacked to what was packed; that
 * each prefix of them, each single damaged byte and each limit too low is
 * refused with a reason, never a crash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <lz4.h>
#include <lzma.h>
#include <zstd.h>
#include "dom0/image.h"

#define PLAIN_LEN  100000
#define PACKED_MAX (PLAIN_LEN + 4096)

static uint8_t plain[PLAIN_LEN];

static void put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, 4);
}

static size_t pack_xz(uint8_t *to)
{
    size_t len = 0;

    assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, plain,
                                             PLAIN_LEN, to, &len, PACKED_MAX),
                     LZMA_OK);
    return len;
}

static size_t pack_lzma(uint8_t *to)
{
    lzma_stream z = LZMA_STREAM_INIT;
    lzma_options_lzma o;

    lzma_lzma_preset(&o, 6);
    assert_int_equal(lzma_alone_encoder(&z, &o), LZMA_OK);
    z.next_in = plain;
    z.avail_in = PLAIN_LEN;
    z.next_out = to;
    z.avail_out = PACKED_MAX;
    assert_int_equal(lzma_code(&z, LZMA_FINISH), LZMA_STREAM_END);
    lzma_end(&z);
    return PACKED_MAX - z.avail_out;
}

static size_t pack_zstd(uint8_t *to)
{
    size_t len = ZSTD_compress(to, PACKED_MAX, plain, PLAIN_LEN, 3);

    assert_false(ZSTD_isError(len));
    return len;
}

static size_t pack_lz4(uint8_t *to)
{
    int n = LZ4_compress_default((char *)plain, (char *)to + 8, PLAIN_LEN,
                                 PACKED_MAX - 12);

    assert_true(n > 0);
    put32(to, 0x184c2102);
    put32(to + 4, n);
    put32(to + 8 + n, PLAIN_LEN);
    return n + 12;
}

static const struct {
    const char *name;
    size_t (*pack)(uint8_t *to);
    size_t tail;  /* bytes behind the stream that may be missing */
    bool checked; /* damage is noticed */
} packers[] = {
    {"xz", pack_xz, 0, true},
    {"lzma", pack_lzma, 0, false},
    {"zstd", pack_zstd, 0, false},
    {"lz4", pack_lz4, 4, false},
};

#define NR_PACKERS (sizeof(packers) / sizeof(packers[0]))

static int unpack(const uint8_t *data, size_t len, size_t max,
                  struct image *img, struct image_error *err)
{
    *img = (struct image){strdup("/img"), malloc(len ? len : 1), len};
    memcpy(img->data, data, len);
    err->text[0] = 0;
    return image_unpack(img, max, err);
}

static void round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < NR_PACKERS; i++) {
        uint8_t *packed = malloc(PACKED_MAX);
        size_t len = packers[i].pack(packed);
        struct image_error err;
        struct image img;

        assert_int_equal(unpack(packed, len, 1 << 20, &img, &err), 0);
        assert_int_equal(img.len, PLAIN_LEN);
        assert_memory_equal(img.data, plain, PLAIN_LEN);
        image_free(&img);
        free(packed);
    }
}

static void refuses_prefixes(void **state)
{
    (void)state;
    for (size_t i = 0; i < NR_PACKERS; i++) {
        uint8_t *packed = malloc(PACKED_MAX);
        size_t len = packers[i].pack(packed);

        for (size_t n = 16; n < len - packers[i].tail; n += 1 + len / 97) {
            struct image_error err;
            struct image img;

            assert_true(unpack(packed, n, 1 << 20, &img, &err) < 0);
            assert_non_null(strstr(err.text, packers[i].name));
            image_free(&img);
        }
        free(packed);
    }
}

static void stands_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < NR_PACKERS; i++) {
        uint8_t *packed = malloc(PACKED_MAX);
        size_t len = packers[i].pack(packed);

        for (size_t at = 8; at < len; at += 1 + len / 97) {
            struct image_error err;
            struct image img;
            int rc;

            packed[at] ^= 0x41;
            rc = unpack(packed, len, 1 << 20, &img, &err);
            if (packers[i].checked)
                assert_true(rc < 0);
            assert_true(rc <= 0 && img.len <= 1 << 20);
            image_free(&img);
            packed[at] ^= 0x41;
        }
        free(packed);
    }
}

static void keeps_the_limit(void **state)
{
    (void)state;
    for (size_t i = 0; i < NR_PACKERS; i++) {
        uint8_t *packed = malloc(PACKED_MAX);
        size_t len = packers[i].pack(packed);
        struct image_error err;
        struct image img;

        assert_true(unpack(packed, len, PLAIN_LEN - 1, &img, &err) < 0);
        assert_true(err.text[0]);
        image_free(&img);
        assert_int_equal(unpack(packed, len, PLAIN_LEN, &img, &err), 0);
        image_free(&img);
        free(packed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(refuses_prefixes),
        cmocka_unit_test(stands_damage),
        cmocka_unit_test(keeps_the_limit),
    };

    for (size_t i = 0; i < PLAIN_LEN; i++)
        plain[i] = i * i >> 9;
    plain[0] = 0x7f;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
