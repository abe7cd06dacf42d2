/* SPDX-License-Identifier: MIT */
/* Zstandard, by libzstd. */
#include "dom0/image_unpack.h"
#include <errno.h>
#include <stdio.h>
#include <zstd.h>

/* Linux packs with windows up to 128 MiB (zstd --ultra -22). */
#define WINDOW_LOG_MAX 27

/* One round of decoding into fresh room: 1 to go on, 0 at the end. */
static int decode_some(ZSTD_DCtx *z, ZSTD_inBuffer *from,
                       struct image_bytes *out, size_t max, char *why,
                       size_t why_size)
{
    int rc = out->len == out->size ? image_bytes_grow(out, max + 1) : 0;
    ZSTD_outBuffer to;
    size_t left;

    if (rc)
        return image_unpack_failed(rc, why, why_size, max);
    to = (ZSTD_outBuffer){out->data, out->size, out->len};
    left = ZSTD_decompressStream(z, &to, from);
    out->len = to.pos;
    if (ZSTD_isError(left))
        return image_unpack_failed(-EINVAL, why, why_size, max);
    if (out->len > max)
        return image_unpack_failed(-EFBIG, why, why_size, max);
    if (!left)
        return 0;
    return from->pos < from->size || to.pos == to.size
               ? 1
               : image_unpack_truncated(why, why_size);
}

int image_unpack_zstd(const struct image_unpack_in *in, struct image_bytes *out,
                      char *why, size_t why_size)
{
    ZSTD_inBuffer from = {in->data, in->len, 0};
    ZSTD_DCtx *z = ZSTD_createDCtx();
    int rc;

    if (!z)
        return image_unpack_failed(-ENOMEM, why, why_size, in->max);
    ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    do
        rc = decode_some(z, &from, out, in->max, why, why_size);
    while (rc > 0);
    ZSTD_freeDCtx(z);
    return rc;
}
