/* SPDX-License-Identifier: MIT */
/*
 * A disk's I/O by io_uring: order where the guest asked for it, whole
 * transfers where the kernel gives short ones.
 *
 * One thread submits and reaps.  The same ring waits for the event channel's
 * eventfd, so that the thread sleeps in one place for all that can happen.
 */
#ifndef BACKENDS_VBD_IO_H
#define BACKENDS_VBD_IO_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "backends/vbd_image.h"
#include "backends/vbd_req.h"

/* One request under way; embedded in its owner. */
struct vbd_op {
    STAILQ_ENTRY(vbd_op) held; /* behind a barrier */
    enum vbd_kind kind;
    uint64_t offset, len; /* bytes; what is left of the transfer */
    struct iovec *iov;    /* likewise */
    unsigned int nr_iov;
    unsigned int steps; /* what is still to be done, see vbd_io.c */
    int error;          /* 0 or -Exxx */
};

STAILQ_HEAD(vbd_op_queue, vbd_op);

struct vbd_io {
    struct io_uring uring;
    const struct vbd_image *img;
    /* The op is finished, op->error says how. Called from vbd_io_reap(). */
    void (*complete)(void *arg, struct vbd_op *op);
    /* One of the descriptors of vbd_io_watch() is readable. */
    void (*ready)(void *arg, int fd);
    void *arg;
    unsigned int active; /* started and not finished */
    unsigned int queued; /* SQEs since the last submit */
    /* The next op will have no company: see vbd_io.c. Set by the caller. */
    bool alone;
    struct vbd_op *barrier;
    struct vbd_op_queue held;
};

/* Sets up for `depth` ops at once. 0 or -Exxx (-EPERM, -ENOSYS: this host
 * does not allow io_uring). img must outlive it. */
int vbd_io_init(struct vbd_io *io, const struct vbd_image *img,
                unsigned int depth);
void vbd_io_exit(struct vbd_io *io);

/* From now on ready() is called whenever fd becomes readable; at most 16. */
void vbd_io_watch(struct vbd_io *io, int fd);

/*
 * Takes on an op: kind, offset, len, iov and nr_iov are set; they and the
 * memory stay till complete(), which may come from within.
 */
void vbd_io_start(struct vbd_io *io, struct vbd_op *op);
/* Hands what was started to the kernel. */
void vbd_io_submit(struct vbd_io *io);
/* Handles what is finished; how many there were. */
unsigned int vbd_io_reap(struct vbd_io *io);
/* Submits, sleeps till there is something to reap, reaps. */
void vbd_io_wait(struct vbd_io *io);
/* Waits for what was started to finish; held ops are dropped, not begun. */
void vbd_io_drain(struct vbd_io *io);

#endif
