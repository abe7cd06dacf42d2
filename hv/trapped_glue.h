/* SPDX-License-Identifier: MIT */
/* Ties a domain to its trapped devices (hv/trapped knows no domains). */
#ifndef HV_TRAPPED_GLUE_H
#define HV_TRAPPED_GLUE_H

#include "hv/client/kxen.h"

struct domain;
struct vcpu;

/*
 * Adds the device *t to d; 0 and fd is taken over, or -Exxx: -EBUSY once the
 * domain has run, -EINVAL before it has memory, or as trapped_bus_add().
 */
int trapped_attach(struct domain *d, struct kxen_trapped *t, int fd);

/*
 * Does the port writes that KVM has queued for the devices: after each
 * KVM_RUN, before its exit is looked at.
 */
void trapped_replay(struct vcpu *v);

#endif
