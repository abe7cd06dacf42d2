/* SPDX-License-Identifier: MIT */
/* The unpackers behind dom0/image.c, one file per packing. Private to it. */
#ifndef DOM0_IMAGE_UNPACK_H
#define DOM0_IMAGE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image_unpack_in {
    const uint8_t *data;
    size_t len;
    size_t max; /* of what comes out */
};

struct image_bytes {
    uint8_t *data; /* malloc'ed */
    size_t len;
    size_t size;
};

/* Room for more: 0, -EFBIG at max bytes, -ENOMEM. */
int image_bytes_grow(struct image_bytes *bytes, size_t max);

/*
 * Each unpacks in into *out, which the caller frees in any case; what lies
 * behind the packed stream is ignored.  0, or with the reason in why: -EINVAL
 * (damaged, truncated), -EFBIG, -ENOMEM, -EOPNOTSUPP.
 */
typedef int image_unpack_fn(const struct image_unpack_in *in,
                            struct image_bytes *out, char *why,
                            size_t why_size);
image_unpack_fn image_unpack_gzip, image_unpack_xz, image_unpack_lzma,
    image_unpack_zstd, image_unpack_lz4;

/* The text of those errors, said in one way; returns rc. */
int image_unpack_failed(int rc, char *why, size_t why_size, size_t max);
/* The data ends too early: says so; -EINVAL. */
int image_unpack_truncated(char *why, size_t why_size);

#endif
