/* SPDX-License-Identifier: MIT */
#include "backends/vbd_io.h"

#include <errno.h>
#include <linux/falloc.h>
#include <poll.h>

/*
 * The steps of an op, taken in this order.  A flush says that what was
 * completed before it is durable, so it may run beside other requests; its
 * own data, if any, comes after.  A barrier runs alone, its data between two
 * flushes: the writes before it must not be lost if it is not, and it must
 * not be lost once it is answered.
 */
#define STEP_PREFLUSH  1u
#define STEP_DATA      2u
#define STEP_POSTFLUSH 4u

/* user_data of a watched descriptor; ops are pointers, which are even. */
#define WATCH_TAG 1u

#define ALONE_MAX (64u << 10) /* bytes; see transfer_now() */

static const unsigned int op_steps[] = {
    [VBD_READ] = STEP_DATA,
    [VBD_WRITE] = STEP_DATA,
    [VBD_FLUSH] = STEP_PREFLUSH | STEP_DATA,
    [VBD_BARRIER] = STEP_PREFLUSH | STEP_DATA | STEP_POSTFLUSH,
    [VBD_DISCARD] = STEP_DATA,
};

int vbd_io_init(struct vbd_io *io, const struct vbd_image *img,
                unsigned int depth)
{
    struct io_uring_params p = {
        /* Completions wait for our next look; no signal to interrupt us. */
        .flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    };
    int ret = io_uring_queue_init_params(depth + 16, &io->uring, &p);

    if (ret == -EINVAL) /* before Linux 5.19 */
        ret = io_uring_queue_init(depth + 16, &io->uring, 0);
    if (ret)
        return ret;
    io->img = img;
    io->active = io->queued = 0;
    io->barrier = NULL;
    STAILQ_INIT(&io->held);
    return 0;
}

void vbd_io_exit(struct vbd_io *io)
{
    io_uring_queue_exit(&io->uring);
}

static struct io_uring_sqe *get_sqe(struct vbd_io *io)
{
    struct io_uring_sqe *sqe;

    /* A full queue empties into the kernel; the completion queue is twice
     * as long, and what goes beyond that the kernel keeps for us. */
    while (!(sqe = io_uring_get_sqe(&io->uring)))
        io_uring_submit(&io->uring);
    io->queued++;
    return sqe;
}

void vbd_io_watch(struct vbd_io *io, int fd)
{
    struct io_uring_sqe *sqe = get_sqe(io);

    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    io_uring_sqe_set_data64(sqe, ((uint64_t)(unsigned int)fd << 1) | WATCH_TAG);
}

static void queue_data(struct vbd_io *io, struct vbd_op *op)
{
    struct io_uring_sqe *sqe = get_sqe(io);
    int fd = io->img->fd;

    if (op->kind == VBD_DISCARD)
        io_uring_prep_fallocate(sqe, fd,
                                FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                op->offset, op->len);
    else if (op->kind == VBD_READ && op->nr_iov == 1)
        io_uring_prep_read(sqe, fd, op->iov->iov_base,
                           (unsigned int)op->iov->iov_len, op->offset);
    else if (op->kind == VBD_READ)
        io_uring_prep_readv(sqe, fd, op->iov, op->nr_iov, op->offset);
    else if (op->nr_iov == 1)
        io_uring_prep_write(sqe, fd, op->iov->iov_base,
                            (unsigned int)op->iov->iov_len, op->offset);
    else
        io_uring_prep_writev(sqe, fd, op->iov, op->nr_iov, op->offset);
    io_uring_sqe_set_data(sqe, op);
}

/*
 * A transfer that has no company gains nothing from being asynchronous, and
 * io_uring hands buffered writes (of ext4, say) to a worker thread, which
 * costs many times what the copy into the page cache does.  So it is done
 * here and now; reads only as far as they need no disk.  Bytes, or -Exxx;
 * -EAGAIN: not this way.
 */
static ssize_t transfer_now(struct vbd_io *io, struct vbd_op *op)
{
    int fd = io->img->fd, n = (int)op->nr_iov;
    ssize_t ret;

    if (!io->alone || io->active != 1 || op->len > ALONE_MAX)
        return -EAGAIN;
    if (op->kind == VBD_READ)
        ret = preadv2(fd, op->iov, n, (off_t)op->offset, RWF_NOWAIT);
    else if (op->kind == VBD_WRITE)
        ret = pwritev(fd, op->iov, n, (off_t)op->offset);
    else
        return -EAGAIN;
    return ret < 0 ? -EAGAIN : ret; /* io_uring will tell the error */
}

static void queue_flush(struct vbd_io *io, struct vbd_op *op)
{
    struct io_uring_sqe *sqe = get_sqe(io);

    io_uring_prep_fsync(sqe, io->img->fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data(sqe, op);
}

static void finish(struct vbd_io *io, struct vbd_op *op);
static void data_done(struct vbd_op *op, int res);

/* Begins the op's next step, or ends it. */
static void advance(struct vbd_io *io, struct vbd_op *op)
{
    ssize_t now =
        op->steps == STEP_DATA && op->len ? transfer_now(io, op) : -EAGAIN;

    if (now > 0)
        data_done(op, (int)now);
    if (!op->len)
        op->steps &= ~STEP_DATA;
    /* Two flushes with nothing between them are one. */
    if (op->steps == (STEP_PREFLUSH | STEP_POSTFLUSH))
        op->steps = STEP_POSTFLUSH;
    if (op->error || !op->steps)
        finish(io, op);
    else if (op->steps & STEP_PREFLUSH || !(op->steps & STEP_DATA))
        queue_flush(io, op);
    else
        queue_data(io, op);
}

static void begin(struct vbd_io *io, struct vbd_op *op)
{
    io->active++;
    if (op->kind == VBD_BARRIER)
        io->barrier = op;
    advance(io, op);
}

static bool may_begin(const struct vbd_io *io, const struct vbd_op *op)
{
    return !io->barrier && (op->kind != VBD_BARRIER || !io->active);
}

void vbd_io_start(struct vbd_io *io, struct vbd_op *op)
{
    op->steps = op_steps[op->kind];
    op->error = 0;
    if (STAILQ_EMPTY(&io->held) && may_begin(io, op))
        begin(io, op);
    else
        STAILQ_INSERT_TAIL(&io->held, op, held);
}

static void finish(struct vbd_io *io, struct vbd_op *op)
{
    struct vbd_op *next;

    io->active--;
    if (io->barrier == op)
        io->barrier = NULL;
    io->complete(io->arg, op);
    while ((next = STAILQ_FIRST(&io->held)) && may_begin(io, next)) {
        STAILQ_REMOVE_HEAD(&io->held, held);
        begin(io, next);
    }
}

/* n bytes of the transfer are done; the rest of it is left. */
static void consume(struct vbd_op *op, uint64_t n)
{
    op->offset += n;
    op->len -= n;
    while (n && n >= op->iov->iov_len) {
        n -= op->iov->iov_len;
        op->iov++;
        op->nr_iov--;
    }
    if (n) {
        op->iov->iov_base = (char *)op->iov->iov_base + n;
        op->iov->iov_len -= n;
    }
}

static void data_done(struct vbd_op *op, int res)
{
    if (res == -EINTR || res == -EAGAIN)
        return; /* once more */
    if (res < 0)
        op->error = res;
    else if (op->kind == VBD_DISCARD)
        op->len = 0;
    else if (!res || (uint64_t)res > op->len)
        op->error = -EIO; /* somebody made the image shorter */
    else
        consume(op, (uint64_t)res);
}

static void op_done(struct vbd_io *io, struct vbd_op *op, int res)
{
    if (op->steps & STEP_PREFLUSH || !(op->steps & STEP_DATA)) {
        if (res < 0 && res != -EINTR)
            op->error = res;
        if (res != -EINTR)
            op->steps &=
                op->steps & STEP_PREFLUSH ? ~STEP_PREFLUSH : ~STEP_POSTFLUSH;
    } else {
        data_done(op, res);
    }
    advance(io, op);
}

static void watch_done(struct vbd_io *io, const struct io_uring_cqe *cqe)
{
    int fd = (int)(cqe->user_data >> 1);

    if (cqe->res < 0)
        return; /* the descriptor is gone, or the ring is going */
    if (!(cqe->flags & IORING_CQE_F_MORE))
        vbd_io_watch(io, fd);
    io->ready(io->arg, fd);
}

unsigned int vbd_io_reap(struct vbd_io *io)
{
    struct io_uring_cqe *cqe, copy;
    unsigned int n = 0;

    while (!io_uring_peek_cqe(&io->uring, &cqe)) {
        copy = *cqe;
        io_uring_cqe_seen(&io->uring, cqe);
        n++;
        if (copy.user_data & WATCH_TAG)
            watch_done(io, &copy);
        else
            op_done(io, (struct vbd_op *)(uintptr_t)copy.user_data, copy.res);
    }
    return n;
}

void vbd_io_submit(struct vbd_io *io)
{
    if (!io->queued)
        return;
    io_uring_submit(&io->uring);
    io->queued = 0;
}

void vbd_io_wait(struct vbd_io *io)
{
    io_uring_submit_and_wait(&io->uring, 1);
    io->queued = 0;
    vbd_io_reap(io);
}

void vbd_io_drain(struct vbd_io *io)
{
    STAILQ_INIT(&io->held);
    while (io->active)
        vbd_io_wait(io);
}
