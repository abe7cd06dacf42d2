/* SPDX-License-Identifier: MIT */
/*
 * hv/clock.c: proved is that a guest which computes system time from what
 * clock_fill() says gets hv's, to the ns and at any moment, that the clock
 * keeps the host's pace, and that an untrusted TSC is not called stable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>
#include <xen/xen.h>
#include "hv/clock.h"
#include "hv/domain.h"
#include "hv/kvm_host.h"

/* As fast as this machine's, to a percent: good enough for pace. */
static uint64_t measure_khz(void)
{
    uint64_t t = host_monotonic(), tsc = __rdtsc();

    while (host_monotonic() - t < 20000000)
        ;
    return (__rdtsc() - tsc) * 1000000 / (host_monotonic() - t);
}

/* Xen's ABI: what any guest does. */
static uint64_t guest_time(const struct vcpu_time_info *t)
{
    uint64_t d = __rdtsc() - t->tsc_timestamp;

    d = t->tsc_shift < 0 ? d >> -t->tsc_shift : d << t->tsc_shift;
    return t->system_time +
           (uint64_t)(((unsigned __int128)d * t->tsc_to_system_mul) >> 32);
}

static void start(struct hv *hv, struct kvm_host *host, bool stable)
{
    memset(hv, 0, sizeof(*hv));
    memset(host, 0, sizeof(*host));
    host->tsc_khz = measure_khz();
    hv->host = host;
    hv->boot_ns = host_monotonic();
    clock_start(hv);
    assert_true(hv->clock.mul);
    hv->clock.stable = stable;
}

static void test_stable(void **state)
{
    struct vcpu_time_info t = {.version = 4};
    struct kvm_host host;
    struct hv hv;
    uint64_t a, b, c, begin, passed;

    (void)state;
    start(&hv, &host, true);
    clock_fill(&hv, &t);
    assert_int_equal(t.version, 4);
    assert_int_equal(t.flags, CLOCK_TSC_STABLE);
    begin = host_monotonic();
    passed = hv_system_time(&hv);
    for (int i = 0; i < 200000; i++) {
        a = hv_system_time(&hv);
        b = guest_time(&t);
        c = hv_system_time(&hv);
        assert_true(a <= b && b <= c);
    }
    passed = hv_system_time(&hv) - passed;
    begin = host_monotonic() - begin;
    assert_true(passed > begin - begin / 10 && passed < begin + begin / 10);
}

static void test_not_stable(void **state)
{
    struct vcpu_time_info t = {0};
    struct kvm_host host;
    struct hv hv;
    uint64_t guest, now;

    (void)state;
    start(&hv, &host, false);
    clock_fill(&hv, &t);
    assert_int_equal(t.flags, 0);
    guest = guest_time(&t);
    now = host_monotonic() - hv.boot_ns;
    assert_true(guest < now + 10000000 && now < guest + 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stable),
        cmocka_unit_test(test_not_stable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
