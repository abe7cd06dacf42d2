/* SPDX-License-Identifier: MIT */
/*
 * The disk suite's floor: the same reads of the same image, by io_uring on
 * the host, with no guest in between.
 */
#include "tools/kxbench_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEED 0x9e3779b97f4a7c15ull

struct uring {
    struct io_uring ring;
    int fd;
    char *buf;
    uint64_t blocks; /* of the image */
    uint64_t random;
};

/* xorshift: any spread of offsets will do. */
static uint64_t next_block(struct uring *u)
{
    u->random ^= u->random << 13;
    u->random ^= u->random >> 7;
    u->random ^= u->random << 17;
    return u->random % u->blocks;
}

static int uring_open(struct uring *u, const char *image)
{
    off_t size;
    int rc;

    u->random = SEED;
    u->fd = open(image, O_RDWR | O_CLOEXEC);
    if (u->fd < 0)
        return -errno;
    size = lseek(u->fd, 0, SEEK_END);
    u->blocks = (uint64_t)size / KXB_BLOCK;
    u->buf = aligned_alloc(KXB_BLOCK, KXB_BLOCK * KXB_DEPTH_MAX);
    rc = u->buf && u->blocks ? 0 : -ENOMEM;
    if (!rc)
        rc = io_uring_queue_init(KXB_DEPTH_MAX, &u->ring, 0);
    if (rc) {
        free(u->buf);
        close(u->fd);
    }
    return rc;
}

static void uring_close(struct uring *u)
{
    io_uring_queue_exit(&u->ring);
    free(u->buf);
    close(u->fd);
}

static void queue_one(struct uring *u, bool write, unsigned slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    char *buf = u->buf + (size_t)slot * KXB_BLOCK;
    uint64_t at = next_block(u) * KXB_BLOCK;

    if (write)
        io_uring_prep_write(sqe, u->fd, buf, KXB_BLOCK, at);
    else
        io_uring_prep_read(sqe, u->fd, buf, KXB_BLOCK, at);
    io_uring_sqe_set_data64(sqe, slot);
}

/* One request at a time: each one's latency. */
static int uring_latency(struct uring *u, bool write, double *ns, unsigned nr)
{
    for (unsigned i = 0; i < nr; i++) {
        struct io_uring_cqe *cqe;
        uint64_t start = kxb_now();
        int rc;

        queue_one(u, write, 0);
        io_uring_submit_and_wait(&u->ring, 1);
        rc = io_uring_wait_cqe(&u->ring, &cqe);
        if (rc)
            return rc;
        rc = cqe->res;
        io_uring_cqe_seen(&u->ring, cqe);
        if (rc != KXB_BLOCK)
            return rc < 0 ? rc : -EIO;
        ns[i] = (double)(kxb_now() - start);
    }
    return 0;
}

/* The latencies, and as a row of its own how many fit in a second. */
static int add_rows(struct kxb *b, const char *name, const double *ns,
                    unsigned nr)
{
    char ops[KXB_NAME_MAX];
    double sum = 0, rate;
    int rc = kxb_add(b, KXB_DISK_SUITE, name, "ns", NULL, ns, nr);

    for (unsigned i = 0; i < nr; i++)
        sum += ns[i];
    rate = nr * 1e9 / sum;
    snprintf(ops, sizeof(ops), "%.48s_ops", name);
    return rc ? rc : kxb_add(b, KXB_DISK_SUITE, ops, "ops/s", NULL, &rate, 1);
}

int kxb_uring_run(struct kxb *b, const char *image, bool write,
                  const char *name, unsigned nr)
{
    double *ns = calloc(nr, sizeof(*ns));
    struct uring u = {0};
    int rc = ns ? uring_open(&u, image) : -ENOMEM;

    if (rc)
        goto out;
    rc = uring_latency(&u, write, ns, nr);
    if (!rc)
        rc = add_rows(b, name, ns, nr);
    uring_close(&u);
out:
    if (rc)
        kxb_say("io_uring on %s: %s", image, strerror(-rc));
    free(ns);
    return rc;
}
