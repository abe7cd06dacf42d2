/* SPDX-License-Identifier: MIT */
/*
 * The FIFO event ABI under fire: threads send while the guest's vCPUs take
 * events off their queues as a kernel does, mask and unmask, move ports between
 * vCPUs and priorities, add pages and switch ABIs.  No event is lost.  And a
 * guest whose threads write nonsense over its words and control blocks all the
 * time cannot hold a sender up.  (Run it under -fsanitize=thread too.)
 */
#include "tests/unit/fifo_guest.h"

#include <sched.h>
#include <time.h>

#define PORTS      12
#define FAR        3 /* the last so many have their words in pages to come */
#define VCPUS      2
#define SENDS      60000
#define SENDERS    2
#define NEW_PORTS  7000
#define ROUNDS     1500
#define GIVE_UP_S  10
#define HOSTILE_MS 400
#define RESETS     3000

struct line {
    evtchn_port_t to;   /* domain 1's end */
    evtchn_port_t from; /* domain 2's */
    atomic_uint sent, heard;
};

static struct line lines[PORTS];
static atomic_bool stop;

static uint32_t rnd(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

static struct line *line_of(evtchn_port_t port)
{
    for (int i = 0; i < PORTS; i++)
        if (lines[i].to == port)
            return &lines[i];
    return NULL;
}

static void make_line(struct line *l)
{
    long p = fx_alloc_unbound(fx_guest(1), DOMID_SELF, 2);

    l->to = p;
    l->from = fx_bind(fx_guest(2), 1, p);
    atomic_store(&l->sent, 0);
    atomic_store(&l->heard, 0);
}

/* What was sent before the event was taken is heard with it. */
static void handle(struct fg_vcpu *g, evtchn_port_t port)
{
    struct line *l = line_of(port);
    unsigned int now, was;

    (void)g;
    if (!l)
        return;
    now = atomic_load(&l->sent);
    was = atomic_load(&l->heard);
    while (was < now && !atomic_compare_exchange_weak(&l->heard, &was, now))
        ;
}

/* As Linux for an interrupt that must not come twice at a time. */
static void handle_masked(struct fg_vcpu *g, evtchn_port_t port)
{
    fg_mask(1, port);
    handle(g, port);
    fg_unmask(1, port);
}

static bool all_heard(void)
{
    for (int i = 0; i < PORTS; i++)
        if (atomic_load(&lines[i].heard) < atomic_load(&lines[i].sent))
            return false;
    return true;
}

/* ---- threads ---- */

static void *vcpu_thread(void *arg)
{
    struct fg_vcpu g = {.v = fx.doms[1]->vcpu[(uintptr_t)arg]};

    for (unsigned int i = 0; !atomic_load(&stop); i++)
        if (!fg_upcall(&g, i % 2 ? handle : handle_masked))
            sched_yield();
    return NULL;
}

static void *sender_thread(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    for (int i = 0; i < SENDS / SENDERS; i++) {
        struct line *l = &lines[rnd(&seed) % PORTS];

        atomic_fetch_add(&l->sent, 1);
        fx_send(fx_guest(2), l->from);
        if (i % 64 == 0)
            sched_yield();
    }
    return NULL;
}

static void *mover_thread(void *arg)
{
    uint32_t seed = 1;

    while (!atomic_load(&stop)) {
        struct line *l = &lines[rnd(&seed) % PORTS];
        struct evtchn_set_priority op = {.port = l->to,
                                         .priority = rnd(&seed) % 16};

        if (arg)
            fx_bind_vcpu(fx_guest(1), l->to, rnd(&seed) % VCPUS);
        fx_evtchn(fx_guest(1), EVTCHNOP_set_priority, &op);
        sched_yield();
    }
    return NULL;
}

static pthread_t start(void *(*fn)(void *), uintptr_t arg)
{
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, fn, (void *)arg), 0);
    return t;
}

static void expect_all_heard(void)
{
    time_t give_up = time(NULL) + GIVE_UP_S;

    while (!all_heard() && time(NULL) < give_up)
        sched_yield();
    for (int i = 0; i < PORTS; i++)
        assert_int_equal(atomic_load(&lines[i].heard),
                         atomic_load(&lines[i].sent));
}

static void hammer(bool move)
{
    pthread_t cpu[VCPUS], snd[SENDERS], mov;

    atomic_store(&stop, false);
    for (int i = 0; i < PORTS; i++)
        make_line(&lines[i]);
    fg_start(1, VCPUS);
    for (int i = 0; i < PORTS; i++) {
        fx_bind_vcpu(fx_guest(1), lines[i].to, i % VCPUS);
        fg_unmask(1, lines[i].to);
    }
    for (uintptr_t i = 0; i < VCPUS; i++)
        cpu[i] = start(vcpu_thread, i);
    mov = start(mover_thread, move);
    for (uintptr_t i = 0; i < SENDERS; i++)
        snd[i] = start(sender_thread, i + 1);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(snd[i], NULL);
    expect_all_heard();
    atomic_store(&stop, true);
    pthread_join(mov, NULL);
    for (int i = 0; i < VCPUS; i++)
        pthread_join(cpu[i], NULL);
}

/* 358: head, link and ready reach the guest in an order that loses nothing. */
static void xsa358_nothing_is_lost(void **state)
{
    (void)state;
    hammer(false);
}

static void test_nothing_is_lost_by_moving(void **state)
{
    (void)state;
    hammer(true);
}

/* ---- switching while others send ---- */

static void *flood_thread(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop)) {
        struct line *l = &lines[rnd(&seed) % PORTS];

        atomic_fetch_add(&l->sent, 1);
        fx_send(fx_guest(2), l->from);
        sched_yield();
    }
    return NULL;
}

/* Lines whose far ones have ports of the array's second page. */
static void make_near_and_far(void)
{
    for (int i = 0; i < PORTS; i++) {
        while (i == PORTS - FAR && fx_bind_ipi(fx_guest(1), 0) < FG_WORDS)
            ;
        make_line(&lines[i]);
    }
}

static void unmask_lines(int first, int end)
{
    for (int i = first; i < end; i++)
        fg_unmask(1, lines[i].to);
}

static void guest_goes_fifo(void)
{
    memset(domain_frame(fx.doms[1], FG_CONTROL), 0, FRAME_SIZE);
    fg_start(1, 1);
    unmask_lines(0, PORTS - FAR);
    assert_int_equal(fg_add_page(1, 1), 0);
    unmask_lines(PORTS - FAR, PORTS);
}

/* Each line once, so that an event that is lost is not made up for. */
static void *once_thread(void *arg)
{
    atomic_bool *go = arg;

    while (!atomic_load(go))
        ;
    for (int i = 0; i < PORTS; i++) {
        struct line *l = &lines[(i * 5 + 11) % PORTS];

        atomic_fetch_add(&l->sent, 1);
        fx_send(fx_guest(2), l->from);
    }
    return NULL;
}

/* All has been sent, and then one upcall must do. */
static void expect_pending_heard(void)
{
    struct fg_vcpu g = {.v = fx.doms[1]->vcpu[0]};

    fg_upcall(&g, handle);
    for (int i = 0; i < PORTS; i++)
        assert_int_equal(atomic_load(&lines[i].heard),
                         atomic_load(&lines[i].sent));
}

/* 359: pages, and the ABI itself, come while another sends. */
static void xsa359_switch_races_senders(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        atomic_bool go = false;
        pthread_t t;

        make_near_and_far();
        fx_consume(1);
        t = start(once_thread, (uintptr_t)&go);
        atomic_store(&go, true);
        guest_goes_fifo();
        pthread_join(t, NULL);
        expect_pending_heard();
        assert_int_equal(fx_reset(fx_guest(1), DOMID_SELF), 0);
        assert_int_equal(fx_reset(fx_guest(2), DOMID_SELF), 0);
    }
}

/* 343, 344: another vCPU makes ports while one resets and switches. */
static void *binder_thread(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop)) {
        long p = fx_bind_ipi(fx_guest(1), rnd(&seed) % VCPUS);

        if (p > 0 && p < (long)FG_WORDS) {
            fx_send(fx_guest(1), p);
            fx_unmask(fx_guest(1), p);
            evtchn_port_poll(fx.doms[1], p);
            fx_close(fx_guest(1), p);
        }
        p = fx_alloc_unbound(fx_guest(1), DOMID_SELF, 2);
        if (p > 0)
            fx_send(fx_guest(2), fx_bind(fx_guest(2), 1, p));
    }
    return NULL;
}

static void xsa344_reset_races_everything(void **state)
{
    pthread_t bind[2];
    unsigned int done = 0, again = 0;

    (void)state;
    atomic_store(&stop, false);
    for (uintptr_t i = 0; i < 2; i++)
        bind[i] = start(binder_thread, i + 1);
    for (int i = 0; i < 300; i++) {
        long rc;

        fg_init_control(1, i % VCPUS);
        fg_add_page(1, 0);
        rc = fx_reset(fx_guest(1), DOMID_SELF);
        assert_true(!rc || rc == -EAGAIN);
        done += !rc;
        again += rc == -EAGAIN;
        if (i % 16 == 0)
            fx_reset(fx_guest(2), DOMID_SELF);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(bind[i], NULL);
    print_message("%u resets, %u to be tried again\n", done, again);
    assert_int_equal(fx_reset(fx_guest(1), DOMID_SELF), 0);
}

/* A kernel that is mistaken about a port, over and over. */
static void *unmasker_thread(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop)) {
        evtchn_port_t p = 1 + rnd(&seed) % PORTS;

        __atomic_store_n(fg_word(1, p), FG_PENDING, __ATOMIC_SEQ_CST);
        fx_unmask(fx_guest(1), p);
    }
    return NULL;
}

/*
 * Another vCPU unmasks ports that are closed while one takes the ABI back: hv
 * puts nothing of theirs on a queue whose pages go away.
 */
static void test_reset_races_unmask_of_closed_ports(void **state)
{
    pthread_t t[2];

    (void)state;
    atomic_store(&stop, false);
    for (uintptr_t i = 0; i < 2; i++)
        t[i] = start(unmasker_thread, i + 1);
    for (int i = 0; i < RESETS; i++) {
        fg_init_control(1, 0);
        fg_expand(1, FG_ARRAY);
        /* Opens and closes all, so that each has a channel. */
        for (int k = 0; k < PORTS; k++)
            fx_bind_ipi(fx_guest(1), 0);
        sched_yield();
        assert_int_equal(fx_reset(fx_guest(1), DOMID_SELF), 0);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
}

/* Uses ports that may be made at this very moment. */
static void *prober_thread(void *arg)
{
    evtchn_port_t p = (uintptr_t)arg;

    while (!atomic_load(&stop)) {
        fx_send(fx_guest(1), p);
        fx_unmask(fx_guest(1), p);
        evtchn_port_poll(fx.doms[1], p);
        p = p % NEW_PORTS + 1;
    }
    return NULL;
}

/* 340: whoever finds a port, finds it whole. */
static void xsa340_new_ports_are_whole(void **state)
{
    pthread_t t[2];

    (void)state;
    atomic_store(&stop, false);
    fg_start(1, 1);
    for (uintptr_t i = 0; i < 2; i++)
        t[i] = start(prober_thread, 1 + i * NEW_PORTS / 2);
    for (int i = 1; i <= NEW_PORTS; i++) {
        assert_int_equal(fx_bind_ipi(fx_guest(1), 0), i);
        if (i % FG_WORDS == 0)
            assert_int_equal(fg_add_page(1, i / FG_WORDS), 0);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
}

/* ---- a hostile guest ---- */

static void *scribbler_thread(void *arg)
{
    uint32_t seed = (uintptr_t)arg;
    uint32_t *cb = domain_frame(fx.doms[1], FG_CONTROL);

    while (!atomic_load(&stop)) {
        for (int i = 0; i < 64; i++)
            __atomic_store_n(fg_word(1, rnd(&seed) % (PORTS + 1)),
                             rnd(&seed) << 8 | rnd(&seed), __ATOMIC_RELAXED);
        __atomic_store_n(&cb[rnd(&seed) % 64], rnd(&seed), __ATOMIC_RELAXED);
        /* LINKED and ever another: what makes hv try again. */
        for (int i = 0; i < 256; i++)
            __atomic_store_n(fg_word(1, 1 + i % PORTS),
                             FG_LINKED | (rnd(&seed) & FG_LINK),
                             __ATOMIC_RELAXED);
    }
    return NULL;
}

static void test_hostile_words_hold_nobody_up(void **state)
{
    struct timespec ms = {.tv_nsec = HOSTILE_MS * 1000000l};
    pthread_t t[4];

    (void)state;
    atomic_store(&stop, false);
    for (int i = 0; i < PORTS; i++)
        make_line(&lines[i]);
    fg_start(1, VCPUS);
    t[0] = start(scribbler_thread, 1);
    t[1] = start(scribbler_thread, 2);
    t[2] = start(flood_thread, 3);
    t[3] = start(mover_thread, 1);
    nanosleep(&ms, NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL); /* they come to an end */
    for (int i = 0; i < PORTS; i++)
        assert_int_equal(fx_send(fx_guest(2), lines[i].from), 0);
    assert_int_equal(fx_reset(fx_guest(1), DOMID_SELF), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(xsa358_nothing_is_lost),
        T(test_nothing_is_lost_by_moving),
        T(xsa359_switch_races_senders),
        T(xsa340_new_ports_are_whole),
        T(xsa344_reset_races_everything),
        T(test_hostile_words_hold_nobody_up),
        T(test_reset_races_unmask_of_closed_ports),
    };

    return cmocka_run_group_tests_name("evtchn_fifo_race", tests, NULL, NULL);
}
