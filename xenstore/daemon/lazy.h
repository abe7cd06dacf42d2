/* SPDX-License-Identifier: MIT */
/*
 * Reading a client's requests so that it sleeps undisturbed.
 *
 * When bytes are taken off a Unix socket, Linux wakes whoever sleeps at its
 * other end, for there is room again.  A client sleeps there for its answer:
 * it would wake twice for each.  So requests are only looked at (MSG_PEEK, with
 * SO_PEEK_OFF moving on), and taken off several at a time, or when some
 * milliseconds have passed, lest a client wait for room.
 */
#ifndef XENSTORE_DAEMON_LAZY_H
#define XENSTORE_DAEMON_LAZY_H

#include <sys/types.h>

#include "xenstore/daemon/loop.h"

struct lazy_worker;

/* A socket's state; of the thread of its worker alone. */
struct lazy {
    int fd;
    bool on; /* else read as usual: an old kernel */
    unsigned int looks;
    size_t seen; /* bytes looked at, not taken off */
    struct lazy_worker *worker;
    struct cds_list_head waiting; /* of the worker, if listed */
    bool listed;
};

/* For a worker, which owns it from then on.  NULL: no memory, no timer. */
struct lazy_worker *lazy_worker_create(struct sworker *w);

/* lw may be NULL: the socket is read as usual then. */
void lazy_start(struct lazy *l, int fd, struct lazy_worker *lw);

/* What epoll is to watch for: only news, or seen bytes would be some. */
uint32_t lazy_events(const struct lazy *l, uint32_t events);

/* recv(MSG_DONTWAIT) */
ssize_t lazy_recv(struct lazy *l, void *buf, size_t len);

/* All of what was read is answered.  Takes it off, if it is time. */
void lazy_settle(struct lazy *l);

/* Takes off what was seen, and reads as usual from now on. */
void lazy_stop(struct lazy *l);

#endif
