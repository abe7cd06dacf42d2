/* SPDX-License-Identifier: MIT */
/* event_channel_op. Source: xen/event_channel.h */
#include "frontends/guests/answers/answers.h"

/* OP(close, "free port", .port = 7): asks, prints; gives the argument back. */
#define OP(op, name, ...)                                                      \
    ({                                                                         \
        struct evtchn_##op a_ = {__VA_ARGS__};                                 \
        answer(EVTCHN_OP(op, &a_), "evtchn/" #op "/%s", name);                 \
        a_;                                                                    \
    })

static evtchn_port_t quiet_unbound(void)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF,
                                     .remote_dom = DOMID_SELF};

    if (EVTCHN_OP(alloc_unbound, &a))
        panic("answers: no port");
    return a.port;
}

static void quiet_close(evtchn_port_t port)
{
    struct evtchn_close c = {.port = port};

    EVTCHN_OP(close, &c);
}

/* Ports that are none, for every operation that names one. */
static const struct {
    const char *name;
    evtchn_port_t port;
} none[] = {
    {"port 0", 0},
    {"a free port", 900},
    {"beyond 2-level", 5000},
    {"beyond FIFO", 1u << 20},
    {"port -1", ~0u},
};

static void bad_ports(void)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(none); i++) {
        OP(close, none[i].name, .port = none[i].port);
        OP(send, none[i].name, .port = none[i].port);
        OP(unmask, none[i].name, .port = none[i].port);
        OP(bind_vcpu, none[i].name, .port = none[i].port);
        OP(set_priority, none[i].name, .port = none[i].port);
        OP(bind_interdomain, none[i].name, .remote_dom = DOMID_SELF,
           .remote_port = none[i].port);
        OP(status, none[i].name, .dom = DOMID_SELF, .port = none[i].port);
    }
}

static void show_status(const char *name, evtchn_port_t port)
{
    struct evtchn_status s = {.dom = DOMID_SELF, .port = port};
    long rc = EVTCHN_OP(status, &s);

    printf("evtchn/status of %s: %ld status %u vcpu %u\n", name, rc, s.status,
           s.vcpu);
}

static long move(evtchn_port_t port, unsigned int cpu)
{
    struct evtchn_bind_vcpu b = {.port = port, .vcpu = cpu};

    return EVTCHN_OP(bind_vcpu, &b);
}

/* A channel to the port, closed again. */
static long join(evtchn_port_t port)
{
    struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF,
                                        .remote_port = port};
    long rc = EVTCHN_OP(bind_interdomain, &b);

    if (!rc)
        quiet_close(b.local_port);
    return rc;
}

/* What may be done to a port of each kind. */
static void use(const char *name, evtchn_port_t port)
{
    struct evtchn_close again = {.port = port};

    show_status(name, port);
    OP(send, name, .port = port);
    OP(unmask, name, .port = port);
    OP(bind_vcpu, name, .port = port, .vcpu = 0);
    answer(move(port, 99), "evtchn/bind_vcpu/%s to vCPU 99", name);
    OP(set_priority, name, .port = port, .priority = 7);
    answer(join(port), "evtchn/bind_interdomain/%s", name);
    OP(close, name, .port = port);
    answer(EVTCHN_OP(close, &again), "evtchn/close/%s again", name);
}

static void kinds(void)
{
    struct evtchn_bind_interdomain pair = {.remote_dom = DOMID_SELF};
    struct evtchn_bind_ipi ipi = {.vcpu = 0};
    struct evtchn_bind_virq virq = {.virq = VIRQ_DEBUG, .vcpu = 0};

    use("unbound", quiet_unbound());
    pair.remote_port = quiet_unbound();
    EVTCHN_OP(bind_interdomain, &pair);
    show_status("interdomain's other end", pair.remote_port);
    use("interdomain", pair.local_port);
    show_status("an end whose other is closed", pair.remote_port);
    OP(send, "an end whose other is closed", .port = pair.remote_port);
    quiet_close(pair.remote_port);
    EVTCHN_OP(bind_ipi, &ipi);
    use("ipi", ipi.port);
    EVTCHN_OP(bind_virq, &virq);
    use("virq", virq.port);
}

static void unbound(void)
{
    struct evtchn_alloc_unbound a;

    a = OP(alloc_unbound, "for ourselves", .dom = DOMID_SELF,
           .remote_dom = DOMID_SELF);
    quiet_close(a.port);
    a = OP(alloc_unbound, "for domain 0", .dom = DOMID_SELF, .remote_dom = 0);
    quiet_close(a.port);
    a = OP(alloc_unbound, "for none", .dom = DOMID_SELF,
           .remote_dom = NO_DOMAIN);
    quiet_close(a.port);
    a = OP(alloc_unbound, "for a bad number", .dom = DOMID_SELF,
           .remote_dom = BAD_DOMAIN);
    quiet_close(a.port);
    OP(alloc_unbound, "in domain 0", .dom = 0, .remote_dom = DOMID_SELF);
    OP(alloc_unbound, "in none", .dom = NO_DOMAIN, .remote_dom = 0);
    OP(alloc_unbound, "in a bad number", .dom = BAD_DOMAIN, .remote_dom = 0);
}

static void interdomain(void)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = 0};

    EVTCHN_OP(alloc_unbound, &a);
    OP(bind_interdomain, "one that is for domain 0", .remote_dom = DOMID_SELF,
       .remote_port = a.port);
    quiet_close(a.port);
    OP(bind_interdomain, "with none", .remote_dom = NO_DOMAIN,
       .remote_port = 1);
    OP(bind_interdomain, "with a bad number", .remote_dom = BAD_DOMAIN,
       .remote_port = 1);
    OP(bind_interdomain, "with domain 0's port 0", .remote_dom = 0,
       .remote_port = 0);
    OP(status, "of domain 0", .dom = 0, .port = 1);
    OP(status, "of none", .dom = NO_DOMAIN, .port = 1);
    OP(reset, "domain 0", .dom = 0);
    OP(reset, "none", .dom = NO_DOMAIN);
    OP(reset, "a bad number", .dom = BAD_DOMAIN);
}

static void irqs(void)
{
    struct evtchn_bind_virq v;
    struct evtchn_bind_ipi i;

    OP(bind_virq, "timer, twice", .virq = VIRQ_TIMER, .vcpu = 0);
    OP(bind_virq, "unknown", .virq = NR_VIRQS, .vcpu = 0);
    OP(bind_virq, "-1", .virq = ~0u, .vcpu = 0);
    OP(bind_virq, "debug of vCPU 99", .virq = VIRQ_DEBUG, .vcpu = 99);
    OP(bind_virq, "global of vCPU 1", .virq = VIRQ_CONSOLE, .vcpu = 1);
    v = OP(bind_virq, "console", .virq = VIRQ_CONSOLE, .vcpu = 0);
    if (v.port)
        quiet_close(v.port);
    v = OP(bind_virq, "dom_exc", .virq = VIRQ_DOM_EXC, .vcpu = 0);
    if (v.port)
        quiet_close(v.port);
    v = OP(bind_virq, "xenoprof", .virq = VIRQ_XENOPROF, .vcpu = 0);
    if (v.port)
        quiet_close(v.port);
    v = OP(bind_virq, "timer of vCPU 1", .virq = VIRQ_TIMER, .vcpu = 1);
    if (v.port)
        quiet_close(v.port);
    OP(bind_ipi, "of vCPU 99", .vcpu = 99);
    i = OP(bind_ipi, "of vCPU 1", .vcpu = 1);
    quiet_close(i.port);
    OP(bind_pirq, "0", .pirq = 0);
    OP(bind_pirq, "9", .pirq = 9);
    OP(bind_pirq, "beyond all", .pirq = 1u << 20);
}

/* Only wrong ones: the right one changes the ABI for good. */
static void fifo(void)
{
    unsigned long mfn = virt_to_mfn(page_alloc(1));

    OP(init_control, "of vCPU 99", .control_gfn = mfn, .vcpu = 99);
    OP(init_control, "unaligned", .control_gfn = mfn, .offset = 4);
    OP(init_control, "over the page's end", .control_gfn = mfn,
       .offset = 4096 - 16);
    OP(init_control, "a frame of none", .control_gfn = 1ul << 40);
    OP(expand_array, "without control", .array_gfn = mfn);
}

static void bad_pointers(void)
{
    unsigned int op;

    for (op = 0; op <= EVTCHNOP_set_priority; op++) {
        /* A reset by itself is done: it would cost us the store. */
        answer(hypercall_op(__HYPERVISOR_event_channel_op, op, NOWHERE),
               "evtchn/op %u at nowhere", op);
        answer(hypercall_op(__HYPERVISOR_event_channel_op, op, XENS),
               "evtchn/op %u at Xen's", op);
    }
    answer(hypercall_op(__HYPERVISOR_event_channel_op_compat, 4, NOWHERE),
           "evtchn/compat at nowhere");
}

void answers_events(void)
{
    unbound();
    interdomain();
    irqs();
    kinds();
    bad_ports();
    fifo();
    bad_pointers();
}
