/* SPDX-License-Identifier: MIT */
/* The inside of the backend core: shared by core.c, xenbus.c, console*.c. */
#ifndef BACKENDS_CORE_H
#define BACKENDS_CORE_H

#include <limits.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <xenstore.h>
#include <xen/grant_table.h>

#include "backends/backend.h"
#include "backends/xenbus_state.h"

struct console_hub;

/* A device with what the core remembers of it; xenbus thread only. */
struct xb_dev {
    struct backend_dev dev;
    TAILQ_ENTRY(xb_dev) link;
    struct xenbus_view view;
    atomic_int shown;     /* view.be, for other threads */
    bool dirty;           /* look at it again */
    bool watching;        /* the frontend's state is watched */
    uint64_t retry_at;    /* ns; 0: no retry pending */
    uint64_t retry_since; /* ns; when the retrying began */
    bool told;            /* about that */
    char error[256];      /* of backend_error() */
    /* Written by the thread that sets failed, before it sets failing. */
    char failure[256];
    atomic_bool failed, failing;
};

TAILQ_HEAD(xb_dev_list, xb_dev);

struct backends {
    char run_dir[PATH_MAX];
    int poll_us;
    void (*log)(void *arg, const char *line);
    void *log_arg;
    pthread_t thread;
    int kick_fd; /* eventfd: look at `stop` and at failing devices */
    atomic_bool stop;
    /* Guards the list's links, and devices being freed, against stats. */
    pthread_mutex_t lock;
    struct xb_dev_list devs;
    struct xs_handle *xs; /* xenbus thread; NULL while there is no store */
    bool xs_broken;       /* a call failed for want of a store */
    struct console_hub *console;
};

/* The registered backend of this type, or NULL. */
const struct backend_ops *backend_find_ops(const char *type);

/* One log line with its printf arguments. */
void backends_log(struct backends *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

uint64_t backend_now_ns(void);

/* The xenbus thread; arg is struct backends. */
void *xenbus_thread(void *arg);

/* The console service: a thread of its own. NULL with errno. */
struct console_hub *console_hub_start(struct backends *b);
void console_hub_stop(struct console_hub *hub);
json_t *console_hub_stats(struct console_hub *hub);

/*
 * Reads a node; NUL-terminated, cut at size. 0, -ENOENT when there is none,
 * -Exxx when the store does not answer.
 */
int store_read(struct xs_handle *xs, const char *path, char *buf, size_t size);

/* A strict decimal: digits only, no overflow. 0 or -EINVAL. */
int parse_u64(const char *s, uint64_t *v);

#endif
