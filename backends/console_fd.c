/* SPDX-License-Identifier: MIT */
/* Streams that are descriptors: a trapped UART's pty, a console's pty. */
#include "backends/console_hub.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define TURN      4096
#define LOG_LIMIT (16 << 20)

/* ---- a stream whose source is a descriptor ---- */

struct fd_source {
    struct hub_item item;
    struct console_stream *stream;
};

static void fd_input(struct console_stream *s)
{
    struct fd_source *f = s->priv;
    ssize_t n = 0;

    if (s->nr_input)
        n = write(f->item.fd, s->input, s->nr_input);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        n = s->nr_input; /* nobody will ever read it */
    if (n > 0)
        console_stream_consumed(s, (size_t)n);
    hub_item_set(&f->item, EPOLLIN | (s->nr_input ? EPOLLOUT : 0));
}

static bool fd_read(struct fd_source *f)
{
    char buf[TURN];
    ssize_t n = read(f->item.fd, buf, sizeof(buf));

    if (n > 0)
        console_stream_output(f->stream, buf, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void fd_fire(struct hub_item *item, uint32_t events)
{
    struct fd_source *f = (struct fd_source *)item;

    if (!fd_read(f)) {
        console_stream_close(f->stream);
        return;
    }
    if (events & EPOLLOUT)
        fd_input(f->stream);
}

static void fd_close(struct console_stream *s)
{
    struct fd_source *f = s->priv;
    char buf[TURN];
    ssize_t n;
    int i;

    /* What is still in the pipe belongs to the log. */
    for (i = 0; i < 64; i++) {
        n = read(f->item.fd, buf, sizeof(buf));
        if (n <= 0)
            break;
        console_stream_output(s, buf, (size_t)n);
    }
    hub_item_del(&f->item, true, f);
    s->priv = NULL;
}

static const struct console_source fd_source_ops = {
    .input = fd_input,
    .close = fd_close,
};

int console_fd_stream(struct console_hub *hub, domid_t domid, const char *name,
                      int fd, bool resume)
{
    struct console_stream *old = console_stream_find(hub, domid, name);
    struct fd_source *f = calloc(1, sizeof(*f));
    int ret = -ENOMEM;

    if (old)
        console_stream_free(old);
    if (!f)
        goto out;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    f->stream = console_stream_new(hub, domid, name, &fd_source_ops, f,
                                   LOG_LIMIT, resume);
    ret = f->stream ? 0 : -errno;
    if (ret)
        goto out;
    ret = hub_item_add(hub, &f->item, fd, EPOLLIN, fd_fire);
    if (!ret)
        return 0;
    f->stream->source = NULL;
    console_stream_free(f->stream);
out:
    free(f);
    close(fd);
    return ret;
}

/* ---- a pty beside a stream ---- */

struct console_pty {
    struct hub_item item;
    struct console_stream *stream;
    int slave; /* held open: else the master fails whenever nobody else does */
    char name[64];
};

static int open_pty(int *master, int *slave, char *name, size_t size)
{
    struct termios t;
    int ret;

    if (openpty(master, slave, NULL, NULL, NULL) < 0)
        return -errno;
    fcntl(*master, F_SETFD, FD_CLOEXEC);
    fcntl(*slave, F_SETFD, FD_CLOEXEC);
    fcntl(*master, F_SETFL, O_NONBLOCK);
    if (!tcgetattr(*slave, &t)) {
        cfmakeraw(&t); /* no echo, no newline games */
        tcsetattr(*slave, TCSANOW, &t);
    }
    ret = ttyname_r(*slave, name, size);
    if (!ret)
        return 0;
    close(*master);
    close(*slave);
    return -ret;
}

static void pty_fire(struct hub_item *item, uint32_t events)
{
    struct console_pty *p = (struct console_pty *)item;
    size_t room = CONSOLE_INPUT_MAX - p->stream->nr_input;
    char buf[CONSOLE_INPUT_MAX];
    ssize_t n;

    (void)events;
    /* No room: the pty's own buffer holds it, and writers to it wait. A full
     * input buffer is a guest that does not read; look again at its next
     * event (see console_pty_output()). */
    n = room ? read(item->fd, buf, room) : 0;
    if (n > 0)
        console_stream_feed(p->stream, buf, (size_t)n);
    if (p->stream->nr_input == CONSOLE_INPUT_MAX)
        hub_item_set(item, 0);
}

struct console_pty *console_pty_new(struct console_stream *s)
{
    struct console_pty *p = calloc(1, sizeof(*p));
    int master, ret;

    if (!p)
        return NULL;
    p->stream = s;
    ret = open_pty(&master, &p->slave, p->name, sizeof(p->name));
    if (ret)
        goto out;
    ret = hub_item_add(s->hub, &p->item, master, EPOLLIN, pty_fire);
    if (!ret)
        return p;
    close(master);
    close(p->slave);
out:
    free(p);
    errno = -ret;
    return NULL;
}

void console_pty_free(struct console_pty *p)
{
    if (!p)
        return;
    close(p->slave);
    hub_item_del(&p->item, true, p);
}

const char *console_pty_name(const struct console_pty *p)
{
    return p->name;
}

void console_pty_output(struct console_pty *p, const char *buf, size_t n)
{
    if (n && write(p->item.fd, buf, n) < 0) {
        /* Full: nobody reads there. The log has it. */
    }
    if (p->stream->nr_input < CONSOLE_INPUT_MAX)
        hub_item_set(&p->item, EPOLLIN);
}

/* ---- the toolstack's side of a UART ---- */

int backends_console_make_uart(int *hv_fd, char *path, size_t size)
{
    int slave, ret = open_pty(hv_fd, &slave, path, size);

    if (!ret)
        close(slave);
    return ret;
}

int backends_console_open_uart(const char *path)
{
    int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}
