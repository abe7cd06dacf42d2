/* SPDX-License-Identifier: MIT */
/* sysctl: what the toolstack asks about the host.  xen/sysctl.h. */
#include <errno.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include <stdint.h>
#include <xen/sysctl.h>
#include "hv/domain.h"
#include "hv/domctl.h"
#include "hv/hypercall.h"
#include "hv/kvm_host.h"
#include "hv/log.h"

#define CONSOLE_MAX (1u << 20)

static long sysctl_readconsole(struct caller *c, struct xen_sysctl *op)
{
    struct xen_sysctl_readconsole *r = &op->u.readconsole;
    size_t size = r->count < CONSOLE_MAX ? r->count : CONSOLE_MAX;
    char *buf = malloc(size ? size : 1);
    long rc;

    if (!buf)
        return -ENOMEM;
    r->count = log_read(buf, size, r->clear);
    rc =
        copy_to_guest(c, (guest_addr_t){(uintptr_t)r->buffer.p}, buf, r->count);
    free(buf);
    return rc;
}

static long sysctl_physinfo(struct caller *c, struct xen_sysctl *op)
{
    struct xen_sysctl_physinfo *p = &op->u.physinfo;
    const struct kvm_host *h = c->d->hv->host;
    struct sysinfo si;

    if (sysinfo(&si) < 0)
        return -errno;
    *p = (struct xen_sysctl_physinfo){
        .threads_per_core = 1,
        .cores_per_socket = get_nprocs(),
        .nr_cpus = get_nprocs(),
        .max_cpu_id = get_nprocs_conf() - 1,
        .nr_nodes = 1,
        .cpu_khz = h ? h->tsc_khz : 0,
        .capabilities = XEN_SYSCTL_PHYSCAP_pv,
        .total_pages = (uint64_t)si.totalram * si.mem_unit / FRAME_SIZE,
        .free_pages = (uint64_t)si.freeram * si.mem_unit / FRAME_SIZE,
    };
    return 0;
}

static long sysctl_infolist(struct caller *c, struct xen_sysctl *op)
{
    struct xen_sysctl_getdomaininfolist *l = &op->u.getdomaininfolist;
    guest_addr_t to = {(uintptr_t)l->buffer.p};
    uint32_t id = l->first_domain;

    l->num_domains = 0;
    while (l->num_domains < l->max_domains) {
        struct xen_domctl_getdomaininfo info;
        struct domain *d = domain_get_next(c->d->hv, id);
        int rc;

        if (!d)
            break;
        domctl_fill_info(d, &info);
        id = d->domid + 1;
        domain_put(d);
        rc =
            copy_to_guest(c, guest_addr_index(to, l->num_domains, sizeof(info)),
                          &info, sizeof(info));
        if (rc)
            return rc;
        l->num_domains++;
    }
    return 0;
}

long do_sysctl(struct caller *c, const uint64_t args[6])
{
    guest_addr_t arg = {args[0]};
    struct xen_sysctl op;
    long rc;

    if (copy_from_guest(c, &op, arg, sizeof(op)))
        return -EFAULT;
    if (op.interface_version != XEN_SYSCTL_INTERFACE_VERSION)
        return -EACCES;
    if (c->d != c->d->hv->dom0)
        return -EPERM;
    switch (op.cmd) {
    case XEN_SYSCTL_readconsole:
        rc = sysctl_readconsole(c, &op);
        break;
    case XEN_SYSCTL_physinfo:
        rc = sysctl_physinfo(c, &op);
        break;
    case XEN_SYSCTL_getdomaininfolist:
        rc = sysctl_infolist(c, &op);
        break;
    default:
        return -ENOSYS;
    }
    if (!rc && copy_to_guest(c, arg, &op, sizeof(op)))
        rc = -EFAULT;
    return rc;
}
