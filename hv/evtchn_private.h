/* SPDX-License-Identifier: MIT */
/*
 * Inside event channels: the channel, a domain's table, and the struct of
 * functions behind which an ABI (2-level, FIFO) or domain 0's eventfds lie.
 */
#ifndef HV_EVTCHN_PRIVATE_H
#define HV_EVTCHN_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>
#include "hv/domain.h"
#include "hv/event_channel.h"

#define EVTCHNS_PER_BUCKET 64u

enum evtchn_state {
    ECS_FREE,
    ECS_RESERVED, /* port 0 */
    ECS_UNBOUND,
    ECS_INTERDOMAIN,
    ECS_PIRQ,
    ECS_VIRQ,
    ECS_IPI
};

/*
 * state and u change with the domain's event lock and `lock` held, so either
 * of them is enough to read them.  An interdomain channel's rd is alive while
 * that is so: its death first closes its end, for which it needs our locks.
 */
struct evtchn {
    pthread_mutex_t lock;
    enum evtchn_state state;
    evtchn_port_t port;
    atomic_uint notify_vcpu; /* read without a lock by the peer's sender */
    atomic_uint priority;    /* the same; EVTCHN_FIFO_PRIORITY_* */
    union {
        domid_t remote_domid; /* ECS_UNBOUND: who may bind to it */
        struct {
            struct domain *rd;
            struct evtchn *rchn;
        } peer;        /* ECS_INTERDOMAIN */
        uint32_t pirq; /* ECS_PIRQ */
        uint32_t virq; /* ECS_VIRQ */
    } u;

    /*
     * Domain 0's ports.  fd and owner are written with both locks held, like
     * state, and while the channel is free; a sender that holds the peer's
     * channel lock may read fd too.
     */
    int fd; /* eventfd, -1: none */
    struct evtchn_owner *owner;
    struct cds_list_head owner_node;

    /* evtchn_fifo.c's: an event came before the port had a word. */
    atomic_bool fifo_waiting;
    /* The queue that it was last put on; under the FIFO lock. */
    uint8_t fifo_vcpu, fifo_prio;
};

struct evtchn_ops {
    const char *name;
    uint32_t nr_ports; /* what the ABI can number, port 0 included */
    bool direct;       /* domain 0 may raise ports by the notify page */

    /*
     * All: chn is allocated and stays so (its lock, its peer's, or the event
     * lock is held).  set_pending raises the upcall or wakes pollers as well.
     */
    void (*set_pending)(struct domain *d, struct evtchn *chn);
    void (*clear_pending)(struct domain *d, struct evtchn *chn);
    void (*unmask)(struct domain *d, struct evtchn *chn);
    bool (*is_pending)(struct domain *d, struct evtchn *chn);

    /* True while a closed port is not to be used anew; NULL: never. */
    bool (*is_busy)(struct domain *d, struct evtchn *chn);

    /* -ENOSYS where the ABI has no such thing; NULL is the same. */
    int (*set_priority)(struct domain *d, struct evtchn *chn, uint32_t prio);
};

struct evtchn_table {
    pthread_mutex_t event_lock;
    /*
     * A guest's choice (evtchn_ops_of()), changed under the event lock.
     * Senders read it under the lock of the channel they send on.
     */
    const struct evtchn_ops *_Atomic abi;
    struct evtchn_fifo *_Atomic fifo; /* once made, there until freed */
    bool dying;
    uint32_t nr_ports;  /* the domain's limit; the ABI may have a lower one */
    uint32_t free_hint; /* no free port below it */

    /*
     * Grows under the event lock; an entry, once set, is there until
     * evtchn_free(), so look-ups take no lock (release / acquire).
     */
    struct evtchn *_Atomic *buckets;

    /* Written under the event lock; 0 = not bound. */
    _Atomic evtchn_port_t pirq_to_port[NR_PIRQS];
    /* VIRQs of a domain without vCPUs, domain 0. */
    uint32_t virq_to_port[NR_VIRQS];
};

/* The channel of a port, whatever its state; NULL: never allocated. */
struct evtchn *evtchn_from_port(struct domain *d, evtchn_port_t port);

/* True if chn, a guest's, leads to a port of domain 0.  chn->lock is held. */
bool evtchn_ends_in_dom0(const struct domain *d, const struct evtchn *chn);

/* The event lock of one domain, or of two that may be the same. */
void evtchn_lock(struct domain *d);
void evtchn_unlock(struct domain *d);
void evtchn_lock_two(struct domain *a, struct domain *b);
void evtchn_unlock_two(struct domain *a, struct domain *b);

/*
 * The lowest free port, still ECS_FREE.  -ENOSPC: all are taken; -ENOMEM;
 * -EINVAL: d is dying.  Event lock held.
 */
int evtchn_find_free(struct domain *d, struct evtchn **out);

/*
 * Takes a free channel into use, with an eventfd and owner's name on it if
 * owner is given, delivered to vCPU `vcpu`; the caller's `how` sets state and
 * u.  0, or -errno of eventfd(2) with nothing done.  Event lock held.
 */
int evtchn_open(struct domain *d, struct evtchn *chn,
                struct evtchn_owner *owner, unsigned int vcpu,
                const struct evtchn *how);

/* Joins ld's free channel lchn and rd's unbound rchn.  As evtchn_open(). */
int evtchn_join(struct domain *ld, struct evtchn *lchn, struct domain *rd,
                struct evtchn *rchn, struct evtchn_owner *owner);

/*
 * EVTCHNOP_close.  owner is whose port it must be (NULL in a guest): -ENOTCONN
 * if it is another's.  -EINVAL: no such port, or it is not in use.
 */
int evtchn_close(struct domain *d, evtchn_port_t port,
                 const struct evtchn_owner *owner);

/*
 * Keeps everybody from sending to chn: holds its lock and, if it is joined,
 * its peer's.  d's event lock is held.
 */
void evtchn_lock_senders(struct evtchn *chn);
void evtchn_unlock_senders(struct evtchn *chn);

/* evtchn_send() with chn->lock held. */
int evtchn_send_locked(struct domain *ld, struct evtchn *chn);

/*
 * EVTCHNOP_reset, in Xen's words: closes all ports of d, which then has the
 * 2-level ABI; with an owner only closes its.  -EAGAIN: a port was made in
 * between, so that the ABI stays.
 */
int evtchn_reset(struct domain *d, const struct evtchn_owner *owner);

/* Closes all ports, or with an owner all of its.  One at a time. */
void evtchn_close_all(struct domain *d, const struct evtchn_owner *owner);

/* Where d notes the port of a VIRQ on vCPU `vcpu`, which exists. */
uint32_t *evtchn_virq_slot(struct domain *d, unsigned int vcpu,
                           unsigned int virq);

/* True for VIRQs that exist once per vCPU. */
bool evtchn_virq_is_per_vcpu(unsigned int virq);

/* Wakes the vCPUs of d that poll port, after it has become pending. */
void evtchn_kick_pollers(struct domain *d, evtchn_port_t port);

/*
 * EVTCHNOP_init_control for a vCPU that exists: the first call switches d to
 * the FIFO ABI, with what is pending.  -EINVAL: the place is not in a frame of
 * d's or not aligned, or the vCPU has a control block; -ENOMEM.
 */
int evtchn_fifo_init_control(struct domain *d, unsigned int vcpu, uint64_t gfn,
                             uint32_t offset);

/*
 * EVTCHNOP_expand_array.  -EOPNOTSUPP: d does not use the FIFO ABI, -ENOSPC:
 * there is a word for every port, -EINVAL: the frame is not d's.
 */
int evtchn_fifo_expand_array(struct domain *d, uint64_t gfn);

/* Back to the 2-level ABI.  Event lock held, all ports are closed. */
void evtchn_fifo_reset(struct domain *d);

/* For evtchn_free(). */
void evtchn_fifo_free(struct domain *d);

extern const struct evtchn_ops evtchn_2l_ops, evtchn_fifo_ops, evtchn_fd_ops;

static inline const struct evtchn_ops *evtchn_ops_of(const struct domain *d)
{
    return d->domid == DOMID_HV0 ? &evtchn_fd_ops
                                 : atomic_load(&d->evtchn->abi);
}

#endif
