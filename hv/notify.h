/* SPDX-License-Identifier: MIT */
/*
 * hv's side of the notify page (kxen/notify.h).  A notifier reaches a sleeping
 * vCPU by its wake eventfd, and one in the guest by the domain's nudge
 * eventfd, which a helper thread of hv turns into a signal.
 */
#ifndef HV_NOTIFY_H
#define HV_NOTIFY_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>
#include "hv/domain.h"
#include "hv/vcpu.h"
#include "kxen/notify.h"

struct notify {
    struct notify_page *page;
    int page_fd;
    int nudge_fd;
};

/* Makes d's page; after its memory, before its vCPUs. 0 or -errno. */
int notify_init(struct domain *d);
void notify_free(struct domain *d);

/* d is dying: its nudges are heard no more, whoever still sends them. */
void notify_stop(struct domain *d);

/* port of d, delivered to vCPU id, may be raised from outside, or no longer. */
void notify_allow(struct domain *d, evtchn_port_t port, unsigned int id);
void notify_forbid(struct domain *d, evtchn_port_t port);

/* v->vcpu_info has moved. */
void notify_info_moved(struct vcpu *v);

/* The helper thread; once for each hv. 0 or -errno. */
int notify_start(struct hv *hv);

#endif
