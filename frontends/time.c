/* SPDX-License-Identifier: MIT */
/* Xen's clock: a scaled time-stamp counter, and the timer event. */
#include "frontends/include/cpu.h"
#include "frontends/include/hypercall.h"

uint64_t rdtsc_ordered(void)
{
    uint32_t lo, hi;

    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return (uint64_t)hi << 32 | lo;
}

static uint64_t scale(uint64_t cycles, int shift, uint32_t mul)
{
    if (shift >= 0)
        cycles <<= shift;
    else
        cycles >>= -shift;
    return (uint64_t)(((unsigned __int128)cycles * mul) >> 32);
}

/* A consistent copy: Xen makes version odd while it writes. */
static void snapshot(struct vcpu_time_info *copy)
{
    const struct vcpu_time_info *t = &this_cpu()->info->time;

    do {
        copy->version = __atomic_load_n(&t->version, __ATOMIC_ACQUIRE);
        copy->tsc_timestamp = READ_ONCE(t->tsc_timestamp);
        copy->system_time = READ_ONCE(t->system_time);
        copy->tsc_to_system_mul = READ_ONCE(t->tsc_to_system_mul);
        copy->tsc_shift = READ_ONCE(t->tsc_shift);
        xen_rmb();
    } while ((copy->version & 1) || copy->version != READ_ONCE(t->version));
}

uint64_t time_ns(void)
{
    struct vcpu_time_info t;
    uint64_t now;

    snapshot(&t);
    now = rdtsc_ordered();
    if (now < t.tsc_timestamp)
        return t.system_time;
    return t.system_time +
           scale(now - t.tsc_timestamp, t.tsc_shift, t.tsc_to_system_mul);
}

uint64_t tsc_to_ns(uint64_t cycles)
{
    struct vcpu_time_info t;

    snapshot(&t);
    return scale(cycles, t.tsc_shift, t.tsc_to_system_mul);
}

uint64_t wallclock_ns(void)
{
    const struct shared_info *s = shared_info();
    uint32_t version;
    uint64_t base;

    do {
        version = __atomic_load_n(&s->wc_version, __ATOMIC_ACQUIRE);
        base =
            ((uint64_t)READ_ONCE(s->wc_sec_hi) << 32 | READ_ONCE(s->wc_sec)) *
                NSEC_PER_SEC +
            READ_ONCE(s->wc_nsec);
        xen_rmb();
    } while ((version & 1) || version != READ_ONCE(s->wc_version));
    return base + time_ns();
}

void sleep_ns(uint64_t ns)
{
    uint64_t end = time_ns() + ns;

    (void)wait_event_until(false, end);
}

void delay_ns(uint64_t ns)
{
    uint64_t end = time_ns() + ns;

    while (time_ns() < end)
        cpu_relax();
}

void time_cpu_init(unsigned int cpu)
{
    int port = evtchn_bind_virq(VIRQ_TIMER, cpu, evtchn_wake_only, NULL);

    if (port < 0)
        panic("vCPU %u: no timer event: error %d", cpu, port);
    /* Xen may start with a 100 Hz tick; deadlines are set when needed. */
    hypervisor_vcpu_op(VCPUOP_stop_periodic_timer, cpu, NULL);
}
