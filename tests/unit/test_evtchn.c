/* SPDX-License-Identifier: MIT */
/*
 * Event channels, one caller at a time: every operation in every state of a
 * channel gives Xen's result and leaves the state it should; events reach the
 * bits, vCPUs, pollers and eventfds they are meant for and no others; a
 * connection of domain 0 that goes away leaves ports that can be bound again.
 */
#include "tests/unit/hv_fixture.h"

#include <fcntl.h>
#include <stdio.h>

/* ---- every operation in every state ---- */

enum kind {
    K_NEVER,   /* no channel was ever there */
    K_FREE,    /* closed */
    K_ZERO,    /* port 0 */
    K_BEYOND,  /* past the table */
    K_UNBOUND, /* for domain 2 */
    K_OTHERS,  /* for domain 3 */
    K_INTER,
    K_PIRQ,
    K_VIRQ_GLOBAL,
    K_VIRQ_VCPU,
    K_IPI,
    NR_KINDS
};

struct expect {
    const char *name;
    long send, close, move, unmask, bind, status;
};

/* bind: domain 2 binds to it; status: EVTCHNSTAT_* or the error. */
static const struct expect expects[NR_KINDS] = {
    [K_NEVER] = {"never", -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL},
    [K_FREE] = {"free", -EINVAL, -EINVAL, -EINVAL, 0, -EINVAL,
                EVTCHNSTAT_closed},
    [K_ZERO] = {"zero", -EINVAL, -EINVAL, -EINVAL, 0, -EINVAL,
                EVTCHNSTAT_closed},
    [K_BEYOND] = {"beyond", -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL,
                  -EINVAL},
    [K_UNBOUND] = {"unbound", 0, 0, 0, 0, 1, EVTCHNSTAT_unbound},
    [K_OTHERS] = {"others", 0, 0, 0, 0, -EINVAL, EVTCHNSTAT_unbound},
    [K_INTER] = {"inter", 0, 0, 0, 0, -EINVAL, EVTCHNSTAT_interdomain},
    [K_PIRQ] = {"pirq", -EINVAL, 0, 0, 0, -EINVAL, EVTCHNSTAT_pirq},
    [K_VIRQ_GLOBAL] = {"virq", -EINVAL, 0, 0, 0, -EINVAL, EVTCHNSTAT_virq},
    [K_VIRQ_VCPU] = {"timer", -EINVAL, 0, -EINVAL, 0, -EINVAL, EVTCHNSTAT_virq},
    [K_IPI] = {"ipi", 0, 0, -EINVAL, 0, -EINVAL, EVTCHNSTAT_ipi},
};

static evtchn_port_t make(enum kind k)
{
    struct caller g = fx_guest(1);
    long port;

    fx.doms[1]->trapped = (struct trapped_bus *)&fx;
    switch (k) {
    case K_NEVER:
        return 1000;
    case K_BEYOND:
        return UINT32_MAX;
    case K_FREE:
        port = fx_alloc_unbound(g, DOMID_SELF, 2);
        assert_int_equal(fx_close(g, port), 0);
        break;
    case K_UNBOUND:
        port = fx_alloc_unbound(g, DOMID_SELF, 2);
        break;
    case K_OTHERS:
        port = fx_alloc_unbound(g, DOMID_SELF, 3);
        break;
    case K_INTER:
        port = fx_alloc_unbound(g, DOMID_SELF, 2);
        assert_true(fx_bind(fx_guest(2), 1, port) > 0);
        break;
    case K_PIRQ:
        port = fx_bind_pirq(g, 4);
        break;
    case K_VIRQ_GLOBAL:
        port = fx_bind_virq(g, VIRQ_DOM_EXC, 0);
        break;
    case K_VIRQ_VCPU:
        port = fx_bind_virq(g, VIRQ_TIMER, 1);
        break;
    case K_IPI:
        port = fx_bind_ipi(g, 1);
        break;
    default:
        return 0;
    }
    assert_true(port > 0);
    return port;
}

static long status_of(evtchn_port_t port)
{
    struct evtchn_status op = {.dom = DOMID_SELF, .port = port};
    long rc = fx_evtchn(fx_guest(1), EVTCHNOP_status, &op);

    return rc ? rc : (long)op.status;
}

static void check_kind(enum kind k)
{
    const struct expect *e = &expects[k];
    struct caller g = fx_guest(1);
    evtchn_port_t port = make(k);
    long rc;

    print_message("state %s\n", e->name);
    assert_int_equal(status_of(port), e->status);
    assert_int_equal(fx_send(g, port), e->send);
    assert_int_equal(fx_bind_vcpu(g, port, 2), e->move);
    if (!e->move)
        assert_int_equal(fx_status(1, port).vcpu, 2);
    assert_int_equal(fx_bind_vcpu(g, port, 4), -ENOENT);
    assert_int_equal(fx_unmask(g, port), e->unmask);
    rc = fx_bind(fx_guest(2), 1, port);
    assert_int_equal(rc > 0 ? 1 : rc, e->bind);
    assert_int_equal(fx_bind(fx_guest(2), 1, port), -EINVAL);
    assert_int_equal(fx_close(g, port), e->close);
    assert_int_equal(fx_close(g, port), -EINVAL);
    if (e->status > 0)
        assert_int_equal(status_of(port), EVTCHNSTAT_closed);
}

static void test_every_op_in_every_state(void **state)
{
    for (enum kind k = 0; k < NR_KINDS; k++) {
        check_kind(k);
        fx_teardown(state);
        fx_setup(state);
    }
}

static void test_unknown_ops(void **state)
{
    uint64_t junk[64] = {0};

    (void)state;
    assert_int_equal(fx_evtchn(fx_guest(1), EVTCHNOP_expand_array, junk),
                     -EOPNOTSUPP);
    assert_int_equal(fx_evtchn(fx_guest(1), EVTCHNOP_set_priority, junk),
                     -ENOSYS);
    assert_int_equal(fx_evtchn(fx_guest(1), 14, junk), -ENOSYS);
    assert_int_equal(fx_evtchn(fx_guest(1), UINT32_MAX, junk), -ENOSYS);
    assert_int_equal(fx_evtchn(fx_guest(1), EVTCHNOP_send, NULL), -EFAULT);
}

/* ---- making ports ---- */

static void test_permissions(void **state)
{
    struct privcmd_conn conn;
    struct evtchn_status st = {.dom = 2, .port = 1};

    (void)state;
    fx_conn_open(&conn);
    assert_int_equal(fx_alloc_unbound(fx_guest(1), 2, 1), -EPERM);
    assert_int_equal(fx_alloc_unbound(fx_guest(1), 7, 1), -ESRCH);
    assert_int_equal(fx_evtchn(fx_guest(1), EVTCHNOP_status, &st), -EPERM);
    assert_int_equal(fx_reset(fx_guest(1), 2), -EPERM);
    assert_int_equal(fx_reset(fx_guest(1), 6), -ESRCH);
    assert_int_equal(fx_alloc_unbound(fx_guest(1), 1, 0), 1); /* by its id */
    assert_int_equal(fx_alloc_unbound(fx_conn(&conn), 2, 0), 1);
    assert_int_equal(fx_evtchn(fx_conn(&conn), EVTCHNOP_status, &st), 0);
    assert_int_equal(st.status, EVTCHNSTAT_unbound);
    assert_int_equal(st.u.unbound.dom, 0);
    assert_int_equal(fx_bind(fx_guest(1), 7, 1), -ESRCH);
    fx_conn_close(&conn);
}

static void test_lowest_port_first_and_limit(void **state)
{
    struct caller g = fx_guest(1);

    (void)state;
    for (long i = 1; i < (long)EVTCHN_2L_NR_CHANNELS; i++)
        assert_int_equal(fx_alloc_unbound(g, DOMID_SELF, 0), i);
    assert_int_equal(fx_alloc_unbound(g, DOMID_SELF, 0), -ENOSPC);
    assert_int_equal(fx_bind_ipi(g, 0), -ENOSPC);
    assert_int_equal(fx_bind_virq(g, VIRQ_TIMER, 0), -ENOSPC);
    assert_int_equal(fx_close(g, 4000), 0);
    assert_int_equal(fx_close(g, 77), 0);
    assert_int_equal(fx_bind_ipi(g, 0), 77);
    assert_int_equal(fx_bind_ipi(g, 0), 4000);
    assert_int_equal(fx_bind_ipi(g, 0), -ENOSPC);
}

static void test_port_limit_of_the_domain(void **state)
{
    struct caller c;

    (void)state;
    fx_domain(3, 1, 5);
    c = fx_guest(3);
    for (long i = 1; i <= 5; i++)
        assert_int_equal(fx_bind_ipi(c, 0), i);
    assert_int_equal(fx_bind_ipi(c, 0), -ENOSPC);
    assert_int_equal(fx_send(c, 6), -EINVAL);
}

static void test_virq_rules(void **state)
{
    struct caller g = fx_guest(1);
    long timer0, timer1, exc;

    (void)state;
    assert_int_equal(fx_bind_virq(g, NR_VIRQS, 0), -EINVAL);
    assert_int_equal(fx_bind_virq(g, UINT32_MAX, 0), -EINVAL);
    assert_int_equal(fx_bind_virq(g, VIRQ_DOM_EXC, 1), -EINVAL);
    assert_int_equal(fx_bind_virq(g, VIRQ_TIMER, 4), -ENOENT);
    assert_int_equal(fx_bind_virq(g, VIRQ_TIMER, UINT32_MAX), -ENOENT);
    timer0 = fx_bind_virq(g, VIRQ_TIMER, 0);
    timer1 = fx_bind_virq(g, VIRQ_TIMER, 1);
    exc = fx_bind_virq(g, VIRQ_DOM_EXC, 0);
    assert_true(timer0 > 0 && timer1 > 0 && exc > 0);
    assert_int_equal(fx_bind_virq(g, VIRQ_TIMER, 0), -EEXIST);

    evtchn_raise_virq(fx.doms[1]->vcpu[1], VIRQ_TIMER);
    assert_false(fx_pending(1, timer0));
    assert_true(fx_pending(1, timer1));
    assert_int_equal(fx.kicks[1][0], 0);
    assert_int_equal(fx.kicks[1][1], 1);
    evtchn_raise_virq(fx.doms[1]->vcpu[2], VIRQ_TIMER); /* not bound */
    evtchn_raise_virq(fx.doms[1]->vcpu[1], NR_VIRQS);
    assert_int_equal(fx.kicks[1][2], 0);

    assert_int_equal(fx_close(g, timer1), 0);
    assert_false(fx_pending(1, timer1));
    evtchn_raise_virq(fx.doms[1]->vcpu[1], VIRQ_TIMER);
    assert_false(fx_pending(1, timer1));
    assert_int_equal(fx_bind_virq(g, VIRQ_TIMER, 1), timer1);
}

static void test_global_virq_goes_to_dom0(void **state)
{
    struct privcmd_conn a, b;
    long port, guests = fx_bind_virq(fx_guest(1), VIRQ_DOM_EXC, 0);

    (void)state;
    fx_conn_open(&a);
    fx_conn_open(&b);
    evtchn_raise_global_virq(&fx.hv, VIRQ_DOM_EXC); /* not bound yet */
    port = fx_bind_virq(fx_conn(&a), VIRQ_DOM_EXC, 0);
    assert_true(port > 0);
    assert_int_equal(fx_bind_virq(fx_conn(&b), VIRQ_DOM_EXC, 0), -EEXIST);
    evtchn_raise_global_virq(&fx.hv, VIRQ_DOM_EXC);
    evtchn_raise_global_virq(&fx.hv, NR_VIRQS);
    assert_int_equal(
        fx_counted(evtchn_port_eventfd(fx.doms[0], &a.ports, port)), 1);
    assert_false(fx_pending(1, guests));
    fx_conn_close(&a);
    assert_true(fx_bind_virq(fx_conn(&b), VIRQ_DOM_EXC, 0) > 0);
    fx_conn_close(&b);
}

static void test_pirq_rules(void **state)
{
    struct caller g = fx_guest(1);
    long port;

    (void)state;
    assert_int_equal(fx_bind_pirq(g, 4), -EPERM); /* no trapped devices */
    fx.doms[1]->trapped = (struct trapped_bus *)&fx;
    assert_int_equal(fx_bind_pirq(g, 256), -EINVAL);
    assert_false(evtchn_pirq_is_bound(fx.doms[1], 4));
    port = fx_bind_pirq(g, 4);
    assert_true(port > 0);
    assert_int_equal(fx_bind_pirq(g, 4), -EEXIST);
    assert_true(evtchn_pirq_is_bound(fx.doms[1], 4));
    assert_int_equal(fx_status(1, port).u.pirq, 4);
    evtchn_raise_pirq(fx.doms[1], 4);
    evtchn_raise_pirq(fx.doms[1], 5);
    evtchn_raise_pirq(fx.doms[1], UINT32_MAX);
    assert_true(fx_pending(1, port));
    assert_int_equal(fx_close(g, port), 0);
    assert_false(evtchn_pirq_is_bound(fx.doms[1], 4));
    evtchn_raise_pirq(fx.doms[1], 4);
    assert_false(fx_pending(1, port));
}

/* ---- delivery ---- */

static void test_send_sets_each_bit_once(void **state)
{
    struct caller a = fx_guest(1), b = fx_guest(2);
    long pa = fx_alloc_unbound(a, DOMID_SELF, 2), pb;
    struct vcpu_info *vi = &fx.doms[2]->shared_info->vcpu_info[3];

    (void)state;
    while ((pb = fx_bind_ipi(b, 0)) < 129) /* into the third word */
        ;
    pb = fx_bind(b, 1, pa);
    assert_int_equal(pb, 130);
    assert_true(fx_pending(2, pb)); /* what may have been lost before */
    assert_false(fx_pending(1, pa));
    assert_int_equal(fx_bind_vcpu(b, pb, 3), 0);
    fx_consume(2);

    assert_int_equal(fx_send(a, pa), 0);
    assert_true(fx_pending(2, pb));
    assert_int_equal(vi->evtchn_pending_sel, 1ul << 2);
    assert_int_equal(vi->evtchn_upcall_pending, 1);
    assert_int_equal(fx.kicks[2][3], 1);
    assert_int_equal(fx_send(a, pa), 0); /* still pending: nothing new */
    assert_int_equal(fx.kicks[2][3], 1);
    assert_int_equal(fx.kicks[2][0], 0);
    fx_consume(2);
    assert_int_equal(fx_send(a, pa), 0);
    assert_int_equal(fx.kicks[2][3], 1);
    assert_int_equal(fx_send(b, pb), 0); /* and the other way */
    assert_true(fx_pending(1, pa));
}

static void test_masked_then_unmasked(void **state)
{
    struct caller g = fx_guest(1);
    struct vcpu_info *vi = &fx.doms[1]->shared_info->vcpu_info[0];
    long p = fx_bind_ipi(g, 0);

    (void)state;
    fx_mask(1, p);
    assert_int_equal(fx_send(g, p), 0);
    assert_true(fx_pending(1, p));
    assert_int_equal(vi->evtchn_upcall_pending, 0);
    assert_int_equal(fx.kicks[1][0], 0);
    assert_int_equal(fx_unmask(g, p), 0); /* the edge is raised again */
    assert_int_equal(vi->evtchn_upcall_pending, 1);
    assert_int_equal(vi->evtchn_pending_sel, 1);
    assert_int_equal(fx.kicks[1][0], 1);
    fx_consume(1);
    assert_int_equal(fx_unmask(g, p), 0); /* neither masked nor pending */
    fx_mask(1, p);
    assert_int_equal(fx_unmask(g, p), 0); /* masked, not pending */
    assert_int_equal(fx.kicks[1][0], 0);
    assert_int_equal(fx_send(g, p), 0);
    vi->evtchn_upcall_pending = 0;
    vi->evtchn_pending_sel = 0;
    assert_int_equal(fx_unmask(g, p), 0); /* pending, not masked: no edge */
    assert_int_equal(vi->evtchn_upcall_pending, 0);
}

static void test_loopback(void **state)
{
    struct caller g = fx_guest(1);
    long a = fx_alloc_unbound(g, DOMID_SELF, DOMID_SELF), b;

    (void)state;
    assert_int_equal(fx_bind(fx_guest(2), 1, a), -EINVAL);
    b = fx_bind(g, DOMID_SELF, a);
    assert_true(b > 0 && b != a);
    assert_int_equal(fx_status(1, a).u.interdomain.dom, 1);
    assert_int_equal(fx_status(1, a).u.interdomain.port, b);
    fx_consume(1);
    assert_int_equal(fx_send(g, a), 0);
    assert_true(fx_pending(1, b) && !fx_pending(1, a));
    assert_int_equal(fx_close(g, a), 0);
    assert_int_equal(fx_status(1, b).status, EVTCHNSTAT_unbound);
    assert_int_equal(fx_close(g, b), 0);
}

static void test_close_leaves_peer_unbound(void **state)
{
    struct caller a = fx_guest(1), b = fx_guest(2);
    long pa = fx_alloc_unbound(a, DOMID_SELF, 2), pb = fx_bind(b, 1, pa);
    struct evtchn_status st;

    (void)state;
    fx_consume(1);
    assert_int_equal(fx_close(b, pb), 0);
    assert_false(fx_pending(2, pb)); /* nothing left for the next user */
    st = fx_status(1, pa);
    assert_int_equal(st.status, EVTCHNSTAT_unbound);
    assert_int_equal(st.u.unbound.dom, 2);
    assert_int_equal(fx_send(a, pa), 0);
    assert_false(fx_pending(2, pb));
    assert_int_equal(fx_bind(b, 1, pa), pb);
}

static void test_poll(void **state)
{
    struct caller g = fx_guest(1);
    long p = fx_bind_ipi(g, 0), q = fx_bind_ipi(g, 0);
    struct domain *d = fx.doms[1];

    (void)state;
    assert_int_equal(evtchn_port_poll(d, p), 0);
    fx_mask(1, p); /* pollers don't mind */
    atomic_store(&d->vcpu[2]->poll_port, (int)p);
    atomic_store(&d->vcpu[3]->poll_port, POLL_ANY);
    assert_int_equal(fx_send(g, q), 0);
    assert_int_equal(fx.kicks[1][2], 0);
    assert_int_equal(fx.kicks[1][3], 1);
    assert_int_equal(fx_send(g, p), 0);
    assert_int_equal(fx.kicks[1][2], 1);
    assert_int_equal(fx.kicks[1][3], 2);
    assert_int_equal(fx.kicks[1][1], 0);
    assert_int_equal(evtchn_port_poll(d, p), 1);
}

static void test_vcpu_info_moved(void **state)
{
    static struct vcpu_info elsewhere;
    struct vcpu *v = fx.doms[1]->vcpu[1];
    struct caller g = fx_guest(1);
    long p = fx_bind_ipi(g, 1);

    (void)state;
    elsewhere = (struct vcpu_info){0};
    atomic_store(&v->vcpu_info, &elsewhere);
    evtchn_vcpu_info_moved(v);
    assert_true(elsewhere.evtchn_pending_sel == ~0ul);
    assert_int_equal(elsewhere.evtchn_upcall_pending, 1);
    assert_int_equal(fx.kicks[1][1], 1);
    fx_consume(1);
    assert_int_equal(fx_send(g, p), 0);
    assert_int_equal(elsewhere.evtchn_pending_sel, 1);
    assert_int_equal(fx.doms[1]->shared_info->vcpu_info[1].evtchn_pending_sel,
                     0);
}

/* An event before there is memory or a vcpu_info must not hurt. */
static void test_before_memory(void **state)
{
    struct domain *d = fx.doms[1];
    struct shared_info *s = d->shared_info;
    long p = fx_bind_ipi(fx_guest(1), 0);

    (void)state;
    d->shared_info = NULL;
    assert_int_equal(fx_send(fx_guest(1), p), 0);
    assert_int_equal(fx_unmask(fx_guest(1), p), 0);
    assert_int_equal(evtchn_port_poll(d, p), 0);
    assert_int_equal(fx_close(fx_guest(1), p), 0);
    d->shared_info = s;
    atomic_store(&d->vcpu[0]->vcpu_info, NULL);
    p = fx_bind_ipi(fx_guest(1), 0);
    assert_int_equal(fx_send(fx_guest(1), p), 0);
    evtchn_vcpu_info_moved(d->vcpu[0]);
    atomic_store(&d->vcpu[0]->vcpu_info, &s->vcpu_info[0]);
}

/* ---- connections of domain 0 ---- */

static void test_dom0_ports_are_eventfds(void **state)
{
    struct privcmd_conn conn, other;
    long pg = fx_alloc_unbound(fx_guest(1), DOMID_SELF, 0), p0;
    int fd;

    (void)state;
    fx_conn_open(&conn);
    fx_conn_open(&other);
    p0 = fx_bind(fx_conn(&conn), 1, pg);
    assert_true(p0 > 0);
    fd = evtchn_port_eventfd(fx.doms[0], &conn.ports, p0);
    assert_true(fd >= 0);
    assert_int_equal(fx_counted(fd), 1); /* by the bind */
    assert_int_equal(fx_send(fx_guest(1), pg), 0);
    assert_int_equal(fx_send(fx_guest(1), pg), 0);
    assert_int_equal(fx_counted(fd), 2);
    assert_int_equal(fx_send(fx_conn(&conn), p0), 0);
    assert_true(fx_pending(1, pg));
    assert_int_equal(fx_unmask(fx_conn(&conn), p0), 0);

    assert_int_equal(evtchn_port_eventfd(fx.doms[0], &other.ports, p0),
                     -ENOENT);
    assert_int_equal(evtchn_port_eventfd(fx.doms[0], &conn.ports, p0 + 1),
                     -ENOENT);
    assert_int_equal(evtchn_port_eventfd(fx.doms[0], &conn.ports, 99999),
                     -ENOENT);
    assert_int_equal(fx_send(fx_conn(&other), p0), -ENOTCONN);
    assert_int_equal(fx_close(fx_conn(&other), p0), -ENOTCONN);
    assert_int_equal(fx_unmask(fx_conn(&other), p0), -ENOTCONN);
    assert_int_equal(fx_bind_vcpu(fx_conn(&other), p0, 0), -ENOTCONN);
    assert_int_equal(fx_close(fx_conn(&conn), p0), 0);
    assert_int_equal(evtchn_port_eventfd(fx.doms[0], &conn.ports, p0), -ENOENT);
    fx_conn_close(&other);
    fx_conn_close(&conn);
}

/* Whoever shares an eventfd can fill it and make it blocking. */
static void test_client_cannot_block_a_sender(void **state)
{
    struct privcmd_conn conn;
    long pg = fx_alloc_unbound(fx_guest(1), DOMID_SELF, 0), p0;
    uint64_t full = UINT64_MAX - 1;
    int fd;

    (void)state;
    if (fdsignal_init(&fx.hv.fdsignal)) {
        printf("skip: this kernel has no asynchronous I/O\n");
        skip();
    }
    fx_conn_open(&conn);
    p0 = fx_bind(fx_conn(&conn), 1, pg);
    fd = evtchn_port_eventfd(fx.doms[0], &conn.ports, p0);
    for (int i = 0; i < 3000; i++) /* more than it can have under way */
        assert_int_equal(fx_send(fx_guest(1), pg), 0);
    assert_int_equal(fx_counted(fd), 3001);
    assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
    assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
    alarm(10); /* a sender that blocks ends the test */
    assert_int_equal(fx_send(fx_guest(1), pg), 0);
    assert_int_equal(fx_send(fx_guest(1), pg), 0);
    alarm(0);
    assert_true(fx_counted(fd) >= full);
    fx_conn_close(&conn);
    fdsignal_free(&fx.hv.fdsignal);
}

/* What a restricted connection may do with channels is about its domain. */
static void test_restricted_connection_meets_one_domain(void **state)
{
    struct evtchn_status st = {.dom = DOMID_SELF};
    struct privcmd_conn conn, other;
    long loop, p;

    (void)state;
    fx_conn_open(&conn);
    fx_conn_open(&other);
    conn.only_domid = 1;
    loop = fx_alloc_unbound(fx_conn(&other), DOMID_SELF, 0);
    assert_true(loop > 0);
    assert_int_equal(fx_alloc_unbound(fx_conn(&conn), DOMID_SELF, 2), -EPERM);
    assert_int_equal(fx_alloc_unbound(fx_conn(&conn), DOMID_SELF, 0), -EPERM);
    assert_int_equal(fx_bind(fx_conn(&conn), 0, loop), -EPERM);
    st.port = loop;
    assert_int_equal(fx_evtchn(fx_conn(&conn), EVTCHNOP_status, &st), -EPERM);
    fx.doms[1]->pause_count = 1;
    assert_int_equal(fx_reset(fx_conn(&conn), 1), -EPERM);
    fx.doms[1]->pause_count = 0;
    p = fx_alloc_unbound(fx_conn(&conn), DOMID_SELF, 1);
    assert_true(p > 0);
    st.port = p;
    assert_int_equal(fx_evtchn(fx_conn(&conn), EVTCHNOP_status, &st), 0);
    assert_int_equal(st.u.unbound.dom, 1);
    fx_conn_close(&other);
    fx_conn_close(&conn);
}

/* Once closed a port is nobody's: not "another's", but no port to send on. */
static void test_closed_port_of_dom0(void **state)
{
    struct privcmd_conn conn, other;
    long p;

    (void)state;
    fx_conn_open(&conn);
    fx_conn_open(&other);
    p = fx_alloc_unbound(fx_conn(&conn), DOMID_SELF, 1);
    assert_int_equal(fx_send(fx_conn(&other), p), -ENOTCONN);
    assert_int_equal(fx_close(fx_conn(&conn), p), 0);
    assert_int_equal(fx_send(fx_conn(&other), p), -EINVAL);
    assert_int_equal(fx_close(fx_conn(&other), p), -EINVAL);
    fx_conn_close(&other);
    fx_conn_close(&conn);
}

static void test_owner_closed_and_bound_again(void **state)
{
    struct privcmd_conn conn, next;
    long pg = fx_alloc_unbound(fx_guest(1), DOMID_SELF, 0), p0, kept;
    struct evtchn_status st;

    (void)state;
    fx_conn_open(&next);
    kept = fx_bind_ipi(fx_conn(&next), 0);
    for (int round = 0; round < 3; round++) {
        fx_conn_open(&conn);
        p0 = fx_bind(fx_conn(&conn), 1, pg);
        assert_true(p0 > 0);
        assert_true(fx_alloc_unbound(fx_conn(&conn), 0, 1) > 0);
        assert_true(fx_bind_ipi(fx_conn(&conn), 0) > 0);
        assert_true(fx.doorbell[1][pg] > 0);
        fx_conn_close(&conn);
        assert_int_equal(fx.doorbell[1][pg], 0);
        st = fx_status(1, pg);
        assert_int_equal(st.status, EVTCHNSTAT_unbound);
        assert_int_equal(st.u.unbound.dom, 0);
        assert_int_equal(fx_send(fx_guest(1), pg), 0);
    }
    assert_int_equal(fx_send(fx_conn(&next), kept), 0); /* not the other's */
    p0 = fx_bind(fx_conn(&next), 1, pg);
    assert_int_equal(
        fx_counted(evtchn_port_eventfd(fx.doms[0], &next.ports, p0)), 1);
    fx_conn_close(&next);
}

/* The connection allocates, the guest binds: the same ends apply. */
static void test_guest_binds_to_dom0(void **state)
{
    struct privcmd_conn conn;
    long p0, pg;

    (void)state;
    fx_conn_open(&conn);
    p0 = fx_alloc_unbound(fx_conn(&conn), DOMID_SELF, 1);
    assert_int_equal(fx_bind(fx_guest(2), 0, p0), -EINVAL);
    pg = fx_bind(fx_guest(1), 0, p0);
    assert_true(pg > 0);
    assert_int_equal(fx.doorbell[1][pg] - 1,
                     evtchn_port_eventfd(fx.doms[0], &conn.ports, p0));
    assert_int_equal(fx_send(fx_guest(1), pg), 0);
    assert_int_equal(
        fx_counted(evtchn_port_eventfd(fx.doms[0], &conn.ports, p0)), 1);
    fx_conn_close(&conn);
    assert_int_equal(fx.doorbell[1][pg], 0);
    assert_int_equal(fx_status(1, pg).status, EVTCHNSTAT_unbound);
}

/* A reset by one connection leaves the others' ports alone. */
static void test_reset_of_dom0_is_per_connection(void **state)
{
    struct privcmd_conn a, b;
    long pa, pb;

    (void)state;
    fx_conn_open(&a);
    fx_conn_open(&b);
    pa = fx_bind_ipi(fx_conn(&a), 0);
    pb = fx_bind_ipi(fx_conn(&b), 0);
    assert_int_equal(fx_reset(fx_conn(&a), DOMID_SELF), 0);
    assert_int_equal(fx_send(fx_conn(&a), pa), -EINVAL);
    assert_int_equal(fx_send(fx_conn(&b), pb), 0);
    fx_conn_close(&a);
    fx_conn_close(&b);
}

/* The notify page names the ports that domain 0 may raise, and their vCPUs. */
static void test_notify_page(void **state)
{
    struct privcmd_conn conn;
    long pg = fx_alloc_unbound(fx_guest(1), DOMID_SELF, 0);
    long pe = fx_alloc_unbound(fx_guest(1), DOMID_SELF, 2);

    (void)state;
    fx_conn_open(&conn);
    assert_int_equal(fx_bind_vcpu(fx_guest(1), pg, 2), 0);
    assert_int_equal(fx.notify[1][pg], 0); /* nobody there yet */
    assert_true(fx_bind(fx_conn(&conn), 1, pg) > 0);
    assert_int_equal(fx.notify[1][pg], 3);
    assert_int_equal(fx_bind_vcpu(fx_guest(1), pg, 1), 0);
    assert_int_equal(fx.notify[1][pg], 2);
    assert_true(fx_bind(fx_guest(2), 1, pe) > 0);
    assert_int_equal(fx_bind_vcpu(fx_guest(1), pe, 1), 0);
    assert_int_equal(fx.notify[1][pe], 0); /* a guest's business */
    fx_conn_close(&conn);
    assert_int_equal(fx.notify[1][pg], 0);
    assert_int_equal(fx_bind_vcpu(fx_guest(1), pg, 3), 0);
    assert_int_equal(fx.notify[1][pg], 0);
}

static void test_doorbells(void **state)
{
    struct privcmd_conn conn;
    long pg = fx_alloc_unbound(fx_guest(1), DOMID_SELF, 0);
    long pe = fx_alloc_unbound(fx_guest(1), DOMID_SELF, 2), p0, fd;

    (void)state;
    fx_conn_open(&conn);
    p0 = fx_bind(fx_conn(&conn), 1, pg);
    fd = evtchn_port_eventfd(fx.doms[0], &conn.ports, p0);
    assert_int_equal(fx.doorbell[1][pg], fd + 1);
    assert_true(fx_bind(fx_guest(2), 1, pe) > 0); /* guest to guest: none */
    assert_int_equal(fx.doorbell[1][pe], 0);
    assert_int_equal(fx_close(fx_guest(1), pg), 0);
    assert_int_equal(fx.doorbell[1][pg], 0);

    /* None left: the send comes to hv, which writes. */
    fx.doorbell_rc = -ENOSPC;
    pg = fx_alloc_unbound(fx_guest(1), DOMID_SELF, 0);
    p0 = fx_bind(fx_conn(&conn), 1, pg);
    fd = evtchn_port_eventfd(fx.doms[0], &conn.ports, p0);
    assert_int_equal(fx_counted(fd), 1);
    assert_int_equal(fx_send(fx_guest(1), pg), 0);
    assert_int_equal(fx_counted(fd), 1);
    fx_conn_close(&conn);
}

/* ---- reset, death ---- */

static void test_reset(void **state)
{
    struct privcmd_conn conn;
    struct caller g = fx_guest(1);
    long pa = fx_alloc_unbound(g, DOMID_SELF, 2), pb;

    (void)state;
    fx_conn_open(&conn);
    pb = fx_bind(fx_guest(2), 1, pa);
    fx_bind_virq(g, VIRQ_TIMER, 0);
    assert_int_equal(fx_send(fx_guest(2), pb), 0);
    assert_int_equal(fx_reset(fx_conn(&conn), 1), -EINVAL); /* it runs */
    assert_int_equal(fx_status(1, pa).status, EVTCHNSTAT_interdomain);
    fx.doms[1]->pause_count = 1;
    assert_int_equal(fx_reset(fx_conn(&conn), 1), 0);
    fx.doms[1]->pause_count = 0;
    assert_int_equal(fx_status(1, pa).status, EVTCHNSTAT_closed);
    assert_false(fx_pending(1, pa));
    assert_int_equal(fx_status(2, pb).status, EVTCHNSTAT_unbound);
    assert_int_equal(fx_bind_virq(g, VIRQ_TIMER, 0), 1); /* from the start */
    assert_int_equal(fx_reset(g, DOMID_SELF), 0);
    assert_int_equal(fx_bind_ipi(g, 0), 1);
    fx_conn_close(&conn);
}

static void test_death_of_the_remote(void **state)
{
    struct caller a = fx_guest(1);
    struct domain *dying = fx.doms[2];
    long pa = fx_alloc_unbound(a, DOMID_SELF, 2);
    long pb = fx_bind(fx_guest(2), 1, pa);

    (void)state;
    atomic_fetch_add(&dying->refs, 1); /* a hypercall still going on */
    fx_kill(dying);
    assert_int_equal(fx_status(1, pa).status, EVTCHNSTAT_unbound);
    assert_int_equal(fx_send(a, pa), 0);
    assert_int_equal(fx_bind(a, 2, 1), -ESRCH);
    /* The dead domain's late calls find nothing, and make nothing. */
    assert_int_equal(evtchn_send(dying, pb), -EINVAL);
    assert_int_equal(fx_bind_ipi((struct caller){.d = dying}, 0), -EINVAL);
    assert_int_equal(fx_bind((struct caller){.d = dying}, 1, pa), -EINVAL);
    domain_put(dying);
    assert_int_equal(fx.freed, 1);
}

/* ---- named after the advisories they stand for ---- */

/* 317: no port to be had is an error, not a port number. */
static void xsa317_alloc_errors(void **state)
{
    struct caller c;

    (void)state;
    fx_domain(3, 1, 1);
    c = fx_guest(3);
    assert_int_equal(fx_alloc_unbound(c, DOMID_SELF, 0), 1);
    assert_int_equal(fx_alloc_unbound(c, DOMID_SELF, 0), -ENOSPC);
    assert_int_equal(fx_bind(c, 1, 1), -ENOSPC);
    assert_int_equal(fx_send(c, (evtchn_port_t)-ENOSPC), -EINVAL);
}

/* 338: a port that was valid once stays valid, closed or not. */
static void xsa338_ports_stay_valid(void **state)
{
    struct caller g = fx_guest(1);
    evtchn_port_t last = 0;

    (void)state;
    for (int i = 0; i < 200; i++)
        last = fx_bind_ipi(g, 0);
    assert_int_equal(fx_reset(g, DOMID_SELF), 0);
    assert_int_equal(status_of(last), EVTCHNSTAT_closed);
    assert_int_equal(evtchn_port_poll(fx.doms[1], last), 0);
}

/* 342: no port past what the ABI has bits for, whatever the limit says. */
static void xsa342_no_port_past_the_bitmap(void **state)
{
    struct evtchn_status st = {.dom = DOMID_SELF,
                               .port = EVTCHN_2L_NR_CHANNELS};

    (void)state;
    assert_int_equal(fx_evtchn(fx_guest(1), EVTCHNOP_status, &st), -EINVAL);
    assert_int_equal(fx_unmask(fx_guest(1), EVTCHN_2L_NR_CHANNELS), -EINVAL);
    assert_int_equal(fx_send(fx_guest(1), EVTCHN_2L_NR_CHANNELS), -EINVAL);
}

/* 221: polling a port that does not exist is an error. */
static void xsa221_poll_of_no_port(void **state)
{
    (void)state;
    assert_int_equal(evtchn_port_poll(fx.doms[1], 500), -EINVAL);
    assert_int_equal(evtchn_port_poll(fx.doms[1], UINT32_MAX), -EINVAL);
    assert_int_equal(evtchn_port_poll(fx.doms[1], 0), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_every_op_in_every_state),
        T(test_unknown_ops),
        T(test_permissions),
        T(test_lowest_port_first_and_limit),
        T(test_port_limit_of_the_domain),
        T(test_virq_rules),
        T(test_global_virq_goes_to_dom0),
        T(test_pirq_rules),
        T(test_send_sets_each_bit_once),
        T(test_masked_then_unmasked),
        T(test_loopback),
        T(test_close_leaves_peer_unbound),
        T(test_poll),
        T(test_vcpu_info_moved),
        T(test_before_memory),
        T(test_dom0_ports_are_eventfds),
        T(test_client_cannot_block_a_sender),
        T(test_restricted_connection_meets_one_domain),
        T(test_closed_port_of_dom0),
        T(test_owner_closed_and_bound_again),
        T(test_guest_binds_to_dom0),
        T(test_reset_of_dom0_is_per_connection),
        T(test_notify_page),
        T(test_doorbells),
        T(test_reset),
        T(test_death_of_the_remote),
        T(xsa317_alloc_errors),
        T(xsa338_ports_stay_valid),
        T(xsa342_no_port_past_the_bitmap),
        T(xsa221_poll_of_no_port),
    };

    return cmocka_run_group_tests_name("evtchn", tests, NULL, NULL);
}
