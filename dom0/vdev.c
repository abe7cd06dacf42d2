/* SPDX-License-Identifier: MIT */
/* Virtual device names and numbers, as Xen's vbd-interface(7) has them. */
#include "dom0/disk_spec.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XVD_MAJOR    202u
#define SD_MAJOR     8u
#define HD_MAJOR     3u
#define HD_MAJOR_2ND 22u
#define EXTENDED     (1u << 28)

#define DISKS_MAX      (1u << 20)
#define PARTITIONS_MAX 256u

/* Digits without a leading zero, below limit; moves *s. 0 or -EINVAL. */
static int read_number(const char **s, unsigned limit, unsigned *value)
{
    unsigned n = 0;

    if (!isdigit((unsigned char)**s) || (**s == '0' && isdigit((*s)[1])))
        return -EINVAL;
    for (; isdigit((unsigned char)**s); (*s)++) {
        n = n * 10 + **s - '0';
        if (n >= limit)
            return -EINVAL;
    }
    *value = n;
    return 0;
}

/* a, b ... z, aa, ab ...: 0, 1 ... 25, 26, 27 ...; moves *s. */
static int read_letters(const char **s, unsigned *disk)
{
    unsigned n = 0;

    if (!islower((unsigned char)**s))
        return -EINVAL;
    for (; islower((unsigned char)**s); (*s)++) {
        n = n * 26 + **s - 'a' + 1;
        if (n > DISKS_MAX)
            return -EINVAL;
    }
    *disk = n - 1;
    return 0;
}

/* "a1" behind xvd, hd, sd. */
static int read_disk_name(const char *s, unsigned *disk, unsigned *part)
{
    *part = 0;
    if (read_letters(&s, disk) < 0)
        return -EINVAL;
    if (!*s)
        return 0;
    if (*s == '0' || read_number(&s, PARTITIONS_MAX, part) < 0)
        return -EINVAL;
    return *s ? -EINVAL : 0;
}

/* "0p1" behind d. */
static int read_disk_number(const char *s, unsigned *disk, unsigned *part)
{
    *part = 0;
    if (read_number(&s, DISKS_MAX, disk) < 0)
        return -EINVAL;
    if (!*s)
        return 0;
    if (*s++ != 'p' || read_number(&s, PARTITIONS_MAX, part) < 0)
        return -EINVAL;
    return *s ? -EINVAL : 0;
}

static uint32_t xvd_number(unsigned disk, unsigned part)
{
    if (disk < 16 && part < 16)
        return XVD_MAJOR << 8 | disk << 4 | part;
    return EXTENDED | disk << 8 | part;
}

static int hd_number(unsigned disk, unsigned part, uint32_t *devid)
{
    if (disk > 3 || part > 63)
        return -EINVAL;
    *devid = (disk < 2 ? HD_MAJOR : HD_MAJOR_2ND) << 8 | (disk & 1) << 6 | part;
    return 0;
}

static int sd_number(unsigned disk, unsigned part, uint32_t *devid)
{
    if (disk > 15 || part > 15)
        return -EINVAL;
    *devid = SD_MAJOR << 8 | disk << 4 | part;
    return 0;
}

static int plain_number(const char *s, uint32_t *devid)
{
    char *end;

    errno = 0;
    unsigned long long n = strtoull(s, &end, 0);

    if (errno || *end || n > INT32_MAX)
        return -EINVAL;
    *devid = n;
    return 0;
}

int vdev_to_devid(const char *vdev, uint32_t *devid)
{
    unsigned disk, part;

    if (isdigit((unsigned char)vdev[0]))
        return plain_number(vdev, devid);
    if (!strncmp(vdev, "xvd", 3) && !read_disk_name(vdev + 3, &disk, &part)) {
        *devid = xvd_number(disk, part);
        return 0;
    }
    if (!strncmp(vdev, "hd", 2) && !read_disk_name(vdev + 2, &disk, &part))
        return hd_number(disk, part, devid);
    if (!strncmp(vdev, "sd", 2) && !read_disk_name(vdev + 2, &disk, &part))
        return sd_number(disk, part, devid);
    if (vdev[0] == 'd' && !read_disk_number(vdev + 1, &disk, &part)) {
        *devid = xvd_number(disk, part);
        return 0;
    }
    return -EINVAL;
}
