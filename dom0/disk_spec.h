/* SPDX-License-Identifier: MIT */
/*
 * The disk specifications of xl.cfg, as xl-disk-configuration(5) has them:
 * "target,format,vdev,access", key=value pairs, target= last, and the old
 * prefixes (phy:, file:, raw:, tap:aio: ...).
 */
#ifndef DOM0_DISK_SPEC_H
#define DOM0_DISK_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_format {
    DISK_FORMAT_RAW,
    DISK_FORMAT_QCOW,
    DISK_FORMAT_QCOW2,
    DISK_FORMAT_VHD,
    DISK_FORMAT_QED,
    DISK_FORMAT_EMPTY, /* a drive without a medium */
};

enum disk_backendtype {
    DISK_BACKEND_AUTO,
    DISK_BACKEND_PHY,
    DISK_BACKEND_TAP,
    DISK_BACKEND_QDISK,
    DISK_BACKEND_STANDALONE,
};

struct disk_spec {
    char *target; /* image path; NULL when empty */
    char *vdev;   /* as written: "xvda", "hda1", "d0p1", "51712" */
    uint32_t devid;
    enum disk_format format;
    enum disk_backendtype backendtype;
    char *backend; /* domain that serves it; NULL is domain 0 */
    char *script;  /* block script; NULL without one */
    bool readonly;
    bool cdrom;
    bool removable;
    bool discard; /* default true */
    bool direct_io_safe;
};

/* What was wrong with a specification, for the caller to put in context. */
struct spec_error {
    size_t offset;  /* byte of the specification at fault */
    char text[256]; /* "expected ..., found ..." */
};

/*
 * Parses text into *disk, whose strings the caller frees with
 * disk_spec_free().  0, -EINVAL with *err filled, or -ENOMEM; *disk is left
 * empty on failure.
 */
int disk_spec_parse(const char *text, struct disk_spec *disk,
                    struct spec_error *err);
void disk_spec_free(struct disk_spec *disk);

/*
 * The virtual device number of a name, as Xen's vbd-interface(7) encodes it:
 * xvda is 51712, hda 768, sda 2048; dXpY and plain numbers too.  0 or
 * -EINVAL.
 */
int vdev_to_devid(const char *vdev, uint32_t *devid);

/* The word for a format or backend type in xl's syntax. */
const char *disk_format_name(enum disk_format format);
const char *disk_backendtype_name(enum disk_backendtype type);

#endif
