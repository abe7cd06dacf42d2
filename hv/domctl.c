/* SPDX-License-Identifier: MIT */
/* domctl: what the toolstack asks about and of domains. xen/domctl.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <xen/domctl.h>
#include "hv/domain.h"
#include "hv/domctl.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/memory.h"
#include "hv/pv/pv.h"
#include "hv/vcpu.h"

/* As Xen: what the vCPUs do, and beside it what is done to the domain. */
static uint32_t vcpu_flags(const struct domain *d, uint32_t *online)
{
    uint32_t f = XEN_DOMINF_blocked;
    bool runs = domain_may_run(d);

    *online = 0;
    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *v = d->vcpu[i];

        if (!v || !v->up)
            continue;
        ++*online;
        if (atomic_load(&v->where) != VCPU_ASLEEP)
            f = (f & ~XEN_DOMINF_blocked) | (runs ? XEN_DOMINF_running : 0);
    }
    return *online ? f : 0;
}

static uint32_t domain_flags(const struct domain *d)
{
    int code = atomic_load(&d->shutdown_code);
    uint32_t f = 0;

    if (code >= 0)
        f |= XEN_DOMINF_shutdown | (uint32_t)code << XEN_DOMINF_shutdownshift;
    if (d->toolstack_pauses)
        f |= XEN_DOMINF_paused;
    if (atomic_load(&d->state) == DOMAIN_DYING)
        f |= XEN_DOMINF_dying;
    return f;
}

void domctl_fill_info(struct domain *d, struct xen_domctl_getdomaininfo *i)
{
    memset(i, 0, sizeof(*i));
    pthread_mutex_lock(&d->lock);
    i->domain = d->domid;
    i->flags = vcpu_flags(d, &i->nr_online_vcpus) | domain_flags(d);
    if (d == d->hv->dom0) {
        i->flags = XEN_DOMINF_running;
        i->nr_online_vcpus = 1;
    }
    i->tot_pages = d->tot_pages;
    i->max_pages = d->page_limit;
    i->shared_info_frame = d->shared_info_gfn;
    i->max_vcpu_id = d->max_vcpus - 1;
    i->gpaddr_bits = 40;
    memcpy(i->handle, d->handle, sizeof(i->handle));
    for (unsigned int k = 0; k < d->max_vcpus; k++)
        if (d->vcpu[k])
            i->cpu_time += vcpu_cpu_time(d->vcpu[k]);
    pthread_mutex_unlock(&d->lock);
}

static long domctl_create(struct caller *c, struct xen_domctl *op)
{
    const struct xen_domctl_createdomain *cd = &op->u.createdomain;
    struct domain_create_args a = {
        .domid = op->domain,
        .handle = cd->handle,
        .max_vcpus = cd->max_vcpus,
        .max_evtchn_port = cd->max_evtchn_port ? cd->max_evtchn_port : 1023,
        .max_grant_frames = cd->max_grant_frames,
        .max_maptrack_frames = cd->max_maptrack_frames,
    };
    struct domain *d;
    int rc;

    if (cd->flags & XEN_DOMCTL_CDF_hvm)
        return -EINVAL;
    rc = domain_create(c->d->hv, &a, &d);
    if (rc)
        return rc;
    op->domain = d->domid;
    return 0;
}

static struct vcpu *find_vcpu(struct domain *d, uint32_t id)
{
    return id < d->max_vcpus ? d->vcpu[id] : NULL;
}

static long domctl_setcontext(struct caller *c, struct domain *d,
                              struct xen_domctl *op)
{
    struct vcpu *v = find_vcpu(d, op->u.vcpucontext.vcpu);
    struct vcpu_guest_context *ctx;
    long rc;

    if (!v)
        return -ENOENT;
    ctx = malloc(sizeof(*ctx));
    if (!ctx)
        return -ENOMEM;
    rc = copy_from_guest(c, ctx,
                         (guest_addr_t){(uintptr_t)op->u.vcpucontext.ctxt.p},
                         sizeof(*ctx));
    if (!rc)
        rc = vcpu_set_context(v, ctx);
    if (!rc && (ctx->flags & VGCF_online)) {
        v->up = true;
        vcpu_wake(v);
    }
    free(ctx);
    return rc;
}

static long domctl_getcontext(struct caller *c, struct domain *d,
                              struct xen_domctl *op)
{
    struct vcpu *v = find_vcpu(d, op->u.vcpucontext.vcpu);
    struct vcpu_guest_context *ctx;
    long rc;

    if (!v)
        return -ENOENT;
    ctx = calloc(1, sizeof(*ctx));
    if (!ctx)
        return -ENOMEM;
    domain_pause(d);
    /* One that is to end does not wait to be read. */
    rc = v->stop ? -ESRCH : vcpu_get_context(v, ctx);
    domain_unpause(d);
    if (!rc)
        rc = copy_to_guest(c,
                           (guest_addr_t){(uintptr_t)op->u.vcpucontext.ctxt.p},
                           ctx, sizeof(*ctx));
    free(ctx);
    return rc;
}

static long domctl_vcpuinfo(struct domain *d, struct xen_domctl *op)
{
    struct vcpu *v = find_vcpu(d, op->u.getvcpuinfo.vcpu);

    if (!v)
        return -ENOENT;
    op->u.getvcpuinfo.online = v->up;
    op->u.getvcpuinfo.blocked = atomic_load(&v->where) == VCPU_ASLEEP;
    op->u.getvcpuinfo.running = atomic_load(&v->where) == VCPU_IN_GUEST;
    op->u.getvcpuinfo.cpu_time = vcpu_cpu_time(v);
    op->u.getvcpuinfo.cpu = domctl_vcpu_cpu(v);
    return 0;
}

static long domctl_affinity(struct caller *c, struct domain *d,
                            struct xen_domctl *op)
{
    struct vcpu *v = find_vcpu(d, op->u.vcpuaffinity.vcpu);

    if (!v)
        return -ENOENT;
    if (op->cmd == XEN_DOMCTL_setvcpuaffinity)
        return domctl_set_affinity(c, v, &op->u.vcpuaffinity);
    return domctl_get_affinity(c, v, &op->u.vcpuaffinity);
}

static long domctl_hypercall_init(struct domain *d, struct xen_domctl *op)
{
    uint64_t gfn = op->u.hypercall_init.gmfn;

    if (!domain_owns_frame(d, gfn))
        return -EACCES;
    pv_hypercall_page(d, domain_frame(d, gfn));
    return 0;
}

static long on_domain(struct caller *c, struct domain *d, struct xen_domctl *op)
{
    switch (op->cmd) {
    case XEN_DOMCTL_destroydomain:
        domain_destroy(d);
        return 0;
    case XEN_DOMCTL_pausedomain:
        return domain_pause_by_toolstack(d);
    case XEN_DOMCTL_unpausedomain:
        return domain_unpause_by_toolstack(d);
    case XEN_DOMCTL_getdomaininfo:
        domctl_fill_info(d, &op->u.getdomaininfo);
        return 0;
    case XEN_DOMCTL_max_mem:
        return domain_set_max_mem(d, op->u.max_mem.max_memkb);
    case XEN_DOMCTL_max_vcpus:
        return op->u.max_vcpus.max == d->max_vcpus ? 0 : -EINVAL;
    case XEN_DOMCTL_setvcpucontext:
        return domctl_setcontext(c, d, op);
    case XEN_DOMCTL_getvcpucontext:
        return domctl_getcontext(c, d, op);
    case XEN_DOMCTL_getvcpuinfo:
        return domctl_vcpuinfo(d, op);
    case XEN_DOMCTL_setvcpuaffinity:
    case XEN_DOMCTL_getvcpuaffinity:
        return domctl_affinity(c, d, op);
    case XEN_DOMCTL_hypercall_init:
        return domctl_hypercall_init(d, op);
    case XEN_DOMCTL_setdomainhandle:
        pthread_mutex_lock(&d->lock);
        memcpy(d->handle, op->u.setdomainhandle.handle, sizeof(d->handle));
        pthread_mutex_unlock(&d->lock);
        return 0;
    default:
        return -ENOSYS;
    }
}

/* As Xen: getdomaininfo of an id that is not there is for the next that is. */
static struct domain *find_target(struct hv *hv, struct xen_domctl *op)
{
    struct domain *d;

    if (op->cmd != XEN_DOMCTL_getdomaininfo)
        return domain_get(hv, op->domain);
    d = domain_get_next(hv, op->domain);
    if (d)
        op->domain = d->domid;
    return d;
}

/* What must not be done to domain 0 itself. */
static bool guests_only(uint32_t cmd)
{
    return cmd != XEN_DOMCTL_getdomaininfo && cmd != XEN_DOMCTL_setdomainhandle;
}

long do_domctl(struct caller *c, const uint64_t args[6])
{
    guest_addr_t arg = {args[0]};
    struct xen_domctl op;
    struct domain *d;
    long rc;

    if (copy_from_guest(c, &op, arg, sizeof(op)))
        return -EFAULT;
    if (op.interface_version != XEN_DOMCTL_INTERFACE_VERSION)
        return -EACCES;
    if (c->d != c->d->hv->dom0)
        return -EPERM;
    if (op.cmd == XEN_DOMCTL_createdomain) {
        rc = domctl_create(c, &op);
    } else {
        d = find_target(c->d->hv, &op);
        if (!d)
            return -ESRCH;
        rc = d == c->d && guests_only(op.cmd) ? -EINVAL : on_domain(c, d, &op);
        domain_put(d);
    }
    if (!rc && copy_to_guest(c, arg, &op, sizeof(op)))
        rc = -EFAULT;
    return rc;
}
