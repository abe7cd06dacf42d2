/* SPDX-License-Identifier: MIT */
#include "hv/fdpass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Alignment makes room for two descriptors where one is wanted. */
union control {
    char buf[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

/* The first descriptor that came; all others are closed. */
static int take_fd(struct msghdr *m)
{
    int fd = -1;

    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++) {
            int got;

            memcpy(&got, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
            if (fd < 0)
                fd = got;
            else
                close(got);
        }
    }
    return fd;
}

int fdpass_send(int sock, const void *buf, size_t len, int fd)
{
    struct iovec iov = {(void *)buf, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    union control c = {{0}};
    ssize_t n;

    if (fd >= 0) {
        struct cmsghdr *h;

        m.msg_control = c.buf;
        m.msg_controllen = sizeof(c.buf);
        h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(h), &fd, sizeof(int));
    }
    do {
        n = sendmsg(sock, &m, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

ssize_t fdpass_recv(int sock, void *buf, size_t len, int *fd)
{
    struct iovec iov = {buf, len};
    union control c;
    struct msghdr m = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = c.buf,
        .msg_controllen = sizeof(c.buf),
    };
    ssize_t n;

    *fd = -1;
    do {
        n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_TRUNC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    *fd = take_fd(&m);
    return n;
}
