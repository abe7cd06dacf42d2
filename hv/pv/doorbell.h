/* SPDX-License-Identifier: MIT */
/*
 * Doorbells: I/O ports of a guest with an ioeventfd on each, so that
 * EVTCHNOP_send on a busy channel does not leave the kernel.  The event code
 * says which channel ends in which eventfd; which of them get one of the few
 * doorbells is decided here.
 *
 * Both are called with the guest's event lock held (and the peer's), so calls
 * about one port never overlap.  They must not call back into event channels.
 */
#ifndef HV_PV_DOORBELL_H
#define HV_PV_DOORBELL_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>

struct domain;

/*
 * From now on a send by d on port is a write to eventfd, which stays the
 * caller's and open until doorbell_clear().  0, or -Exxx (no KVM, no doorbell
 * left): then sends exit to hv, which is only slower.
 */
int doorbell_set(struct domain *d, evtchn_port_t port, int eventfd);

/* Undoes doorbell_set(); nothing if it failed or was never called. */
void doorbell_clear(struct domain *d, evtchn_port_t port);

#endif
