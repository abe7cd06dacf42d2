/* SPDX-License-Identifier: MIT */
/*
 * The FIFO event ABI: a word for each port in pages of the guest's, and for
 * each vCPU a control block, also the guest's, with the heads of 16 queues.
 * hv appends to queues, the guest takes from their front.
 *
 * All of that is guest memory.  What hv relies on is its own: where the pages
 * are, the tail of each queue and the queue that each port was last put on.
 * hv looks at one word, or at a tail's word as well, and never follows links.
 */
#include "hv/evtchn_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "hv/log.h"
#include "hv/notify.h"
#include "hv/vcpu.h"
#include "kxen/evtchn_2l.h"

#define WORDS_PER_PAGE (FRAME_SIZE / sizeof(event_word_t))
#define MAX_PAGES      (EVTCHN_FIFO_NR_CHANNELS / WORDS_PER_PAGE)

#define WORD_PENDING ((event_word_t)1 << EVTCHN_FIFO_PENDING)
#define WORD_MASKED  ((event_word_t)1 << EVTCHN_FIFO_MASKED)
#define WORD_LINKED  ((event_word_t)1 << EVTCHN_FIFO_LINKED)
#define WORD_BUSY    ((event_word_t)1 << EVTCHN_FIFO_BUSY)
#define WORD_LINK    ((event_word_t)EVTCHN_FIFO_LINK_MASK)

/* A guest that is well has no reason to change a word as often as that. */
#define LINK_TRIES 16

typedef struct evtchn_fifo_control_block control_block_t;

struct fifo_vcpu {
    control_block_t *control; /* in guest memory; NULL: none given yet */
    evtchn_port_t tail[EVTCHN_FIFO_MAX_QUEUES]; /* 0: nothing was linked yet */
};

/*
 * lock guards vcpu[] and every channel's fifo_vcpu and fifo_prio, and is held
 * while a port is linked.  It is a leaf lock.  Pages are added and taken away
 * under the event lock and looked up without any.
 */
struct evtchn_fifo {
    pthread_mutex_t lock;
    unsigned int nr_pages; /* under the event lock */
    event_word_t *_Atomic page[MAX_PAGES];
    struct fifo_vcpu vcpu[MAX_VCPUS];
};

_Static_assert(sizeof(control_block_t) == 72, "Xen's layout");

static struct evtchn_fifo *fifo_of(const struct domain *d)
{
    return atomic_load(&d->evtchn->fifo);
}

/* NULL as long as the guest has not given a page for this port. */
static event_word_t *word_of(struct evtchn_fifo *f, evtchn_port_t port)
{
    event_word_t *page = atomic_load(&f->page[port / WORDS_PER_PAGE]);

    return page ? page + port % WORDS_PER_PAGE : NULL;
}

static event_word_t word_load(event_word_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static event_word_t word_set(event_word_t *word, event_word_t bits)
{
    return __atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST);
}

static event_word_t word_clear(event_word_t *word, event_word_t bits)
{
    return __atomic_fetch_and(word, ~bits, __ATOMIC_SEQ_CST);
}

/* ---- queues ---- */

/*
 * Makes port the successor of the tail, if that is still linked.  The guest
 * takes LINKED and the link away in one step, so it sees port, or we see that
 * it is through with the queue.
 */
static bool link_after(event_word_t *tail, evtchn_port_t port)
{
    for (int i = 0; i < LINK_TRIES; i++) {
        event_word_t was = word_load(tail);
        event_word_t now = (was & ~(WORD_BUSY | WORD_LINK)) | port;

        if (!(was & WORD_LINKED))
            break;
        if (__atomic_compare_exchange_n(tail, &was, now, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return true;
        word_set(tail, WORD_BUSY); /* a guest that unmasks it waits for us */
    }
    word_clear(tail, WORD_BUSY);
    return false;
}

/*
 * Port may still be the tail of the queue it was last on, though the guest has
 * taken it from there.  What comes after it there must not be linked to it in
 * its new queue.
 */
static void leave_old_queue(struct evtchn_fifo *f, struct evtchn *chn,
                            unsigned int id, unsigned int prio)
{
    evtchn_port_t *old = &f->vcpu[chn->fifo_vcpu].tail[chn->fifo_prio];

    if (*old == chn->port && (chn->fifo_vcpu != id || chn->fifo_prio != prio))
        *old = 0;
    chn->fifo_vcpu = id;
    chn->fifo_prio = prio;
}

/* True if the vCPU has to be told of the queue.  f->lock is held. */
static bool queue_append(struct evtchn_fifo *f, struct evtchn *chn,
                         unsigned int id, unsigned int prio)
{
    control_block_t *cb = f->vcpu[id].control;
    evtchn_port_t *tail = &f->vcpu[id].tail[prio], old;

    leave_old_queue(f, chn, id, prio);
    old = *tail;
    *tail = chn->port;
    if (old && old != chn->port && link_after(word_of(f, old), chn->port))
        return false;
    /* Partner: the guest takes `ready`, then looks at head. */
    __atomic_store_n(&cb->head[prio], chn->port, __ATOMIC_SEQ_CST);
    return !(__atomic_fetch_or(&cb->ready, 1u << prio, __ATOMIC_SEQ_CST) &
             1u << prio);
}

/*
 * Loads vcpu_info after `ready` was set: either this finds the new place of
 * one that moves, or evtchn_vcpu_info_moved() marks that place after us.
 */
static void mark_upcall(struct vcpu *v)
{
    struct vcpu_info *vi = atomic_load(&v->vcpu_info);

    if (vi &&
        !__atomic_exchange_n(&vi->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST))
        vcpu_kick(v);
}

/* Puts a port that is pending on its queue, unless it is there or masked. */
static void link_pending(struct domain *d, struct evtchn_fifo *f,
                         struct evtchn *chn, event_word_t *word)
{
    bool tell = false, deaf = false;
    struct vcpu *v = NULL;
    unsigned int id;

    if ((word_load(word) & (WORD_PENDING | WORD_MASKED | WORD_LINKED)) !=
        WORD_PENDING)
        return;
    pthread_mutex_lock(&f->lock);
    id = atomic_load(&chn->notify_vcpu);
    if (id < MAX_VCPUS)
        v = d->vcpu[id];
    if (!v || !f->vcpu[id].control)
        deaf = true; /* stays pending until there is one: init_control */
    else if (!(word_set(word, WORD_LINKED) & WORD_LINKED))
        tell = queue_append(f, chn, id, atomic_load(&chn->priority));
    pthread_mutex_unlock(&f->lock);

    if (tell)
        mark_upcall(v);
    if (deaf)
        domain_log(d,
                   "port %u has an event for vCPU %u, which has no FIFO "
                   "control block: the event waits until the guest gives one "
                   "(EVTCHNOP_init_control)",
                   chn->port, id);
}

/* ---- one port ---- */

static void set_pending_fifo(struct domain *d, struct evtchn *chn)
{
    struct evtchn_fifo *f = fifo_of(d);
    event_word_t *word = word_of(f, chn->port);

    if (!word) {
        /* Partner: add_page() stores the page, then looks at this. */
        atomic_store(&chn->fifo_waiting, true);
        word = word_of(f, chn->port);
        if (!word) {
            evtchn_kick_pollers(d, chn->port);
            return;
        }
        atomic_store(&chn->fifo_waiting, false);
    }
    if (!(word_set(word, WORD_PENDING) & WORD_PENDING))
        evtchn_kick_pollers(d, chn->port);
    link_pending(d, f, chn, word);
}

/* It stays linked: the guest unlinks it and finds nothing pending. */
static void clear_pending_fifo(struct domain *d, struct evtchn *chn)
{
    event_word_t *word = word_of(fifo_of(d), chn->port);

    atomic_store(&chn->fifo_waiting, false);
    if (word)
        word_clear(word, WORD_PENDING);
}

static void unmask_fifo(struct domain *d, struct evtchn *chn)
{
    struct evtchn_fifo *f = fifo_of(d);
    event_word_t *word = word_of(f, chn->port);

    if (!word)
        return;
    word_clear(word, WORD_MASKED);
    link_pending(d, f, chn, word);
}

static bool is_pending_fifo(struct domain *d, struct evtchn *chn)
{
    event_word_t *word = word_of(fifo_of(d), chn->port);

    return word ? word_load(word) & WORD_PENDING
                : atomic_load(&chn->fifo_waiting);
}

static bool is_busy_fifo(struct domain *d, struct evtchn *chn)
{
    event_word_t *word = word_of(fifo_of(d), chn->port);

    return word && word_load(word) & WORD_LINKED;
}

/* For events to come: one that is on a queue stays there. */
static int set_priority_fifo(struct domain *d, struct evtchn *chn,
                             uint32_t prio)
{
    (void)d;
    if (prio > EVTCHN_FIFO_PRIORITY_MIN)
        return -EINVAL;
    atomic_store(&chn->priority, prio);
    return 0;
}

const struct evtchn_ops evtchn_fifo_ops = {
    .name = "FIFO",
    .nr_ports = EVTCHN_FIFO_NR_CHANNELS,
    .set_pending = set_pending_fifo,
    .clear_pending = clear_pending_fifo,
    .unmask = unmask_fifo,
    .is_pending = is_pending_fifo,
    .is_busy = is_busy_fifo,
    .set_priority = set_priority_fifo,
};

/* ---- switching ---- */

/*
 * The port had a bit in shared_info.  Senders read the ABI with their lock
 * held: with theirs in our hands, none is left that goes by the old one.
 */
static void port_switch(struct domain *d, struct evtchn *chn)
{
    evtchn_lock_senders(chn);
    /* Before the look: a notifier sets the bit, then looks at the page. */
    notify_forbid(d, chn->port);
    if (d->shared_info && chn->port < EVTCHN_2L_NR_CHANNELS &&
        evtchn_2l_is_pending(d->shared_info, chn->port)) {
        evtchn_2l_clear_pending(d->shared_info, chn->port);
        if (chn->state > ECS_RESERVED)
            set_pending_fifo(d, chn);
    }
    evtchn_unlock_senders(chn);
}

static int abi_switch(struct domain *d)
{
    struct evtchn_table *t = d->evtchn;
    struct evtchn_fifo *f = fifo_of(d);

    if (atomic_load(&t->abi) == &evtchn_fifo_ops)
        return 0;
    if (!f) {
        f = calloc(1, sizeof(*f));
        if (!f)
            return -ENOMEM;
        pthread_mutex_init(&f->lock, NULL);
        atomic_store(&t->fifo, f); /* before the ABI: its functions use it */
    }
    atomic_store(&t->abi, &evtchn_fifo_ops);
    for (evtchn_port_t p = 1; p < t->nr_ports; p++) {
        struct evtchn *chn = evtchn_from_port(d, p);

        if (chn)
            port_switch(d, chn);
        else
            p |= EVTCHNS_PER_BUCKET - 1;
    }
    return 0;
}

/* Links what could not be before, of ports first to last - 1. */
static void link_late(struct domain *d, evtchn_port_t first, evtchn_port_t end)
{
    struct evtchn_fifo *f = fifo_of(d);

    for (evtchn_port_t p = first; p < end; p++) {
        struct evtchn *chn = evtchn_from_port(d, p);
        event_word_t *word = word_of(f, p);

        if (!chn || !word) {
            p |= EVTCHNS_PER_BUCKET - 1;
            continue;
        }
        if (chn->state <= ECS_RESERVED)
            continue;
        if (atomic_exchange(&chn->fifo_waiting, false))
            word_set(word, WORD_PENDING);
        link_pending(d, f, chn, word);
    }
}

int evtchn_fifo_init_control(struct domain *d, unsigned int vcpu, uint64_t gfn,
                             uint32_t offset)
{
    struct evtchn_fifo *f;
    int rc = -EINVAL;

    if (offset > FRAME_SIZE - sizeof(control_block_t) || offset % 8 ||
        !domain_owns_frame(d, gfn))
        return -EINVAL;
    evtchn_lock(d);
    if (d->evtchn->dying)
        goto out;
    f = fifo_of(d);
    if (f && f->vcpu[vcpu].control)
        goto out;
    rc = abi_switch(d);
    if (rc)
        goto out;
    f = fifo_of(d);
    pthread_mutex_lock(&f->lock);
    f->vcpu[vcpu].control = (void *)((uint8_t *)domain_frame(d, gfn) + offset);
    pthread_mutex_unlock(&f->lock);
    link_late(d, 1, f->nr_pages * WORDS_PER_PAGE);
out:
    evtchn_unlock(d);
    return rc;
}

int evtchn_fifo_expand_array(struct domain *d, uint64_t gfn)
{
    struct evtchn_fifo *f;
    evtchn_port_t first;
    int rc = -EOPNOTSUPP;

    evtchn_lock(d);
    if (evtchn_ops_of(d) != &evtchn_fifo_ops)
        goto out;
    f = fifo_of(d);
    rc = -ENOSPC;
    first = f->nr_pages * WORDS_PER_PAGE;
    if (first >= d->evtchn->nr_ports)
        goto out;
    rc = -EINVAL;
    if (!domain_owns_frame(d, gfn))
        goto out;
    atomic_store(&f->page[f->nr_pages], domain_frame(d, gfn));
    f->nr_pages++;
    link_late(d, first, first + WORDS_PER_PAGE);
    rc = 0;
out:
    evtchn_unlock(d);
    return rc;
}

void evtchn_fifo_reset(struct domain *d)
{
    struct evtchn_table *t = d->evtchn;
    struct evtchn_fifo *f = fifo_of(d);

    if (atomic_load(&t->abi) != &evtchn_fifo_ops)
        return;
    /* No event of old is to swallow one that comes. */
    memset(d->shared_info->evtchn_pending, 0,
           sizeof(d->shared_info->evtchn_pending));
    atomic_store(&t->abi, &evtchn_2l_ops);
    t->free_hint = 1;
    f->nr_pages = 0;
    /* Together: a queue's tail has a page (queue_append). */
    pthread_mutex_lock(&f->lock);
    for (unsigned int i = 0; i < MAX_PAGES; i++)
        atomic_store(&f->page[i], NULL);
    memset(f->vcpu, 0, sizeof(f->vcpu));
    pthread_mutex_unlock(&f->lock);
}

void evtchn_fifo_free(struct domain *d)
{
    struct evtchn_fifo *f = fifo_of(d);

    if (!f)
        return;
    pthread_mutex_destroy(&f->lock);
    free(f);
}
