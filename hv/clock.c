/* SPDX-License-Identifier: MIT */
#include "hv/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>
#include <xen/xen.h>
#include "hv/domain.h"
#include "hv/kvm_host.h"

#define NS_PER_S 1000000000ull
#define HOST_SOURCE                                                            \
    "/sys/devices/system/clocksource/clocksource0/current_"                    \
    "clocksource"

uint64_t host_monotonic(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* The smallest shift that keeps 2^32 ticks' worth of the multiplier exact. */
static void tsc_scale(uint64_t khz, uint32_t *mul, int8_t *shift)
{
    uint64_t hz = khz * 1000, ns = NS_PER_S;

    *shift = 0;
    while (hz > 2 * NS_PER_S) {
        hz >>= 1;
        (*shift)--;
    }
    while (hz && hz <= NS_PER_S) {
        hz <<= 1;
        (*shift)++;
    }
    *mul = hz ? (uint32_t)(((unsigned __int128)ns << 32) / hz) : 0;
}

/* As a guest does it, to the bit. */
static uint64_t scale(const struct hv_clock *c, uint64_t ticks)
{
    ticks = c->shift < 0 ? ticks >> -c->shift : ticks << c->shift;
    return (uint64_t)(((unsigned __int128)ticks * c->mul) >> 32);
}

/* The kernel has watched the TSC on all CPUs, and trusts it. */
static bool host_trusts_tsc(void)
{
    char name[16] = "";
    FILE *f = fopen(HOST_SOURCE, "re");

    if (!f)
        return false;
    if (!fgets(name, sizeof(name), f))
        name[0] = 0;
    fclose(f);
    return !strcmp(name, "tsc\n");
}

void clock_start(struct hv *hv)
{
    struct hv_clock *c = &hv->clock;

    tsc_scale(hv->host->tsc_khz, &c->mul, &c->shift);
    c->tsc = __rdtsc();
    c->stable = c->mul && host_trusts_tsc();
}

uint64_t hv_system_time(const struct hv *hv)
{
    const struct hv_clock *c = &hv->clock;

    if (c->stable)
        return scale(c, __rdtsc() - c->tsc);
    return host_monotonic() - hv->boot_ns;
}

#define PAIR_TRIES 5
#define PAIR_TICKS 2000

/*
 * System time, and the TSC at that moment: a preemption between the two would
 * set the guest's clock back, so another try is made then.
 */
static uint64_t time_pair(const struct hv *hv, uint64_t *tsc)
{
    uint64_t now, before;

    for (int i = 0;; i++) {
        before = __rdtsc();
        now = hv_system_time(hv);
        *tsc = __rdtsc();
        if (*tsc - before < PAIR_TICKS || i == PAIR_TRIES)
            break;
    }
    *tsc = before + (*tsc - before) / 2;
    return now;
}

void clock_fill(const struct hv *hv, struct vcpu_time_info *t)
{
    const struct hv_clock *c = &hv->clock;
    uint64_t tsc = c->tsc, now = 0;
    uint32_t mul = c->mul;
    int8_t shift = c->shift;

    if (!c->stable) {
        now = time_pair(hv, &tsc);
        tsc_scale(hv->host->tsc_khz, &mul, &shift);
    }
    t->tsc_timestamp = tsc;
    t->system_time = now;
    t->tsc_to_system_mul = mul;
    t->tsc_shift = shift;
    t->flags = c->stable ? CLOCK_TSC_STABLE : 0;
}
