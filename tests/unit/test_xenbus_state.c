/* SPDX-License-Identifier: MIT */
/*
 * The backend half of the xenbus handshake, in every order that frontends
 * are known to go through it: Linux, pvgrub2 handing over, a frontend that
 * skips states, one that is gone, a backend that comes back.  Also that no
 * pair of states makes the machine act for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backends/xenbus_state.h"

static struct xenbus_view view(enum xenbus_state be, enum xenbus_state fe)
{
    return (struct xenbus_view){
        .be = be,
        .fe = fe,
        .connect_at = XenbusStateInitialised,
        .online = true,
        .probed = true,
        .seen = true,
    };
}

/* What the core does, on the view alone. */
static enum xenbus_action act(struct xenbus_view *v)
{
    enum xenbus_action a = xenbus_decide(v);

    switch (a) {
    case XENBUS_PROBE:
        v->probed = true;
        break;
    case XENBUS_WAIT:
        v->connected = false;
        v->be = XenbusStateInitWait;
        break;
    case XENBUS_CONNECT:
        v->be = XenbusStateConnected;
        v->connected = true;
        break;
    case XENBUS_ADOPT:
        v->connected = true;
        break;
    case XENBUS_CLOSING:
        v->be = XenbusStateClosing;
        break;
    case XENBUS_CLOSE:
        v->connected = false;
        v->be = XenbusStateClosed;
        break;
    case XENBUS_FINISH:
        v->connected = v->probed = false;
        v->be = XenbusStateClosed;
        break;
    default:
        break;
    }
    if (a != XENBUS_PROBE)
        v->seen = true;
    return a;
}

static void settle(struct xenbus_view *v)
{
    int i;

    for (i = 0; i < 8; i++)
        if (act(v) == XENBUS_NONE)
            return;
    fail_msg("never rests: be %d fe %d", v->be, v->fe);
}

static void front(struct xenbus_view *v, enum xenbus_state fe)
{
    v->fe = fe;
    if (fe == XenbusStateInitialising || fe == XenbusStateClosing ||
        fe == XenbusStateClosed)
        v->failed = false;
    settle(v);
}

static void test_linux_life(void **state)
{
    struct xenbus_view v =
        view(XenbusStateInitialising, XenbusStateInitialising);

    (void)state;
    v.probed = v.seen = false;
    settle(&v);
    assert_int_equal(v.be, XenbusStateInitWait);
    front(&v, XenbusStateInitialised);
    assert_int_equal(v.be, XenbusStateConnected);
    front(&v, XenbusStateConnected);
    assert_true(v.connected);
    front(&v, XenbusStateClosing);
    assert_int_equal(v.be, XenbusStateClosing);
    assert_true(v.connected); /* its last requests are still served */
    front(&v, XenbusStateClosed);
    assert_int_equal(v.be, XenbusStateClosed);
    assert_false(v.connected);
    assert_true(v.probed); /* online: it may come back */
}

static void test_pvgrub_hands_over(void **state)
{
    struct xenbus_view v = view(XenbusStateConnected, XenbusStateConnected);

    (void)state;
    v.connected = true;
    front(&v, XenbusStateClosed);
    assert_int_equal(v.be, XenbusStateClosed);
    front(&v, XenbusStateInitialising);
    assert_int_equal(v.be, XenbusStateInitWait);
    front(&v, XenbusStateInitialised);
    assert_int_equal(v.be, XenbusStateConnected);
}

static void test_states_missed(void **state)
{
    struct xenbus_view v =
        view(XenbusStateInitialising, XenbusStateInitialised);

    (void)state;
    v.probed = v.seen = false;
    settle(&v); /* the frontend did not wait for InitWait */
    assert_int_equal(v.be, XenbusStateConnected);
    /* Closed, Initialising and Initialised again before we looked. */
    v.connected = false;
    v.be = XenbusStateClosed;
    front(&v, XenbusStateInitialised);
    assert_int_equal(v.be, XenbusStateConnected);
    /* A kernel that crashed and began again without closing. */
    front(&v, XenbusStateInitialising);
    assert_int_equal(v.be, XenbusStateInitWait);
    assert_false(v.connected);
}

static void test_adopt(void **state)
{
    struct xenbus_view v = view(XenbusStateConnected, XenbusStateConnected);

    (void)state;
    v.probed = v.seen = false;
    assert_int_equal(act(&v), XENBUS_PROBE);
    assert_int_equal(act(&v), XENBUS_ADOPT);
    assert_int_equal(act(&v), XENBUS_NONE);
    assert_int_equal(v.be, XenbusStateConnected);
    /* The frontend has not seen Connected yet. */
    v = view(XenbusStateConnected, XenbusStateInitialised);
    v.probed = v.seen = false;
    assert_int_equal(act(&v), XENBUS_PROBE);
    assert_int_equal(act(&v), XENBUS_ADOPT);
    /* It closed while nobody was there. */
    v = view(XenbusStateConnected, XenbusStateClosed);
    v.probed = v.seen = false;
    settle(&v);
    assert_int_equal(v.be, XenbusStateClosed);
}

static void test_unplug(void **state)
{
    struct xenbus_view v = view(XenbusStateConnected, XenbusStateConnected);

    (void)state;
    v.connected = true;
    v.online = false;
    v.be = XenbusStateClosing; /* the toolstack wrote it */
    settle(&v);
    assert_true(v.connected); /* till the frontend lets go */
    front(&v, XenbusStateClosed);
    assert_int_equal(v.be, XenbusStateClosed);
    assert_false(v.probed);
    settle(&v); /* and it stays gone */
    assert_false(v.probed);
}

static void test_frontend_gone(void **state)
{
    struct xenbus_view v = view(XenbusStateConnected, XenbusStateUnknown);

    (void)state;
    v.connected = true;
    settle(&v);
    assert_int_equal(v.be, XenbusStateClosed);
    assert_false(v.connected);
    assert_false(v.probed);
    /* A back end written before its front: nothing yet. */
    v = view(XenbusStateInitialising, XenbusStateUnknown);
    v.probed = v.seen = false;
    assert_int_equal(act(&v), XENBUS_NONE);
    /* One that died while no dom0 was there; the toolstack waits for 6. */
    v = view(XenbusStateConnected, XenbusStateUnknown);
    v.probed = v.seen = false;
    settle(&v);
    assert_int_equal(v.be, XenbusStateClosed);
}

static void test_failed_stays_closed(void **state)
{
    struct xenbus_view v = view(XenbusStateClosing, XenbusStateConnected);

    (void)state;
    v.failed = true; /* garbage in its ring */
    settle(&v);
    assert_int_equal(v.be, XenbusStateClosing);
    front(&v, XenbusStateInitialised); /* no way around closing */
    assert_false(v.connected);
    front(&v, XenbusStateClosed);
    assert_int_equal(v.be, XenbusStateClosed);
    front(&v, XenbusStateInitialising);
    front(&v, XenbusStateInitialised);
    assert_true(v.connected);
}

/* Whatever both sides of the store say, the machine comes to rest. */
static void test_always_rests(void **state)
{
    unsigned int be, fe, bits;

    (void)state;
    for (be = 0; be <= 8; be++) {
        for (fe = 0; fe <= 8; fe++) {
            for (bits = 0; bits < 64; bits++) {
                struct xenbus_view v =
                    view((enum xenbus_state)be, (enum xenbus_state)fe);

                v.online = bits & 1;
                v.probed = bits & 2;
                v.connected = (bits & 4) && v.probed;
                v.seen = bits & 8;
                v.failed = bits & 16;
                v.probe_failed = (bits & 32) && !v.probed;
                settle(&v);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linux_life),
        cmocka_unit_test(test_pvgrub_hands_over),
        cmocka_unit_test(test_states_missed),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_unplug),
        cmocka_unit_test(test_frontend_gone),
        cmocka_unit_test(test_failed_stays_closed),
        cmocka_unit_test(test_always_rests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
