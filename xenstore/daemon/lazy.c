/* SPDX-License-Identifier: MIT */
#include "xenstore/daemon/lazy.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LOOKS   4        /* before what was seen is taken off */
#define SEEN    4096     /* bytes, likewise */
#define WAIT_NS 10000000 /* a client short of room waits no longer */

struct lazy_worker {
    struct stask task;
    int timer;
    bool ticking;
    struct cds_list_head waiting; /* sockets with bytes to be taken off */
};

static void take(struct lazy *l)
{
    char buf[SEEN];

    while (l->seen) {
        size_t len = l->seen < sizeof(buf) ? l->seen : sizeof(buf);
        ssize_t n = recv(l->fd, buf, len, MSG_DONTWAIT);

        if (n <= 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        l->seen -= n;
    }
    l->seen = 0;
    l->looks = 0;
}

static void unlist(struct lazy *l)
{
    if (l->listed)
        cds_list_del(&l->waiting);
    l->listed = false;
}

static bool timer_turn(struct stask *t, uint32_t events)
{
    struct lazy_worker *w = (struct lazy_worker *)t;
    uint64_t n;

    (void)events;
    if (read(w->timer, &n, sizeof(n)) < 0)
        return false;
    w->ticking = false;
    while (!cds_list_empty(&w->waiting)) {
        struct lazy *l =
            cds_list_first_entry(&w->waiting, struct lazy, waiting);

        take(l);
        unlist(l);
    }
    return false;
}

static void timer_end(struct stask *t)
{
    close(((struct lazy_worker *)t)->timer);
}

static void timer_free(struct stask *t)
{
    free(t);
}

struct lazy_worker *lazy_worker_create(struct sworker *worker)
{
    struct lazy_worker *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    CDS_INIT_LIST_HEAD(&w->waiting);
    w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    w->task.worker = worker;
    w->task.turn = timer_turn;
    w->task.end = timer_end;
    w->task.free = timer_free;
    if (w->timer < 0 || stask_watch_fd(&w->task, w->timer, EPOLLIN)) {
        if (w->timer >= 0)
            close(w->timer);
        free(w);
        return NULL;
    }
    stask_own(&w->task);
    return w;
}

void lazy_start(struct lazy *l, int fd, struct lazy_worker *w)
{
    int begin = 0;

    *l = (struct lazy){.fd = fd, .worker = w};
    l->on =
        w && !setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &begin, sizeof(begin));
}

uint32_t lazy_events(const struct lazy *l, uint32_t events)
{
    return l->on ? events | EPOLLET | EPOLLRDHUP : events;
}

ssize_t lazy_recv(struct lazy *l, void *buf, size_t len)
{
    ssize_t n;

    do {
        n = recv(l->fd, buf, len, MSG_DONTWAIT | (l->on ? MSG_PEEK : 0));
    } while (n < 0 && errno == EINTR);
    if (n > 0 && l->on) {
        l->seen += n;
        l->looks++;
    }
    return n;
}

/* Has it taken off in a while. */
static void list(struct lazy *l)
{
    struct lazy_worker *w = l->worker;
    struct itimerspec in = {.it_value.tv_nsec = WAIT_NS};

    l->listed = true;
    cds_list_add(&l->waiting, &w->waiting);
    if (!w->ticking)
        w->ticking = !timerfd_settime(w->timer, 0, &in, NULL);
}

void lazy_settle(struct lazy *l)
{
    if (l->looks >= LOOKS || l->seen >= SEEN)
        take(l);
    else if (l->seen && !l->listed)
        list(l);
}

void lazy_stop(struct lazy *l)
{
    int off = -1;

    take(l);
    unlist(l);
    if (l->on)
        setsockopt(l->fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off));
    l->on = false;
}
