/* SPDX-License-Identifier: MIT */
/*
 * Grants under fire: a granter that rewrites its entries while others pin
 * them, threads that map and unmap the same handles, granters that die.  Pins
 * come out even, nothing but the granter's own frames is ever reached, and a
 * granter that keeps to the protocol is never read after it has revoked (run
 * it under -fsanitize=thread: the pages are touched with plain accesses).
 */
#include "tests/unit/hv_fixture.h"

#include <sched.h>
#include <time.h>

#define HAMMER_MS 300
#define REFS      6 /* few, so that the threads meet */
#define REVOKES   20000

static atomic_bool stop;
static atomic_uint mapped, copied, wrong;
static struct privcmd_conn conn; /* shared by all threads */

static uint32_t rnd(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

/* Entries as two words: flags | domid << 16, frame. */
static uint32_t *entry(domid_t dom, grant_ref_t ref)
{
    return (uint32_t *)domain_frame(fx.doms[dom], FX_GNTTAB) + 2 * ref;
}

static void put(uint32_t *word, uint32_t val)
{
    __atomic_store_n(word, val, __ATOMIC_SEQ_CST);
}

static void *hostile_granter(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop)) {
        uint32_t *e = entry(1, rnd(&seed) % REFS);
        uint32_t flags = rnd(&seed) % 2 ? GTF_permit_access : rnd(&seed);

        put(&e[1], rnd(&seed) % 2 ? rnd(&seed) % FX_OWN : rnd(&seed));
        put(&e[0], (flags & 0xffff) | (rnd(&seed) % 3) << 16);
    }
    return NULL;
}

static struct gnttab_map_grant_ref try_map(struct caller c, uint32_t *seed)
{
    struct gnttab_map_grant_ref op = {
        .host_addr = (1 + rnd(seed) % 500) << 12,
        .flags = GNTMAP_host_map | (rnd(seed) % 2 ? GNTMAP_readonly : 0),
        .ref = rnd(seed) % REFS,
        .dom = 1,
    };

    fx_grant(c, GNTTABOP_map_grant_ref, &op, 1);
    return op;
}

/* 228: handles are the threads' common good, guessed at and freed twice. */
static void *mapper(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop)) {
        struct gnttab_map_grant_ref m = try_map(fx_conn(&conn), &seed);
        struct gnttab_unmap_grant_ref u[2] = {{.handle = m.handle},
                                              {.handle = rnd(&seed) % 16}};

        if (!m.status) {
            atomic_fetch_add(&mapped, 1);
            atomic_fetch_add(&wrong, m.dev_bus_addr >> 12 >= FX_OWN);
        }
        fx_grant(fx_conn(&conn), GNTTABOP_unmap_grant_ref, u, 2);
    }
    return NULL;
}

static void *guest_mapper(void *arg)
{
    uint32_t seed = (uintptr_t)arg;
    struct caller g = fx_guest(2);

    while (!atomic_load(&stop)) {
        struct gnttab_map_grant_ref m = try_map(g, &seed);
        struct gnttab_unmap_grant_ref u = {.host_addr = m.host_addr,
                                           .handle = m.handle};

        if (m.status)
            continue;
        fx_grant(g, GNTTABOP_unmap_grant_ref, &u, 1);
        atomic_fetch_add(&wrong, u.status != 0);
    }
    return NULL;
}

/* On a busy machine it may take a while till all have had a turn: `seen`. */
static void run_threads(void *(*const what[])(void *), unsigned int n,
                        atomic_uint *seen)
{
    pthread_t t[8];

    atomic_store(&stop, false);
    for (unsigned int i = 0; i < n; i++)
        assert_int_equal(
            pthread_create(&t[i], NULL, what[i], (void *)(uintptr_t)(i + 1)),
            0);
    for (unsigned int i = 0; i < 100; i++) {
        nanosleep(&(struct timespec){.tv_nsec = HAMMER_MS * 1000000l}, NULL);
        if (atomic_load(seen))
            break;
    }
    atomic_store(&stop, true);
    for (unsigned int i = 0; i < n; i++)
        pthread_join(t[i], NULL);
}

static void check_no_pins(domid_t dom)
{
    for (grant_ref_t ref = 0; ref < REFS; ref++)
        assert_false(grant_is_pinned(grant_active_entry(fx.doms[dom], ref)));
}

static void xsa228_maptrack_race(void **state)
{
    void *(*const what[])(void *) = {hostile_granter, mapper, mapper, mapper,
                                     guest_mapper};

    (void)state;
    run_threads(what, 5, &mapped);
    print_message("%u mapped\n", atomic_load(&mapped));
    assert_true(atomic_load(&mapped) > 0);
    assert_int_equal(atomic_load(&wrong), 0);
    maptrack_owner_closed(&conn.grants); /* what no thread guessed */
    check_no_pins(1);
    assert_int_equal(fx.doms[1]->refs, 1);
    assert_int_equal(gnttab_conn_init(fx.doms[0], &conn.grants), 0);
}

/* ---- two domains that copy to each other ---- */

static void copy_between(domid_t me, domid_t other, uint32_t *seed)
{
    struct gnttab_copy op = {
        .source = {.u.ref = rnd(seed) % REFS, .domid = other},
        .dest = {.u.ref = rnd(seed) % REFS, .domid = other},
        .len = 8,
        .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref,
    };

    if (rnd(seed) % 2)
        op.dest.domid = me; /* granted to itself */
    fx_grant(fx_guest(me), GNTTABOP_copy, &op, 1);
    atomic_fetch_add(&copied, op.status == 0);
}

static void *copier_1(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop))
        copy_between(1, 2, &seed);
    return NULL;
}

static void *copier_2(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop))
        copy_between(2, 1, &seed);
    return NULL;
}

/* 411: copies in both directions don't take two tables' locks at once. */
static void xsa411_no_lock_inversion(void **state)
{
    void *(*const what[])(void *) = {copier_1, copier_2};

    (void)state;
    for (grant_ref_t ref = 0; ref < REFS; ref++) {
        /* A frame each: two copies of one page would race by themselves. */
        put(&entry(1, ref)[1], ref);
        put(&entry(2, ref)[1], ref);
        put(&entry(1, ref)[0], GTF_permit_access | (ref % 2 ? 1u : 2u) << 16);
        put(&entry(2, ref)[0], GTF_permit_access | (ref % 2 ? 2u : 1u) << 16);
    }
    run_threads(what, 2, &copied);
    assert_true(atomic_load(&copied) > 0);
    check_no_pins(1);
    check_no_pins(2);
}

/* ---- the protocol: revoke, then reuse the page ---- */

#define PUBLIC 1
#define SECRET 2

static void *reader(void *arg)
{
    struct caller g = fx_guest(2);
    uint8_t *mine = domain_frame(fx.doms[2], 7);

    (void)arg;
    while (!atomic_load(&stop)) {
        struct gnttab_copy op = {
            .source = {.u.ref = 0, .domid = 1},
            .dest = {.u.gmfn = 7, .domid = DOMID_SELF},
            .len = 64,
            .flags = GNTCOPY_source_gref,
        };

        fx_grant(g, GNTTABOP_copy, &op, 1);
        if (op.status)
            continue;
        atomic_fetch_add(&copied, 1);
        for (int i = 0; i < 64; i++)
            atomic_fetch_add(&wrong, mine[i] != PUBLIC);
    }
    return NULL;
}

/* As Linux ends foreign access: only while nobody reads or writes. */
static bool end_access(uint32_t *e)
{
    uint32_t was = __atomic_load_n(&e[0], __ATOMIC_SEQ_CST);

    if (was & (GTF_reading | GTF_writing))
        return false;
    return __atomic_compare_exchange_n(&e[0], &was, was & 0xffff0000, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void test_revoked_is_not_read(void **state)
{
    uint8_t *page = domain_frame(fx.doms[1], 5);
    uint32_t *e = entry(1, 0);
    pthread_t t;

    (void)state;
    atomic_store(&stop, false);
    atomic_store(&copied, 0);
    atomic_store(&wrong, 0);
    put(&e[1], 5);
    assert_int_equal(pthread_create(&t, NULL, reader, NULL), 0);
    for (int i = 0; i < REVOKES; i++) {
        memset(page, PUBLIC, 64);
        put(&e[0], GTF_permit_access | GTF_readonly | 2u << 16);
        if (i % 8 == 0)
            sched_yield();
        while (!end_access(e))
            sched_yield();
        memset(page, SECRET, 64);
    }
    atomic_store(&stop, true);
    pthread_join(t, NULL);
    print_message("%u copies between %d revocations\n", atomic_load(&copied),
                  REVOKES);
    assert_int_equal(atomic_load(&wrong), 0);
    check_no_pins(1);
}

/* ---- granters that die ---- */

static void *mortal(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop)) {
        struct domain *d = fx_domain(3, 1, 63);

        for (int i = 0; i < 20; i++) {
            gnttab_seed(d, rnd(&seed) % REFS, 0, rnd(&seed) % FX_OWN);
            sched_yield();
        }
        fx_kill(d);
    }
    return NULL;
}

static void *user_of_mortal(void *arg)
{
    uint32_t seed = (uintptr_t)arg;

    while (!atomic_load(&stop)) {
        struct gnttab_map_grant_ref m = {
            .flags = GNTMAP_host_map, .ref = rnd(&seed) % REFS, .dom = 3};
        struct gnttab_unmap_grant_ref u = {0};

        fx_grant(fx_conn(&conn), GNTTABOP_map_grant_ref, &m, 1);
        if (m.status)
            continue;
        atomic_fetch_add(&mapped, 1);
        if (rnd(&seed) % 2)
            sched_yield();
        u.handle = m.handle;
        fx_grant(fx_conn(&conn), GNTTABOP_unmap_grant_ref, &u, 1);
        atomic_fetch_add(&wrong, u.status != 0);
    }
    return NULL;
}

static void test_granters_die(void **state)
{
    void *(*const what[])(void *) = {mortal, user_of_mortal, user_of_mortal};
    unsigned int freed = atomic_load(&fx.freed);

    (void)state;
    atomic_store(&mapped, 0);
    atomic_store(&wrong, 0);
    run_threads(what, 3, &mapped);
    print_message("%u mapped, %u died\n", atomic_load(&mapped),
                  atomic_load(&fx.freed) - freed);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(conn.grants.in_use, 0);
    assert_true(atomic_load(&fx.freed) > freed);
}

static int setup(void **state)
{
    fx_setup(state);
    fx_conn_open(&conn);
    return 0;
}

static int teardown(void **state)
{
    fx_conn_close(&conn);
    return fx_teardown(state);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(xsa228_maptrack_race),
        T(xsa411_no_lock_inversion),
        T(test_revoked_is_not_read),
        T(test_granters_die),
    };

    return cmocka_run_group_tests_name("grant_race", tests, NULL, NULL);
}
