/* SPDX-License-Identifier: MIT */
/*
 * A disk backend killed at every instruction that matters, again and again.
 *
 * The real ring and log code runs over plain memory, with each of its crash
 * points made a place to die (longjmp, only the shared memory survives).  A
 * frontend keeps the ring full and an honest book; a new backend takes over
 * after each death.  Proved: every request is answered exactly once, with the
 * status it was due; none is answered that was not asked; indices stay right
 * across the 32-bit wrap.  And that a log which does not fit its ring is
 * refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void crash_point(const char *what);
#define VBD_CRASH_POINT(what) crash_point(what)

/* Compiled in here, with its crash points on. */
#include "backends/vbd_inflight.c"
#include "backends/vbd_ring.c"

#define MAX_IDS 4096

static struct {
    jmp_buf grave;
    long countdown; /* crash points till death; below 0: immortal */
    const char *where;
    unsigned int deaths;
} reaper;

static void crash_point(const char *what)
{
    if (reaper.countdown < 0 || reaper.countdown-- > 0)
        return;
    reaper.where = what;
    reaper.deaths++;
    longjmp(reaper.grave, 1);
}

/* The frontend, and all memory that outlives a backend. */
struct world {
    _Alignas(4096) char ring[4096 * 2];
    struct vbd_log log;
    blkif_front_ring_t front;
    unsigned int asked, answered;
    unsigned char state[MAX_IDS]; /* 1 asked, 2 answered */
};

static struct world world;

static int16_t due(uint64_t id)
{
    return id % 7 ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR;
}

static void world_init(RING_IDX at)
{
    blkif_sring_t *s = (blkif_sring_t *)world.ring;

    memset(&world, 0, sizeof(world));
    SHARED_RING_INIT(s);
    s->req_prod = s->rsp_prod = at;
    FRONT_RING_ATTACH(&world.front, s, at, sizeof(world.ring));
}

static void front_ask(void)
{
    while (!RING_FULL(&world.front) && world.asked < MAX_IDS) {
        blkif_request_t *req =
            RING_GET_REQUEST(&world.front, world.front.req_prod_pvt++);

        memset(req, 0, sizeof(*req));
        req->operation = BLKIF_OP_WRITE;
        req->id = world.asked;
        world.state[world.asked++] = 1;
    }
    RING_PUSH_REQUESTS(&world.front);
}

static void front_collect(void)
{
    while (world.front.rsp_cons != world.front.sring->rsp_prod) {
        blkif_response_t *rsp =
            RING_GET_RESPONSE(&world.front, world.front.rsp_cons++);

        assert_in_range(rsp->id, 0, MAX_IDS - 1);
        if (world.state[rsp->id] != 1)
            fail_msg("request %llu answered %s (died last at \"%s\")",
                     (unsigned long long)rsp->id,
                     world.state[rsp->id] ? "twice" : "unasked",
                     reaper.where ? reaper.where : "-");
        assert_int_equal(rsp->status, due(rsp->id));
        assert_int_equal(rsp->operation, BLKIF_OP_WRITE);
        world.state[rsp->id] = 2;
        world.answered++;
    }
}

/* A backend's process: its own memory, gone when it dies. */
struct process {
    struct vbd_ring r;
    unsigned int held[VBD_LOG_SLOTS]; /* I/O under way */
    unsigned int nr_held;
};

static void take_over(struct process *p, bool first)
{
    struct vbd_recovery rec;
    unsigned int i;

    if (first) {
        RING_IDX at = world.front.rsp_cons;

        vbd_ring_init(&p->r, world.ring, sizeof(world.ring), &world.log);
        p->r.back.req_cons = p->r.back.rsp_prod_pvt = at;
        world.log.rsp_prod = at;
        return;
    }
    assert_int_equal(
        vbd_ring_adopt(&p->r, world.ring, sizeof(world.ring), &world.log, &rec),
        0);
    for (i = 0; i < rec.nr_owed; i++)
        if (!vbd_ring_reanswer(&p->r, rec.owed[i]))
            p->held[p->nr_held++] = rec.owed[i];
    vbd_ring_publish(&p->r);
}

/* Some requests in, some responses out, in no order. */
static void turn(struct process *p)
{
    int n = vbd_ring_pending(&p->r);
    unsigned int i, slot, pick;

    assert_true(n >= 0);
    n = n ? 1 + rand() % n : 0;
    while (n-- > 0)
        p->held[p->nr_held++] = vbd_ring_take(&p->r);
    for (i = rand() % (p->nr_held + 1); i > 0; i--) {
        pick = (unsigned int)rand() % p->nr_held;
        slot = p->held[pick];
        p->held[pick] = p->held[--p->nr_held];
        vbd_ring_answer(&p->r, slot, due(vbd_ring_req(&p->r, slot)->id));
    }
    if (vbd_ring_unpublished(&p->r))
        vbd_ring_publish(&p->r);
}

/* Runs till all is answered, dying after `life` crash points each time. */
static void run(RING_IDX at, long (*life)(void))
{
    static struct process p;
    volatile bool first = true;

    world_init(at);
    reaper.deaths = 0;
    reaper.where = NULL;
    setjmp(reaper.grave);
    reaper.countdown = -1;
    front_collect();
    memset(&p, 0, sizeof(p));
    reaper.countdown = life();
    take_over(&p, first);
    first = false;
    while (world.answered < MAX_IDS) {
        front_ask();
        turn(&p);
        front_collect();
    }
    reaper.countdown = -1;
    assert_int_equal(p.nr_held, 0);
    assert_int_equal(p.r.inf.nr_free, VBD_LOG_SLOTS);
}

static long lives_for_ever(void)
{
    return -1;
}

static long lives_randomly(void)
{
    return 40 + rand() % 400;
}

static void test_without_deaths(void **state)
{
    (void)state;
    run(0, lives_for_ever);
    run(0xfffffff0u, lives_for_ever);
}

static void test_random_deaths(void **state)
{
    unsigned int seed, deaths = 0;

    (void)state;
    for (seed = 0; seed < 60; seed++) {
        srand(seed);
        run(seed % 2 ? 0xffffff00u : seed * 1000, lives_randomly);
        deaths += reaper.deaths;
    }
    assert_true(deaths > 1000);
}

static long fixed_life;

/* Dies at the n-th point, then lives to the end. */
static long lives_once(void)
{
    long life = fixed_life;

    fixed_life = -1;
    return life;
}

/* Every single point of the first turns, and again during the recovery. */
static long second_life;

static long lives_twice(void)
{
    long life = fixed_life;

    fixed_life = second_life;
    second_life = -1;
    return life;
}

static void test_each_point(void **state)
{
    long n;

    (void)state;
    for (n = 0; n < 600; n++) {
        srand(7);
        fixed_life = n;
        run(0xffffffe0u, lives_once);
        assert_int_equal(reaper.deaths, 1);
    }
}

static void test_dies_recovering(void **state)
{
    long n, m;

    (void)state;
    for (n = 150; n < 210; n++) {
        for (m = 0; m < 60; m++) {
            srand(7);
            fixed_life = n;
            second_life = m;
            run(0xffffffe0u, lives_twice);
        }
    }
}

static void test_log_that_does_not_fit(void **state)
{
    struct vbd_ring r;
    struct vbd_recovery rec;

    (void)state;
    reaper.countdown = -1;
    world_init(0);
    /* No log at all. */
    assert_int_equal(
        vbd_ring_adopt(&r, world.ring, sizeof(world.ring), &world.log, &rec),
        -EPROTO);
    vbd_ring_init(&r, world.ring, sizeof(world.ring), &world.log);
    front_ask();
    vbd_ring_answer(&r, vbd_ring_take(&r), 0);
    vbd_ring_take(&r);
    vbd_ring_publish(&r);
    /* The guest moved rsp_prod while nobody was looking. */
    ((blkif_sring_t *)world.ring)->rsp_prod = 17;
    assert_int_equal(
        vbd_ring_adopt(&r, world.ring, sizeof(world.ring), &world.log, &rec),
        -EPROTO);
    ((blkif_sring_t *)world.ring)->rsp_prod = 0;
    assert_int_equal(
        vbd_ring_adopt(&r, world.ring, sizeof(world.ring), &world.log, &rec),
        -EPROTO);
    ((blkif_sring_t *)world.ring)->rsp_prod = 1;
    assert_int_equal(
        vbd_ring_adopt(&r, world.ring, sizeof(world.ring), &world.log, &rec),
        0);
    assert_int_equal(rec.nr_owed, 1);
    assert_int_equal(rec.req_cons, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_deaths),
        cmocka_unit_test(test_random_deaths),
        cmocka_unit_test(test_each_point),
        cmocka_unit_test(test_dies_recovering),
        cmocka_unit_test(test_log_that_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
