/* SPDX-License-Identifier: MIT */
/* A small event loop: descriptors and timers, one thread. */
#ifndef DOM0_LOOP_H
#define DOM0_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll reported them. */
typedef void loop_fd_fn(void *arg, uint32_t events);
typedef void loop_timer_fn(void *arg);

/* Embedded by its owner, zero filled before first use. */
struct loop_timer {
    uint64_t at_ms;
    loop_timer_fn *fn;
    void *arg;
    struct loop_timer *next;
    bool armed;
};

/* 0, -ENOMEM or epoll_create's error. */
int loop_create(struct loop **out);
void loop_destroy(struct loop *loop);

/*
 * Calls fn(arg, events) while fd has any of events.  fd stays the caller's
 * and must be taken out by loop_del_fd before it is closed.  An event already
 * fetched for a removed fd is not delivered.  0 or -errno.
 */
int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn,
                void *arg);
void loop_mod_fd(struct loop *loop, int fd, uint32_t events);
void loop_del_fd(struct loop *loop, int fd);

/* Calls t->fn(t->arg) once, `ms` milliseconds from now; re-arms if armed. */
void loop_arm(struct loop *loop, struct loop_timer *t, uint64_t ms);
void loop_disarm(struct loop *loop, struct loop_timer *t);

/* CLOCK_MONOTONIC in milliseconds. */
uint64_t loop_now_ms(void);

/* Runs till loop_stop(). 0 or epoll_wait's -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
