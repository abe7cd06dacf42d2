/* SPDX-License-Identifier: MIT */
#include "hv/trapped_glue.h"

#include <errno.h>
#include <sys/ioctl.h>
#include "hv/domain.h"
#include "hv/event_channel.h"
#include "hv/kvm_host.h"
#include "hv/log.h"
#include "hv/pv/pv.h"
#include "hv/trapped/trapped.h"

static void glue_raise_pirq(void *opaque, unsigned int pirq)
{
    evtchn_raise_pirq(opaque, pirq);
}

static int glue_ioeventfd(void *opaque, uint64_t addr, unsigned int size,
                          uint32_t datamatch, int fd, bool add)
{
    struct domain *d = opaque;
    struct kvm_ioeventfd e = {
        .addr = addr,
        .len = size,
        .datamatch = datamatch,
        .fd = fd,
        .flags = KVM_IOEVENTFD_FLAG_DATAMATCH |
                 (add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };

    if (!d->hv->host || !d->hv->host->ioeventfd)
        return -ENOTSUP;
    return ioctl(d->vm_fd, KVM_IOEVENTFD, &e) < 0 ? -errno : 0;
}

static void glue_log(void *opaque, const char *msg)
{
    domain_log(opaque, "%s", msg);
}

static struct trapped_bus *make_bus(struct domain *d)
{
    struct trapped_env env = {
        .guest_mem = d->mem,
        .mem_size = d->max_pages << 12,
        .mmio_base = d->pv->mmio_gfn << 12,
        .raise_pirq = glue_raise_pirq,
        .ioeventfd = glue_ioeventfd,
        .log = glue_log,
        .opaque = d,
    };

    return trapped_bus_create(&env);
}

int trapped_attach(struct domain *d, struct kxen_trapped *t, int fd)
{
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    if (d->state != DOMAIN_BUILDING)
        rc = -EBUSY;
    else if (!d->mem || d->vm_fd < 0)
        rc = -EINVAL;
    else if (!d->trapped && !(d->trapped = make_bus(d)))
        rc = -ENOMEM;
    if (!rc)
        rc = trapped_bus_add(d->trapped, t, fd);
    pthread_mutex_unlock(&d->lock);
    return rc;
}
