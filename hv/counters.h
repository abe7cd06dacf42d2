/* SPDX-License-Identifier: MIT */
/*
 * What a domain has cost: what hv, the monitor and KVM have counted of it,
 * summed over its vCPUs.  Looked up when asked for; nothing runs for it.
 */
#ifndef HV_COUNTERS_H
#define HV_COUNTERS_H

struct domain;

/*
 * A descriptor, the caller's, of the counters as JSON text: {"hv": {name:
 * count, ...}, "monitor": {...}, "kvm": {...}}.  The monitor's are guest
 * memory: as true as the guest is.  What KVM counts differs from host to host.
 * -ENOMEM, -errno.
 */
int counters_fd(const struct domain *d);

#endif
