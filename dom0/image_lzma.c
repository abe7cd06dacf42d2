/* SPDX-License-Identifier: MIT */
/* xz and the older lzma, by liblzma. */
#include "dom0/image_unpack.h"
#include <errno.h>
#include <stdio.h>
#include <lzma.h>

/* A dictionary that asks for more than this is a trap, not a kernel. */
#define MEMORY_MAX (512ull << 20)

static int failed(lzma_ret ret, const lzma_stream *z, char *why,
                  size_t why_size, size_t max)
{
    if (ret == LZMA_MEM_ERROR || ret == LZMA_MEMLIMIT_ERROR)
        return image_unpack_failed(-ENOMEM, why, why_size, max);
    if ((ret == LZMA_BUF_ERROR || ret == LZMA_OK) && !z->avail_in)
        return image_unpack_truncated(why, why_size);
    return image_unpack_failed(-EINVAL, why, why_size, max);
}

/* One round of decoding into fresh room: 1 to go on, 0 at the end. */
static int decode_some(lzma_stream *z, struct image_bytes *out, size_t max,
                       char *why, size_t why_size)
{
    int rc = out->len == out->size ? image_bytes_grow(out, max + 1) : 0;
    lzma_ret ret;

    if (rc)
        return image_unpack_failed(rc, why, why_size, max);
    z->next_out = out->data + out->len;
    z->avail_out = out->size - out->len;
    ret = lzma_code(z, LZMA_RUN);
    out->len = out->size - z->avail_out;
    if (out->len > max)
        return image_unpack_failed(-EFBIG, why, why_size, max);
    if (ret == LZMA_STREAM_END)
        return 0;
    return ret == LZMA_OK && (z->avail_in || !z->avail_out)
               ? 1
               : failed(ret, z, why, why_size, max);
}

static int decode_all(lzma_stream *z, lzma_ret init,
                      const struct image_unpack_in *in, struct image_bytes *out,
                      char *why, size_t why_size)
{
    int rc;

    if (init != LZMA_OK)
        return failed(init, z, why, why_size, in->max);
    z->next_in = in->data;
    z->avail_in = in->len;
    do
        rc = decode_some(z, out, in->max, why, why_size);
    while (rc > 0);
    lzma_end(z);
    return rc;
}

int image_unpack_xz(const struct image_unpack_in *in, struct image_bytes *out,
                    char *why, size_t why_size)
{
    lzma_stream z = LZMA_STREAM_INIT;
    lzma_ret init = lzma_stream_decoder(&z, MEMORY_MAX, 0);

    return decode_all(&z, init, in, out, why, why_size);
}

int image_unpack_lzma(const struct image_unpack_in *in, struct image_bytes *out,
                      char *why, size_t why_size)
{
    lzma_stream z = LZMA_STREAM_INIT;
    lzma_ret init = lzma_alone_decoder(&z, MEMORY_MAX);

    return decode_all(&z, init, in, out, why, why_size);
}
