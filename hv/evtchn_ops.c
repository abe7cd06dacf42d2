/* SPDX-License-Identifier: MIT */
/*
 * How a channel becomes pending: the 2-level ABI in a guest's memory, and
 * domain 0's eventfds.
 */
#include "hv/evtchn_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "hv/log.h"
#include "hv/vcpu.h"
#include "kxen/evtchn_2l.h"

static struct vcpu *notify_vcpu(struct domain *d, const struct evtchn *chn)
{
    unsigned int id =
        atomic_load_explicit(&chn->notify_vcpu, memory_order_relaxed);

    return id < MAX_VCPUS ? d->vcpu[id] : NULL;
}

/* For evtchn_2l_target: ctx is the channel's domain. */
static struct vcpu_info *port_vcpu_info(void *ctx, evtchn_port_t port)
{
    struct domain *d = ctx;
    struct vcpu *v = notify_vcpu(d, evtchn_from_port(d, port));

    return v ? atomic_load(&v->vcpu_info) : NULL;
}

/*
 * False before the builder has made memory: there is nobody to tell.  A port
 * beyond the bits is one that the FIFO ABI left behind, closed.
 */
static bool has_bits(const struct domain *d, const struct evtchn *chn)
{
    return d->shared_info && chn->port < EVTCHN_2L_NR_CHANNELS;
}

static struct evtchn_2l_target target_of(struct domain *d)
{
    return (struct evtchn_2l_target){
        .shared = d->shared_info,
        .vcpu_info = port_vcpu_info,
        .ctx = d,
    };
}

/*
 * Any vCPU may poll any port.  The partner of this fence is the poller's store
 * of poll_port before it looks at the pending bits.
 */
void evtchn_kick_pollers(struct domain *d, evtchn_port_t port)
{
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned int i = 0; i < d->max_vcpus && i < MAX_VCPUS; i++) {
        struct vcpu *v = d->vcpu[i];
        int polled = v ? atomic_load(&v->poll_port) : POLL_NONE;

        if (polled == POLL_ANY || polled == (int)port)
            vcpu_kick(v);
    }
}

static void kick_notified(struct domain *d, const struct evtchn *chn)
{
    struct vcpu *v = notify_vcpu(d, chn);

    if (v)
        vcpu_kick(v);
}

static void set_pending_2l(struct domain *d, struct evtchn *chn)
{
    struct evtchn_2l_target t = target_of(d);

    if (!has_bits(d, chn))
        return;
    if (evtchn_2l_set_pending(&t, chn->port))
        kick_notified(d, chn);
    evtchn_kick_pollers(d, chn->port);
}

static void clear_pending_2l(struct domain *d, struct evtchn *chn)
{
    if (has_bits(d, chn))
        evtchn_2l_clear_pending(d->shared_info, chn->port);
}

static void unmask_2l(struct domain *d, struct evtchn *chn)
{
    struct evtchn_2l_target t = target_of(d);

    if (has_bits(d, chn) && evtchn_2l_unmask(&t, chn->port))
        kick_notified(d, chn);
}

static bool is_pending_2l(struct domain *d, struct evtchn *chn)
{
    return has_bits(d, chn) && evtchn_2l_is_pending(d->shared_info, chn->port);
}

const struct evtchn_ops evtchn_2l_ops = {
    .name = "2-level",
    .nr_ports = EVTCHN_2L_NR_CHANNELS,
    .direct = true,
    .set_pending = set_pending_2l,
    .clear_pending = clear_pending_2l,
    .unmask = unmask_2l,
    .is_pending = is_pending_2l,
};

void evtchn_vcpu_info_moved(struct vcpu *v)
{
    struct vcpu_info *vi = atomic_load(&v->vcpu_info);

    if (!vi)
        return;
    evtchn_2l_mark_all(vi);
    vcpu_kick(v);
}

static void set_pending_fd(struct domain *d, struct evtchn *chn)
{
    int rc = chn->fd < 0 ? 0 : fdsignal_send(&d->hv->fdsignal, chn->fd);

    if (rc)
        domain_log(d, "port %u: the eventfd can't be signalled: %s", chn->port,
                   strerror(-rc));
}

/* The eventfd goes with the channel, and what it counted with it. */
static void clear_pending_fd(struct domain *d, struct evtchn *chn)
{
    (void)d;
    (void)chn;
}

/* An eventfd has no mask: what is pending is readable already. */
static void unmask_fd(struct domain *d, struct evtchn *chn)
{
    (void)d;
    (void)chn;
}

static bool is_pending_fd(struct domain *d, struct evtchn *chn)
{
    (void)d;
    (void)chn;
    return false;
}

const struct evtchn_ops evtchn_fd_ops = {
    .name = "eventfd",
    .nr_ports = EVTCHN_FIFO_NR_CHANNELS,
    .set_pending = set_pending_fd,
    .clear_pending = clear_pending_fd,
    .unmask = unmask_fd,
    .is_pending = is_pending_fd,
};
