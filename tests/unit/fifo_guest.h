/* SPDX-License-Identifier: MIT */
/*
 * The guest's side of the FIFO event ABI, for tests: places for control blocks
 * and event words in the fixture's frames, unmasking, and a consumer that does
 * what a kernel does.  Source: xen/event_channel.h.
 */
#ifndef TESTS_UNIT_FIFO_GUEST_H
#define TESTS_UNIT_FIFO_GUEST_H

#include "tests/unit/hv_fixture.h"

#define FG_CONTROL                                                             \
    1              /* frame of the control blocks, 128 bytes for each vCPU     \
                    */
#define FG_ARRAY 2 /* .. 9: frames of event words */
#define FG_PAGES 8u
#define FG_WORDS 1024u

#define FG_PENDING (1u << EVTCHN_FIFO_PENDING)
#define FG_MASKED  (1u << EVTCHN_FIFO_MASKED)
#define FG_LINKED  (1u << EVTCHN_FIFO_LINKED)
#define FG_BUSY    (1u << EVTCHN_FIFO_BUSY)
#define FG_LINK    ((uint32_t)EVTCHN_FIFO_LINK_MASK)

/* A vCPU's queues as its kernel knows them. */
struct fg_vcpu {
    struct vcpu *v;
    uint32_t head[EVTCHN_FIFO_MAX_QUEUES];
};

typedef void fg_handler(struct fg_vcpu *g, evtchn_port_t port);

static inline long fg_init_at(domid_t dom, uint32_t vcpu, uint64_t gfn,
                              uint32_t offset)
{
    struct evtchn_init_control op = {
        .control_gfn = gfn,
        .offset = offset,
        .vcpu = vcpu,
    };
    long rc = fx_evtchn(fx_guest(dom), EVTCHNOP_init_control, &op);

    return rc ? rc : op.link_bits;
}

static inline long fg_init_control(domid_t dom, uint32_t vcpu)
{
    return fg_init_at(dom, vcpu, FG_CONTROL, vcpu * 128);
}

static inline long fg_expand(domid_t dom, uint64_t gfn)
{
    struct evtchn_expand_array op = {.array_gfn = gfn};

    return fx_evtchn(fx_guest(dom), EVTCHNOP_expand_array, &op);
}

/* Page `i` of the array, all masked. */
static inline long fg_add_page(domid_t dom, unsigned int i)
{
    event_word_t *w = domain_frame(fx.doms[dom], FG_ARRAY + i);

    for (unsigned int k = 0; k < FG_WORDS; k++)
        __atomic_store_n(&w[k], FG_MASKED, __ATOMIC_RELAXED);
    return fg_expand(dom, FG_ARRAY + i);
}

/* nr vCPUs on the FIFO ABI, with one page of words. */
static inline void fg_start(domid_t dom, unsigned int nr)
{
    for (unsigned int i = 0; i < nr; i++)
        assert_int_equal(fg_init_control(dom, i), EVTCHN_FIFO_LINK_BITS);
    assert_int_equal(fg_add_page(dom, 0), 0);
}

static inline event_word_t *fg_word(domid_t dom, evtchn_port_t port)
{
    event_word_t *w =
        domain_frame(fx.doms[dom], FG_ARRAY + port / FG_WORDS % FG_PAGES);

    return w + port % FG_WORDS;
}

static inline event_word_t fg_load(domid_t dom, evtchn_port_t port)
{
    return __atomic_load_n(fg_word(dom, port), __ATOMIC_SEQ_CST);
}

static inline struct evtchn_fifo_control_block *fg_control(struct vcpu *v)
{
    return (void *)((uint8_t *)domain_frame(v->d, FG_CONTROL) + v->id * 128);
}

static inline void fg_mask(domid_t dom, evtchn_port_t port)
{
    __atomic_fetch_or(fg_word(dom, port), FG_MASKED, __ATOMIC_SEQ_CST);
}

/* Waits while hv has the word BUSY; asks hv for what is pending already. */
static inline void fg_unmask(domid_t dom, evtchn_port_t port)
{
    event_word_t *w = fg_word(dom, port), was = fg_load(dom, port), now;

    do {
        was &= ~FG_BUSY;
        now = was & ~FG_MASKED;
    } while (!__atomic_compare_exchange_n(w, &was, now, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    if (fg_load(dom, port) & FG_PENDING)
        fx_unmask(fx_guest(dom), port);
}

/* Takes the first of a queue; false if it was its last. */
static inline bool fg_take(struct fg_vcpu *g, unsigned int prio, fg_handler *fn)
{
    struct evtchn_fifo_control_block *cb = fg_control(g->v);
    evtchn_port_t port = g->head[prio];
    event_word_t *w, was;

    if (!port)
        port = __atomic_load_n(&cb->head[prio], __ATOMIC_SEQ_CST);
    w = fg_word(g->v->d->domid, port);
    was = __atomic_fetch_and(w, ~(FG_LINKED | FG_LINK), __ATOMIC_SEQ_CST);
    g->head[prio] = was & FG_LINK;
    was = __atomic_load_n(w, __ATOMIC_SEQ_CST);
    if (was & FG_PENDING && !(was & FG_MASKED)) {
        __atomic_fetch_and(w, ~FG_PENDING, __ATOMIC_SEQ_CST);
        fn(g, port);
    }
    return g->head[prio];
}

/* An upcall, if there is one: highest priority first. */
static inline bool fg_upcall(struct fg_vcpu *g, fg_handler *fn)
{
    struct evtchn_fifo_control_block *cb = fg_control(g->v);
    struct vcpu_info *vi = atomic_load(&g->v->vcpu_info);
    uint32_t ready;

    if (!__atomic_exchange_n(&vi->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST))
        return false;
    ready = __atomic_exchange_n(&cb->ready, 0, __ATOMIC_SEQ_CST);
    while (ready) {
        unsigned int prio = __builtin_ctz(ready);

        if (!fg_take(g, prio, fn))
            ready &= ~(1u << prio);
        ready |= __atomic_exchange_n(&cb->ready, 0, __ATOMIC_SEQ_CST);
    }
    return true;
}

#endif
