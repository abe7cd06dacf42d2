/* SPDX-License-Identifier: MIT */
/* Events raised straight in a guest's memory: kxen/notify.h's other side. */
#ifndef HV_CLIENT_DIRECT_H
#define HV_CLIENT_DIRECT_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/event_channel.h>
#include "hv/client/conn.h"

struct direct;

/*
 * A reference to domid's in *list, made if it is new; NULL if that can't be.
 * It keeps the domain's memory in being, dead or not: put it early.
 */
struct direct *direct_get(struct direct **list, struct conn *c, uint32_t domid);
void direct_put(struct direct **list, struct direct *g);

/* Raises port of the guest; false, and nothing done: ask hv. */
bool direct_raise(struct direct *g, evtchn_port_t port);

#endif
