/* SPDX-License-Identifier: MIT */
#include "backends/console.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <xen/xen.h>
#include <xen/grant_table.h>
#include "hv/client/kxen.h"

#define RETRY_MS  10
#define ANSWER_MS 5000

int console_path(char *buf, size_t size, const char *run_dir, uint32_t domid,
                 const char *stream, const char *what)
{
    bool plain = !stream || !strcmp(stream, "console");
    int n = snprintf(buf, size, "%s/console/%u%s%s.%s",
                     run_dir ? run_dir : kxen_run_dir(), domid,
                     plain ? "" : ".", plain ? "" : stream, what);

    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int try_connect(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd, ret;

    if (strlen(path) >= sizeof(sa.sun_path))
        return -ENAMETOOLONG;
    strcpy(sa.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (!connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
        return fd;
    ret = -errno;
    close(fd);
    return ret;
}

static int connect_wait(const char *path, int timeout_ms)
{
    const struct timespec nap = {.tv_nsec = RETRY_MS * 1000000L};
    int fd;

    for (;;) {
        fd = try_connect(path);
        if ((fd != -ENOENT && fd != -ECONNREFUSED) || timeout_ms <= 0)
            return fd;
        nanosleep(&nap, NULL);
        timeout_ms -= RETRY_MS;
    }
}

/* Byte by byte: what follows the newline is the console's. */
static int read_line(int fd, char *line)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    size_t n;

    for (n = 0; n < CONSOLE_LINE_MAX - 1; n++) {
        if (poll(&pfd, 1, ANSWER_MS) != 1 || recv(fd, line + n, 1, 0) != 1)
            return -EPROTO;
        if (line[n] == '\n') {
            line[n] = '\0';
            return 0;
        }
    }
    return -EPROTO;
}

static int greet(int fd, int64_t from, int64_t *start)
{
    char line[CONSOLE_LINE_MAX];
    json_int_t at;
    json_t *obj;
    int n, ret;

    n = snprintf(line, sizeof(line), "{\"from\": %lld}\n", (long long)from);
    if (send(fd, line, (size_t)n, MSG_NOSIGNAL) != n)
        return -EPROTO;
    ret = read_line(fd, line);
    if (ret)
        return ret;
    obj = json_loads(line, 0, NULL);
    ret = obj && !json_unpack(obj, "{s:I}", "from", &at) ? 0 : -EPROTO;
    json_decref(obj);
    if (!ret && start)
        *start = at;
    return ret;
}

int console_attach(const char *run_dir, uint32_t domid, const char *stream,
                   int64_t from, int timeout_ms, int64_t *start)
{
    char path[256];
    int fd,
        ret = console_path(path, sizeof(path), run_dir, domid, stream, "sock");

    if (ret)
        return ret;
    fd = connect_wait(path, timeout_ms);
    if (fd < 0)
        return fd;
    ret = greet(fd, from, start);
    if (!ret)
        return fd;
    close(fd);
    return ret;
}
