/* SPDX-License-Identifier: MIT */
#include "backends/console_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void beside(const struct console_log *log, const char *suffix, char *buf)
{
    snprintf(buf, PATH_MAX, "%.4080s.%s", log->path, suffix);
}

static int64_t size_of(int fd)
{
    struct stat st;

    return fd >= 0 && !fstat(fd, &st) ? st.st_size : 0;
}

static void save_base(struct console_log *log)
{
    char path[PATH_MAX], text[32];
    int fd, n;

    beside(log, "base", path);
    n = snprintf(text, sizeof(text), "%" PRId64 "\n", log->base);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (write(fd, text, (size_t)n) != n)
        unlink(path);
    close(fd);
}

static int64_t load_base(struct console_log *log)
{
    char path[PATH_MAX], text[32] = "";
    ssize_t n;
    int fd;

    beside(log, "base", path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    return n > 0 ? strtoll(text, NULL, 10) : 0;
}

static void forget_old(struct console_log *log)
{
    char path[PATH_MAX];

    beside(log, "1", path);
    unlink(path);
    beside(log, "base", path);
    unlink(path);
}

static void find_old(struct console_log *log)
{
    char path[PATH_MAX];

    beside(log, "1", path);
    log->base = load_base(log);
    log->old_fd = log->base ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    log->old_base = log->base - size_of(log->old_fd);
}

int console_log_open(struct console_log *log, const char *path, int64_t limit,
                     bool resume)
{
    memset(log, 0, sizeof(*log));
    log->fd = log->old_fd = -1;
    log->limit = limit;
    if (strlen(path) > 4000)
        return -ENAMETOOLONG;
    strcpy(log->path, path);
    if (resume)
        find_old(log);
    else
        forget_old(log);
    log->fd = open(
        path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (resume ? 0 : O_TRUNC),
        0600);
    if (log->fd < 0)
        return -errno;
    log->end = log->base + size_of(log->fd);
    return 0;
}

void console_log_close(struct console_log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    if (log->old_fd >= 0)
        close(log->old_fd);
    log->fd = log->old_fd = -1;
}

static void rotate(struct console_log *log)
{
    char old[PATH_MAX];
    int fd;

    beside(log, "1", old);
    if (rename(log->path, old) < 0)
        return;
    fd = open(log->path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
              0600);
    if (fd < 0) {
        /* No room for a second file: go on with the first. */
        if (rename(old, log->path) < 0)
            log->limit = INT64_MAX;
        return;
    }
    if (log->old_fd >= 0)
        close(log->old_fd);
    log->old_fd = log->fd;
    log->old_base = log->base;
    log->fd = fd;
    log->base = log->end;
    save_base(log);
}

void console_log_append(struct console_log *log, const char *buf, size_t n)
{
    ssize_t done;

    if (log->end - log->base >= log->limit)
        rotate(log);
    done = write(log->fd, buf, n);
    if (done < 0)
        done = 0;
    log->end += done;
    log->lost += (int64_t)n - done;
}

int64_t console_log_clamp(const struct console_log *log, int64_t from)
{
    int64_t first = log->old_fd >= 0 ? log->old_base : log->base;

    if (from < 0 || from > log->end)
        return log->end;
    return from < first ? first : from;
}

ssize_t console_log_read(const struct console_log *log, int64_t from, char *buf,
                         size_t size)
{
    if (from >= log->base)
        return pread(log->fd, buf, size, from - log->base);
    if ((int64_t)size > log->base - from)
        size = (size_t)(log->base - from);
    return pread(log->old_fd, buf, size, from - log->old_base);
}
