/* SPDX-License-Identifier: MIT */
#include "dom0/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct slot {
    loop_fd_fn *fn;
    void *arg;
    uint32_t generation; /* tells a stale event from a reused descriptor */
};

struct loop {
    int epfd;
    bool stop;
    struct slot *slots; /* by descriptor */
    int nr_slots;
    uint32_t generation;
    struct loop_timer *timers; /* earliest first */
};

int loop_create(struct loop **out)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return -ENOMEM;
    loop->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epfd < 0) {
        int rc = -errno;

        free(loop);
        return rc;
    }
    *out = loop;
    return 0;
}

void loop_destroy(struct loop *loop)
{
    if (!loop)
        return;
    close(loop->epfd);
    free(loop->slots);
    free(loop);
}

static int slots_grow(struct loop *loop, int fd)
{
    int nr = loop->nr_slots ? loop->nr_slots : 64;
    struct slot *slots;

    while (nr <= fd)
        nr *= 2;
    if (nr == loop->nr_slots)
        return 0;
    slots = realloc(loop->slots, nr * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    memset(slots + loop->nr_slots, 0, (nr - loop->nr_slots) * sizeof(*slots));
    loop->slots = slots;
    loop->nr_slots = nr;
    return 0;
}

static int slot_ctl(struct loop *loop, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {
        .events = events,
        .data.u64 = (uint64_t)loop->slots[fd].generation << 32 | (uint32_t)fd,
    };

    return epoll_ctl(loop->epfd, op, fd, &ev) ? -errno : 0;
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn,
                void *arg)
{
    int rc = slots_grow(loop, fd);

    if (rc)
        return rc;
    loop->slots[fd] =
        (struct slot){.fn = fn, .arg = arg, .generation = ++loop->generation};
    rc = slot_ctl(loop, EPOLL_CTL_ADD, fd, events);
    if (rc)
        loop->slots[fd].fn = NULL;
    return rc;
}

void loop_mod_fd(struct loop *loop, int fd, uint32_t events)
{
    slot_ctl(loop, EPOLL_CTL_MOD, fd, events);
}

void loop_del_fd(struct loop *loop, int fd)
{
    if (fd < 0 || fd >= loop->nr_slots || !loop->slots[fd].fn)
        return;
    epoll_ctl(loop->epfd, EPOLL_CTL_DEL, fd, NULL);
    loop->slots[fd].fn = NULL;
}

uint64_t loop_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000) + ts.tv_nsec / 1000000;
}

void loop_arm(struct loop *loop, struct loop_timer *t, uint64_t ms)
{
    struct loop_timer **at;

    loop_disarm(loop, t);
    t->at_ms = loop_now_ms() + ms;
    for (at = &loop->timers; *at && (*at)->at_ms <= t->at_ms;)
        at = &(*at)->next;
    t->next = *at;
    t->armed = true;
    *at = t;
}

void loop_disarm(struct loop *loop, struct loop_timer *t)
{
    struct loop_timer **at;

    if (!t->armed)
        return;
    for (at = &loop->timers; *at != t;)
        at = &(*at)->next;
    *at = t->next;
    t->armed = false;
}

static int timers_timeout(struct loop *loop)
{
    uint64_t now = loop_now_ms();

    if (!loop->timers)
        return -1;
    return loop->timers->at_ms <= now ? 0 : (int)(loop->timers->at_ms - now);
}

static void timers_run(struct loop *loop)
{
    uint64_t now = loop_now_ms();

    while (loop->timers && loop->timers->at_ms <= now && !loop->stop) {
        struct loop_timer *t = loop->timers;

        loop->timers = t->next;
        t->armed = false;
        t->fn(t->arg);
    }
}

static void event_deliver(struct loop *loop, const struct epoll_event *ev)
{
    int fd = (int)(uint32_t)ev->data.u64;
    struct slot *slot = &loop->slots[fd];

    if (slot->fn && slot->generation == ev->data.u64 >> 32)
        slot->fn(slot->arg, ev->events);
}

int loop_run(struct loop *loop)
{
    struct epoll_event evs[32];

    loop->stop = false;
    while (!loop->stop) {
        int i, n = epoll_wait(loop->epfd, evs, 32, timers_timeout(loop));

        if (n < 0 && errno != EINTR)
            return -errno;
        for (i = 0; i < n && !loop->stop; i++)
            event_deliver(loop, &evs[i]);
        timers_run(loop);
    }
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->stop = true;
}
