/* SPDX-License-Identifier: MIT */
/*
 * Proves that the hypercall table holds against any number and any argument:
 * unknown ones are ENOSYS and a line in the log, sub-operations keep their
 * privilege, size and copy-back, a multicall is its calls one by one, and
 * sched_op, vcpu_op, set_timer_op and console_io answer as Xen does.
 */
#include "hv_host.h"

#include <stdlib.h>
#include <unistd.h>
#include <xen/sched.h>
#include "hv/event_channel.h"

static char log_buf[1u << 18];

static const char *logged(void)
{
    log_buf[log_read(log_buf, sizeof(log_buf) - 1, 1)] = 0;
    return log_buf;
}

static void test_unknown(void **state)
{
    struct log_ring *ring = log_ring_new(sizeof(log_buf) * 8);
    struct domain *d = hvt_domain(1);
    struct caller c = hvt_guest(d);
    unsigned int lines = 0;
    uint64_t args[6] = {0};

    (void)state;
    log_set_ring(ring);
    assert_int_equal(hypercall_dispatch(&c, 45, args), -ENOSYS);
    assert_non_null(strstr(logged(), "unknown hypercall 45"));
    assert_int_equal(hypercall_dispatch(&c, ~0ull, args), -ENOSYS);
    assert_int_equal(hypercall_dispatch(&c, 1ull << 32 | 17, args), -ENOSYS);
    assert_null(hypercall_lookup(1u << 31));
    logged();
    /* A guest that does nothing else cannot flood the log. */
    for (int i = 0; i < 10000; i++)
        hypercall_dispatch(&c, 45, args);
    for (const char *p = logged(); *p; p++)
        lines += *p == '\n';
    assert_in_range(lines, 500, 1200);
    /* What was left out is counted, once there is room for a line again. */
    usleep(60000);
    hypercall_dispatch(&c, 45, args);
    assert_non_null(strstr(logged(), "lines more were not shown"));
    log_set_ring(NULL);
    log_ring_free(ring);
}

static long give_back(struct caller *c, void *arg)
{
    uint64_t *p = arg;

    (void)c;
    p[0]++;
    return (long)p[1];
}

static void test_subops(void **state)
{
    static const struct subop_desc ops[] = {
        [0] = {"plain", 16, 0, give_back},
        [1] = {"back", 16, SUBOP_COPYBACK, give_back},
        [2] = {"always", 16, SUBOP_ALWAYS, give_back},
        [3] = {"priv", 16, SUBOP_PRIV, give_back},
        [5] = {"guest", 16, SUBOP_GUEST, give_back},
    };
    struct domain *d = hvt_domain(1);
    struct caller c = hvt_guest(d), nobody = {.d = hvt.dom0};
    uint64_t *arg = hvt_at(d, HVT_ARG);

    (void)state;
    for (uint64_t cmd = 0; cmd < 3; cmd++) {
        arg[0] = 10;
        arg[1] = 0;
        assert_int_equal(subop_dispatch(&c, ops, 6, cmd, GUEST_ADDR(HVT_ARG)),
                         0);
        assert_int_equal(arg[0], cmd ? 11 : 10);
        arg[1] = (uint64_t)-EBUSY;
        assert_int_equal(subop_dispatch(&c, ops, 6, cmd, GUEST_ADDR(HVT_ARG)),
                         -EBUSY);
        assert_int_equal(arg[0], cmd == 2 ? 12 : cmd ? 11 : 10);
    }
    assert_int_equal(subop_dispatch(&c, ops, 6, 3, GUEST_ADDR(HVT_ARG)),
                     -EPERM);
    assert_int_equal(subop_dispatch(&c, ops, 6, 4, GUEST_ADDR(HVT_ARG)),
                     -ENOSYS);
    assert_int_equal(subop_dispatch(&c, ops, 6, 6, GUEST_ADDR(HVT_ARG)),
                     -ENOSYS);
    assert_int_equal(subop_dispatch(&c, ops, 6, ~0ull, GUEST_ADDR(HVT_ARG)),
                     -ENOSYS);
    assert_int_equal(subop_dispatch(&c, ops, 6, 0, GUEST_ADDR(0)), -EFAULT);
    assert_int_equal(subop_dispatch(&nobody, ops, 6, 5, GUEST_ADDR(0)),
                     -EINVAL);
}

static void test_multicall(void **state)
{
    struct domain *d = hvt_domain(1);
    struct multicall_entry e[4] = {
        {.op = __HYPERVISOR_xen_version, .args = {0}},
        {.op = __HYPERVISOR_multicall, .args = {HVT_ARG, 4}},
        {.op = __HYPERVISOR_iret},
        {.op = 45},
    };
    struct caller c = hvt_guest(d);
    struct multicall_entry *r = hvt_at(d, HVT_ARG);
    uint64_t args[6] = {HVT_ARG, 4};

    (void)state;
    memcpy(r, e, sizeof(e));
    assert_int_equal(do_multicall(&c, args), 0);
    assert_true((long)r[0].result > 0);
    assert_int_equal(r[1].result, -EINVAL);
    assert_int_equal(r[2].result, -EINVAL);
    assert_int_equal(r[3].result, -ENOSYS);
    args[1] = 1u << 20;
    assert_int_equal(do_multicall(&c, args), -EINVAL);
    args[0] = HVT_VA + (HVT_KIB << 10) - sizeof(e[0]);
    args[1] = 2;
    memcpy(hvt_at(d, args[0]), e, sizeof(e[0]));
    assert_int_equal(do_multicall(&c, args), -EFAULT);
    /* A vCPU that is to end gives up between two calls. */
    d->vcpu[0]->stop = true;
    args[0] = HVT_ARG;
    assert_int_equal(do_multicall(&c, args), -EINTR);
}

/* Nothing that a guest passes makes hv fall: sanitizers watch. */
static void test_random(void **state)
{
    struct domain *d = hvt_domain(2);
    struct caller c = hvt_guest(d);

    (void)state;
    srandom(1);
    for (unsigned int i = 0; i < 60000; i++) {
        static const unsigned int nrs[] = {
            __HYPERVISOR_memory_op,   __HYPERVISOR_xen_version,
            __HYPERVISOR_console_io,  __HYPERVISOR_grant_table_op,
            __HYPERVISOR_vcpu_op,     __HYPERVISOR_sched_op,
            __HYPERVISOR_physdev_op,  __HYPERVISOR_event_channel_op,
            __HYPERVISOR_domctl,      __HYPERVISOR_sysctl,
            __HYPERVISOR_vm_assist,   __HYPERVISOR_set_trap_table,
            __HYPERVISOR_callback_op,
        };
        uint64_t args[6], *p = hvt_at(d, HVT_ARG);

        for (unsigned int k = 0; k < 6; k++)
            args[k] = random() % 3 ? (uint64_t)random() % 8 : HVT_ARG;
        for (unsigned int k = 0; k < 16; k++)
            p[k] = random() % 2 ? (uint64_t)random() % 64
                                : (uint64_t)random() << 32 | random();
        hypercall_dispatch(
            &c, nrs[(unsigned long)random() % (sizeof(nrs) / sizeof(nrs[0]))],
            args);
        atomic_store(&d->shutdown_code, -1);
        d->vcpu[0]->up = d->vcpu[1]->up = true;
        d->vcpu[0]->blocked = false;
    }
}

static void test_poll(void **state)
{
    struct domain *d = hvt_domain(1);
    struct sched_poll p = {.nr_ports = 129};
    struct vcpu *v = d->vcpu[0];
    evtchn_port_t ports[2] = {0, 1u << 30};

    (void)state;
    assert_int_equal(
        hvt_call(d, __HYPERVISOR_sched_op, SCHEDOP_poll, &p, sizeof(p), 0),
        -EINVAL);
    memcpy(hvt_at(d, HVT_ARG + 256), ports, sizeof(ports));
    p.ports.p = (evtchn_port_t *)(HVT_ARG + 256);
    p.nr_ports = 2;
    assert_int_equal(
        hvt_call(d, __HYPERVISOR_sched_op, SCHEDOP_poll, &p, sizeof(p), 0),
        -EINVAL);
    assert_false(v->blocked);
    assert_int_equal(atomic_load(&v->poll_port), POLL_NONE);
    /* No port, a timeout: a sleep. */
    p.nr_ports = 0;
    p.timeout = hv_system_time(&hvt) + 20000000;
    assert_int_equal(
        hvt_call(d, __HYPERVISOR_sched_op, SCHEDOP_poll, &p, sizeof(p), 0), 0);
    assert_true(v->blocked);
    assert_false(sched_poll_done(v));
    usleep(21000);
    assert_true(sched_poll_done(v));
}

static void test_shutdown(void **state)
{
    struct domain *d = hvt_domain(1), *e = hvt_domain(1);
    struct sched_shutdown s = {.reason = SHUTDOWN_crash};
    struct sched_remote_shutdown r = {.domain_id = e->domid};

    (void)state;
    assert_int_equal(hvt_call(d, __HYPERVISOR_sched_op, SCHEDOP_shutdown_code,
                              &s, sizeof(s), 0),
                     0);
    assert_int_equal(atomic_load(&d->shutdown_code), -1);
    s.reason = SHUTDOWN_poweroff;
    assert_int_equal(
        hvt_call(d, __HYPERVISOR_sched_op, SCHEDOP_shutdown, &s, sizeof(s), 0),
        0);
    assert_int_equal(atomic_load(&d->shutdown_code), SHUTDOWN_crash);
    assert_int_equal(hvt_call(d, __HYPERVISOR_sched_op, SCHEDOP_remote_shutdown,
                              &r, sizeof(r), 0),
                     -EPERM);
    /* Reasons are eight bits wide, as Xen has it: never "not shut down". */
    s.reason = 0x80000102;
    assert_int_equal(
        hvt_call(e, __HYPERVISOR_sched_op, SCHEDOP_shutdown, &s, sizeof(s), 0),
        0);
    assert_int_equal(atomic_load(&e->shutdown_code), 2);
}

static long set_timer(struct domain *d, uint64_t at)
{
    struct caller c = hvt_guest(d);

    return do_set_timer_op(&c, (uint64_t[6]){at});
}

static void test_timers(void **state)
{
    struct domain *d = hvt_domain(2);
    struct caller c = hvt_guest(d);
    struct vcpu_set_periodic_timer p = {.period_ns = 0};
    struct vcpu_set_singleshot_timer s = {
        .timeout_abs_ns = 1,
        .flags = VCPU_SSHOTTMR_future,
    };
    struct vcpu *v = d->vcpu[0];
    uint64_t now = hv_system_time(&hvt);

    (void)state;
    assert_int_equal(set_timer(d, now + 5000), 0);
    assert_int_equal(v->singleshot_ns, now + 5000);
    assert_int_equal(set_timer(d, 0), 0);
    assert_int_equal(v->singleshot_ns, 0);
    assert_int_equal(set_timer(d, 1), 0); /* past: due at once */
    assert_int_equal(v->singleshot_ns, 1);
    assert_int_equal(set_timer(d, (uint64_t)-5), 0);
    assert_in_range(v->singleshot_ns, now, now + 10000000000ull);
    memcpy(hvt_at(d, HVT_ARG), &p, sizeof(p));
    /* Another vCPU's; too short a period. */
    assert_int_equal(
        do_vcpu_op(&c, (uint64_t[6]){VCPUOP_set_periodic_timer, 1, HVT_ARG}),
        -EINVAL);
    assert_int_equal(
        do_vcpu_op(&c, (uint64_t[6]){VCPUOP_set_periodic_timer, 0, HVT_ARG}),
        -EINVAL);
    memcpy(hvt_at(d, HVT_ARG), &s, sizeof(s));
    assert_int_equal(
        do_vcpu_op(&c, (uint64_t[6]){VCPUOP_set_singleshot_timer, 0, HVT_ARG}),
        0);
    assert_int_equal(do_vcpu_op(&c, (uint64_t[6]){VCPUOP_is_up, 2}), -ENOENT);
    assert_int_equal(do_vcpu_op(&c, (uint64_t[6]){VCPUOP_is_up, ~0ull}),
                     -ENOENT);
}

static void test_down(void **state)
{
    struct domain *d = hvt_domain(2);
    struct caller c = hvt_guest(d);

    (void)state;
    assert_int_equal(do_vcpu_op(&c, (uint64_t[6]){VCPUOP_down, 1}), 0);
    assert_int_equal(do_vcpu_op(&c, (uint64_t[6]){VCPUOP_is_up, 1}), 0);
    assert_int_equal(atomic_load(&d->shutdown_code), -1);
    assert_int_equal(do_vcpu_op(&c, (uint64_t[6]){VCPUOP_down, 0}), 0);
    assert_int_equal(atomic_load(&d->shutdown_code), SHUTDOWN_poweroff);
}

static void test_console(void **state)
{
    struct log_ring *ring = log_ring_new(4096);
    struct domain *d = hvt_domain(1);
    struct caller c = hvt_guest(d);
    char text[600];

    (void)state;
    log_set_ring(ring);
    memset(text, 'x', sizeof(text));
    memcpy(text, "one\r\ntwo\033[31m", 13);
    text[599] = '\n';
    memcpy(hvt_at(d, HVT_ARG), text, sizeof(text));
    /* One byte at a time, and what a terminal would obey is not passed on. */
    for (unsigned int i = 0; i < sizeof(text); i++)
        assert_int_equal(
            do_console_io(&c, (uint64_t[6]){CONSOLEIO_write, 1, HVT_ARG + i}),
            0);
    logged();
    assert_non_null(strstr(log_buf, ": one\n"));
    assert_non_null(strstr(log_buf, ": two.[31m"));
    assert_null(strchr(log_buf, '\033'));
    unsigned int xs = 0;
    for (char *p = log_buf; *p; p++)
        xs += *p == 'x';
    assert_int_equal(xs, 600 - 13 - 1);
    assert_int_equal(
        do_console_io(&c, (uint64_t[6]){CONSOLEIO_write, ~0ull, HVT_ARG}),
        -EINVAL);
    assert_int_equal(do_console_io(&c, (uint64_t[6]){CONSOLEIO_write, 1, 0}),
                     -EFAULT);
    assert_int_equal(do_console_io(&c, (uint64_t[6]){9, 1, HVT_ARG}), -ENOSYS);
    log_set_ring(NULL);
    log_ring_free(ring);
}

#define T(f) cmocka_unit_test_setup_teardown(f, hvt_setup, hvt_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_unknown), T(test_subops), T(test_multicall),
        T(test_random),  T(test_poll),   T(test_shutdown),
        T(test_timers),  T(test_down),   T(test_console),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
