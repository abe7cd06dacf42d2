/* SPDX-License-Identifier: MIT */
#ifndef HV_DOMCTL_H
#define HV_DOMCTL_H

#include "hv/guest_access.h"

struct domain;
struct vcpu;
struct xen_domctl_getdomaininfo;
struct xen_domctl_vcpuaffinity;

/* What XEN_DOMCTL_getdomaininfo says of d. */
void domctl_fill_info(struct domain *d, struct xen_domctl_getdomaininfo *i);

/*
 * XEN_DOMCTL_set- and getvcpuaffinity: the host CPUs of v's thread.  Soft
 * affinity is taken note of no further: it reads as the hard one.  0, -EINVAL
 * if no CPU is left, -EFAULT, -ESRCH if the thread has ended.
 */
long domctl_set_affinity(struct caller *c, struct vcpu *v,
                         struct xen_domctl_vcpuaffinity *op);
long domctl_get_affinity(struct caller *c, struct vcpu *v,
                         struct xen_domctl_vcpuaffinity *op);

/* The host CPU that v's thread ran on last. */
unsigned int domctl_vcpu_cpu(struct vcpu *v);

#endif
