/* SPDX-License-Identifier: MIT */
#include "dom0/image.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "dom0/image_unpack.h"

/* A bzImage may hold a packed kernel, but nothing nests deeper than that. */
#define LAYERS_MAX 3

/* The x86 boot protocol's header in a bzImage. */
#define BZ_SETUP_SECTS  0x1f1
#define BZ_MAGIC        0x202
#define BZ_VERSION      0x206
#define BZ_PAYLOAD      0x248
#define BZ_PAYLOAD_LEN  0x24c
#define BZ_HEADER_END   0x250
#define BZ_VERSION_2_08 0x0208

/* A packing without a function is known by name only, to say so. */
static const struct {
    const char *magic;
    size_t magic_len;
    const char *name;
    image_unpack_fn *unpack;
} packings[] = {
    {"\x1f\x8b", 2, "gzip", image_unpack_gzip},
    {"\xfd"
     "7zXZ",
     6, "xz", image_unpack_xz},
    {"\x5d\0\0", 3, "lzma", image_unpack_lzma},
    {"\x28\xb5\x2f\xfd", 4, "zstd", image_unpack_zstd},
    {"\x02\x21\x4c\x18", 4, "lz4", image_unpack_lz4},
    {"BZh", 3, "bzip2", NULL},
    {"\x89LZO", 4, "lzo", NULL},
};

static int read_all(int fd, struct image *img, size_t max)
{
    size_t size = 0;
    ssize_t n;

    do {
        if (img->len == size) {
            size = size ? size * 2 : 1 << 16;
            uint8_t *grown = realloc(img->data, size);

            if (!grown)
                return -ENOMEM;
            img->data = grown;
        }
        n = read(fd, img->data + img->len, size - img->len);
        if (n > 0)
            img->len += n;
        if (img->len > max)
            return -EFBIG;
    } while (n > 0 || (n < 0 && errno == EINTR));
    return n < 0 ? -errno : 0;
}

static const char *what_to_try(int rc)
{
    switch (rc) {
    case -ENOENT:
        return "; check the path in the configuration";
    case -EACCES:
    case -EPERM:
        return "; check the permissions of the file and of its folders";
    case -EISDIR:
        return "; name a file";
    case -EFBIG:
        return "; it is larger than can be of use here";
    default:
        return "";
    }
}

static int load_failed(const char *path, int rc, struct image_error *err)
{
    snprintf(err->text, sizeof(err->text), "cannot read %.512s: %s%s", path,
             strerror(-rc), what_to_try(rc));
    return rc;
}

int image_load_raw(const char *path, size_t max, struct image *out,
                   struct image_error *err)
{
    struct image img = {.path = strdup(path)};
    struct stat st;
    int rc, fd = -1;

    rc = img.path ? 0 : -ENOMEM;
    /* A FIFO would block for ever, a tape would rewind: look first. */
    if (!rc && stat(path, &st) < 0)
        rc = -errno;
    if (!rc && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        rc = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    if (!rc && (fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
        rc = -errno;
    if (!rc)
        rc = read_all(fd, &img, max < IMAGE_MAX_BYTES ? max : IMAGE_MAX_BYTES);
    if (fd >= 0)
        close(fd);
    if (rc) {
        image_free(&img);
        return load_failed(path, rc, err);
    }
    *out = img;
    return 0;
}

static uint32_t get32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static int damaged(const struct image *img, struct image_error *err, int rc,
                   const char *why)
{
    snprintf(err->text, sizeof(err->text), "cannot unpack %.512s: %s",
             img->path, why);
    return rc;
}

static bool is_bzimage(const struct image *img)
{
    return img->len >= BZ_HEADER_END &&
           !memcmp(img->data + BZ_MAGIC, "HdrS", 4);
}

/* Leaves of a bzImage the payload behind its real-mode part. */
static int take_payload(struct image *img, struct image_error *err)
{
    unsigned version = img->data[BZ_VERSION] | img->data[BZ_VERSION + 1] << 8;
    size_t sects = img->data[BZ_SETUP_SECTS] ? img->data[BZ_SETUP_SECTS] : 4;
    uint64_t start = (sects + 1) * 512 + get32(img->data + BZ_PAYLOAD);
    uint64_t len = get32(img->data + BZ_PAYLOAD_LEN);

    if (version < BZ_VERSION_2_08)
        return damaged(img, err, -EOPNOTSUPP,
                       "a bzImage older than boot protocol 2.08 has no ELF "
                       "inside; use a kernel of 2008 or later");
    if (!len || start > img->len || len > img->len - start)
        return damaged(img, err, -EINVAL,
                       "its bzImage payload ends behind the file; it may be "
                       "truncated, copy it again");
    memmove(img->data, img->data + start, len);
    img->len = len;
    return 1;
}

static int unpack_with(struct image *img, size_t packing, size_t max,
                       struct image_error *err)
{
    struct image_unpack_in in = {img->data, img->len, max};
    struct image_bytes bytes = {0};
    char why[256] = "", text[400];
    int rc;

    if (!packings[packing].unpack) {
        snprintf(text, sizeof(text),
                 "it is packed with %s, which is not unpacked here; give the "
                 "unpacked kernel (vmlinux) or pack it with gzip, xz or zstd",
                 packings[packing].name);
        return damaged(img, err, -EOPNOTSUPP, text);
    }
    rc = packings[packing].unpack(&in, &bytes, why, sizeof(why));
    if (rc) {
        free(bytes.data);
        snprintf(text, sizeof(text), "%s: %s", packings[packing].name, why);
        return damaged(img, err, rc, text);
    }
    free(img->data);
    img->data = bytes.data;
    img->len = bytes.len;
    return 1;
}

/* Takes one layer off: 1, 0 when there was none, or -Exxx. */
static int unpack_layer(struct image *img, size_t max, struct image_error *err)
{
    if (is_bzimage(img))
        return take_payload(img, err);
    for (size_t i = 0; i < sizeof(packings) / sizeof(packings[0]); i++)
        if (img->len >= packings[i].magic_len &&
            !memcmp(img->data, packings[i].magic, packings[i].magic_len))
            return unpack_with(img, i, max, err);
    return 0;
}

int image_unpack(struct image *img, size_t max, struct image_error *err)
{
    int rc = 1;

    if (max > IMAGE_MAX_BYTES)
        max = IMAGE_MAX_BYTES;
    for (int i = 0; rc > 0 && i < LAYERS_MAX; i++)
        rc = unpack_layer(img, max, err);
    return rc < 0 ? rc : 0;
}

int image_load_kernel(const char *path, size_t max, struct image *out,
                      struct image_error *err)
{
    struct image img;
    int rc = image_load_raw(path, max, &img, err);

    if (rc)
        return rc;
    rc = image_unpack(&img, max, err);
    if (rc)
        image_free(&img);
    else
        *out = img;
    return rc;
}

void image_free(struct image *img)
{
    free(img->path);
    free(img->data);
    *img = (struct image){0};
}
