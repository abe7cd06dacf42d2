/* SPDX-License-Identifier: MIT */
#ifndef HV_DOMCTL_H
#define HV_DOMCTL_H

struct domain;
struct xen_domctl_getdomaininfo;

/* What XEN_DOMCTL_getdomaininfo says of d. */
void domctl_fill_info(struct domain *d, struct xen_domctl_getdomaininfo *i);

#endif
