/* SPDX-License-Identifier: MIT */
/*
 * The notify page: what a process of domain 0 must know to raise a 2-level
 * event in a guest by itself, setting the bits in guest memory and waking the
 * vCPU, without asking hv.  hv writes all but `kicked`.
 */
#ifndef KXEN_NOTIFY_H
#define KXEN_NOTIFY_H

#include <stdint.h>
#include <xen/xen.h>

#define NOTIFY_PORTS 4096

enum notify_where { NOTIFY_IN_HV, NOTIFY_IN_GUEST, NOTIFY_ASLEEP };

struct notify_vcpu {
    uint64_t info_off; /* of vcpu_info in the domain's memory */
    uint32_t where;    /* enum notify_where */
    uint32_t kicked;   /* by a notifier: look around before sleeping */
    uint32_t polling;  /* in SCHEDOP_poll: ask hv instead */
    uint32_t pad[11];
};

struct notify_page {
    uint64_t shared_info_off;
    uint64_t pad[7];
    struct notify_vcpu vcpu[XEN_LEGACY_MAX_VCPUS];
    /* vCPU + 1 of a port that domain 0 may raise so, else 0. */
    uint16_t port_vcpu[NOTIFY_PORTS];
};

_Static_assert(sizeof(struct notify_vcpu) == 64, "a line of its own");

#endif
