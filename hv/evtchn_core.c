/* SPDX-License-Identifier: MIT */
/*
 * Event channels as data: the port table, joining and closing, sending.  The
 * locking contract is in event_channel.h.
 */
#include "hv/evtchn_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "hv/notify.h"
#include "hv/pv/doorbell.h"
#include "hv/vcpu.h"

int evtchn_init(struct domain *d, uint32_t max_port)
{
    struct evtchn_table *t = calloc(1, sizeof(*t));
    struct evtchn *reserved;

    if (!t)
        return -ENOMEM;
    t->abi = &evtchn_2l_ops;
    t->nr_ports = max_port < EVTCHN_FIFO_NR_CHANNELS ? max_port + 1
                                                     : EVTCHN_FIFO_NR_CHANNELS;
    t->buckets =
        calloc((t->nr_ports - 1) / EVTCHNS_PER_BUCKET + 1, sizeof(*t->buckets));
    if (!t->buckets)
        goto out_free;
    pthread_mutex_init(&t->event_lock, NULL);
    d->evtchn = t;
    if (evtchn_find_free(d, &reserved))
        goto out_buckets;
    reserved->state = ECS_RESERVED;
    return 0;

out_buckets:
    d->evtchn = NULL;
    pthread_mutex_destroy(&t->event_lock);
    free(t->buckets);
out_free:
    free(t);
    return -ENOMEM;
}

static void bucket_free(struct evtchn *bucket)
{
    if (!bucket)
        return;
    for (unsigned int i = 0; i < EVTCHNS_PER_BUCKET; i++)
        pthread_mutex_destroy(&bucket[i].lock);
    free(bucket);
}

void evtchn_free(struct domain *d)
{
    struct evtchn_table *t = d->evtchn;

    if (!t)
        return;
    for (uint32_t p = 0; p < t->nr_ports; p += EVTCHNS_PER_BUCKET)
        bucket_free(atomic_load(&t->buckets[p / EVTCHNS_PER_BUCKET]));
    evtchn_fifo_free(d);
    pthread_mutex_destroy(&t->event_lock);
    free(t->buckets);
    free(t);
    d->evtchn = NULL;
}

void evtchn_destroy(struct domain *d)
{
    if (!d->evtchn)
        return;
    evtchn_lock(d);
    d->evtchn->dying = true;
    evtchn_unlock(d);
    evtchn_close_all(d, NULL);
}

struct evtchn *evtchn_from_port(struct domain *d, evtchn_port_t port)
{
    struct evtchn_table *t = d->evtchn;
    struct evtchn *bucket;

    if (!t || port >= t->nr_ports)
        return NULL;
    bucket = atomic_load_explicit(&t->buckets[port / EVTCHNS_PER_BUCKET],
                                  memory_order_acquire);
    return bucket ? &bucket[port % EVTCHNS_PER_BUCKET] : NULL;
}

void evtchn_lock(struct domain *d)
{
    pthread_mutex_lock(&d->evtchn->event_lock);
}

void evtchn_unlock(struct domain *d)
{
    pthread_mutex_unlock(&d->evtchn->event_lock);
}

void evtchn_lock_two(struct domain *a, struct domain *b)
{
    if (a > b) {
        evtchn_lock_two(b, a);
        return;
    }
    evtchn_lock(a);
    if (a != b)
        evtchn_lock(b);
}

void evtchn_unlock_two(struct domain *a, struct domain *b)
{
    evtchn_unlock(a);
    if (a != b)
        evtchn_unlock(b);
}

static void channel_lock_two(struct evtchn *a, struct evtchn *b)
{
    pthread_mutex_lock(a < b ? &a->lock : &b->lock);
    pthread_mutex_lock(a < b ? &b->lock : &a->lock);
}

static void channel_unlock_two(struct evtchn *a, struct evtchn *b)
{
    pthread_mutex_unlock(&a->lock);
    pthread_mutex_unlock(&b->lock);
}

void evtchn_lock_senders(struct evtchn *chn)
{
    if (chn->state == ECS_INTERDOMAIN)
        channel_lock_two(chn, chn->u.peer.rchn);
    else
        pthread_mutex_lock(&chn->lock);
}

void evtchn_unlock_senders(struct evtchn *chn)
{
    if (chn->state == ECS_INTERDOMAIN)
        channel_unlock_two(chn, chn->u.peer.rchn);
    else
        pthread_mutex_unlock(&chn->lock);
}

/* Makes the bucket that `port` is in. */
static struct evtchn *bucket_add(struct evtchn_table *t, evtchn_port_t port)
{
    struct evtchn *bucket = calloc(EVTCHNS_PER_BUCKET, sizeof(*bucket));

    if (!bucket)
        return NULL;
    for (unsigned int i = 0; i < EVTCHNS_PER_BUCKET; i++) {
        pthread_mutex_init(&bucket[i].lock, NULL);
        bucket[i].port = port - port % EVTCHNS_PER_BUCKET + i;
        bucket[i].fd = -1;
        atomic_init(&bucket[i].priority, EVTCHN_FIFO_PRIORITY_DEFAULT);
    }
    /* Whoever finds the bucket must see it filled in (evtchn_from_port). */
    atomic_store_explicit(&t->buckets[port / EVTCHNS_PER_BUCKET], bucket,
                          memory_order_release);
    return &bucket[port % EVTCHNS_PER_BUCKET];
}

int evtchn_find_free(struct domain *d, struct evtchn **out)
{
    struct evtchn_table *t = d->evtchn;
    const struct evtchn_ops *ops = evtchn_ops_of(d);
    uint32_t end = ops->nr_ports, lowest = 0;

    if (t->dying)
        return -EINVAL;
    if (end > t->nr_ports)
        end = t->nr_ports;
    for (evtchn_port_t port = t->free_hint; port < end; port++) {
        struct evtchn *chn = evtchn_from_port(d, port);

        if (chn && chn->state != ECS_FREE)
            continue;
        if (!lowest)
            lowest = port;
        if (chn && ops->is_busy && ops->is_busy(d, chn))
            continue;
        t->free_hint = lowest;
        *out = chn ? chn : bucket_add(t, port);
        return *out ? 0 : -ENOMEM;
    }
    t->free_hint = lowest ? lowest : end;
    return -ENOSPC;
}

static void port_set_owner(struct evtchn *chn, struct evtchn_owner *owner,
                           int fd)
{
    pthread_mutex_lock(&chn->lock);
    chn->owner = owner;
    chn->fd = fd;
    pthread_mutex_unlock(&chn->lock);
}

/* The eventfd of a domain 0 port.  The channel is still free. */
static int port_attach(struct evtchn *chn, struct evtchn_owner *owner)
{
    int fd;

    if (!owner)
        return 0;
    fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    port_set_owner(chn, owner, fd);
    cds_list_add_tail(&chn->owner_node, &owner->ports);
    return 0;
}

static void port_detach(struct evtchn *chn)
{
    int fd = chn->fd;

    if (!chn->owner)
        return;
    cds_list_del(&chn->owner_node);
    port_set_owner(chn, NULL, -1);
    close(fd);
}

/* chn is no longer free; a busy one below it may be. */
static void port_taken(struct domain *d, const struct evtchn *chn)
{
    if (d->evtchn->free_hint == chn->port)
        d->evtchn->free_hint++;
}

int evtchn_open(struct domain *d, struct evtchn *chn,
                struct evtchn_owner *owner, unsigned int vcpu,
                const struct evtchn *how)
{
    int rc = port_attach(chn, owner);

    if (rc)
        return rc;
    pthread_mutex_lock(&chn->lock);
    atomic_store(&chn->notify_vcpu, vcpu);
    chn->state = how->state;
    chn->u = how->u;
    pthread_mutex_unlock(&chn->lock);
    port_taken(d, chn);
    return 0;
}

bool evtchn_ends_in_dom0(const struct domain *d, const struct evtchn *chn)
{
    return d->domid != DOMID_HV0 && chn->state == ECS_INTERDOMAIN &&
           chn->u.peer.rchn->fd >= 0;
}

/*
 * Domain 0 may raise a guest's end of a channel by itself, by the notify page.
 * Said and taken back with the channel's lock held, as EVTCHNOP_bind_vcpu does
 * it, so that the page never lags behind state and notify_vcpu.
 */
static void notify_join(struct domain *d, const struct evtchn *chn)
{
    if (evtchn_ends_in_dom0(d, chn) && evtchn_ops_of(d)->direct)
        notify_allow(d, chn->port, atomic_load(&chn->notify_vcpu));
}

static void notify_part(struct domain *d, const struct evtchn *chn)
{
    if (d->domid != DOMID_HV0)
        notify_forbid(d, chn->port);
}

/* A guest's end that leads to an eventfd may get a doorbell. */
static void doorbell_join(struct domain *d, const struct evtchn *chn,
                          const struct evtchn *peer)
{
    /* Without one a send exits to hv, which then writes the eventfd. */
    if (peer->fd >= 0 && d->domid != DOMID_HV0)
        (void)doorbell_set(d, chn->port, peer->fd);
}

static void doorbell_part(struct domain *d, const struct evtchn *chn,
                          const struct evtchn *peer)
{
    if (peer->fd >= 0 && d->domid != DOMID_HV0)
        doorbell_clear(d, chn->port);
}

int evtchn_join(struct domain *ld, struct evtchn *lchn, struct domain *rd,
                struct evtchn *rchn, struct evtchn_owner *owner)
{
    int rc = port_attach(lchn, owner);

    if (rc)
        return rc;
    channel_lock_two(lchn, rchn);
    atomic_store(&lchn->notify_vcpu, 0);
    lchn->state = ECS_INTERDOMAIN;
    lchn->u.peer.rd = rd;
    lchn->u.peer.rchn = rchn;
    rchn->state = ECS_INTERDOMAIN;
    rchn->u.peer.rd = ld;
    rchn->u.peer.rchn = lchn;
    notify_join(ld, lchn);
    notify_join(rd, rchn);
    channel_unlock_two(lchn, rchn);
    port_taken(ld, lchn);
    doorbell_join(ld, lchn, rchn);
    doorbell_join(rd, rchn, lchn);

    /* Sends on the unbound end were lost: make up for any by one event. */
    evtchn_ops_of(ld)->set_pending(ld, lchn);
    return 0;
}

uint32_t *evtchn_virq_slot(struct domain *d, unsigned int vcpu,
                           unsigned int virq)
{
    struct vcpu *v = d->vcpu[vcpu];

    return v ? &v->virq_to_port[virq] : &d->evtchn->virq_to_port[virq];
}

bool evtchn_virq_is_per_vcpu(unsigned int virq)
{
    return virq == VIRQ_TIMER || virq == VIRQ_DEBUG || virq == VIRQ_XENOPROF ||
           virq == VIRQ_XENPMU;
}

static void virq_forget(struct domain *d, const struct evtchn *chn)
{
    for (unsigned int i = 0; i < MAX_VCPUS; i++) {
        uint32_t *slot = evtchn_virq_slot(d, i, chn->u.virq);

        if (__atomic_load_n(slot, __ATOMIC_RELAXED) == chn->port)
            __atomic_store_n(slot, 0, __ATOMIC_RELEASE);
    }
}

/* The peer's end goes back to waiting for this domain. */
static void interdomain_part(struct domain *d, struct evtchn *chn)
{
    struct domain *rd = chn->u.peer.rd;
    struct evtchn *rchn = chn->u.peer.rchn;

    /* First, so that no send gets past the locks that follow. */
    doorbell_part(d, chn, rchn);
    doorbell_part(rd, rchn, chn);
    channel_lock_two(chn, rchn);
    chn->state = ECS_FREE;
    rchn->state = ECS_UNBOUND;
    rchn->u.remote_domid = d->domid;
    notify_part(d, chn);
    notify_part(rd, rchn);
    channel_unlock_two(chn, rchn);
}

/* Event locks of d and of chn's peer are held. */
static void close_locked(struct domain *d, struct evtchn *chn)
{
    struct evtchn_table *t = d->evtchn;

    if (chn->state == ECS_INTERDOMAIN)
        interdomain_part(d, chn);
    else if (chn->state == ECS_VIRQ)
        virq_forget(d, chn);
    else if (chn->state == ECS_PIRQ)
        atomic_store(&t->pirq_to_port[chn->u.pirq], 0);

    pthread_mutex_lock(&chn->lock);
    chn->state = ECS_FREE;
    atomic_store(&chn->notify_vcpu, 0);
    atomic_store(&chn->priority, EVTCHN_FIFO_PRIORITY_DEFAULT);
    /* The next user of the port must not find our event. */
    evtchn_ops_of(d)->clear_pending(d, chn);
    pthread_mutex_unlock(&chn->lock);
    port_detach(chn);
    if (chn->port < t->free_hint)
        t->free_hint = chn->port;
}

/*
 * Takes d's event lock and, if chn leads to another domain, that one's, which
 * is returned with a reference.  The reference can be taken because the peer's
 * evtchn_destroy() needs our lock before its last reference may go.
 */
static struct domain *lock_with_peer(struct domain *d, struct evtchn *chn)
{
    for (;;) {
        struct domain *rd;

        evtchn_lock(d);
        if (chn->state != ECS_INTERDOMAIN || chn->u.peer.rd == d)
            return NULL;
        rd = chn->u.peer.rd;
        atomic_fetch_add(&rd->refs, 1);
        evtchn_unlock(d);

        evtchn_lock_two(d, rd);
        if (chn->state != ECS_INTERDOMAIN || chn->u.peer.rd == rd)
            return rd;
        /* It was closed and joined anew in between. */
        evtchn_unlock_two(d, rd);
        domain_put(rd);
    }
}

int evtchn_close(struct domain *d, evtchn_port_t port,
                 const struct evtchn_owner *owner)
{
    struct evtchn *chn = evtchn_from_port(d, port);
    struct domain *rd;
    int rc = 0;

    if (!chn)
        return -EINVAL;
    rd = lock_with_peer(d, chn);
    if (chn->state == ECS_FREE || chn->state == ECS_RESERVED)
        rc = -EINVAL;
    else if (owner && chn->owner != owner)
        rc = -ENOTCONN;
    else
        close_locked(d, chn);
    evtchn_unlock_two(d, rd ? rd : d);
    if (rd)
        domain_put(rd);
    return rc;
}

void evtchn_close_all(struct domain *d, const struct evtchn_owner *owner)
{
    /* Locks are dropped between ports: others get their turn. */
    for (evtchn_port_t port = 1; port < d->evtchn->nr_ports; port++) {
        if (!evtchn_from_port(d, port))
            port |= EVTCHNS_PER_BUCKET - 1; /* on to the next bucket */
        else
            (void)evtchn_close(d, port, owner);
    }
}

static bool any_open(struct domain *d)
{
    for (evtchn_port_t port = 1; port < d->evtchn->nr_ports; port++) {
        struct evtchn *chn = evtchn_from_port(d, port);

        if (!chn)
            port |= EVTCHNS_PER_BUCKET - 1;
        else if (chn->state != ECS_FREE)
            return true;
    }
    return false;
}

int evtchn_reset(struct domain *d, const struct evtchn_owner *owner)
{
    int rc = 0;

    evtchn_close_all(d, owner);
    if (owner)
        return 0;
    evtchn_lock(d);
    if (!evtchn_ops_of(d)->direct && any_open(d))
        rc = -EAGAIN;
    else
        evtchn_fifo_reset(d);
    evtchn_unlock(d);
    return rc;
}

int evtchn_send_locked(struct domain *ld, struct evtchn *chn)
{
    struct domain *rd;

    switch (chn->state) {
    case ECS_INTERDOMAIN:
        rd = chn->u.peer.rd;
        evtchn_ops_of(rd)->set_pending(rd, chn->u.peer.rchn);
        return 0;
    case ECS_IPI:
        evtchn_ops_of(ld)->set_pending(ld, chn);
        return 0;
    case ECS_UNBOUND:
        return 0;
    default:
        return -EINVAL;
    }
}

int evtchn_send(struct domain *ld, evtchn_port_t lport)
{
    struct evtchn *chn = evtchn_from_port(ld, lport);
    int rc;

    if (!chn)
        return -EINVAL;
    pthread_mutex_lock(&chn->lock);
    rc = evtchn_send_locked(ld, chn);
    pthread_mutex_unlock(&chn->lock);
    return rc;
}

/* Sets port pending if it still is what the caller looked up. */
static void raise_port(struct domain *d, evtchn_port_t port,
                       enum evtchn_state state, uint32_t irq)
{
    struct evtchn *chn = port ? evtchn_from_port(d, port) : NULL;

    if (!chn)
        return;
    pthread_mutex_lock(&chn->lock);
    if (chn->state == state &&
        irq == (state == ECS_PIRQ ? chn->u.pirq : chn->u.virq))
        evtchn_ops_of(d)->set_pending(d, chn);
    pthread_mutex_unlock(&chn->lock);
}

void evtchn_raise_virq(struct vcpu *v, unsigned int virq)
{
    if (virq < NR_VIRQS)
        raise_port(v->d,
                   __atomic_load_n(&v->virq_to_port[virq], __ATOMIC_ACQUIRE),
                   ECS_VIRQ, virq);
}

void evtchn_raise_global_virq(struct hv *hv, unsigned int virq)
{
    struct domain *d = hv->dom0;
    uint32_t *slot;

    if (!d || !d->evtchn || virq >= NR_VIRQS)
        return;
    slot = evtchn_virq_slot(d, 0, virq);
    raise_port(d, __atomic_load_n(slot, __ATOMIC_ACQUIRE), ECS_VIRQ, virq);
}

static evtchn_port_t pirq_port(struct domain *d, unsigned int pirq)
{
    return pirq < NR_PIRQS ? atomic_load(&d->evtchn->pirq_to_port[pirq]) : 0;
}

void evtchn_raise_pirq(struct domain *d, unsigned int pirq)
{
    raise_port(d, pirq_port(d, pirq), ECS_PIRQ, pirq);
}

bool evtchn_pirq_is_bound(struct domain *d, unsigned int pirq)
{
    return pirq_port(d, pirq) != 0;
}

int evtchn_port_poll(struct domain *d, evtchn_port_t port)
{
    struct evtchn *chn = evtchn_from_port(d, port);

    if (!chn)
        return -EINVAL;
    return evtchn_ops_of(d)->is_pending(d, chn);
}

void evtchn_owner_init(struct evtchn_owner *owner)
{
    CDS_INIT_LIST_HEAD(&owner->ports);
}

void evtchn_owner_closed(struct domain *dom0, struct evtchn_owner *owner)
{
    for (;;) {
        evtchn_port_t port = 0;

        evtchn_lock(dom0);
        if (!cds_list_empty(&owner->ports))
            port =
                cds_list_first_entry(&owner->ports, struct evtchn, owner_node)
                    ->port;
        evtchn_unlock(dom0);
        if (!port)
            return;
        (void)evtchn_close(dom0, port, owner);
    }
}

int evtchn_port_eventfd(struct domain *dom0, struct evtchn_owner *owner,
                        evtchn_port_t port)
{
    struct evtchn *chn = evtchn_from_port(dom0, port);
    int fd = -ENOENT;

    if (!chn)
        return -ENOENT;
    evtchn_lock(dom0);
    if (chn->owner == owner)
        fd = chn->fd;
    evtchn_unlock(dom0);
    return fd;
}
