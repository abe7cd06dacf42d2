/* SPDX-License-Identifier: MIT */
/* sched_op, set_timer_op. Source: xen/sched.h */
#include "frontends/guests/answers/answers.h"

static void polls(void)
{
    evtchn_port_t list[2] = {0, 900};
    struct sched_poll p = {.nr_ports = 0, .timeout = time_ns()};

    set_xen_guest_handle(p.ports, list);
    answer(SCHED_OP(poll, &p), "sched/poll of none");
    p.nr_ports = 1;
    answer(SCHED_OP(poll, &p), "sched/poll of port 0");
    list[0] = 900;
    answer(SCHED_OP(poll, &p), "sched/poll of a free port");
    list[0] = 5000;
    answer(SCHED_OP(poll, &p), "sched/poll of a port beyond");
    p.nr_ports = 129;
    answer(SCHED_OP(poll, &p), "sched/poll of 129");
    p.nr_ports = 1;
    set_xen_guest_handle(p.ports, (evtchn_port_t *)NOWHERE);
    answer(SCHED_OP(poll, &p), "sched/poll of ports at nowhere");
}

static void remotes(void)
{
    struct sched_remote_shutdown r = {.domain_id = 0};

    answer(SCHED_OP(remote_shutdown, &r), "sched/remote_shutdown of domain 0");
    r.domain_id = NO_DOMAIN;
    answer(SCHED_OP(remote_shutdown, &r), "sched/remote_shutdown of none");
    r.domain_id = DOMID_SELF;
    answer(SCHED_OP(remote_shutdown, &r), "sched/remote_shutdown of ourselves");
}

static void watchdogs(void)
{
    struct sched_watchdog w = {.id = 7};
    long id;

    answer(SCHED_OP(watchdog, &w), "sched/watchdog 7 off");
    w = (struct sched_watchdog){.timeout = 1000};
    id = SCHED_OP(watchdog, &w);
    answer(id, "sched/watchdog on");
    w.id = (uint32_t)id;
    answer(SCHED_OP(watchdog, &w), "sched/watchdog again");
    w.timeout = 0;
    answer(SCHED_OP(watchdog, &w), "sched/watchdog off");
}

static void pointers(void)
{
    static const unsigned int ops[] = {
        SCHEDOP_shutdown,
        SCHEDOP_poll,
        SCHEDOP_remote_shutdown,
        SCHEDOP_watchdog,
        SCHEDOP_pin_override,
        8,
        99,
    };
    struct sched_pin_override pin = {.pcpu = 0};
    size_t i;

    for (i = 0; i < ARRAY_SIZE(ops); i++)
        answer(hypercall_op(__HYPERVISOR_sched_op, ops[i], NOWHERE),
               "sched/op %u at nowhere", ops[i]);
    answer(SCHED_OP(pin_override, &pin), "sched/pin_override");
    answer(hypercall_op(__HYPERVISOR_sched_op_compat, SCHEDOP_yield, NULL),
           "sched/compat yield");
    answer(hypercall_op(__HYPERVISOR_sched_op_compat, 99, NULL),
           "sched/compat 99");
}

static void timers(void)
{
    answer(hypervisor_set_timer(0), "sched/set_timer_op off");
    answer(hypervisor_set_timer(1), "sched/set_timer_op past");
    answer(hypervisor_set_timer(time_ns() + NSEC_PER_SEC),
           "sched/set_timer_op future");
    answer(hypervisor_set_timer(~0ul), "sched/set_timer_op -1");
    hypervisor_set_timer(0);
}

void answers_sched(void)
{
    answer(SCHED_OP(yield, NULL), "sched/yield");
    answer(SCHED_OP(yield, NOWHERE), "sched/yield at nowhere");
    polls();
    remotes();
    watchdogs();
    pointers();
    timers();
}
