/* SPDX-License-Identifier: MIT */
/* Events raised straight in a guest's memory: kxen/notify.h's other side. */
#ifndef HV_CLIENT_DIRECT_H
#define HV_CLIENT_DIRECT_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/event_channel.h>
#include "hv/client/conn.h"

struct direct;

/* domid's in *list, made if it is new; NULL if that can't be. */
struct direct *direct_find(struct direct **list, struct conn *c,
                           uint32_t domid);
void direct_free_all(struct direct *list);

/* Raises port of the guest; false, and nothing done: ask hv. */
bool direct_raise(struct direct *g, evtchn_port_t port);

#endif
