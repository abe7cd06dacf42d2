/* SPDX-License-Identifier: MIT */
/*
 * Two ways to bring a running vCPU out of KVM_RUN, timed against each other:
 * a signal to its thread, which is what vcpu_kick() does, and an irqfd whose
 * interrupt leads through the guest's IDT to a stub that exits.
 */
#ifndef HV_KVM_KICK_H
#define HV_KVM_KICK_H

#include <jansson.h>
#include "hv/kvm_host.h"

/*
 * Adds the rows kick_signal and kick_irqfd to the object j, in the form of
 * `hv --bench-floors`: ns from the kick to the return of KVM_RUN, and for the
 * irqfd also what it takes to be back at CPL3.  A row that this KVM can't
 * run is left out.
 */
void kick_add_floors(const struct kvm_host *h, json_t *j, unsigned int runs);

#endif
