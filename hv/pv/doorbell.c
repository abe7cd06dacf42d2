/* SPDX-License-Identifier: MIT */
#include "hv/pv/doorbell.h"

#include <errno.h>
#include <sys/ioctl.h>
#include "hv/kvm_host.h"
#include "hv/pv/pv.h"

static int ioeventfd(struct domain *d, unsigned int slot, int fd, bool add)
{
    struct kvm_ioeventfd e = {
        .addr = DOORBELL_EVTCHN + slot,
        .len = 4,
        .fd = fd,
        .flags =
            KVM_IOEVENTFD_FLAG_PIO | (add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };

    return ioctl(d->vm_fd, KVM_IOEVENTFD, &e) < 0 ? -errno : 0;
}

static void tell_monitor(struct domain *d, evtchn_port_t port, uint16_t io)
{
    uint16_t *table = domain_frame(d, d->pv->data_gfn);

    __atomic_store_n(&table[port], io, __ATOMIC_RELEASE);
}

static int find_slot(const struct pv_domain *pv, evtchn_port_t port)
{
    for (int i = 0; i < DOORBELL_EVTCHN_NR; i++)
        if (pv->doorbell_port[i] == port)
            return i;
    return -ENOSPC;
}

int doorbell_set(struct domain *d, evtchn_port_t port, int eventfd)
{
    struct pv_domain *pv = d->pv;
    int slot, rc;

    if (!pv || d->vm_fd < 0 || !d->hv->host->ioeventfd || !port ||
        port >= MON_PORTS)
        return -ENOTSUP;
    pthread_mutex_lock(&pv->doorbell_lock);
    rc = slot = find_slot(pv, 0);
    if (slot >= 0)
        rc = ioeventfd(d, slot, eventfd, true);
    if (!rc) {
        pv->doorbell_port[slot] = port;
        pv->doorbell_fd[slot] = eventfd;
        tell_monitor(d, port, DOORBELL_EVTCHN + slot);
    }
    pthread_mutex_unlock(&pv->doorbell_lock);
    return rc;
}

void doorbell_clear(struct domain *d, evtchn_port_t port)
{
    struct pv_domain *pv = d->pv;
    int slot;

    if (!pv || !port || port >= MON_PORTS)
        return;
    pthread_mutex_lock(&pv->doorbell_lock);
    slot = find_slot(pv, port);
    if (slot >= 0) {
        tell_monitor(d, port, 0);
        ioeventfd(d, slot, pv->doorbell_fd[slot], false);
        pv->doorbell_port[slot] = 0;
    }
    pthread_mutex_unlock(&pv->doorbell_lock);
}
