/* SPDX-License-Identifier: MIT */
/*
 * A device's channel: shared ring and event channel, and the thread that
 * works on them.  What most backends need of Xen, in one place.
 */
#ifndef BACKENDS_CHAN_H
#define BACKENDS_CHAN_H

#include <pthread.h>
#include <stdatomic.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "backends/backend.h"

#define CHAN_MAX_ORDER 4
#define CHAN_MAX_PAGES (1u << CHAN_MAX_ORDER)

struct backend_chan {
    struct backend_dev *dev;
    xengnttab_handle *xgt; /* owns every mapping of this device */
    xenevtchn_handle *xce;
    void *sring;
    unsigned int nr_pages;
    evtchn_port_t port; /* our end */
    int evt_fd;         /* readable when the frontend notified */
    int stop_fd;        /* readable when the thread is to end */
    atomic_bool stop;
    atomic_int poll_us; /* as backend_poll_us() */
    pthread_t thread;
    bool running;
    const struct chan_ops *ops;
    void *arg;
    atomic_ulong events_in, events_out, sleeps;
};

/* What the thread calls; arg is chan_start()'s. */
struct chan_ops {
    /* First and last; either may be NULL. */
    void (*begin)(void *arg);
    void (*end)(void *arg);
    /* One turn on the ring; true if there was something to do. */
    bool (*turn)(void *arg);
    /* Ask the frontend for an event; true if there is work after all. */
    bool (*arm)(void *arg);
    /* Sleep till an event, stop or own business; NULL: chan_wait(). */
    void (*wait)(void *arg);
};

/*
 * Reads ring-page-order and, below `prefix` ("" or "queue-0/"), event-channel
 * and ring-ref (or ring-refN); maps and binds. 0, -EAGAIN while adopting, or
 * -Exxx with the words in the device; chan_disconnect() is due either way.
 */
int chan_connect(struct backend_chan *c, struct backend_dev *dev,
                 const char *prefix, unsigned int max_order);
/* Starts the thread. 0 or -Exxx. */
int chan_start(struct backend_chan *c, const struct chan_ops *ops, void *arg);
/* Ends the thread, if there is one, and waits for it. */
void chan_stop(struct backend_chan *c);
/* Unmaps and unbinds all; chan_stop() first. */
void chan_disconnect(struct backend_chan *c);

/* Adds to a counter that one thread writes and any may read. */
static inline void chan_count(atomic_ulong *counter, unsigned long n)
{
    unsigned long v = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

void chan_notify(struct backend_chan *c);
/* Sleeps till the frontend notifies or the thread is to stop. */
void chan_wait(struct backend_chan *c);
/* Adds events_in, events_out and sleeps to obj. */
void chan_stats(struct backend_chan *c, json_t *obj);

#endif
