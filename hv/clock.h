/* SPDX-License-Identifier: MIT */
/*
 * System time: ns since hv started, for all vCPUs of all domains the same.
 *
 * Where the host keeps its own time by the TSC, system time is one linear
 * function of it for as long as hv lives, as on Xen: what a guest computes
 * from its vcpu_time_info is exactly what hv would say, on whatever CPU, and
 * guests are told so (PVCLOCK_TSC_STABLE_BIT: Linux' vDSO then reads the clock
 * without a system call).  Elsewhere it is CLOCK_MONOTONIC.
 */
#ifndef HV_CLOCK_H
#define HV_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_TSC_STABLE (1u << 0) /* vcpu_time_info.flags, Linux' bit 0 */

struct hv;
struct vcpu_time_info;

struct hv_clock {
    bool stable;
    uint64_t tsc; /* stable: when system time was 0 */
    uint32_t mul;
    int8_t shift;
};

/* System time begins, if hv->boot_ns was set just now. */
void clock_start(struct hv *hv);

/* System time now, in ns. */
uint64_t hv_system_time(const struct hv *hv);

/* CLOCK_MONOTONIC now, in ns: what the host's timers go by. */
uint64_t host_monotonic(void);

/* Fills all of t but its version. */
void clock_fill(const struct hv *hv, struct vcpu_time_info *t);

#endif
