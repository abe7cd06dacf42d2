/* SPDX-License-Identifier: MIT */
/*
 * xen/io/ring.h with its barriers, and the back end's use of a ring.
 *
 * The shared indices are hostile: they are loaded once, with acquire, and
 * judged; the slots are copied before they are looked at.
 */
#ifndef BACKENDS_RING_H
#define BACKENDS_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/io/ring.h>

/*
 * One guest CPU and one thread of ours: compiler and CPU must both keep order,
 * but only the full fence needs an instruction on x86.  The header names its
 * own for callers of the oldest interface; they are not here.
 */
#undef xen_mb
#undef xen_rmb
#undef xen_wmb
#define xen_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)

/* Rings count in pages of 4 KiB whatever the host has. */
#define RING_PAGE_SIZE 4096u

/* Pairs with the peer's release (its wmb before it moves the index). */
static inline RING_IDX ring_load(const RING_IDX *idx)
{
    return __atomic_load_n(idx, __ATOMIC_ACQUIRE);
}

/* Pairs with the peer's rmb after it read the index. */
static inline void ring_store(RING_IDX *idx, RING_IDX v)
{
    __atomic_store_n(idx, v, __ATOMIC_RELEASE);
}

/*
 * Requests waiting on a back ring, by one load of req_prod.  -1: the frontend
 * claims more than it can have put there (XSA-39, XSA-155).  The next request
 * is fetched beside the index, not after it: a spinning backend then waits for
 * one trip of the cache line, not for two.
 */
#define BACK_RING_PENDING(r)                                                   \
    ({                                                                         \
        __builtin_prefetch(RING_GET_REQUEST(r, (r)->req_cons));                \
        RING_IDX prod_ = ring_load(&(r)->sring->req_prod);                     \
        RING_IDX n_ = prod_ - (r)->req_cons;                                   \
        RING_IDX room_ = RING_SIZE(r) - ((r)->req_cons - (r)->rsp_prod_pvt);   \
        n_ > room_ ? -1 : (int)n_;                                             \
    })

/*
 * Publishes the responses up to rsp_prod_pvt; true when the frontend asked to
 * be told. The fence between index and rsp_event pairs with the frontend's
 * between rsp_event and its last look at rsp_prod.
 */
#define BACK_RING_PUBLISH(r)                                                   \
    ({                                                                         \
        RING_IDX old_ = (r)->sring->rsp_prod, new_ = (r)->rsp_prod_pvt;        \
        ring_store(&(r)->sring->rsp_prod, new_);                               \
        xen_mb();                                                              \
        (RING_IDX)(new_ - ring_load(&(r)->sring->rsp_event)) <                 \
            (RING_IDX)(new_ - old_);                                           \
    })

/* Asks for an event at the next request; look again before sleeping. */
#define BACK_RING_ARM(r)                                                       \
    do {                                                                       \
        ring_store(&(r)->sring->req_event, (r)->req_cons + 1);                 \
        xen_mb();                                                              \
    } while (0)

#endif
