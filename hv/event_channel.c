/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_event_channel_op: what callers may do, with Xen's errors.
 * Source: xen/event_channel.h.
 */
#include "hv/event_channel.h"

#include <errno.h>
#include "hv/domain.h"
#include "hv/evtchn_private.h"
#include "hv/hypercall.h"
#include "hv/notify.h"
#include "hv/privcmd.h"
#include "hv/vcpu.h"

/* Whose the caller's own ports are: NULL for a guest. */
static struct evtchn_owner *owner_of(const struct caller *c)
{
    return c->conn ? privcmd_evtchn_owner(c->conn) : NULL;
}

/*
 * The domain an argument names, with a reference, if the caller may act on it:
 * -ESRCH: there is none, -EPERM: it is another's and the caller is a guest.
 */
static int target_get(const struct caller *c, domid_t domid,
                      struct domain **out)
{
    struct domain *d = domain_get_for(c, domid);

    if (!d)
        return -ESRCH;
    if (d != c->d && c->d->domid != DOMID_HV0) {
        domain_put(d);
        return -EPERM;
    }
    *out = d;
    return 0;
}

static bool vcpu_exists(const struct domain *d, uint32_t vcpu)
{
    if (d->domid == DOMID_HV0)
        return vcpu == 0;
    return vcpu < d->max_vcpus && vcpu < MAX_VCPUS && d->vcpu[vcpu];
}

/* A free port of the caller's own domain becomes `how`, on vCPU `vcpu`. */
static int open_own(const struct caller *c, unsigned int vcpu,
                    const struct evtchn *how, struct evtchn **chn)
{
    int rc = evtchn_find_free(c->d, chn);

    return rc ? rc : evtchn_open(c->d, *chn, owner_of(c), vcpu, how);
}

static bool is_restricted(const struct caller *c)
{
    return c->conn && privcmd_only_domid(c->conn) >= 0;
}

/* A connection that is restricted to a domain opens no door to another. */
static bool may_meet(const struct caller *c, domid_t remote)
{
    return !is_restricted(c) || privcmd_only_domid(c->conn) == remote;
}

static long op_alloc_unbound(struct caller *c, void *arg)
{
    struct evtchn_alloc_unbound *op = arg;
    struct evtchn how = {.state = ECS_UNBOUND};
    struct domain *d;
    struct evtchn *chn;
    int rc = target_get(c, op->dom, &d);

    if (rc)
        return rc;
    how.u.remote_domid =
        op->remote_dom == DOMID_SELF ? c->d->domid : op->remote_dom;
    evtchn_lock(d);
    rc = may_meet(c, how.u.remote_domid) ? evtchn_find_free(d, &chn) : -EPERM;
    if (!rc)
        rc = evtchn_open(d, chn, d == c->d ? owner_of(c) : NULL, 0, &how);
    if (!rc)
        op->port = chn->port;
    evtchn_unlock(d);
    domain_put(d);
    return rc;
}

static long op_bind_interdomain(struct caller *c, void *arg)
{
    struct evtchn_bind_interdomain *op = arg;
    struct domain *ld = c->d, *rd = domain_get_for(c, op->remote_dom);
    struct evtchn *lchn, *rchn;
    int rc;

    if (!rd)
        return -ESRCH;
    evtchn_lock_two(ld, rd);
    rc = may_meet(c, rd->domid) ? evtchn_find_free(ld, &lchn) : -EPERM;
    if (rc)
        goto out;
    rc = -EINVAL;
    rchn = evtchn_from_port(rd, op->remote_port);
    if (!rchn || rchn->state != ECS_UNBOUND ||
        rchn->u.remote_domid != ld->domid)
        goto out;
    rc = evtchn_join(ld, lchn, rd, rchn, owner_of(c));
    if (!rc)
        op->local_port = lchn->port;
out:
    evtchn_unlock_two(ld, rd);
    domain_put(rd);
    return rc;
}

static long op_bind_virq(struct caller *c, void *arg)
{
    struct evtchn_bind_virq *op = arg;
    struct evtchn how = {.state = ECS_VIRQ, .u.virq = op->virq};
    struct evtchn *chn;
    uint32_t *slot;
    int rc;

    if (op->virq >= NR_VIRQS)
        return -EINVAL;
    if (!evtchn_virq_is_per_vcpu(op->virq) && op->vcpu != 0)
        return -EINVAL;
    if (!vcpu_exists(c->d, op->vcpu))
        return -ENOENT;
    slot = evtchn_virq_slot(c->d, op->vcpu, op->virq);
    evtchn_lock(c->d);
    rc = -EEXIST;
    if (__atomic_load_n(slot, __ATOMIC_RELAXED))
        goto out;
    rc = open_own(c, op->vcpu, &how, &chn);
    if (rc)
        goto out;
    op->port = chn->port;
    __atomic_store_n(slot, chn->port, __ATOMIC_RELEASE);
out:
    evtchn_unlock(c->d);
    return rc;
}

static long op_bind_ipi(struct caller *c, void *arg)
{
    struct evtchn_bind_ipi *op = arg;
    struct evtchn how = {.state = ECS_IPI};
    struct evtchn *chn;
    int rc;

    if (!vcpu_exists(c->d, op->vcpu))
        return -ENOENT;
    evtchn_lock(c->d);
    rc = open_own(c, op->vcpu, &how, &chn);
    if (!rc)
        op->port = chn->port;
    evtchn_unlock(c->d);
    return rc;
}

static long op_bind_pirq(struct caller *c, void *arg)
{
    struct evtchn_bind_pirq *op = arg;
    struct evtchn how = {.state = ECS_PIRQ, .u.pirq = op->pirq};
    struct evtchn_table *t = c->d->evtchn;
    struct evtchn *chn;
    int rc;

    if (op->pirq >= NR_PIRQS)
        return -EINVAL;
    /* The only physical IRQs are those of trapped devices. */
    if (!c->d->trapped)
        return -EPERM;
    evtchn_lock(c->d);
    rc = -EEXIST;
    if (atomic_load(&t->pirq_to_port[op->pirq]))
        goto out;
    rc = open_own(c, 0, &how, &chn);
    if (rc)
        goto out;
    op->port = chn->port;
    atomic_store(&t->pirq_to_port[op->pirq], chn->port);
out:
    evtchn_unlock(c->d);
    return rc;
}

static long op_close(struct caller *c, void *arg)
{
    struct evtchn_close *op = arg;

    return evtchn_close(c->d, op->port, owner_of(c));
}

/*
 * The caller's channel for an operation on it: -EINVAL: no such port,
 * -ENOTCONN: another connection's.  chn->lock is held on success.
 */
static int own_channel(const struct caller *c, evtchn_port_t port,
                       struct evtchn **out)
{
    struct evtchn *chn = evtchn_from_port(c->d, port);
    struct evtchn_owner *owner = owner_of(c);

    if (!chn)
        return -EINVAL;
    pthread_mutex_lock(&chn->lock);
    if (owner && chn->state > ECS_RESERVED && chn->owner != owner) {
        pthread_mutex_unlock(&chn->lock);
        return -ENOTCONN;
    }
    *out = chn;
    return 0;
}

static long op_send(struct caller *c, void *arg)
{
    struct evtchn_send *op = arg;
    struct evtchn *chn;
    int rc = own_channel(c, op->port, &chn);

    if (rc)
        return rc;
    rc = evtchn_send_locked(c->d, chn);
    pthread_mutex_unlock(&chn->lock);
    return rc;
}

static void fill_status(struct evtchn_status *op, const struct evtchn *chn)
{
    op->vcpu = atomic_load(&chn->notify_vcpu);
    switch (chn->state) {
    case ECS_FREE:
    case ECS_RESERVED:
        op->status = EVTCHNSTAT_closed;
        break;
    case ECS_UNBOUND:
        op->status = EVTCHNSTAT_unbound;
        op->u.unbound.dom = chn->u.remote_domid;
        break;
    case ECS_INTERDOMAIN:
        op->status = EVTCHNSTAT_interdomain;
        op->u.interdomain.dom = chn->u.peer.rd->domid;
        op->u.interdomain.port = chn->u.peer.rchn->port;
        break;
    case ECS_PIRQ:
        op->status = EVTCHNSTAT_pirq;
        op->u.pirq = chn->u.pirq;
        break;
    case ECS_VIRQ:
        op->status = EVTCHNSTAT_virq;
        op->u.virq = chn->u.virq;
        break;
    case ECS_IPI:
        op->status = EVTCHNSTAT_ipi;
        break;
    }
}

static long op_status(struct caller *c, void *arg)
{
    struct evtchn_status *op = arg;
    struct evtchn *chn;
    struct domain *d;
    int rc = target_get(c, op->dom, &d);

    if (rc)
        return rc;
    chn = evtchn_from_port(d, op->port);
    rc = -EINVAL;
    if (chn) {
        pthread_mutex_lock(&chn->lock);
        /* What others of domain 0 talk to is not its business. */
        rc = is_restricted(c) && d == c->d && chn->owner != owner_of(c) ? -EPERM
                                                                        : 0;
        if (!rc)
            fill_status(op, chn);
        pthread_mutex_unlock(&chn->lock);
    }
    domain_put(d);
    return rc;
}

/* Only a channel that is not tied to one vCPU by its nature can be moved. */
static bool may_move(const struct evtchn *chn)
{
    switch (chn->state) {
    case ECS_UNBOUND:
    case ECS_INTERDOMAIN:
    case ECS_PIRQ:
        return true;
    case ECS_VIRQ:
        return !evtchn_virq_is_per_vcpu(chn->u.virq);
    default:
        return false;
    }
}

static long op_bind_vcpu(struct caller *c, void *arg)
{
    struct evtchn_bind_vcpu *op = arg;
    struct evtchn *chn;
    int rc;

    if (!vcpu_exists(c->d, op->vcpu))
        return -ENOENT;
    rc = own_channel(c, op->port, &chn);
    if (rc)
        return rc;
    if (may_move(chn)) {
        atomic_store(&chn->notify_vcpu, op->vcpu);
        if (evtchn_ends_in_dom0(c->d, chn) && evtchn_ops_of(c->d)->direct)
            notify_allow(c->d, chn->port, op->vcpu);
    } else {
        rc = -EINVAL;
    }
    pthread_mutex_unlock(&chn->lock);
    return rc;
}

static long op_unmask(struct caller *c, void *arg)
{
    struct evtchn_unmask *op = arg;
    struct evtchn *chn;
    int rc = own_channel(c, op->port, &chn);

    if (rc)
        return rc;
    /* A port that is closed goes on no queue: EVTCHNOP_reset relies on it. */
    if (chn->state > ECS_RESERVED)
        evtchn_ops_of(c->d)->unmask(c->d, chn);
    pthread_mutex_unlock(&chn->lock);
    return 0;
}

static bool is_paused(struct domain *d)
{
    bool paused;

    pthread_mutex_lock(&d->lock);
    paused = d->pause_count > 0;
    pthread_mutex_unlock(&d->lock);
    return paused;
}

static long op_reset(struct caller *c, void *arg)
{
    struct evtchn_reset *op = arg;
    struct domain *d;
    int rc = target_get(c, op->dom, &d);

    if (rc)
        return rc;
    /* Not behind the back of running vCPUs, and by the toolstack alone. */
    if (d != c->d && is_restricted(c))
        rc = -EPERM;
    else if (d != c->d && !is_paused(d))
        rc = -EINVAL;
    else
        rc = evtchn_reset(d, d == c->d ? owner_of(c) : NULL);
    domain_put(d);
    return rc;
}

static long op_set_priority(struct caller *c, void *arg)
{
    struct evtchn_set_priority *op = arg;
    const struct evtchn_ops *ops = evtchn_ops_of(c->d);
    struct evtchn *chn;
    int rc;

    rc = own_channel(c, op->port, &chn);
    if (rc)
        return rc;
    rc = ops->set_priority ? ops->set_priority(c->d, chn, op->priority)
                           : -ENOSYS;
    pthread_mutex_unlock(&chn->lock);
    return rc;
}

static long op_init_control(struct caller *c, void *arg)
{
    struct evtchn_init_control *op = arg;

    if (!c->v)
        return -ENOSYS; /* domain 0's ports are eventfds */
    op->link_bits = EVTCHN_FIFO_LINK_BITS;
    if (!vcpu_exists(c->d, op->vcpu))
        return -ENOENT;
    return evtchn_fifo_init_control(c->d, op->vcpu, op->control_gfn,
                                    op->offset);
}

static long op_expand_array(struct caller *c, void *arg)
{
    struct evtchn_expand_array *op = arg;

    return c->v ? evtchn_fifo_expand_array(c->d, op->array_gfn) : -ENOSYS;
}

#define SUBOP(nr, flg)                                                         \
    [EVTCHNOP_##nr] = {                                                        \
        .name = #nr,                                                           \
        .size = sizeof(struct evtchn_##nr),                                    \
        .flags = (flg),                                                        \
        .fn = op_##nr,                                                         \
    }

/* Locks that the functions take: see event_channel.h. */
static const struct subop_desc evtchn_ops_table[] = {
    SUBOP(bind_interdomain, SUBOP_COPYBACK),
    SUBOP(bind_virq, SUBOP_COPYBACK),
    SUBOP(bind_pirq, SUBOP_COPYBACK),
    SUBOP(close, 0),
    SUBOP(send, 0),
    SUBOP(status, SUBOP_COPYBACK),
    SUBOP(alloc_unbound, SUBOP_COPYBACK),
    SUBOP(bind_ipi, SUBOP_COPYBACK),
    SUBOP(bind_vcpu, 0),
    SUBOP(unmask, 0),
    SUBOP(reset, 0),
    SUBOP(init_control, SUBOP_COPYBACK),
    SUBOP(expand_array, 0),
    SUBOP(set_priority, 0),
};

long do_event_channel_op(struct caller *c, const uint64_t args[6])
{
    return subop_dispatch(c, evtchn_ops_table,
                          sizeof(evtchn_ops_table) /
                              sizeof(evtchn_ops_table[0]),
                          args[0], GUEST_ADDR(args[1]));
}

/* The old call: its argument begins with the operation's number. */
long do_event_channel_op_compat(struct caller *c, const uint64_t args[6])
{
    uint64_t inner[6] = {0};
    uint32_t cmd;

    if (copy_from_guest(c, &cmd, GUEST_ADDR(args[0]), sizeof(cmd)))
        return -EFAULT;
    if (cmd > EVTCHNOP_unmask)
        return -ENOSYS;
    inner[0] = cmd;
    inner[1] = args[0] + offsetof(struct evtchn_op, u);
    return do_event_channel_op(c, inner);
}
