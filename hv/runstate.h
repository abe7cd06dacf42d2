/* SPDX-License-Identifier: MIT */
/* How long a vCPU ran, waited and slept, and the guest's copy of that. */
#ifndef HV_RUNSTATE_H
#define HV_RUNSTATE_H

#include "hv/vcpu.h"

/*
 * v goes over to RUNSTATE_*, now; the area that the guest registered is told.
 * v's own thread, without locks.
 */
void runstate_set(struct vcpu *v, int state);

/* v's times up to now.  Any thread. */
void runstate_get(struct vcpu *v, struct vcpu_runstate_info *r);

#endif
