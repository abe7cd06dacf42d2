/* SPDX-License-Identifier: MIT */
#include "hv/fdsignal.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* More than threads that signal at a time. */
#define NR_REQUESTS 1024
#define NR_EVENTS   16
#define TRIES       8

int fdsignal_init(struct fdsignal *s)
{
    int rc;

    memset(s, 0, sizeof(*s));
    s->ready_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->ready_fd < 0)
        return -errno;
    if (syscall(SYS_io_setup, NR_REQUESTS, &s->ctx) == 0)
        return 0;
    rc = -errno;
    close(s->ready_fd);
    s->ctx = 0;
    return rc;
}

void fdsignal_free(struct fdsignal *s)
{
    if (!s->ctx)
        return;
    syscall(SYS_io_destroy, s->ctx);
    close(s->ready_fd);
    s->ctx = 0;
}

static int send_plain(int eventfd)
{
    uint64_t one = 1;

    return write(eventfd, &one, sizeof(one)) < 0 && errno != EAGAIN ? -errno
                                                                    : 0;
}

/* Makes room for others; never waits. */
static void reap(const struct fdsignal *s)
{
    struct io_event events[NR_EVENTS];
    struct timespec none = {0};

    syscall(SYS_io_getevents, s->ctx, 0L, (long)NR_EVENTS, events, &none);
}

int fdsignal_send(const struct fdsignal *s, int eventfd)
{
    struct iocb cb =
                    {
                        .aio_lio_opcode = IOCB_CMD_POLL,
                        .aio_fildes = s->ready_fd,
                        .aio_buf = POLLIN,
                        .aio_flags = IOCB_FLAG_RESFD,
                        .aio_resfd = eventfd,
                    },
                *list[] = {&cb};
    long rc = -1;

    if (!s->ctx)
        return send_plain(eventfd);
    for (int i = 0; i < TRIES && rc != 1; i++) {
        rc = syscall(SYS_io_submit, s->ctx, 1L, list);
        if (rc < 0 && errno != EAGAIN)
            return -errno;
        reap(s);
    }
    return rc == 1 ? 0 : -EAGAIN;
}
