/* SPDX-License-Identifier: MIT */
#include "backends/console_hub.h"
#include "backends/console.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CHUNK       16384 /* bytes to one client before others have a turn */
#define CLOSE_NS    1000000000ull /* what slow clients get at the end */
#define MAX_BACKLOG 16

/* ---- clients ---- */

static void client_free(struct console_client *c)
{
    TAILQ_REMOVE(&c->stream->clients, c, link);
    c->stream->nr_clients--;
    hub_item_del(&c->item, true, c);
}

static void client_interest(struct console_client *c)
{
    struct console_stream *s = c->stream;
    uint32_t events = 0;

    if (!c->eof && (c->pos < 0 || s->nr_input < CONSOLE_INPUT_MAX))
        events |= EPOLLIN;
    if (c->pos >= 0 && c->pos < s->log.end)
        events |= EPOLLOUT;
    hub_item_set(&c->item, events);
}

/* Sends a chunk, if the socket takes it. -1: the client is gone. */
static int client_pump(struct console_client *c)
{
    struct console_stream *s = c->stream;
    char buf[CHUNK];
    ssize_t n;

    if (c->pos < 0)
        return 0;
    c->pos = console_log_clamp(&s->log, c->pos);
    n = console_log_read(&s->log, c->pos, buf, sizeof(buf));
    if (n > 0)
        n = send(c->item.fd, buf, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    else if (c->pos < s->log.end)
        n = s->log.end - c->pos; /* somebody cut the log: skip */
    if (n > 0)
        c->pos += n;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    return 0;
}

/* {"from": N}. 0, or -1: not that. */
static int client_greet(struct console_client *c)
{
    struct console_stream *s = c->stream;
    char line[CONSOLE_LINE_MAX];
    json_int_t from;
    json_t *obj = json_loadb(c->line, c->nr_line, 0, NULL);
    int n, ret = obj ? json_unpack(obj, "{s:I}", "from", &from) : -1;

    json_decref(obj);
    if (ret)
        return -1;
    c->pos = console_log_clamp(&s->log, from);
    n = snprintf(line, sizeof(line), "{\"from\": %lld}\n", (long long)c->pos);
    /* A fresh socket's buffer holds a line. */
    return send(c->item.fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n
               ? 0
               : -1;
}

/* Reads up to the newline and not beyond. */
static int client_line(struct console_client *c)
{
    char ch;
    ssize_t n;

    while ((n = recv(c->item.fd, &ch, 1, MSG_DONTWAIT)) == 1) {
        if (ch == '\n')
            return client_greet(c);
        if (c->nr_line == sizeof(c->line))
            return -1;
        c->line[c->nr_line++] = ch;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static int client_input(struct console_client *c)
{
    struct console_stream *s = c->stream;
    char buf[CONSOLE_INPUT_MAX];
    ssize_t n;

    if (s->nr_input == CONSOLE_INPUT_MAX)
        return 0;
    n = recv(c->item.fd, buf, CONSOLE_INPUT_MAX - s->nr_input, MSG_DONTWAIT);
    if (n > 0)
        console_stream_feed(s, buf, (size_t)n);
    c->eof = n == 0;
    return n < 0 && errno != EAGAIN && errno != EINTR ? -1 : 0;
}

static void client_fire(struct hub_item *item, uint32_t events)
{
    struct console_client *c = (struct console_client *)item;
    int ret = 0;

    if (events & EPOLLIN)
        ret = c->pos < 0 ? client_line(c) : client_input(c);
    else if (events & (EPOLLHUP | EPOLLERR))
        ret = -1;
    if (!ret)
        ret = client_pump(c);
    if (ret)
        client_free(c);
    else
        client_interest(c);
}

static void listen_fire(struct hub_item *item, uint32_t events)
{
    struct console_stream *s =
        (struct console_stream *)((char *)item -
                                  offsetof(struct console_stream, listen));
    int fd = accept4(item->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct console_client *c;

    (void)events;
    if (fd < 0)
        return;
    c = s->nr_clients < CONSOLE_MAX_CLIENTS ? calloc(1, sizeof(*c)) : NULL;
    if (!c || hub_item_add(s->hub, &c->item, fd, EPOLLIN, client_fire)) {
        free(c);
        close(fd);
        return;
    }
    c->stream = s;
    c->pos = -1;
    TAILQ_INSERT_TAIL(&s->clients, c, link);
    s->nr_clients++;
}

/* ---- streams ---- */

/* A socket of that name may be left from a dom0 that was killed. */
static int open_socket(struct console_stream *s)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd, ret;

    if (strlen(s->sock_path) >= sizeof(sa.sun_path))
        return -ENAMETOOLONG;
    strcpy(sa.sun_path, s->sock_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    unlink(s->sock_path);
    ret = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) ||
          chmod(s->sock_path, 0600) || listen(fd, MAX_BACKLOG);
    ret = ret ? -errno
              : hub_item_add(s->hub, &s->listen, fd, EPOLLIN, listen_fire);
    if (ret)
        close(fd);
    return ret;
}

static int open_files(struct console_stream *s, int64_t limit, bool resume)
{
    const char *run = s->hub->b->run_dir;
    char path[PATH_MAX];
    int ret;

    snprintf(path, sizeof(path), "%.4000s/console", run);
    mkdir(path, 0700);
    ret = console_path(path, sizeof(path), run, s->domid, s->name, "log");
    if (!ret)
        ret = console_path(s->sock_path, sizeof(s->sock_path), run, s->domid,
                           s->name, "sock");
    if (!ret)
        ret = console_log_open(&s->log, path, limit, resume);
    if (ret)
        return ret;
    ret = open_socket(s);
    if (ret)
        console_log_close(&s->log);
    return ret;
}

struct console_stream *console_stream_new(struct console_hub *hub,
                                          domid_t domid, const char *name,
                                          const struct console_source *source,
                                          void *priv, int64_t log_limit,
                                          bool resume)
{
    struct console_stream *s = calloc(1, sizeof(*s));
    int ret;

    if (!s)
        return NULL;
    s->hub = hub;
    s->domid = domid;
    snprintf(s->name, sizeof(s->name), "%s", name);
    s->source = source;
    s->priv = priv;
    TAILQ_INIT(&s->clients);
    ret = open_files(s, log_limit, resume);
    if (ret) {
        backends_log(hub->b,
                     "d%u %s: cannot open its log or socket in "
                     "%s/console: %s",
                     domid, name, hub->b->run_dir, strerror(-ret));
        free(s);
        errno = -ret;
        return NULL;
    }
    TAILQ_INSERT_TAIL(&hub->streams, s, link);
    return s;
}

void console_stream_close(struct console_stream *s)
{
    if (s->closing)
        return;
    if (s->source)
        s->source->close(s);
    s->source = NULL;
    s->busy = false;
    s->closing = backend_now_ns() + CLOSE_NS;
}

void console_stream_free(struct console_stream *s)
{
    struct console_client *c;

    console_stream_close(s);
    /* Whoever sees the end of file shall find no socket either. */
    unlink(s->sock_path);
    hub_item_del(&s->listen, true, NULL);
    while ((c = TAILQ_FIRST(&s->clients)))
        client_free(c);
    TAILQ_REMOVE(&s->hub->streams, s, link);
    console_log_close(&s->log);
    hub_item_bury(s->hub, &s->listen, s);
}

bool console_stream_finished(struct console_stream *s, uint64_t now)
{
    struct console_client *c;

    if (!s->closing)
        return false;
    if (now >= s->closing)
        return true;
    TAILQ_FOREACH(c, &s->clients, link)
    if (c->pos >= 0 && c->pos < s->log.end)
        return false;
    return true;
}

/* The log is on a full disk: say so, but not for every byte. */
static void tell_lost(struct console_stream *s)
{
    if (s->log.lost < s->lost_told * 2 || s->log.lost == s->lost_told)
        return;
    s->lost_told = s->log.lost;
    backends_log(s->hub->b,
                 "d%u %s: %lld bytes of output lost, cannot write "
                 "%.300s",
                 s->domid, s->name, (long long)s->log.lost, s->log.path);
}

void console_stream_output(struct console_stream *s, const char *buf, size_t n)
{
    struct console_client *c, *next;

    if (!n)
        return;
    s->bytes_out += n;
    console_log_append(&s->log, buf, n);
    tell_lost(s);
    for (c = TAILQ_FIRST(&s->clients); c; c = next) {
        next = TAILQ_NEXT(c, link);
        /* One that is behind has EPOLLOUT set, and its turn comes. */
        if (c->pos < 0 || (c->item.events & EPOLLOUT))
            continue;
        if (client_pump(c))
            client_free(c);
        else
            client_interest(c);
    }
}

size_t console_stream_feed(struct console_stream *s, const char *buf, size_t n)
{
    if (n > CONSOLE_INPUT_MAX - s->nr_input)
        n = CONSOLE_INPUT_MAX - s->nr_input;
    memcpy(s->input + s->nr_input, buf, n);
    s->nr_input += (unsigned int)n;
    s->bytes_in += n;
    if (s->source)
        s->source->input(s);
    else
        s->nr_input = 0;
    return n;
}

void console_stream_consumed(struct console_stream *s, size_t n)
{
    bool was_full = s->nr_input == CONSOLE_INPUT_MAX;
    struct console_client *c;

    if (!n)
        return;
    s->nr_input -= (unsigned int)n;
    memmove(s->input, s->input + n, s->nr_input);
    if (was_full)
        TAILQ_FOREACH(c, &s->clients, link)
    client_interest(c);
}

struct console_stream *console_stream_find(struct console_hub *hub,
                                           domid_t domid, const char *name)
{
    struct console_stream *s;

    TAILQ_FOREACH(s, &hub->streams, link)
    if (s->domid == domid && !s->closing && !strcmp(s->name, name))
        return s;
    return NULL;
}
