/* SPDX-License-Identifier: MIT */
/*
 * All that a stream ever put out, by its offset, in a file of bounded size.
 *
 * Clients read from here, each at its own pace: that is why a slow one costs
 * the guest nothing and a late one misses nothing.  At `limit` bytes the file
 * becomes <path>.1 (the one before it is lost) and <path>.base says at which
 * offset the new one starts.
 */
#ifndef BACKENDS_CONSOLE_LOG_H
#define BACKENDS_CONSOLE_LOG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct console_log {
    char path[PATH_MAX];
    int fd, old_fd;         /* now, and <path>.1 (or -1) */
    int64_t base, old_base; /* the offsets of their first bytes */
    int64_t end;            /* the offset of the next byte */
    int64_t limit;
    int64_t lost; /* bytes that could not be written */
};

/* resume: go on with what is there; else begin anew. 0 or -Exxx. */
int console_log_open(struct console_log *log, const char *path, int64_t limit,
                     bool resume);
void console_log_close(struct console_log *log);

/* Appends. A full disk loses bytes (counted), never fails. */
void console_log_append(struct console_log *log, const char *buf, size_t n);

/* The offset from which `from` (-1: the end) can be served. */
int64_t console_log_clamp(const struct console_log *log, int64_t from);

/* Reads at offset `from`, which was clamped; bytes, 0 at the end. */
ssize_t console_log_read(const struct console_log *log, int64_t from, char *buf,
                         size_t size);

#endif
