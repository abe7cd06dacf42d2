/* SPDX-License-Identifier: MIT */
/*
 * The disks' I/O engine: one image, whole requests, no short transfers.
 * Synchronous for what runs in a vCPU's thread (io_run), by io_uring for a
 * worker that keeps several requests going (io_ring_*).
 */
#ifndef HV_TRAPPED_IO_H
#define HV_TRAPPED_IO_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct io_image {
    int fd;
    uint64_t size; /* bytes */
    bool rdonly;
};

enum io_op { IO_READ, IO_WRITE, IO_FLUSH };

struct io_req {
    enum io_op op;
    uint64_t offset;   /* bytes */
    struct iovec *iov; /* advanced as the request proceeds */
    unsigned int nr_iov;
    int result;          /* when done: 0 or -Exxx */
    struct io_req *next; /* private to the engine */
};

/*
 * Describes fd, a regular file or block device.  The image does not own it.
 * -EBADF, or -ENOTSUP: neither of the two.
 */
int io_image_init(struct io_image *img, int fd, bool rdonly);

/*
 * Runs a request to its end in this thread: 0 or -Exxx, also in req->result.
 * -EIO: the image ended early (someone truncated it); -EROFS.  A flush is
 * fdatasync().
 */
int io_run(const struct io_image *img, struct io_req *req);

/* One buffer, one direction. */
int io_rw(const struct io_image *img, enum io_op op, void *buf, uint64_t len,
          uint64_t offset);

/* Used by one thread only. */
struct io_ring {
    const struct io_image *img;
    struct io_uring uring;
    bool sync; /* this host has no io_uring: requests run as they are queued */
    int event_fd;
    bool event_armed;
    uint64_t event_count;
    unsigned int inflight;
    struct io_req *done, **done_tail;
};

/*
 * Up to depth requests at a time.  event_fd is an eventfd that wakes
 * io_ring_wait(); the ring does not own it.  0 or -ENOMEM.
 */
int io_ring_init(struct io_ring *ring, const struct io_image *img,
                 unsigned int depth, int event_fd);
/* No request may be in flight. */
void io_ring_fini(struct io_ring *ring);

/* Takes a request; the next io_ring_wait() starts it. */
void io_ring_queue(struct io_ring *ring, struct io_req *req);

/* True when a request has ended that io_ring_wait() would give at once. */
bool io_ring_ready(const struct io_ring *ring);

/*
 * Starts what was queued; waits, when `block`, until a request ends or the
 * eventfd is signalled.  The finished requests as a list by ->next, or NULL.
 */
struct io_req *io_ring_wait(struct io_ring *ring, bool block);

#endif
