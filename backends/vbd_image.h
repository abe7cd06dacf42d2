/* SPDX-License-Identifier: MIT */
/*
 * A disk image: a raw file or a block device, opened, measured and locked.
 *
 * The lock (flock) belongs to the open file, not to the process.  Two opens,
 * be they of two domains or of two dom0s, exclude each other (readers only
 * exclude writers).  And it is the fence after a crash: an io_uring request
 * holds a reference on its open file from submission until it has completed,
 * also when its process is killed and its descriptors are closed before
 * that.  The kernel drops the lock with the last reference.  So whoever gets
 * the lock knows that no I/O of the former owner is still under way.
 */
#ifndef BACKENDS_VBD_IMAGE_H
#define BACKENDS_VBD_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vbd_image {
    int fd;
    bool rdonly;
    bool discard;          /* holes can be punched */
    uint64_t sectors;      /* of 512 bytes */
    uint32_t phys_sector;  /* bytes */
    uint32_t discard_unit; /* bytes */
};

/*
 * Opens path. 0, or -Exxx as vbd_check_image() with the words in err.
 * -EBUSY may pass: the lock's owner may be dying.
 */
int vbd_image_open(struct vbd_image *img, const char *path, bool rdonly,
                   char *err, size_t size);
void vbd_image_close(struct vbd_image *img);

/* Looks at the size again (it may have been grown). 0 or -Exxx. */
int vbd_image_measure(struct vbd_image *img, const char *path, char *err,
                      size_t size);

#endif
