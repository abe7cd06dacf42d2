/* SPDX-License-Identifier: MIT */
/*
 * The 2-level event ABI, from the hypervisor's side: pending and mask bits of
 * shared_info, selector and upcall flag of vcpu_info.  One copy for hv and for
 * host programs that set bits straight in a guest's memory.
 *
 * All of it is guest memory: the guest may write anything at any time, so
 * nothing read here decides more than what the guest itself gets to see.
 */
#ifndef KXEN_EVTCHN_2L_H
#define KXEN_EVTCHN_2L_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>

#define EVTCHN_2L_WORD(port) ((port) / (8 * sizeof(xen_ulong_t)))
#define EVTCHN_2L_BIT(port)                                                    \
    ((xen_ulong_t)1 << ((port) % (8 * sizeof(xen_ulong_t))))

/* The places that hold the bits, and whom they are delivered to. */
struct evtchn_2l_target {
    struct shared_info *shared;
    /*
     * The vcpu_info that `port` is delivered to now, NULL if there is none.
     * Asked twice: a vCPU may register another place in between.
     */
    struct vcpu_info *(*vcpu_info)(void *ctx, evtchn_port_t port);
    void *ctx;
};

static inline bool evtchn_2l_test_and_set(xen_ulong_t *words,
                                          evtchn_port_t port)
{
    xen_ulong_t bit = EVTCHN_2L_BIT(port);

    return __atomic_fetch_or(&words[EVTCHN_2L_WORD(port)], bit,
                             __ATOMIC_SEQ_CST) &
           bit;
}

static inline bool evtchn_2l_test(xen_ulong_t *words, evtchn_port_t port)
{
    return __atomic_load_n(&words[EVTCHN_2L_WORD(port)], __ATOMIC_SEQ_CST) &
           EVTCHN_2L_BIT(port);
}

static inline bool evtchn_2l_is_pending(struct shared_info *s,
                                        evtchn_port_t port)
{
    return evtchn_2l_test(s->evtchn_pending, port);
}

static inline bool evtchn_2l_is_masked(struct shared_info *s,
                                       evtchn_port_t port)
{
    return evtchn_2l_test(s->evtchn_mask, port);
}

static inline void evtchn_2l_clear_pending(struct shared_info *s,
                                           evtchn_port_t port)
{
    __atomic_fetch_and(&s->evtchn_pending[EVTCHN_2L_WORD(port)],
                       ~EVTCHN_2L_BIT(port), __ATOMIC_SEQ_CST);
}

/* Selector bit, then upcall flag; true if the flag was clear before. */
static inline bool evtchn_2l_mark(struct vcpu_info *vi, evtchn_port_t port)
{
    xen_ulong_t sel = (xen_ulong_t)1 << EVTCHN_2L_WORD(port);

    if (__atomic_fetch_or(&vi->evtchn_pending_sel, sel, __ATOMIC_SEQ_CST) & sel)
        return false;
    return !__atomic_exchange_n(&vi->evtchn_upcall_pending, 1,
                                __ATOMIC_SEQ_CST);
}

static inline bool evtchn_2l_select(const struct evtchn_2l_target *t,
                                    evtchn_port_t port)
{
    struct vcpu_info *vi = t->vcpu_info(t->ctx, port), *now;
    bool kick = vi && evtchn_2l_mark(vi, port);

    /*
     * Pairs with the store of the new place that comes before
     * evtchn_vcpu_info_moved(): either the mover's marks cover our pending
     * bit, or we see the new place here.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    now = t->vcpu_info(t->ctx, port);
    if (now && now != vi)
        kick |= evtchn_2l_mark(now, port);
    return kick;
}

/*
 * Makes port pending.  True if its vCPU has to be kicked: it now has an upcall
 * pending that it had not before.  Pollers are the caller's to look for, after
 * this returns (their partner is the store of what they poll for, before they
 * look at the pending bit).  port < EVTCHN_2L_NR_CHANNELS.
 */
static inline bool evtchn_2l_set_pending(const struct evtchn_2l_target *t,
                                         evtchn_port_t port)
{
    if (evtchn_2l_test_and_set(t->shared->evtchn_pending, port))
        return false;
    if (evtchn_2l_is_masked(t->shared, port))
        return false;
    return evtchn_2l_select(t, port);
}

/* Unmasks port; true as above, if it was masked and is pending. */
static inline bool evtchn_2l_unmask(const struct evtchn_2l_target *t,
                                    evtchn_port_t port)
{
    xen_ulong_t bit = EVTCHN_2L_BIT(port);
    xen_ulong_t old = __atomic_fetch_and(
        &t->shared->evtchn_mask[EVTCHN_2L_WORD(port)], ~bit, __ATOMIC_SEQ_CST);

    if (!(old & bit) || !evtchn_2l_is_pending(t->shared, port))
        return false;
    return evtchn_2l_select(t, port);
}

/* Marks everything pending in a vcpu_info that has just come into use. */
static inline void evtchn_2l_mark_all(struct vcpu_info *vi)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&vi->evtchn_pending_sel, ~(xen_ulong_t)0,
                     __ATOMIC_SEQ_CST);
    __atomic_store_n(&vi->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
}

#endif
