/* SPDX-License-Identifier: MIT */
/*
 * The event loop: a few threads, each with its own epoll set.  Whatever waits
 * on a descriptor or does work is a struct stask of exactly one thread.
 */
#ifndef XENSTORE_DAEMON_LOOP_H
#define XENSTORE_DAEMON_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "xenstore/core/store.h"

struct sworker;

struct stask {
    struct sworker *worker;
    /*
     * Runs in the worker's thread, after the descriptor became ready (events:
     * EPOLL*) or after stask_queue() (events 0).  Returns whether it wants
     * another turn at once.  May end with stask_free_later().
     */
    bool (*turn)(struct stask *t, uint32_t events);
    void (*free)(struct stask *t);
    /* Puts it in order before free() when the loop is over for good. */
    void (*end)(struct stask *t);
    struct cds_list_head all; /* of the worker, its lock held; see end */
    struct stask *next;       /* in the worker's queue, its lock held */
    uint64_t rest_until;      /* ns; before, the queue has no turn for it */
    bool queued;
    bool running;
    bool dead;
};

struct sworker {
    struct store *store;
    pthread_t thread;
    int epfd, wakefd;
    pthread_mutex_t lock;
    struct stask *first, **last; /* tasks wanting a turn */
    unsigned int nr_queued;      /* read without the lock */
    struct stask *resting;       /* wanting a turn, but not yet; its thread's */
    struct cds_list_head owned;  /* tasks that it frees */
    struct stask *graveyard;
    struct stask wake;
    bool stop;
};

/* 0 or -errno.  The thread that will run it calls sworker_run(). */
int sworker_init(struct sworker *w, struct store *s);
/* After its thread has ended: ends and frees the tasks it owns. */
void sworker_fini(struct sworker *w);
/* Calls fn for each task it owns, until non-zero; its thread has ended. */
int sworker_for_each(struct sworker *w, int (*fn)(struct stask *t, void *arg),
                     void *arg);
/* Serves until sworker_stop(). */
void sworker_run(struct sworker *w);
/* From any thread or a signal handler. */
void sworker_stop(struct sworker *w);

/* Adds, changes, removes the descriptor of a task.  0 or -errno. */
int stask_watch_fd(struct stask *t, int fd, uint32_t events);
int stask_change_fd(struct stask *t, int fd, uint32_t events);
void stask_forget_fd(struct stask *t, int fd);

/* Gives the task a turn soon; from any thread. */
void stask_queue(struct stask *t);

/* From its own turn: no other one out of the queue for so long. */
void stask_rest(struct stask *t, uint64_t ns);

/* Whether it is its turn that calls. */
bool stask_has_turn(const struct stask *t);

/* Gives a task with free and end to its worker.  From any thread. */
void stask_own(struct stask *t);
void stask_disown(struct stask *t);

/* From its own turn: t->free(t) is called once nothing can point to it. */
void stask_free_later(struct stask *t);

#endif
