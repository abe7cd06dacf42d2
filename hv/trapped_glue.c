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
#include "hv/vcpu.h"

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

static int glue_coalesce_pio(void *opaque, uint16_t port, unsigned int nr,
                             bool add)
{
    struct domain *d = opaque;
    struct kvm_coalesced_mmio_zone zone = {.addr = port, .size = nr, .pio = 1};
    unsigned long op =
        add ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO;

    if (ioctl(d->hv->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_PIO) <= 0)
        return -ENOTSUP;
    if (ioctl(d->vm_fd, op, &zone) < 0)
        return -errno;
    d->coalesced = true;
    return 0;
}

/* KVM has one ring for all vCPUs of a VM, in each one's mapping. */
static struct kvm_coalesced_mmio_ring *coalesced_ring(struct vcpu *v)
{
    return (void *)((char *)v->run +
                    KVM_COALESCED_MMIO_PAGE_OFFSET * FRAME_SIZE);
}

void trapped_replay(struct vcpu *v)
{
    struct kvm_coalesced_mmio_ring *ring = coalesced_ring(v);
    const uint32_t max =
        (FRAME_SIZE - sizeof(*ring)) / sizeof(struct kvm_coalesced_mmio);
    struct kvm_coalesced_mmio e;

    /* Pairs with KVM's barrier between an entry and `last`. */
    if (!v->d->coalesced || __atomic_load_n(&ring->first, __ATOMIC_RELAXED) ==
                                __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&v->d->replay_lock);
    while (ring->first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
        e = ring->coalesced_mmio[ring->first % max];
        __atomic_store_n(&ring->first, (ring->first + 1) % max,
                         __ATOMIC_RELEASE);
        trapped_pio(v->d->trapped, (uint16_t)e.phys_addr, e.len, true, e.data,
                    1);
    }
    pthread_mutex_unlock(&v->d->replay_lock);
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
        .coalesce_pio = glue_coalesce_pio,
        .log = glue_log,
        .opaque = d,
    };

    return trapped_bus_create(&env);
}

int trapped_attach(struct domain *d, struct kxen_trapped *t, int fd)
{
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    if (atomic_load(&d->state) != DOMAIN_BUILDING)
        rc = -EBUSY;
    else if (!d->mem_ready || d->vm_fd < 0)
        rc = -EINVAL;
    else if (!d->trapped && !(d->trapped = make_bus(d)))
        rc = -ENOMEM;
    if (!rc)
        rc = trapped_bus_add(d->trapped, t, fd);
    pthread_mutex_unlock(&d->lock);
    return rc;
}
