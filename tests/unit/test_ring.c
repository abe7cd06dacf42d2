/* SPDX-License-Identifier: MIT */
/*
 * The back end's ring arithmetic: how many requests wait, when a frontend's
 * index is impossible, when it wants an event; all of it also where the
 * 32-bit indices wrap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backends/ring.h"
#include "backends/echo.h"

static _Alignas(4096) char page[4096];

static echo_back_ring_t ring_at(RING_IDX at)
{
    echo_back_ring_t r;
    echo_sring_t *s = (echo_sring_t *)page;

    SHARED_RING_INIT(s);
    s->req_prod = s->rsp_prod = at;
    s->req_event = s->rsp_event = at + 1;
    BACK_RING_ATTACH(&r, s, at, sizeof(page));
    return r;
}

static const RING_IDX places[] = {0,          1,          1000,
                                  0x7fffffff, 0xfffffff0, 0xffffffff};
#define NR_PLACES (sizeof(places) / sizeof(places[0]))

static void test_pending(void **state)
{
    unsigned int i, size;

    (void)state;
    for (i = 0; i < NR_PLACES; i++) {
        echo_back_ring_t r = ring_at(places[i]);

        size = RING_SIZE(&r);
        assert_int_equal(size, 128);
        assert_int_equal(BACK_RING_PENDING(&r), 0);
        r.sring->req_prod = places[i] + 1;
        assert_int_equal(BACK_RING_PENDING(&r), 1);
        r.sring->req_prod = places[i] + size;
        assert_int_equal(BACK_RING_PENDING(&r), size);
        /* Half of them taken and unanswered: their slots are not free. */
        r.req_cons += size / 2;
        assert_int_equal(BACK_RING_PENDING(&r), size / 2);
        r.sring->req_prod = places[i] + size + 1;
        assert_int_equal(BACK_RING_PENDING(&r), -1);
        r.rsp_prod_pvt++;
        assert_int_equal(BACK_RING_PENDING(&r), size / 2 + 1);
    }
}

static void test_garbage(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < NR_PLACES; i++) {
        echo_back_ring_t r = ring_at(places[i]);

        r.sring->req_prod = places[i] - 1; /* backwards */
        assert_int_equal(BACK_RING_PENDING(&r), -1);
        r.sring->req_prod = places[i] + 0x80000000u;
        assert_int_equal(BACK_RING_PENDING(&r), -1);
        r.sring->req_prod = places[i] + RING_SIZE(&r) + 1;
        assert_int_equal(BACK_RING_PENDING(&r), -1);
    }
}

static void test_publish_and_arm(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < NR_PLACES; i++) {
        echo_back_ring_t r = ring_at(places[i]);

        r.req_cons = places[i] + 4;
        r.rsp_prod_pvt = places[i] + 1;
        assert_true(BACK_RING_PUBLISH(&r)); /* it waits for the first */
        assert_int_equal(r.sring->rsp_prod, places[i] + 1);
        r.rsp_prod_pvt++;
        assert_false(BACK_RING_PUBLISH(&r)); /* it has not asked again */
        r.sring->rsp_event = places[i] + 4;
        r.rsp_prod_pvt = places[i] + 3;
        assert_false(BACK_RING_PUBLISH(&r)); /* it wants the fourth */
        r.rsp_prod_pvt = places[i] + 4;
        assert_true(BACK_RING_PUBLISH(&r));
        BACK_RING_ARM(&r);
        assert_int_equal(r.sring->req_event, places[i] + 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pending),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_publish_and_arm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
