/* SPDX-License-Identifier: MIT */
/*
 * The shortest paths: a hypercall without an exit, one with, a send to another
 * domain, and a polled ring's round trip to the echo device if there is one.
 */
#include "frontends/guests/bench/bench.h"
#include "frontends/include/gnttab.h"
#include "frontends/include/hypercall.h"
#include "frontends/include/xenbus.h"
#include "backends/echo.h"

#define NOEXIT_SAMPLES 5000
#define NOEXIT_BATCH   100
#define EXIT_SAMPLES   10000
#define SEND_SAMPLES   10000
#define RING_SAMPLES   5000
#define RING_BATCH     20
#define WAIT_NS        (5 * NSEC_PER_SEC)
#define EVENT_NEVER    0x40000000u

struct echo {
    struct xenbus_device xenbus;
    echo_front_ring_t ring;
    evtchn_port_t port;
};

static struct echo *echo;

static int measure(const char *name, size_t nr, size_t batch,
                   void (*op)(void *arg), void *arg)
{
    struct bench b;
    size_t i, k;
    int rc = bench_alloc(&b, name, bench_count(nr), batch);

    /* One sample is thrown away: caches, and a peer that must wake up. */
    for (i = 0; !rc && i <= b.nr; i++) {
        uint64_t start = rdtsc_ordered();

        for (k = 0; k < batch; k++)
            op(arg);
        if (i > 0)
            b.sample[i - 1] = rdtsc_ordered() - start;
    }
    if (!rc)
        bench_report(&b);
    bench_free(&b);
    return rc;
}

static void noexit(void *arg)
{
    (void)arg;
    hypervisor_xen_version(XENVER_version, NULL);
}

/* Writing nothing to Xen's console needs Xen, and nothing else. */
static void with_exit(void *arg)
{
    (void)arg;
    hypervisor_console_write("", 0);
}

static void send(void *arg)
{
    evtchn_send(*(const evtchn_port_t *)arg);
}

static void ring_round(void *arg)
{
    struct echo *e = arg;
    struct echo_request *req = RING_GET_REQUEST(&e->ring, e->ring.req_prod_pvt);
    RING_IDX cons = e->ring.rsp_cons;
    int notify;

    req->id = e->ring.req_prod_pvt;
    req->value = cons;
    e->ring.req_prod_pvt++;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&e->ring, notify);
    if (notify)
        evtchn_send(e->port);
    while (__atomic_load_n(&e->ring.sring->rsp_prod, __ATOMIC_ACQUIRE) == cons)
        cpu_relax();
    e->ring.rsp_cons++;
}

/* ---- the echo device ----------------------------------------------------- */

static int echo_ring(struct echo *e)
{
    echo_sring_t *sring = page_alloc(1);
    int ref, port;

    if (!sring)
        return -ENOMEM;
    SHARED_RING_INIT(sring);
    FRONT_RING_INIT(&e->ring, sring, PAGE_SIZE);
    sring->rsp_event = EVENT_NEVER;
    ref = gnttab_grant(e->xenbus.backend_id, sring, false);
    if (ref < 0)
        return ref;
    port = evtchn_alloc_unbound(e->xenbus.backend_id, evtchn_wake_only, NULL);
    if (port < 0)
        return port;
    e->port = (evtchn_port_t)port;
    if (xenbus_printf(XBT_NIL, e->xenbus.path, "ring-ref", "%d", ref) ||
        xenbus_printf(XBT_NIL, e->xenbus.path, "event-channel", "%d", port))
        return -EIO;
    return xenbus_switch_state(&e->xenbus, XenbusStateInitialised);
}

static void echo_probe(const char *path)
{
    struct echo *e = heap_alloc(sizeof(*e));
    int rc;

    if (!e || echo)
        return;
    rc = xenbus_device_open(&e->xenbus, path);
    if (!rc)
        rc = echo_ring(e);
    if (!rc)
        rc = xenbus_wait_backend(&e->xenbus, 1u << XenbusStateConnected,
                                 WAIT_NS);
    if (rc < 0) {
        xenbus_error(&e->xenbus, rc, "the echo device does not connect");
        return;
    }
    xenbus_switch_state(&e->xenbus, XenbusStateConnected);
    echo = e;
}

int bench_floors(void)
{
    evtchn_port_t port = start_info()->console.domU.evtchn;
    int rc;

    xenbus_for_each_device("echo", echo_probe);
    rc =
        measure("hypercall_noexit", NOEXIT_SAMPLES, NOEXIT_BATCH, noexit, NULL);
    if (!rc)
        rc = measure("hypercall_exit", EXIT_SAMPLES, 1, with_exit, NULL);
    if (echo)
        port = echo->port;
    if (!rc)
        rc = measure("evtchn_send", SEND_SAMPLES, 1, send, &port);
    if (!rc && echo)
        rc = measure("ring_polled_rtt", RING_SAMPLES, RING_BATCH, ring_round,
                     echo);
    if (!echo)
        printf("bench: no echo device, so no ring_polled_rtt\n");
    return rc;
}
