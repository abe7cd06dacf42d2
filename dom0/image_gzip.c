/* SPDX-License-Identifier: MIT */
#include "dom0/image_unpack.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* zlib: the window of 32 KiB, and a gzip header is required. */
#define WINDOW_GZIP (15 + 16)

int image_bytes_grow(struct image_bytes *bytes, size_t max)
{
    size_t size = bytes->size ? bytes->size * 2 : 1 << 20;
    uint8_t *grown;

    if (bytes->size >= max)
        return -EFBIG;
    if (size > max)
        size = max;
    grown = realloc(bytes->data, size);
    if (!grown)
        return -ENOMEM;
    bytes->data = grown;
    bytes->size = size;
    return 0;
}

int image_unpack_failed(int rc, char *why, size_t why_size, size_t max)
{
    if (rc == -EFBIG)
        snprintf(why, why_size, "it unpacks to more than %zu bytes", max);
    else if (rc == -ENOMEM)
        snprintf(why, why_size, "out of memory");
    else
        snprintf(why, why_size, "the data is damaged; copy the file again");
    return rc;
}

int image_unpack_truncated(char *why, size_t why_size)
{
    snprintf(why, why_size,
             "the file ends in the middle of the data; it is truncated, "
             "copy it again");
    return -EINVAL;
}

/* One round of inflate into fresh room: 1 to go on, 0 at the end. */
static int inflate_some(z_stream *z, struct image_bytes *out, size_t max,
                        char *why, size_t why_size)
{
    /* A byte of room too many tells "full" from "too much". */
    int rc = out->len == out->size ? image_bytes_grow(out, max + 1) : 0;

    if (rc)
        return image_unpack_failed(rc, why, why_size, max);
    z->next_out = out->data + out->len;
    z->avail_out = out->size - out->len;
    rc = inflate(z, Z_NO_FLUSH);
    out->len = out->size - z->avail_out;
    if (out->len > max)
        return image_unpack_failed(-EFBIG, why, why_size, max);
    if (rc == Z_STREAM_END)
        return 0;
    if (rc == Z_OK)
        return 1;
    if (rc == Z_MEM_ERROR)
        return image_unpack_failed(-ENOMEM, why, why_size, max);
    if (rc == Z_BUF_ERROR && !z->avail_in)
        return image_unpack_truncated(why, why_size);
    return image_unpack_failed(-EINVAL, why, why_size, max);
}

int image_unpack_gzip(const struct image_unpack_in *in, struct image_bytes *out,
                      char *why, size_t why_size)
{
    z_stream z = {.next_in = (uint8_t *)in->data, .avail_in = in->len};
    int rc;

    if (inflateInit2(&z, WINDOW_GZIP) != Z_OK)
        return image_unpack_failed(-ENOMEM, why, why_size, in->max);
    do
        rc = inflate_some(&z, out, in->max, why, why_size);
    while (rc > 0);
    inflateEnd(&z);
    return rc;
}
