/* SPDX-License-Identifier: MIT */
/*
 * The FIFO event ABI, one caller at a time: a guest that gives control blocks
 * and event words gets its events in the order they came, by priority, on the
 * vCPU they are bound to; what came too early arrives later; the switch from
 * the 2-level ABI and the reset back lose and invent nothing; and a guest that
 * writes nonsense into its own words hurts nobody else.
 */
#include "tests/unit/fifo_guest.h"

#define MAX_SEEN 256

static evtchn_port_t seen[MAX_SEEN];
static unsigned int nr_seen;

static void note(struct fg_vcpu *g, evtchn_port_t port)
{
    (void)g;
    if (nr_seen < MAX_SEEN)
        seen[nr_seen++] = port;
}

/* What domain 1's vCPU hears in one upcall: so many ports, then in seen[]. */
static unsigned int hear(unsigned int vcpu)
{
    struct fg_vcpu g = {.v = fx.doms[1]->vcpu[vcpu]};

    nr_seen = 0;
    fg_upcall(&g, note);
    return nr_seen;
}

static bool hears_only(unsigned int vcpu, evtchn_port_t port)
{
    return hear(vcpu) == 1 && seen[0] == port;
}

/* An IPI port of domain 1, open to events. */
static evtchn_port_t ipi(unsigned int vcpu)
{
    long p = fx_bind_ipi(fx_guest(1), vcpu);

    assert_true(p > 0);
    fg_unmask(1, p);
    return p;
}

static void send(evtchn_port_t port)
{
    assert_int_equal(fx_send(fx_guest(1), port), 0);
}

static long set_priority(evtchn_port_t port, uint32_t prio)
{
    struct evtchn_set_priority op = {.port = port, .priority = prio};

    return fx_evtchn(fx_guest(1), EVTCHNOP_set_priority, &op);
}

/* ---- delivery ---- */

static void test_one_event(void **state)
{
    struct evtchn_fifo_control_block *cb = fg_control(fx.doms[1]->vcpu[0]);
    evtchn_port_t p;

    (void)state;
    fg_start(1, 1);
    p = ipi(0);
    send(p);
    assert_int_equal(cb->ready, 1u << EVTCHN_FIFO_PRIORITY_DEFAULT);
    assert_int_equal(cb->head[EVTCHN_FIFO_PRIORITY_DEFAULT], p);
    assert_int_equal(fg_load(1, p), FG_PENDING | FG_LINKED);
    assert_int_equal(fx.kicks[1][0], 1);
    assert_false(fx_pending(1, p)); /* nothing in shared_info */
    send(p);
    assert_int_equal(fx.kicks[1][0], 1);
    assert_true(hears_only(0, p));
    assert_int_equal(hear(0), 0);
    send(p);
    assert_int_equal(fx.kicks[1][0], 2);
    assert_true(hears_only(0, p));
}

static void test_in_order(void **state)
{
    evtchn_port_t p[5];

    (void)state;
    fg_start(1, 1);
    for (int i = 0; i < 5; i++)
        p[i] = ipi(0);
    for (int i = 0; i < 5; i++)
        send(p[(i * 3) % 5]);
    assert_int_equal(fx.kicks[1][0], 1);
    assert_int_equal(hear(0), 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(seen[i], p[(i * 3) % 5]);
}

static void test_priorities(void **state)
{
    evtchn_port_t p[3];

    (void)state;
    assert_int_equal(set_priority(1, 0), -ENOSYS); /* 2-level has none */
    fg_start(1, 1);
    for (int i = 0; i < 3; i++)
        p[i] = ipi(0);
    assert_int_equal(set_priority(p[0], EVTCHN_FIFO_PRIORITY_MIN), 0);
    assert_int_equal(set_priority(p[2], EVTCHN_FIFO_PRIORITY_MAX), 0);
    assert_int_equal(set_priority(p[1], EVTCHN_FIFO_PRIORITY_MIN + 1), -EINVAL);
    assert_int_equal(set_priority(900, 0), -EINVAL);
    for (int i = 0; i < 3; i++)
        send(p[i]);
    assert_int_equal(hear(0), 3);
    assert_int_equal(seen[0], p[2]);
    assert_int_equal(seen[1], p[1]);
    assert_int_equal(seen[2], p[0]);
    /* A new user of the port starts with the default. */
    assert_int_equal(fx_close(fx_guest(1), p[0]), 0);
    assert_int_equal(ipi(0), p[0]);
    send(p[0]);
    send(p[1]);
    assert_int_equal(hear(0), 2);
    assert_int_equal(seen[0], p[0]);
}

/* Whatever its word says: nobody may find it on a queue after a reset. */
static void test_closed_port_is_not_linked(void **state)
{
    struct evtchn_fifo_control_block *cb = fg_control(fx.doms[1]->vcpu[0]);
    evtchn_port_t p;

    (void)state;
    fg_start(1, 1);
    p = ipi(0);
    assert_int_equal(fx_close(fx_guest(1), p), 0);
    __atomic_store_n(fg_word(1, p), FG_PENDING, __ATOMIC_SEQ_CST);
    assert_int_equal(fx_unmask(fx_guest(1), p), 0);
    assert_int_equal(fg_load(1, p), FG_PENDING);
    assert_int_equal(cb->ready, 0);
    assert_int_equal(cb->head[EVTCHN_FIFO_PRIORITY_DEFAULT], 0);
}

static void test_masked_then_unmasked(void **state)
{
    evtchn_port_t p;

    (void)state;
    fg_start(1, 1);
    p = ipi(0);
    fg_mask(1, p);
    send(p);
    assert_int_equal(fg_load(1, p), FG_PENDING | FG_MASKED);
    assert_int_equal(hear(0), 0);
    fg_unmask(1, p);
    assert_true(hears_only(0, p));
    /* Masked while it is on the queue: the guest skips it, then asks. */
    send(p);
    fg_mask(1, p);
    assert_int_equal(hear(0), 0);
    assert_int_equal(fx_unmask(fx_guest(1), p), 0); /* hv clears the bit */
    assert_true(hears_only(0, p));
}

/* Every vCPU hears what is bound to it; what is queued stays where it is. */
static void test_move(void **state)
{
    struct caller g = fx_guest(1);
    long p, q;

    (void)state;
    fg_start(1, 2);
    p = fx_alloc_unbound(g, DOMID_SELF, 1);
    q = fx_bind(g, 1, p); /* and an event on it */
    fg_unmask(1, p);
    fg_unmask(1, q);
    assert_true(hears_only(0, q));
    send(p);
    assert_int_equal(fx_bind_vcpu(g, q, 1), 0);
    assert_int_equal(hear(1), 0);
    assert_true(hears_only(0, q));
    send(p);
    assert_int_equal(hear(0), 0);
    assert_true(hears_only(1, q));
}

/* A port that was the last of its old queue must not lead into its new one. */
static void test_tail_left_behind(void **state)
{
    struct caller g = fx_guest(1);
    evtchn_port_t other;
    long p, q;

    (void)state;
    fg_start(1, 2);
    other = ipi(0);
    p = fx_alloc_unbound(g, DOMID_SELF, 1);
    q = fx_bind(g, 1, p);
    fg_unmask(1, q);
    assert_true(hears_only(0, q));
    assert_int_equal(fx_bind_vcpu(g, q, 1), 0);
    send(p);
    send(other);
    assert_int_equal(fg_load(1, q) & FG_LINK, 0);
    assert_true(hears_only(0, other));
    assert_true(hears_only(1, q));
    /* The same by priority. */
    send(p);
    assert_true(hears_only(1, q));
    assert_int_equal(set_priority(q, 3), 0);
    send(p);
    assert_true(hears_only(1, q));
}

static void test_poll(void **state)
{
    struct domain *d = fx.doms[1];
    long p, late;

    (void)state;
    fg_start(1, 1);
    p = fx_bind_ipi(fx_guest(1), 0); /* masked */
    assert_int_equal(evtchn_port_poll(d, p), 0);
    atomic_store(&d->vcpu[2]->poll_port, (int)p);
    atomic_store(&d->vcpu[3]->poll_port, POLL_ANY);
    send(p);
    assert_int_equal(fx.kicks[1][2], 1);
    assert_int_equal(fx.kicks[1][3], 1);
    assert_int_equal(evtchn_port_poll(d, p), 1);
    do {
        late = fx_bind_ipi(fx_guest(1), 0);
    } while (late < (long)FG_WORDS);
    send(late); /* it has no word */
    assert_int_equal(evtchn_port_poll(d, late), 1);
    assert_int_equal(fx.kicks[1][3], 2);
}

static void test_vcpu_info_moved(void **state)
{
    static struct vcpu_info elsewhere;
    struct vcpu *v = fx.doms[1]->vcpu[0];
    evtchn_port_t p;

    (void)state;
    elsewhere = (struct vcpu_info){0};
    fg_start(1, 1);
    p = ipi(0);
    send(p);
    atomic_store(&v->vcpu_info, &elsewhere);
    evtchn_vcpu_info_moved(v);
    assert_true(hears_only(0, p));
    send(p);
    assert_int_equal(elsewhere.evtchn_upcall_pending, 1);
}

/* ---- what came too early ---- */

static void test_pending_is_carried_over(void **state)
{
    struct caller g = fx_guest(1);
    long p = fx_bind_ipi(g, 0), q = fx_bind_ipi(g, 0), closed;

    (void)state;
    closed = fx_bind_ipi(g, 0);
    send(p);
    assert_int_equal(fx_close(g, closed), 0);
    fx.doms[1]->shared_info->evtchn_pending[0] |= 1ul << closed; /* its own */
    assert_int_equal(fg_init_control(1, 0), EVTCHN_FIFO_LINK_BITS);
    assert_int_equal(fx.doms[1]->shared_info->evtchn_pending[0], 0);
    assert_int_equal(evtchn_port_poll(fx.doms[1], p), 1);
    send(q);
    assert_int_equal(fg_add_page(1, 0), 0);
    assert_int_equal(fg_load(1, p), FG_PENDING | FG_MASKED);
    assert_int_equal(fg_load(1, q), FG_PENDING | FG_MASKED);
    assert_int_equal(fg_load(1, closed), FG_MASKED);
    fg_unmask(1, p);
    assert_true(hears_only(0, p));
}

static void test_no_word_yet(void **state)
{
    struct caller g = fx_guest(1);
    evtchn_port_t p, last = 0;

    (void)state;
    fg_start(1, 1);
    while (last < 2 * FG_WORDS + 1)
        last = fx_bind_ipi(g, 0);
    p = FG_WORDS + 3;
    send(p);
    send(last);
    assert_int_equal(fx_send(g, p + 1), 0);
    assert_int_equal(fx_close(g, p + 1), 0); /* takes its event with it */
    assert_int_equal(fx_unmask(g, p), 0);
    assert_int_equal(fg_add_page(1, 1), 0);
    assert_int_equal(fg_load(1, p + 1), FG_MASKED);
    fg_unmask(1, p);
    assert_true(hears_only(0, p));
    assert_int_equal(fg_add_page(1, 2), 0);
    fg_unmask(1, last);
    assert_true(hears_only(0, last));
}

/* 107: an event for a vCPU without a control block waits for one. */
static void xsa107_no_control_block(void **state)
{
    struct caller g = fx_guest(1);
    evtchn_port_t p;

    (void)state;
    assert_int_equal(fg_expand(1, FG_ARRAY), -EOPNOTSUPP);
    fg_start(1, 1);
    p = ipi(2);
    send(p);
    assert_int_equal(fg_load(1, p), FG_PENDING);
    assert_int_equal(fx_unmask(g, p), 0);
    assert_true(atomic_load(&fx.logged) > 0);
    assert_int_equal(fx.kicks[1][2], 0);
    assert_int_equal(fg_init_control(1, 2), EVTCHN_FIFO_LINK_BITS);
    assert_int_equal(fx.kicks[1][2], 1);
    assert_true(hears_only(2, p));
}

/* ---- arguments and limits ---- */

static void test_bad_arguments(void **state)
{
    struct evtchn_init_control ic = {.control_gfn = FG_CONTROL};
    struct evtchn_expand_array ea = {.array_gfn = FG_ARRAY};
    struct privcmd_conn conn;

    (void)state;
    assert_int_equal(fg_init_at(1, 4, FG_CONTROL, 0), -ENOENT);
    assert_int_equal(fg_init_at(1, UINT32_MAX, FG_CONTROL, 0), -ENOENT);
    assert_int_equal(fg_init_at(1, 0, FG_CONTROL, 4096 - 64), -EINVAL);
    assert_int_equal(fg_init_at(1, 0, FG_CONTROL, UINT32_MAX - 7), -EINVAL);
    assert_int_equal(fg_init_at(1, 0, FG_CONTROL, 4), -EINVAL);
    assert_int_equal(fg_init_at(1, 0, FX_SHARED, 0), -EINVAL); /* hv's */
    assert_int_equal(fg_init_at(1, 0, UINT64_MAX, 0), -EINVAL);
    assert_int_equal(fg_expand(1, FG_ARRAY), -EOPNOTSUPP); /* still 2-level */
    assert_int_equal(fg_init_at(1, 0, FG_CONTROL, 4096 - 72), 17);
    assert_int_equal(fg_init_at(1, 0, FG_CONTROL, 0), -EINVAL); /* again */
    assert_int_equal(fg_expand(1, FX_WINDOW), -EINVAL); /* another's page */
    assert_int_equal(fg_expand(1, UINT64_MAX), -EINVAL);
    fx_conn_open(&conn);
    assert_int_equal(fx_evtchn(fx_conn(&conn), EVTCHNOP_init_control, &ic),
                     -ENOSYS);
    assert_int_equal(fx_evtchn(fx_conn(&conn), EVTCHNOP_expand_array, &ea),
                     -ENOSYS);
    fx_conn_close(&conn);
}

/* 342: as many ports as the limit says, not one more; each has its word. */
static void xsa342_port_limits(void **state)
{
    struct caller g = fx_guest(1);
    evtchn_port_t p = 0;

    (void)state;
    fg_start(1, 1);
    for (unsigned int i = 1; i < EVTCHN_FIFO_NR_CHANNELS / FG_WORDS; i++)
        assert_int_equal(fg_expand(1, FG_ARRAY + i % FG_PAGES), 0);
    assert_int_equal(fg_expand(1, FG_ARRAY), -ENOSPC);
    while (p < EVTCHN_FIFO_NR_CHANNELS - 1)
        p = fx_bind_ipi(g, 0);
    assert_int_equal(fx_bind_ipi(g, 0), -ENOSPC);
    send(p);
    assert_true(fg_load(1, p) & FG_PENDING); /* frames are used anew here */
    assert_int_equal(fx_send(g, EVTCHN_FIFO_NR_CHANNELS), -EINVAL);
    assert_int_equal(set_priority(EVTCHN_FIFO_NR_CHANNELS, 0), -EINVAL);
    assert_int_equal(evtchn_port_poll(fx.doms[1], EVTCHN_FIFO_NR_CHANNELS),
                     -EINVAL);
    assert_int_equal(fx_reset(g, DOMID_SELF), 0);
}

static void test_limit_of_the_domain(void **state)
{
    (void)state;
    fx_domain(3, 1, 1023);
    fg_start(3, 1);
    assert_int_equal(fg_expand(3, FG_ARRAY + 1), -ENOSPC);
    for (long i = 1; i <= 1023; i++)
        assert_int_equal(fx_bind_ipi(fx_guest(3), 0), i);
    assert_int_equal(fx_bind_ipi(fx_guest(3), 0), -ENOSPC);
}

/* A port that is closed while on a queue is not given out before it is off. */
static void test_busy_port_is_not_reused(void **state)
{
    struct caller g = fx_guest(1);
    evtchn_port_t p, q;

    (void)state;
    fg_start(1, 1);
    p = ipi(0);
    send(p);
    assert_int_equal(fx_close(g, p), 0);
    assert_int_equal(fg_load(1, p), FG_LINKED);
    q = ipi(0);
    assert_int_not_equal(q, p);
    assert_int_equal(hear(0), 0); /* off, and nothing to hear */
    assert_int_equal(ipi(0), p);
    send(p);
    assert_true(hears_only(0, p));
}

/* ---- domain 0 ---- */

static void test_notify_page_is_left_alone(void **state)
{
    struct privcmd_conn conn;
    struct caller g = fx_guest(1);
    long p = fx_alloc_unbound(g, DOMID_SELF, 0), b;

    (void)state;
    fx_conn_open(&conn);
    b = fx_bind(fx_conn(&conn), 1, p);
    assert_int_equal(fx.notify[1][p], 1);
    fg_start(1, 2);
    assert_int_equal(fx.notify[1][p], 0);
    assert_int_not_equal(fx.doorbell[1][p], 0); /* guest to dom0 goes on */
    assert_int_equal(fx_bind_vcpu(g, p, 1), 0);
    assert_int_equal(fx.notify[1][p], 0);
    fg_unmask(1, p);
    assert_int_equal(fx_send(fx_conn(&conn), b), 0);
    assert_true(hears_only(1, p));
    assert_int_equal(fx_close(fx_conn(&conn), b), 0);
    b = fx_bind(fx_conn(&conn), 1, p);
    assert_int_equal(fx.notify[1][p], 0);
    assert_int_equal(fx_reset(g, DOMID_SELF), 0);
    p = fx_alloc_unbound(g, DOMID_SELF, 0);
    assert_true(fx_bind(fx_conn(&conn), 1, p) > 0);
    assert_int_equal(fx.notify[1][p], 1);
    fx_conn_close(&conn);
}

/* ---- reset ---- */

/* 343, 344: what is left of the FIFO ABI is out of the 2-level one's reach. */
static void xsa343_reset_to_2l(void **state)
{
    struct caller g = fx_guest(1);
    evtchn_port_t high = 0, p;

    (void)state;
    fg_start(1, 1);
    while (high < EVTCHN_2L_NR_CHANNELS + 70)
        high = fx_bind_ipi(g, 0);
    send(5);
    assert_int_equal(fx_reset(g, DOMID_SELF), 0);
    assert_int_equal(evtchn_port_poll(fx.doms[1], high), 0);
    assert_int_equal(fx_unmask(g, high), 0);
    assert_int_equal(fx_close(g, high), -EINVAL);
    assert_int_equal(fx_send(g, high), -EINVAL);
    p = fx_bind_ipi(g, 0);
    assert_int_equal(p, 1);
    assert_int_equal(set_priority(p, 0), -ENOSYS);
    send(p);
    assert_true(fx_pending(1, p));
    assert_int_equal(fg_expand(1, FG_ARRAY), -EOPNOTSUPP);
    fx_consume(1);
    memset(domain_frame(fx.doms[1], FG_CONTROL), 0, FRAME_SIZE);
    fg_start(1, 1); /* and all over again */
    fg_unmask(1, p);
    send(p);
    assert_true(hears_only(0, p));
}

/* 338: a port that was there once is known in either ABI, closed or not. */
static void xsa338_ports_stay_valid(void **state)
{
    struct caller g = fx_guest(1);
    evtchn_port_t high = 0;

    (void)state;
    fg_start(1, 1);
    while (high < EVTCHN_2L_NR_CHANNELS)
        high = fx_bind_ipi(g, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fx_reset(g, DOMID_SELF), 0);
        assert_int_equal(fx_status(1, high).status, EVTCHNSTAT_closed);
        assert_int_equal(evtchn_port_poll(fx.doms[1], high), 0);
        assert_int_equal(fx_alloc_unbound(g, DOMID_SELF, 2), 1);
        assert_int_equal(fg_init_control(1, 0), EVTCHN_FIFO_LINK_BITS);
        assert_int_equal(fx_status(1, high).status, EVTCHNSTAT_closed);
        assert_int_equal(fx_unmask(g, high), 0);
    }
}

/* ---- a guest that writes nonsense ---- */

/* Whatever a word says, hv looks at it once and is through. */
static void test_every_word_value(void **state)
{
    evtchn_port_t p, q;

    (void)state;
    fg_start(1, 1);
    p = ipi(0);
    q = ipi(0);
    for (unsigned int bits = 0; bits < 1u << 10; bits++) {
        /* Both words in every state, links to nowhere and to themselves. */
        *fg_word(1, p) = bits << 28 | (bits & 16 ? FG_LINK : p);
        *fg_word(1, q) = bits >> 4 << 28 | (bits & 256 ? FG_LINK : q);
        send(p);
        send(q);
        assert_int_equal(fx_unmask(fx_guest(1), p), 0);
        assert_int_equal(fx_unmask(fx_guest(1), q), 0);
        assert_in_range(evtchn_port_poll(fx.doms[1], p), 0, 1);
        memset(fg_control(fx.doms[1]->vcpu[0]), bits, 72);
    }
}

/* All ports LINKED by the guest: none can be had, and that is all. */
static void test_all_busy(void **state)
{
    (void)state;
    fx_domain(3, 1, 1023);
    fg_start(3, 1);
    for (int i = 0; i < 1023; i++)
        assert_true(fx_bind_ipi(fx_guest(3), 0) > 0);
    for (evtchn_port_t p = 1; p < 1024; p++) {
        *fg_word(3, p) |= FG_LINKED;
        assert_int_equal(fx_close(fx_guest(3), p), 0);
    }
    assert_int_equal(fx_bind_ipi(fx_guest(3), 0), -ENOSPC);
    *fg_word(3, 700) = 0;
    assert_int_equal(fx_bind_ipi(fx_guest(3), 0), 700);
    assert_int_equal(fx_bind_ipi(fx_guest(3), 0), -ENOSPC);
    *fg_word(3, 2) = 0;
    assert_int_equal(fx_bind_ipi(fx_guest(3), 0), 2);
}

/* Control block and event words in one frame, and that given twice. */
static void test_one_frame_for_all(void **state)
{
    (void)state;
    assert_int_equal(fg_init_at(1, 0, FG_ARRAY, 0), 17);
    assert_int_equal(fg_init_at(1, 1, FG_ARRAY, 0), 17);
    assert_int_equal(fg_expand(1, FG_ARRAY), 0);
    assert_int_equal(fg_expand(1, FG_ARRAY), 0);
    for (int i = 0; i < 1500; i++)
        fx_bind_ipi(fx_guest(1), i % 2);
    for (evtchn_port_t p = 1; p <= 1500; p++) {
        send(p);
        assert_int_equal(fx_unmask(fx_guest(1), p), 0);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_one_event),
        T(test_in_order),
        T(test_priorities),
        T(test_closed_port_is_not_linked),
        T(test_masked_then_unmasked),
        T(test_move),
        T(test_tail_left_behind),
        T(test_poll),
        T(test_vcpu_info_moved),
        T(test_pending_is_carried_over),
        T(test_no_word_yet),
        T(xsa107_no_control_block),
        T(test_bad_arguments),
        T(xsa342_port_limits),
        T(test_limit_of_the_domain),
        T(test_busy_port_is_not_reused),
        T(test_notify_page_is_left_alone),
        T(xsa343_reset_to_2l),
        T(xsa338_ports_stay_valid),
        T(test_every_word_value),
        T(test_all_busy),
        T(test_one_frame_for_all),
    };

    return cmocka_run_group_tests_name("evtchn_fifo", tests, NULL, NULL);
}
