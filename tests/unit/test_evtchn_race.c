/* SPDX-License-Identifier: MIT */
/*
 * Event channels under fire: threads make, bind, send, move, close and reset
 * the same ports while domains and connections come and go.  No deadlock, no
 * use after free (run it with SAN=1 and under -fsanitize=thread), both ends of
 * every channel agree at the end, and no event is lost meanwhile.
 */
#include "tests/unit/hv_fixture.h"

#include <sched.h>
#include <time.h>
#include "hv/evtchn_private.h"

#define HAMMER_MS 400
#define PORTS     24 /* few, so that the threads meet */
#define ROUNDS    20000

static atomic_bool stop;
static atomic_uint bound, sent;

static uint32_t rnd(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

static void sleep_ms(long ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

/* A vCPU of domain `me` that talks to domain `other` at random. */
static void any_op(struct caller c, domid_t other, uint32_t *seed)
{
    evtchn_port_t port = rnd(seed) % PORTS;

    switch (rnd(seed) % 10) {
    case 0:
        fx_alloc_unbound(c, DOMID_SELF, other);
        break;
    case 1:
    case 2:
        atomic_fetch_add(&bound, fx_bind(c, other, port) > 0);
        break;
    case 3:
        fx_close(c, port);
        break;
    case 4:
        fx_bind_vcpu(c, port, rnd(seed) % 4);
        break;
    case 5:
        fx_unmask(c, port);
        break;
    case 6:
        evtchn_raise_virq(c.d->vcpu[rnd(seed) % 4], VIRQ_TIMER);
        fx_bind_virq(c, VIRQ_TIMER, rnd(seed) % 4);
        break;
    case 7:
        if (rnd(seed) % 64 == 0)
            fx_reset(c, DOMID_SELF);
        break;
    default:
        atomic_fetch_add(&sent, fx_send(c, port) == 0);
    }
}

static void *guest_1(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop))
        any_op(fx_guest(1), rnd(&seed) % 4, &seed);
    return NULL;
}

static void *guest_2(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop))
        any_op(fx_guest(2), rnd(&seed) % 4, &seed);
    return NULL;
}

/* Connections that bind what they can and vanish. */
static void *backend(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop)) {
        struct privcmd_conn conn;

        fx_conn_open(&conn);
        for (int i = 0; i < 20; i++) {
            long p =
                fx_bind(fx_conn(&conn), 1 + rnd(&seed) % 2, rnd(&seed) % PORTS);

            if (p > 0)
                fx_send(fx_conn(&conn), p);
            fx_alloc_unbound(fx_conn(&conn), DOMID_SELF, 1 + rnd(&seed) % 2);
            fx_send(fx_conn(&conn), rnd(&seed) % PORTS);
        }
        fx_conn_close(&conn);
    }
    return NULL;
}

/* Domain 3 lives and dies. */
static void *mortal(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop)) {
        struct domain *d = fx_domain(3, 4, 4095);
        struct caller c = {.d = d, .v = d->vcpu[0]};

        for (int i = 0; i < 60; i++)
            any_op(c, 1 + rnd(&seed) % 2, &seed);
        fx_kill(d);
    }
    return NULL;
}

static void check_ends_agree(domid_t dom)
{
    for (evtchn_port_t p = 0; p < EVTCHN_2L_NR_CHANNELS; p++) {
        struct evtchn *chn = evtchn_from_port(fx.doms[dom], p);

        /* The connections are gone, and with them all they might raise. */
        assert_int_equal(fx.notify[dom][p], 0);

        if (!chn || chn->state != ECS_INTERDOMAIN)
            continue;
        assert_int_equal(chn->u.peer.rchn->state, ECS_INTERDOMAIN);
        assert_ptr_equal(chn->u.peer.rchn->u.peer.rchn, chn);
        assert_ptr_equal(chn->u.peer.rchn->u.peer.rd, fx.doms[dom]);
        assert_true(chn->u.peer.rd == fx.doms[1] ||
                    chn->u.peer.rd == fx.doms[2]);
    }
}

/* 343, 344 and the like: any operation races any other and a dying remote. */
static void xsa343_everything_races(void **state)
{
    void *(*const what[])(void *) = {guest_1, guest_1, guest_2,
                                     guest_2, backend, mortal};
    pthread_t t[6];

    (void)state;
    atomic_store(&stop, false);
    for (int i = 0; i < 6; i++)
        assert_int_equal(
            pthread_create(&t[i], NULL, what[i], (void *)(uintptr_t)(i + 1)),
            0);
    /* On a busy machine it takes longer till all have had a turn. */
    for (int i = 0; i < 100; i++) {
        sleep_ms(HAMMER_MS);
        if (atomic_load(&bound) && atomic_load(&sent))
            break;
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 6; i++)
        pthread_join(t[i], NULL);
    print_message("%u bound, %u sent, %u domains died\n", atomic_load(&bound),
                  atomic_load(&sent), atomic_load(&fx.freed));
    assert_true(atomic_load(&bound) > 0 && atomic_load(&sent) > 0);
    check_ends_agree(1);
    check_ends_agree(2);
    for (evtchn_port_t p = 0; p < PORTS; p++) /* the connections are gone */
        if (evtchn_from_port(fx.doms[0], p))
            assert_true(evtchn_from_port(fx.doms[0], p)->state <= ECS_RESERVED);
}

/* ---- the notify page ---- */

static evtchn_port_t moving;

static void *mover(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop))
        fx_bind_vcpu(fx_guest(1), moving, rnd(&seed) % 4);
    return NULL;
}

/* What the page says of a channel, and what is true, seen at one time. */
static bool page_is_right(bool joined)
{
    struct evtchn *chn = evtchn_from_port(fx.doms[1], moving);
    bool right;

    pthread_mutex_lock(&chn->lock);
    right = fx.notify[1][moving] ==
            (joined ? atomic_load(&chn->notify_vcpu) + 1 : 0);
    pthread_mutex_unlock(&chn->lock);
    return right;
}

/* A port moves between vCPUs while domain 0 comes and goes. */
static void test_notify_page_never_lags(void **state)
{
    struct privcmd_conn conn;
    unsigned int lagged = 0;
    pthread_t t;

    (void)state;
    atomic_store(&stop, false);
    fx_conn_open(&conn);
    moving = fx_alloc_unbound(fx_guest(1), DOMID_SELF, 0);
    assert_int_equal(pthread_create(&t, NULL, mover, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        long p = fx_bind(fx_conn(&conn), 1, moving);

        lagged += !page_is_right(true);
        fx_close(fx_conn(&conn), p);
        lagged += !page_is_right(false);
    }
    atomic_store(&stop, true);
    pthread_join(t, NULL);
    assert_int_equal(lagged, 0);
    fx_conn_close(&conn);
}

/* ---- no event is lost ---- */

static atomic_uint heard;
static evtchn_port_t hear_on;

/* What a guest's upcall handler does; true if our port was in it. */
static bool handle_upcall(struct vcpu *v)
{
    struct vcpu_info *vi = atomic_load(&v->vcpu_info);
    xen_ulong_t *word = &v->d->shared_info->evtchn_pending[hear_on / 64];
    xen_ulong_t bit = 1ul << hear_on % 64;

    if (!__atomic_exchange_n(&vi->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST))
        return false;
    if (!(__atomic_exchange_n(&vi->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST) &
          1ul << hear_on / 64))
        return false;
    return __atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST) & bit;
}

/* Hears one event after the other; its vcpu_info moves all the time. */
static void *listener(void *arg)
{
    struct vcpu_info *places = arg;
    struct vcpu *v = fx.doms[2]->vcpu[0];

    for (unsigned int i = 0; !atomic_load(&stop); i++) {
        if (handle_upcall(v))
            atomic_fetch_add(&heard, 1);
        else
            sched_yield();
        if (i % 16 == 0) {
            atomic_store(&v->vcpu_info, &places[i / 16 % 2]);
            evtchn_vcpu_info_moved(v);
        }
    }
    return NULL;
}

static bool wait_heard(unsigned int n)
{
    time_t give_up = time(NULL) + 10;

    while (atomic_load(&heard) < n) {
        if (time(NULL) > give_up)
            return false;
        sched_yield();
    }
    return true;
}

static void test_no_event_lost(void **state)
{
    static struct vcpu_info places[2];
    struct caller a = fx_guest(1);
    long pa = fx_alloc_unbound(a, DOMID_SELF, 2);
    unsigned int n;
    pthread_t t;

    (void)state;
    atomic_store(&stop, false);
    atomic_store(&heard, 0);
    hear_on = fx_bind(fx_guest(2), 1, pa);
    assert_int_equal(pthread_create(&t, NULL, listener, places), 0);
    for (n = 1; n < ROUNDS && wait_heard(n); n++) /* 1: the bind's own */
        fx_send(a, pa);
    atomic_store(&stop, true);
    pthread_join(t, NULL);
    assert_int_equal(n, ROUNDS);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(xsa343_everything_races),
        T(test_notify_page_never_lags),
        T(test_no_event_lost),
    };

    return cmocka_run_group_tests_name("evtchn_race", tests, NULL, NULL);
}
