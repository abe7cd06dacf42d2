/* SPDX-License-Identifier: MIT */
/*
 * LZ4 in its legacy frame, which Linux uses: the magic, then blocks of a
 * 32-bit length and as many bytes, each unpacking to at most 8 MiB.  By
 * liblz4.
 */
#include "dom0/ahead.h"
#include "dom0/image_unpack.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <lz4.h>

#define MAGIC_LEN 4
#define BLOCK_MAX (8 << 20)

static uint32_t get32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static int decode_block(const uint8_t *p, size_t len, struct image_bytes *out,
                        const struct image_unpack_in *in, char *why,
                        size_t why_size)
{
    int rc = 0, n;

    while (!rc && out->size - out->len < BLOCK_MAX && out->size < in->max)
        rc = image_bytes_grow(out, in->max);
    if (!rc && out->len == in->max)
        rc = -EFBIG;
    if (rc)
        return image_unpack_failed(rc, why, why_size, in->max);
    n = out->size - out->len < BLOCK_MAX ? out->size - out->len : BLOCK_MAX;
    pages_ahead(out->data + out->len, n);
    n = LZ4_decompress_safe((const char *)p, (char *)out->data + out->len, len,
                            n);
    if (n < 0)
        return image_unpack_failed(-EINVAL, why, why_size, in->max);
    out->len += n;
    return 0;
}

int image_unpack_lz4(const struct image_unpack_in *in, struct image_bytes *out,
                     char *why, size_t why_size)
{
    const uint8_t *p = in->data + MAGIC_LEN;
    size_t left = in->len - MAGIC_LEN;
    int rc = 0;

    if (left <= 4)
        return image_unpack_truncated(why, why_size);
    /* Linux puts the unpacked length, four bytes, behind the last block. */
    while (left > 4 && !rc) {
        uint32_t len = get32(p);

        if (len > LZ4_COMPRESSBOUND(BLOCK_MAX))
            return image_unpack_failed(-EINVAL, why, why_size, in->max);
        p += 4;
        left -= 4;
        if (len > left)
            return image_unpack_truncated(why, why_size);
        rc = decode_block(p, len, out, in, why, why_size);
        p += len;
        left -= len;
    }
    return rc;
}
