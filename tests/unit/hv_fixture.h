/* SPDX-License-Identifier: MIT */
/*
 * A host in plain memory for tests of hv's event channels and grants: domain 0
 * with connections, and guests whose frames are an array.  What lies below the
 * code under test (vCPU kicks, doorbells, foreign windows, guest access) is
 * replaced here and leaves a record.
 *
 * It defines functions of hv: include it in one file of a program, and link
 * none of the objects that define the same.
 */
#ifndef TESTS_UNIT_HV_FIXTURE_H
#define TESTS_UNIT_HV_FIXTURE_H

#include "hv/grant_private.h" /* first: it chooses the ABI of <xen/...> */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hv/domain.h"
#include "hv/event_channel.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/notify.h"
#include "hv/privcmd.h"
#include "hv/pv/doorbell.h"
#include "hv/pv/foreign.h"
#include "hv/pv/pv.h"
#include "hv/vcpu.h"

#define FX_DOMAINS   8
#define FX_PORTS     131072 /* all that FIFO can number */
#define FX_FRAMES    64     /* 0..31 the guest's, then hv's */
#define FX_OWN       32
#define FX_SHARED    32
#define FX_GNTTAB    33 /* .. 36 */
#define FX_GNTTAB_NR 4
#define FX_PT        31 /* the one L1 table: va < 2 MiB */
#define FX_WINDOW    40 /* .. 55: foreign pages */
#define FX_WINDOW_NR 16

struct privcmd_conn {
    struct evtchn_owner ports;
    struct maptrack_owner grants;
    int only_domid;
};

struct fx_window {
    struct domain *rd;
    uint64_t rgfn;
    bool readonly;
};

/* What the replaced functions saw. */
struct fx {
    struct hv hv;
    pthread_mutex_t lock;
    struct domain *doms[FX_DOMAINS];
    atomic_uint kicks[FX_DOMAINS][MAX_VCPUS];
    int doorbell[FX_DOMAINS][FX_PORTS]; /* eventfd + 1, 0 = none */
    int doorbell_rc;
    uint16_t notify[FX_DOMAINS][FX_PORTS]; /* vCPU + 1, as in the page */
    struct fx_window window[FX_DOMAINS][FX_WINDOW_NR];
    int pte_rc, window_rc;
    unsigned int flushes; /* of TLBs */
    atomic_uint freed, logged;
    uintptr_t fault_lo, fault_hi; /* addresses that fault */
};

static struct fx fx;

/* ---- what hv's other files provide ---- */

void *domain_frame(struct domain *d, uint64_t gfn)
{
    return d->mem && gfn < d->nr_frames ? d->mem + gfn * FRAME_SIZE : NULL;
}

bool domain_owns_frame(struct domain *d, uint64_t gfn)
{
    return d->mem && gfn < d->max_pages;
}

struct domain *domain_get(struct hv *hv, domid_t domid)
{
    struct domain *d = NULL;

    (void)hv;
    pthread_mutex_lock(&fx.lock);
    if (domid < FX_DOMAINS && fx.doms[domid] &&
        fx.doms[domid]->state != DOMAIN_DYING) {
        d = fx.doms[domid];
        atomic_fetch_add(&d->refs, 1);
    }
    pthread_mutex_unlock(&fx.lock);
    return d;
}

struct domain *domain_get_for(const struct caller *c, domid_t domid)
{
    return domain_get(c->d->hv, domid == DOMID_SELF ? c->d->domid : domid);
}

void domain_put(struct domain *d)
{
    if (atomic_fetch_sub(&d->refs, 1) != 1)
        return;
    evtchn_free(d);
    gnttab_free(d);
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        free(d->vcpu[i]);
    free(d->mem);
    pthread_mutex_destroy(&d->lock);
    free(d);
    atomic_fetch_add(&fx.freed, 1);
}

static inline bool fx_faults(guest_addr_t a, size_t len)
{
    return a.addr < FRAME_SIZE ||
           (a.addr + len > fx.fault_lo && a.addr < fx.fault_hi);
}

/* Guest addresses are the test's own. */
int copy_from_guest(const struct caller *c, void *dst, guest_addr_t src,
                    size_t len)
{
    (void)c;
    if (fx_faults(src, len))
        return -EFAULT;
    memcpy(dst, (void *)(uintptr_t)src.addr, len);
    return 0;
}

int copy_to_guest(const struct caller *c, guest_addr_t dst, const void *src,
                  size_t len)
{
    (void)c;
    if (fx_faults(dst, len))
        return -EFAULT;
    memcpy((void *)(uintptr_t)dst.addr, src, len);
    return 0;
}

long subop_dispatch(struct caller *c, const struct subop_desc *t, size_t n,
                    uint64_t cmd, guest_addr_t arg)
{
    uint64_t buf[SUBOP_ARG_MAX / 8];
    long rc;

    if (cmd >= n || !t[cmd].fn)
        return -ENOSYS;
    if (copy_from_guest(c, buf, arg, t[cmd].size))
        return -EFAULT;
    rc = t[cmd].fn(c, buf);
    if (!rc && (t[cmd].flags & SUBOP_COPYBACK))
        rc = copy_to_guest(c, arg, buf, t[cmd].size);
    return rc;
}

void vcpu_kick(struct vcpu *v)
{
    atomic_fetch_add(&fx.kicks[v->d->domid][v->id], 1);
}

int doorbell_set(struct domain *d, evtchn_port_t port, int eventfd)
{
    assert_int_equal(fx.doorbell[d->domid][port], 0);
    if (!fx.doorbell_rc)
        fx.doorbell[d->domid][port] = eventfd + 1;
    return fx.doorbell_rc;
}

void doorbell_clear(struct domain *d, evtchn_port_t port)
{
    fx.doorbell[d->domid][port] = 0;
}

void notify_allow(struct domain *d, evtchn_port_t port, unsigned int id)
{
    fx.notify[d->domid][port] = id + 1;
}

void notify_forbid(struct domain *d, evtchn_port_t port)
{
    fx.notify[d->domid][port] = 0;
}

int foreign_window_map(struct domain *d, struct domain *rd, uint64_t rgfn,
                       bool readonly, uint64_t *gfn)
{
    int rc = -ENOSPC;

    pthread_mutex_lock(&fx.lock);
    for (int i = 0; rc && i < FX_WINDOW_NR; i++) {
        struct fx_window *w = &fx.window[d->domid][i];

        if (w->rd)
            continue;
        *w = (struct fx_window){.rd = rd, .rgfn = rgfn, .readonly = readonly};
        *gfn = FX_WINDOW + i;
        rc = 0;
    }
    pthread_mutex_unlock(&fx.lock);
    return rc;
}

int foreign_window_unmap(struct domain *d, uint64_t gfn)
{
    if (fx.window_rc)
        return fx.window_rc;
    pthread_mutex_lock(&fx.lock);
    assert_in_range(gfn, FX_WINDOW, FX_WINDOW + FX_WINDOW_NR - 1);
    assert_non_null(fx.window[d->domid][gfn - FX_WINDOW].rd);
    fx.window[d->domid][gfn - FX_WINDOW].rd = NULL;
    pthread_mutex_unlock(&fx.lock);
    return 0;
}

int guest_pte_write(struct vcpu *v, uint64_t maddr, uint64_t val)
{
    if (fx.pte_rc || maddr >= FX_OWN * FRAME_SIZE)
        return fx.pte_rc ? fx.pte_rc : -EINVAL;
    memcpy(v->d->mem + maddr, &val, sizeof(val));
    return 0;
}

int pv_flush_tlb_mask(struct vcpu *v, uint64_t vcpus)
{
    (void)v;
    assert_int_equal(vcpus, PV_ALL_VCPUS);
    fx.flushes++;
    return 0;
}

int guest_va_to_pte(struct vcpu *v, uint64_t va, uint64_t *maddr)
{
    (void)v;
    if (va >> 12 >= 512)
        return -EFAULT;
    *maddr = FX_PT * FRAME_SIZE + (va >> 12) * 8;
    return 0;
}

struct evtchn_owner *privcmd_evtchn_owner(struct privcmd_conn *conn)
{
    return &conn->ports;
}

int privcmd_only_domid(const struct privcmd_conn *conn)
{
    return conn->only_domid;
}

struct maptrack_owner *privcmd_grant_owner(struct privcmd_conn *conn)
{
    return &conn->grants;
}

void domain_log(struct domain *d, const char *fmt, ...)
{
    (void)d;
    (void)fmt;
    atomic_fetch_add(&fx.logged, 1);
}

/* ---- building ---- */

/* With guest memory unless it is domain 0. max_port as in evtchn_init(). */
static inline struct domain *fx_domain(domid_t domid, unsigned int vcpus,
                                       uint32_t max_port)
{
    struct domain *d = calloc(1, sizeof(*d));

    d->hv = &fx.hv;
    d->domid = domid;
    d->state = DOMAIN_ALIVE;
    d->gnttab_nr = FX_GNTTAB_NR;
    atomic_init(&d->refs, 1);
    pthread_mutex_init(&d->lock, NULL);
    assert_int_equal(evtchn_init(d, max_port), 0);
    assert_int_equal(gnttab_init(d, FX_GNTTAB_NR, 2), 0);
    if (domid) {
        d->nr_frames = FX_FRAMES;
        d->max_pages = FX_OWN;
        d->mem = aligned_alloc(FRAME_SIZE, FX_FRAMES * FRAME_SIZE);
        memset(d->mem, 0, FX_FRAMES * FRAME_SIZE);
        d->gnttab_gfn = FX_GNTTAB;
        d->shared_info = domain_frame(d, FX_SHARED);
        d->max_vcpus = vcpus;
    }
    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = calloc(1, sizeof(*v));

        v->d = d;
        v->id = i;
        atomic_init(&v->poll_port, POLL_NONE);
        atomic_init(&v->vcpu_info, &d->shared_info->vcpu_info[i]);
        d->vcpu[i] = v;
    }
    pthread_mutex_lock(&fx.lock);
    assert_null(fx.doms[domid]);
    fx.doms[domid] = d;
    if (!domid)
        fx.hv.dom0 = d;
    pthread_mutex_unlock(&fx.lock);
    return d;
}

/* As domain_destroy(): the domain is freed with its last reference. */
static inline void fx_kill(struct domain *d)
{
    pthread_mutex_lock(&fx.lock);
    __atomic_store_n(&d->state, DOMAIN_DYING, __ATOMIC_RELAXED);
    fx.doms[d->domid] = NULL;
    pthread_mutex_unlock(&fx.lock);
    evtchn_destroy(d);
    gnttab_destroy(d);
    domain_put(d);
}

static inline void fx_conn_open(struct privcmd_conn *conn)
{
    conn->only_domid = -1;
    evtchn_owner_init(&conn->ports);
    assert_int_equal(gnttab_conn_init(fx.doms[0], &conn->grants), 0);
}

static inline void fx_conn_close(struct privcmd_conn *conn)
{
    evtchn_owner_closed(fx.doms[0], &conn->ports);
    maptrack_owner_closed(&conn->grants);
}

/* Domain 0 (no vCPU, ports to 8191), domains 1 and 2 (4 vCPUs, 2-level). */
static inline int fx_setup(void **state)
{
    (void)state;
    memset(&fx, 0, sizeof(fx));
    pthread_mutex_init(&fx.lock, NULL);
    fx_domain(0, 0, 8191);
    fx_domain(1, 4, 131071);
    fx_domain(2, 4, 131071);
    return 0;
}

/* Every domain that was made must be freed by now. */
static inline int fx_teardown(void **state)
{
    unsigned int made = 0;

    (void)state;
    for (int i = FX_DOMAINS - 1; i >= 0; i--) {
        if (!fx.doms[i])
            continue;
        fx_kill(fx.doms[i]);
        made++;
    }
    assert_true(atomic_load(&fx.freed) >= made);
    pthread_mutex_destroy(&fx.lock);
    return 0;
}

/* ---- calling ---- */

static inline struct caller fx_guest(domid_t domid)
{
    return (struct caller){.d = fx.doms[domid], .v = fx.doms[domid]->vcpu[0]};
}

static inline struct caller fx_conn(struct privcmd_conn *conn)
{
    return (struct caller){.d = fx.doms[0], .conn = conn};
}

static inline long fx_evtchn(struct caller c, unsigned int cmd, void *arg)
{
    return do_event_channel_op(&c,
                               (uint64_t[6]){cmd, (uint64_t)(uintptr_t)arg});
}

static inline long fx_grant(struct caller c, unsigned int cmd, void *arg,
                            unsigned int count)
{
    return do_grant_table_op(
        &c, (uint64_t[6]){cmd, (uint64_t)(uintptr_t)arg, count});
}

/* Each returns the port, or the error. */
static inline long fx_alloc_unbound(struct caller c, domid_t dom,
                                    domid_t remote)
{
    struct evtchn_alloc_unbound op = {.dom = dom, .remote_dom = remote};
    long rc = fx_evtchn(c, EVTCHNOP_alloc_unbound, &op);

    return rc ? rc : (long)op.port;
}

static inline long fx_bind(struct caller c, domid_t remote, evtchn_port_t port)
{
    struct evtchn_bind_interdomain op = {.remote_dom = remote,
                                         .remote_port = port};
    long rc = fx_evtchn(c, EVTCHNOP_bind_interdomain, &op);

    return rc ? rc : (long)op.local_port;
}

static inline long fx_bind_virq(struct caller c, uint32_t virq, uint32_t vcpu)
{
    struct evtchn_bind_virq op = {.virq = virq, .vcpu = vcpu};
    long rc = fx_evtchn(c, EVTCHNOP_bind_virq, &op);

    return rc ? rc : (long)op.port;
}

static inline long fx_bind_pirq(struct caller c, uint32_t pirq)
{
    struct evtchn_bind_pirq op = {.pirq = pirq};
    long rc = fx_evtchn(c, EVTCHNOP_bind_pirq, &op);

    return rc ? rc : (long)op.port;
}

static inline long fx_bind_ipi(struct caller c, uint32_t vcpu)
{
    struct evtchn_bind_ipi op = {.vcpu = vcpu};
    long rc = fx_evtchn(c, EVTCHNOP_bind_ipi, &op);

    return rc ? rc : (long)op.port;
}

static inline long fx_bind_vcpu(struct caller c, evtchn_port_t port,
                                uint32_t vcpu)
{
    struct evtchn_bind_vcpu op = {.port = port, .vcpu = vcpu};

    return fx_evtchn(c, EVTCHNOP_bind_vcpu, &op);
}

static inline long fx_close(struct caller c, evtchn_port_t port)
{
    struct evtchn_close op = {.port = port};

    return fx_evtchn(c, EVTCHNOP_close, &op);
}

static inline long fx_send(struct caller c, evtchn_port_t port)
{
    struct evtchn_send op = {.port = port};

    return fx_evtchn(c, EVTCHNOP_send, &op);
}

static inline long fx_unmask(struct caller c, evtchn_port_t port)
{
    struct evtchn_unmask op = {.port = port};

    return fx_evtchn(c, EVTCHNOP_unmask, &op);
}

static inline long fx_reset(struct caller c, domid_t dom)
{
    struct evtchn_reset op = {.dom = dom};

    return fx_evtchn(c, EVTCHNOP_reset, &op);
}

static inline struct evtchn_status fx_status(domid_t dom, evtchn_port_t port)
{
    struct evtchn_status op = {.dom = DOMID_SELF, .port = port};

    assert_int_equal(fx_evtchn(fx_guest(dom), EVTCHNOP_status, &op), 0);
    return op;
}

/* ---- looking ---- */

static inline bool fx_bit(xen_ulong_t *words, unsigned int n)
{
    return __atomic_load_n(&words[n / 64], __ATOMIC_SEQ_CST) >> n % 64 & 1;
}

static inline bool fx_pending(domid_t dom, evtchn_port_t port)
{
    return fx_bit(fx.doms[dom]->shared_info->evtchn_pending, port);
}

static inline void fx_mask(domid_t dom, evtchn_port_t port)
{
    __atomic_fetch_or(&fx.doms[dom]->shared_info->evtchn_mask[port / 64],
                      1ul << port % 64, __ATOMIC_SEQ_CST);
}

/* What the guest does in its upcall handler: forget all that is pending. */
static inline void fx_consume(domid_t dom)
{
    struct shared_info *s = fx.doms[dom]->shared_info;

    memset(s->evtchn_pending, 0, sizeof(s->evtchn_pending));
    for (unsigned int i = 0; i < fx.doms[dom]->max_vcpus; i++) {
        struct vcpu_info *vi = atomic_load(&fx.doms[dom]->vcpu[i]->vcpu_info);

        vi->evtchn_upcall_pending = 0;
        vi->evtchn_pending_sel = 0;
        atomic_store(&fx.kicks[dom][i], 0);
    }
}

/* What an eventfd has counted since it was last asked. */
static inline uint64_t fx_counted(int fd)
{
    uint64_t n;

    return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

#endif
