/* SPDX-License-Identifier: MIT */
#include "backends/vbd_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/backend.h"

#define SECTOR 512u

__attribute__((format(printf, 4, 5))) static int
image_error(char *err, size_t size, int ret, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (err && size)
        vsnprintf(err, size, fmt, ap);
    va_end(ap);
    return ret;
}

static int open_error(const char *path, bool rdonly, int e, char *err,
                      size_t size)
{
    switch (e) {
    case ENOENT:
        return image_error(err, size, -e,
                           "disk image %s does not exist (make one with: "
                           "truncate -s 64M %s)",
                           path, path);
    case EISDIR:
        return image_error(err, size, -ENOTBLK,
                           "disk image %s is a directory, neither a file nor "
                           "a block device",
                           path);
    case EACCES:
    case EPERM:
    case EROFS:
    case ETXTBSY:
        return image_error(err, size, -e,
                           rdonly ? "disk image %s cannot be read: %s"
                                  : "disk image %s cannot be written: %s "
                                    "(for a read-only disk say access=ro)",
                           path, strerror(e));
    default:
        return image_error(err, size, -e, "disk image %s cannot be opened: %s",
                           path, strerror(e));
    }
}

static int measure_blockdev(struct vbd_image *img, uint64_t *bytes)
{
    unsigned int phys = 0;
    int ro = 0;

    if (ioctl(img->fd, BLKGETSIZE64, bytes) < 0)
        return -errno;
    if (!ioctl(img->fd, BLKPBSZGET, &phys) && phys >= SECTOR)
        img->phys_sector = phys;
    img->discard = !img->rdonly;
    img->discard_unit = img->phys_sector;
    if (!img->rdonly && !ioctl(img->fd, BLKROGET, &ro) && ro)
        return -EROFS;
    return 0;
}

/* Punching behind the end changes nothing, and tells whether it can be done. */
static void measure_file(struct vbd_image *img, const struct stat *st,
                         uint64_t *bytes)
{
    *bytes = (uint64_t)st->st_size;
    img->discard_unit = st->st_blksize > 0 ? (uint32_t)st->st_blksize : 4096;
    img->discard =
        !img->rdonly &&
        !fallocate(img->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                   st->st_size, img->discard_unit);
}

int vbd_image_measure(struct vbd_image *img, const char *path, char *err,
                      size_t size)
{
    uint64_t bytes = 0;
    struct stat st;
    int ret = 0;

    img->phys_sector = SECTOR;
    if (fstat(img->fd, &st) < 0)
        return open_error(path, img->rdonly, errno, err, size);
    if (S_ISREG(st.st_mode))
        measure_file(img, &st, &bytes);
    else if (S_ISBLK(st.st_mode))
        ret = measure_blockdev(img, &bytes);
    else
        return image_error(err, size, -ENOTBLK,
                           "disk image %s is neither a file nor a block "
                           "device",
                           path);
    if (ret)
        return open_error(path, img->rdonly, -ret, err, size);
    if (!bytes || bytes % SECTOR)
        return image_error(err, size, -EINVAL,
                           "disk image %s has %" PRIu64 " bytes, which is %s "
                           "(truncate -s %%512 %s would round it up)",
                           path, bytes,
                           bytes ? "not a whole number of 512-byte sectors"
                                 : "no disk at all",
                           path);
    img->sectors = bytes / SECTOR;
    return 0;
}

int vbd_image_open(struct vbd_image *img, const char *path, bool rdonly,
                   char *err, size_t size)
{
    int ret;

    img->rdonly = rdonly;
    /* NONBLOCK: a FIFO in the place of an image must not hold us up. */
    img->fd = open(path, (rdonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK |
                             O_NOCTTY);
    if (img->fd < 0)
        return open_error(path, rdonly, errno, err, size);
    fcntl(img->fd, F_SETFL, 0);
    ret = vbd_image_measure(img, path, err, size);
    if (!ret && flock(img->fd, (rdonly ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0)
        ret = image_error(err, size, -EBUSY,
                          "disk image %s is in use by another domain or "
                          "program (a lock on it is held; kxl list shows the "
                          "domains%s)",
                          path,
                          rdonly ? "" : ", access=ro lets readers share it");
    if (ret)
        vbd_image_close(img);
    return ret;
}

void vbd_image_close(struct vbd_image *img)
{
    if (img->fd >= 0)
        close(img->fd);
    img->fd = -1;
}

int vbd_open_image(const char *path, bool rdonly, char *err, size_t size)
{
    struct vbd_image img;
    int ret = vbd_image_open(&img, path, rdonly, err, size);

    return ret ? ret : img.fd;
}

int vbd_check_image(const char *path, bool rdonly, char *err, size_t size)
{
    int fd = vbd_open_image(path, rdonly, err, size);

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}
