/* SPDX-License-Identifier: MIT */
/*
 * Backend "echo", protocol backends/echo.h: answers every request at once.
 *
 * The least a backend can be, and so the pattern for the next one: state,
 * the ring's turn, the calls of the core, one line of registration.
 */
#include "backends/ring.h"
#include "backends/chan.h"
#include "backends/echo.h"

#include <errno.h>
#include <stdlib.h>

struct echo {
    struct backend_dev *dev;
    struct backend_chan chan;
    echo_back_ring_t ring;
    atomic_ulong requests;
};

/* Copy, then use the copy: the frontend may still be writing to the slot. */
static void echo_answer(struct echo *e)
{
    struct echo_request req;
    struct echo_response *rsp;

    RING_COPY_REQUEST(&e->ring, e->ring.req_cons, &req);
    e->ring.req_cons++;
    rsp = RING_GET_RESPONSE(&e->ring, e->ring.rsp_prod_pvt);
    rsp->id = req.id;
    rsp->value = req.value + 1;
    e->ring.rsp_prod_pvt++;
}

static bool echo_turn(void *arg)
{
    struct echo *e = arg;
    int i, n = BACK_RING_PENDING(&e->ring);

    if (n < 0)
        backend_fail(e->dev, "req_prod %u is more than a ring beyond %u",
                     e->ring.sring->req_prod, e->ring.req_cons);
    if (n <= 0)
        return false;
    for (i = 0; i < n; i++)
        echo_answer(e);
    if (BACK_RING_PUBLISH(&e->ring))
        chan_notify(&e->chan);
    chan_count(&e->requests, (unsigned long)n);
    return true;
}

static bool echo_arm(void *arg)
{
    struct echo *e = arg;

    BACK_RING_ARM(&e->ring);
    return BACK_RING_PENDING(&e->ring) > 0;
}

static const struct chan_ops echo_chan_ops = {
    .turn = echo_turn,
    .arm = echo_arm,
};

static int echo_probe(struct backend_dev *dev)
{
    struct echo *e = calloc(1, sizeof(*e));

    if (!e)
        return -ENOMEM;
    e->dev = dev;
    dev->priv = e;
    return 0;
}

/* A ring already in use goes on where its responses stand. */
static int echo_begin(struct backend_dev *dev, bool adopt)
{
    struct echo *e = dev->priv;
    int ret = chan_connect(&e->chan, dev, "", 0);
    echo_sring_t *sring = e->chan.sring;

    if (ret)
        return ret;
    BACK_RING_ATTACH(&e->ring, sring, adopt ? ring_load(&sring->rsp_prod) : 0,
                     RING_PAGE_SIZE);
    ret = chan_start(&e->chan, &echo_chan_ops, e);
    if (!ret && adopt)
        chan_notify(&e->chan); /* the last one may have been lost */
    return ret;
}

static int echo_connect(struct backend_dev *dev)
{
    return echo_begin(dev, false);
}

/* Every request is answered in its turn: none is in flight in between. */
static int echo_adopt(struct backend_dev *dev)
{
    return echo_begin(dev, true);
}

static void echo_disconnect(struct backend_dev *dev, bool keep)
{
    struct echo *e = dev->priv;

    (void)keep;
    chan_stop(&e->chan);
    chan_disconnect(&e->chan);
}

static void echo_remove(struct backend_dev *dev)
{
    free(dev->priv);
}

static void echo_changed(struct backend_dev *dev, const char *node)
{
    struct echo *e = dev->priv;

    if (!strcmp(node, "poll-us"))
        atomic_store(&e->chan.poll_us, backend_poll_us(dev));
}

static void echo_stats(struct backend_dev *dev, json_t *obj)
{
    struct echo *e = dev->priv;

    json_object_set_new(obj, "requests",
                        json_integer((json_int_t)atomic_load(&e->requests)));
    chan_stats(&e->chan, obj);
}

static const struct backend_ops echo_ops = {
    .type = "echo",
    .connect_at = XenbusStateInitialised,
    .probe = echo_probe,
    .connect = echo_connect,
    .adopt = echo_adopt,
    .disconnect = echo_disconnect,
    .remove = echo_remove,
    .changed = echo_changed,
    .stats = echo_stats,
};
BACKEND_REGISTER(echo_ops);
