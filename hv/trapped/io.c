/* SPDX-License-Identifier: MIT */
#include "hv/trapped/io.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

int io_image_init(struct io_image *img, int fd, bool rdonly)
{
    struct stat st;

    if (fstat(fd, &st))
        return -errno;
    img->fd = fd;
    img->rdonly = rdonly;
    if (S_ISREG(st.st_mode)) {
        img->size = (uint64_t)st.st_size;
        return 0;
    }
    if (!S_ISBLK(st.st_mode))
        return -ENOTSUP;
    return ioctl(fd, BLKGETSIZE64, &img->size) ? -errno : 0;
}

/* Drops the first n bytes of what is still to do. */
static void req_advance(struct io_req *req, size_t n)
{
    req->offset += n;
    while (req->nr_iov && n >= req->iov->iov_len) {
        n -= req->iov->iov_len;
        req->iov++;
        req->nr_iov--;
    }
    if (n) {
        req->iov->iov_base = (char *)req->iov->iov_base + n;
        req->iov->iov_len -= n;
    }
}

/*
 * Takes one result of the kernel.  True when the request is through, with
 * req->result set; false when the rest has to be asked for again.
 */
static bool req_account(struct io_req *req, ssize_t res)
{
    if (res == -EINTR || res == -EAGAIN)
        return false;
    if (res < 0 || req->op == IO_FLUSH) {
        req->result = res < 0 ? (int)res : 0;
        return true;
    }
    if (!res && req->nr_iov) {
        req->result = -EIO;
        return true;
    }
    req_advance(req, (size_t)res);
    req->result = 0;
    return !req->nr_iov;
}

/* True when there is nothing to ask the kernel for. */
static bool req_trivial(const struct io_image *img, struct io_req *req)
{
    req->result = 0;
    if (req->op == IO_WRITE && img->rdonly)
        req->result = -EROFS;
    if (req->op == IO_FLUSH)
        return img->rdonly;
    req_advance(req, 0);
    return req->result || !req->nr_iov;
}

int io_run(const struct io_image *img, struct io_req *req)
{
    ssize_t res;

    if (req_trivial(img, req))
        return req->result;
    do {
        if (req->op == IO_READ)
            res =
                preadv(img->fd, req->iov, (int)req->nr_iov, (off_t)req->offset);
        else if (req->op == IO_WRITE)
            res = pwritev(img->fd, req->iov, (int)req->nr_iov,
                          (off_t)req->offset);
        else
            res = fdatasync(img->fd);
    } while (!req_account(req, res < 0 ? -errno : res));
    return req->result;
}

int io_rw(const struct io_image *img, enum io_op op, void *buf, uint64_t len,
          uint64_t offset)
{
    struct iovec iov = {buf, len};
    struct io_req req = {.op = op, .offset = offset, .iov = &iov, .nr_iov = 1};

    return io_run(img, &req);
}

int io_ring_init(struct io_ring *ring, const struct io_image *img,
                 unsigned int depth, int event_fd)
{
    int rc;

    memset(ring, 0, sizeof(*ring));
    ring->img = img;
    ring->event_fd = event_fd;
    ring->done_tail = &ring->done;
    rc = io_uring_queue_init(depth + 1, &ring->uring, 0);
    if (rc == -ENOMEM)
        return rc;
    ring->sync = rc < 0;
    return 0;
}

void io_ring_fini(struct io_ring *ring)
{
    if (!ring->sync)
        io_uring_queue_exit(&ring->uring);
}

static void push_done(struct io_ring *ring, struct io_req *req)
{
    req->next = NULL;
    *ring->done_tail = req;
    ring->done_tail = &req->next;
}

static struct io_uring_sqe *get_sqe(struct io_ring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

    /* Full only of entries that the kernel has not been shown yet. */
    while (!sqe) {
        io_uring_submit(&ring->uring);
        sqe = io_uring_get_sqe(&ring->uring);
    }
    return sqe;
}

static void start(struct io_ring *ring, struct io_req *req)
{
    struct io_uring_sqe *sqe = get_sqe(ring);

    if (req->op == IO_READ)
        io_uring_prep_readv(sqe, ring->img->fd, req->iov, req->nr_iov,
                            req->offset);
    else if (req->op == IO_WRITE)
        io_uring_prep_writev(sqe, ring->img->fd, req->iov, req->nr_iov,
                             req->offset);
    else
        io_uring_prep_fsync(sqe, ring->img->fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data(sqe, req);
}

void io_ring_queue(struct io_ring *ring, struct io_req *req)
{
    if (ring->sync) {
        io_run(ring->img, req);
        push_done(ring, req);
    } else if (req_trivial(ring->img, req)) {
        push_done(ring, req);
    } else {
        ring->inflight++;
        start(ring, req);
    }
}

bool io_ring_ready(const struct io_ring *ring)
{
    return ring->done || (!ring->sync && io_uring_cq_ready(&ring->uring));
}

/* The doorbell is one more read in the ring, its user data NULL. */
static void arm_event(struct io_ring *ring)
{
    struct io_uring_sqe *sqe;

    if (ring->event_armed)
        return;
    sqe = get_sqe(ring);
    io_uring_prep_read(sqe, ring->event_fd, &ring->event_count,
                       sizeof(ring->event_count), 0);
    io_uring_sqe_set_data(sqe, NULL);
    ring->event_armed = true;
}

static void reap(struct io_ring *ring)
{
    struct io_uring_cqe *cqe;

    while (!io_uring_peek_cqe(&ring->uring, &cqe)) {
        struct io_req *req = io_uring_cqe_get_data(cqe);
        int res = cqe->res;

        io_uring_cqe_seen(&ring->uring, cqe);
        if (!req) {
            ring->event_armed = false;
        } else if (req_account(req, res)) {
            ring->inflight--;
            push_done(ring, req);
        } else {
            start(ring, req);
        }
    }
}

static void wait_event(struct io_ring *ring)
{
    ssize_t n;

    do
        n = read(ring->event_fd, &ring->event_count, sizeof(uint64_t));
    while (n < 0 && errno == EINTR);
}

struct io_req *io_ring_wait(struct io_ring *ring, bool block)
{
    struct io_req *list;

    if (!ring->sync) {
        if (io_uring_sq_ready(&ring->uring))
            io_uring_submit(&ring->uring);
        reap(ring);
    }
    if (block && !ring->done) {
        /* With nothing under way a plain read() is the faster sleep. */
        if (ring->sync || (!ring->inflight && !ring->event_armed)) {
            wait_event(ring);
        } else {
            arm_event(ring);
            io_uring_submit_and_wait(&ring->uring, 1);
            reap(ring);
        }
    }
    list = ring->done;
    ring->done = NULL;
    ring->done_tail = &ring->done;
    return list;
}
