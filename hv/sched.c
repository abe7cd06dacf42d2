/* SPDX-License-Identifier: MIT */
/* sched_op, set_timer_op.  Source: xen/sched.h. */
#include <errno.h>
#include <string.h>
#include <stdint.h>
#include <xen/sched.h>
#include "hv/domain.h"
#include "hv/event_channel.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/vcpu.h"

/* As Xen: 2^50 ns are 13 days; the guest is called after 100 ms then. */
#define FAR_FUTURE_SHIFT 50
#define FAR_FUTURE_NS    100000000ull

/* Both wait in the vCPU's thread, once the hypercall's registers are set. */
static long sched_block(struct vcpu *v)
{
    atomic_load(&v->vcpu_info)->evtchn_upcall_mask = 0;
    atomic_store(&v->poll_port, POLL_NONE);
    v->blocked = true;
    return 0;
}

bool sched_poll_done(struct vcpu *v)
{
    if (v->poll_deadline_ns && hv_system_time(v->d->hv) >= v->poll_deadline_ns)
        return true;
    for (unsigned int i = 0; i < v->poll_nr; i++)
        if (evtchn_port_poll(v->d, v->poll_ports[i]))
            return true;
    return false;
}

static long sched_poll(struct caller *c, guest_addr_t arg)
{
    struct vcpu *v = c->v;
    struct sched_poll p;

    if (copy_from_guest(c, &p, arg, sizeof(p)))
        return -EFAULT;
    if (p.nr_ports > sizeof(v->poll_ports) / sizeof(v->poll_ports[0]))
        return -EINVAL;
    if (copy_from_guest(c, v->poll_ports, (guest_addr_t){(uintptr_t)p.ports.p},
                        p.nr_ports * sizeof(v->poll_ports[0])))
        return -EFAULT;
    v->poll_nr = p.nr_ports;
    v->poll_deadline_ns = p.timeout;
    atomic_store(&v->poll_port,
                 p.nr_ports == 1 ? (int)v->poll_ports[0] : POLL_ANY);
    for (unsigned int i = 0; i < p.nr_ports; i++)
        if (!v->poll_ports[i] || evtchn_port_poll(v->d, v->poll_ports[i]) < 0) {
            atomic_store(&v->poll_port, POLL_NONE);
            v->poll_deadline_ns = 0;
            return -EINVAL;
        }
    v->blocked = true;
    return 0;
}

static long sched_shutdown(struct caller *c, guest_addr_t arg, bool latch)
{
    struct sched_shutdown s;

    if (copy_from_guest(c, &s, arg, sizeof(s)))
        return -EFAULT;
    if (latch)
        domain_latch_shutdown(c->d, s.reason);
    else if (s.reason == SHUTDOWN_crash)
        domain_crash(c->d, "v%u: the guest said so (SHUTDOWN_crash)", c->v->id);
    else
        domain_shutdown(c->d, s.reason);
    return 0;
}

static long sched_remote_shutdown(struct caller *c, guest_addr_t arg)
{
    struct sched_remote_shutdown s;
    struct domain *d;
    long rc = 0;

    if (copy_from_guest(c, &s, arg, sizeof(s)))
        return -EFAULT;
    d = domain_get(c->d->hv, s.domain_id);
    if (!d)
        return -ESRCH;
    /* Remote means another one. */
    if (c->d == c->d->hv->dom0 && d != c->d)
        domain_shutdown(d, s.reason);
    else
        rc = -EPERM;
    domain_put(d);
    return rc;
}

long do_sched_op(struct caller *c, const uint64_t args[6])
{
    guest_addr_t arg = {args[1]};

    if (args[0] == SCHEDOP_remote_shutdown)
        return sched_remote_shutdown(c, arg);
    if (!c->v)
        return -ENOSYS;
    switch (args[0]) {
    case SCHEDOP_yield:
        sched_yield();
        return 0;
    case SCHEDOP_block:
        return sched_block(c->v);
    case SCHEDOP_poll:
        return sched_poll(c, arg);
    case SCHEDOP_shutdown:
        return sched_shutdown(c, arg, false);
    case SCHEDOP_shutdown_code:
        return sched_shutdown(c, arg, true);
    case SCHEDOP_pin_override:
        return -EPERM; /* for domain 0, and of no use there */
    default:
        return -ENOSYS;
    }
}

long do_sched_op_compat(struct caller *c, const uint64_t args[6])
{
    if (!c->v)
        return -ENOSYS;
    if (args[0] == SCHEDOP_yield)
        return 0;
    if (args[0] == SCHEDOP_block)
        return sched_block(c->v);
    if (args[0] == SCHEDOP_shutdown && args[1] <= SHUTDOWN_MAX) {
        domain_shutdown(c->d, args[1]);
        return 0;
    }
    return -ENOSYS;
}

long do_set_timer_op(struct caller *c, const uint64_t args[6])
{
    struct vcpu *v = c->v;
    uint64_t now;

    if (!v)
        return -ENOSYS;
    /*
     * 0 stops it; a deadline in the past fires at once.  One that is weeks
     * away, or negative, is a wrapped count of a guest with work to do now.
     */
    v->singleshot_ns = args[0];
    now = hv_system_time(v->d->hv);
    if ((int64_t)(args[0] - now) >> FAR_FUTURE_SHIFT > 0 ||
        (int64_t)args[0] < 0)
        v->singleshot_ns = now + FAR_FUTURE_NS;
    vcpu_timers_changed(v);
    return 0;
}
