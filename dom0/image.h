/* SPDX-License-Identifier: MIT */
/*
 * Image files: read whole, taken out of a bzImage, unpacked.  Every length in
 * them is taken for hostile.
 */
#ifndef DOM0_IMAGE_H
#define DOM0_IMAGE_H

#include <stddef.h>
#include <stdint.h>

/* For people: what was done, to what, why it failed, what to try. */
struct image_error {
    char text[1024];
};

struct image {
    char *path;
    uint8_t *data;
    size_t len;
};

/* No image, packed or unpacked, is larger than this. */
#define IMAGE_MAX_BYTES ((size_t)1 << 30)

/*
 * Reads a kernel: a bzImage gives its payload, and gzip (xz, zstd, lz4 ...)
 * is unpacked, to at most max bytes.  0 and *out for image_free(), or -ENOENT
 * and other errors of open() and read(), -EFBIG (beyond max), -EINVAL
 * (damaged or truncated), -EOPNOTSUPP (packed in a way not known), -ENOMEM,
 * with *err filled.
 */
int image_load_kernel(const char *path, size_t max, struct image *out,
                      struct image_error *err);

/* Reads a file as it is, for instance a ramdisk.  Errors as above. */
int image_load_raw(const char *path, size_t max, struct image *out,
                   struct image_error *err);

/*
 * The part of image_load_kernel() behind the file: takes over *img (path for
 * messages) and replaces its data by what was packed in it.
 */
int image_unpack(struct image *img, size_t max, struct image_error *err);

void image_free(struct image *img);

#endif
