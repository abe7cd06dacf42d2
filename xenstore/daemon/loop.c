/* SPDX-License-Identifier: MIT */
#include "xenstore/daemon/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 64

static bool wake_turn(struct stask *t, uint32_t events)
{
    uint64_t n;

    (void)events;
    if (read(t->worker->wakefd, &n, sizeof(n)) < 0)
        return false; /* somebody read it before */
    return false;
}

int sworker_init(struct sworker *w, struct store *s)
{
    memset(w, 0, sizeof(*w));
    w->store = s;
    w->last = &w->first;
    CDS_INIT_LIST_HEAD(&w->owned);
    pthread_mutex_init(&w->lock, NULL);
    w->epfd = epoll_create1(EPOLL_CLOEXEC);
    w->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->epfd < 0 || w->wakefd < 0)
        return -errno;
    w->wake.worker = w;
    w->wake.turn = wake_turn;
    return stask_watch_fd(&w->wake, w->wakefd, EPOLLIN);
}

void stask_own(struct stask *t)
{
    pthread_mutex_lock(&t->worker->lock);
    cds_list_add(&t->all, &t->worker->owned);
    pthread_mutex_unlock(&t->worker->lock);
}

int sworker_for_each(struct sworker *w, int (*fn)(struct stask *t, void *arg),
                     void *arg)
{
    struct stask *t;
    int rc = 0;

    cds_list_for_each_entry (t, &w->owned, all)
        if (!rc)
            rc = fn(t, arg);
    return rc;
}

void stask_disown(struct stask *t)
{
    pthread_mutex_lock(&t->worker->lock);
    cds_list_del(&t->all);
    pthread_mutex_unlock(&t->worker->lock);
}

void sworker_fini(struct sworker *w)
{
    struct stask *t, *next;

    cds_list_for_each_entry_safe (t, next, &w->owned, all) {
        t->end(t);
        t->free(t);
    }
    close(w->epfd);
    close(w->wakefd);
    pthread_mutex_destroy(&w->lock);
}

static void wake(struct sworker *w)
{
    uint64_t one = 1;

    if (write(w->wakefd, &one, sizeof(one)) < 0)
        return; /* full: it is awake */
}

void sworker_stop(struct sworker *w)
{
    __atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
    wake(w);
}

static int control(struct stask *t, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = t};

    return epoll_ctl(t->worker->epfd, op, fd, &ev) ? -errno : 0;
}

int stask_watch_fd(struct stask *t, int fd, uint32_t events)
{
    return control(t, EPOLL_CTL_ADD, fd, events);
}

int stask_change_fd(struct stask *t, int fd, uint32_t events)
{
    return control(t, EPOLL_CTL_MOD, fd, events);
}

void stask_forget_fd(struct stask *t, int fd)
{
    control(t, EPOLL_CTL_DEL, fd, 0);
}

static bool in_own_thread(const struct stask *t)
{
    return pthread_equal(pthread_self(), t->worker->thread);
}

bool stask_has_turn(const struct stask *t)
{
    return in_own_thread(t) && t->running;
}

/* The lock is held. */
static void count_queued(struct sworker *w, int n)
{
    __atomic_store_n(&w->nr_queued, w->nr_queued + n, __ATOMIC_RELAXED);
}

void stask_queue(struct stask *t)
{
    struct sworker *w = t->worker;
    bool self = in_own_thread(t), first = false;

    if (self && t->running)
        return; /* its turn is not over and will see the work */
    pthread_mutex_lock(&w->lock);
    if (!t->queued && !t->dead) {
        first = !w->first;
        t->queued = true;
        count_queued(w, 1);
        t->next = NULL;
        *w->last = t;
        w->last = &t->next;
    }
    pthread_mutex_unlock(&w->lock);
    if (first && !self)
        wake(w);
}

static void unqueue(struct stask *t)
{
    struct sworker *w = t->worker;

    pthread_mutex_lock(&w->lock);
    t->dead = true;
    cds_list_del(&t->all);
    for (struct stask **p = &w->first; t->queued && *p; p = &(*p)->next) {
        if (*p != t)
            continue;
        *p = t->next;
        if (w->last == &t->next)
            w->last = p;
        count_queued(w, -1);
        break;
    }
    t->queued = false;
    pthread_mutex_unlock(&w->lock);
}

void stask_free_later(struct stask *t)
{
    unqueue(t);
    t->next = t->worker->graveyard;
    t->worker->graveyard = t;
}

static void run_task(struct stask *t, uint32_t events)
{
    bool more;

    if (t->dead)
        return;
    t->running = true;
    more = t->turn(t, events);
    t->running = false;
    if (more)
        stask_queue(t);
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

void stask_rest(struct stask *t, uint64_t ns)
{
    t->rest_until = now_ns() + ns;
}

/* The next of the queue, or NULL: there is none, or it has to rest. */
static struct stask *pop(struct sworker *w)
{
    struct stask *t;

    pthread_mutex_lock(&w->lock);
    t = w->first;
    if (t) {
        w->first = t->next;
        if (!w->first)
            w->last = &w->first;
        count_queued(w, -1);
        t->queued = t->rest_until && t->rest_until > now_ns();
    }
    if (t && t->queued) {
        t->next = w->resting;
        w->resting = t;
        t = NULL;
    }
    pthread_mutex_unlock(&w->lock);
    return t;
}

/* Queues those who have rested; ns until the next has, or -1. */
static int64_t end_rests(struct sworker *w)
{
    struct stask **p = &w->resting, *t;
    uint64_t now;
    int64_t next = -1;

    if (!w->resting)
        return next;
    now = now_ns();
    pthread_mutex_lock(&w->lock);
    while ((t = *p)) {
        int64_t left = t->rest_until - now;

        if (left > 0) {
            next = next < 0 || left < next ? left : next;
            p = &t->next;
            continue;
        }
        *p = t->next;
        t->rest_until = 0;
        t->next = NULL;
        *w->last = t;
        w->last = &t->next;
        count_queued(w, 1);
    }
    pthread_mutex_unlock(&w->lock);
    return next;
}

/* Without the lock: who queues when we look away wakes us. */
static unsigned int queue_length(struct sworker *w)
{
    return __atomic_load_n(&w->nr_queued, __ATOMIC_RELAXED);
}

/* Gives a turn to each task queued by now; who queues again waits. */
static void run_queue(struct sworker *w)
{
    struct stask *t;

    for (unsigned int n = queue_length(w); n; n--) {
        t = pop(w);
        if (t)
            run_task(t, 0);
    }
}

static void free_dead(struct sworker *w)
{
    while (w->graveyard) {
        struct stask *t = w->graveyard;

        w->graveyard = t->next;
        t->free(t);
    }
}

/* Waits for events, at most until somebody has rested. */
static int wait_events(struct sworker *w, struct epoll_event *ev)
{
    int64_t ns = end_rests(w);
    struct timespec ts = {.tv_sec = ns / 1000000000,
                          .tv_nsec = ns % 1000000000};

    if (queue_length(w))
        return epoll_wait(w->epfd, ev, EVENTS, 0);
    if (ns < 0)
        return epoll_wait(w->epfd, ev, EVENTS, -1);
    return epoll_pwait2(w->epfd, ev, EVENTS, &ts, NULL);
}

void sworker_run(struct sworker *w)
{
    struct epoll_event ev[EVENTS];

    w->thread = pthread_self();
    store_thread_enter();
    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
        int n = wait_events(w, ev);

        for (int i = 0; i < n; i++)
            run_task(ev[i].data.ptr, ev[i].events);
        run_queue(w);
        free_dead(w);
    }
    store_thread_leave();
}
