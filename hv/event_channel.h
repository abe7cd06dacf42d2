/* SPDX-License-Identifier: MIT */
/*
 * Event channels.
 *
 * Locks.  Each domain has an event lock: whoever changes the state of a
 * channel holds the event locks of both its ends (two are taken in address
 * order).  Each channel has a lock of its own, held as well while its state is
 * written and by senders alone, so a send touches one lock and the peer of a
 * channel cannot go away under it.  Order: event locks, channel locks, then
 * the lock of the FIFO queues or vcpu->lock.  Nothing here takes domain->lock
 * but EVTCHNOP_reset, first.
 *
 * Domain 0 has no vCPU to interrupt.  A port of its own belongs to the privcmd
 * connection that made it and is an eventfd: a send to it is a write.
 */
#ifndef HV_EVENT_CHANNEL_H
#define HV_EVENT_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>
#include <xen/xen.h>
#include <xen/event_channel.h>

#define NR_PIRQS 256u /* of a domain, numbers from 0 */

struct domain;
struct hv;
struct vcpu;

/* The ports of one connection of domain 0; embedded in it. */
struct evtchn_owner {
    struct cds_list_head ports; /* under domain 0's event lock */
};

/*
 * Gives d an empty port table (d->evtchn) whose highest port is max_port, or
 * what the ABI can number if that is less.  0 or -ENOMEM.
 */
int evtchn_init(struct domain *d, uint32_t max_port);

/*
 * Closes every port of a dying domain; the other ends become unbound.  No port
 * can be made afterwards.  Must come before the creation reference is dropped.
 * The table stays, so that a late sender finds closed ports in it.
 */
void evtchn_destroy(struct domain *d);

/* Frees the table: nobody holds a reference to d any more. */
void evtchn_free(struct domain *d);

/*
 * EVTCHNOP_send by ld.  0 (also on an unbound port: nobody hears it), or
 * -EINVAL: no such port, or of a kind that can't be sent on.
 */
int evtchn_send(struct domain *ld, evtchn_port_t lport);

/* Raises VIRQ_virq on v; nothing if v has not bound it. */
void evtchn_raise_virq(struct vcpu *v, unsigned int virq);

/* Raises a host-wide VIRQ (VIRQ_DOM_EXC) in domain 0, if it is bound there. */
void evtchn_raise_global_virq(struct hv *hv, unsigned int virq);

/* Raises physical IRQ pirq in d; nothing if d has not bound it. */
void evtchn_raise_pirq(struct domain *d, unsigned int pirq);

/* True if d has bound pirq: for PHYSDEVOP_irq_status_query and the like. */
bool evtchn_pirq_is_bound(struct domain *d, unsigned int pirq);

/*
 * For SCHEDOP_poll: 1 if port is pending in d, 0 if not, -EINVAL if d has no
 * such port.  The poller first publishes v->poll_port (sequentially
 * consistent store), then calls this, and sleeps only if all are 0.
 */
int evtchn_port_poll(struct domain *d, evtchn_port_t port);

/*
 * v->vcpu_info has just been pointed elsewhere: marks everything pending in
 * the new place and kicks v, so that no event is lost with the old one.
 */
void evtchn_vcpu_info_moved(struct vcpu *v);

/* An empty list. */
void evtchn_owner_init(struct evtchn_owner *owner);

/*
 * The connection is gone: closes its ports.  A guest's end becomes unbound for
 * domain 0 again and can be bound anew.  No hypercall of this connection may
 * be running.
 */
void evtchn_owner_closed(struct domain *dom0, struct evtchn_owner *owner);

/*
 * The eventfd of owner's port, or -ENOENT if the port is not its.  It stays
 * the port's: duplicate it to keep it past EVTCHNOP_close.
 */
int evtchn_port_eventfd(struct domain *dom0, struct evtchn_owner *owner,
                        evtchn_port_t port);

#endif
