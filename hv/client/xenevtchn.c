/* SPDX-License-Identifier: MIT */
/*
 * libxenevtchn's interface over privcmd: each port is an eventfd that hv
 * signals (or a guest's OUT does, in the kernel); the handle's descriptor is
 * an epoll of them.  Source: xenevtchn.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <xenevtchn.h>
#include "hv/client/conn.h"
#include "hv/client/direct.h"
#include "hv/client/kxen.h"

struct port {
    struct port *next;
    evtchn_port_t port;
    int fd;
    bool alone;           /* given out by kxen_port_eventfd() */
    struct direct *guest; /* where the event goes, if it can be raised here */
    evtchn_port_t remote;
};

#define NR_BUCKETS 256u

struct xenevtchn_handle {
    struct conn *c;
    int epoll;
    pthread_mutex_t lock;           /* ports */
    struct port *ports[NR_BUCKETS]; /* by port % NR_BUCKETS */
    struct direct *guests;          /* list, one a domain */
};

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger,
                                 unsigned int flags)
{
    xenevtchn_handle *h = calloc(1, sizeof(*h));
    int e;

    (void)logger;
    (void)flags;
    if (!h)
        return NULL;
    pthread_mutex_init(&h->lock, NULL);
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    h->c = h->epoll < 0 ? NULL : conn_open();
    if (h->c)
        return h;
    e = errno;
    if (h->epoll >= 0)
        close(h->epoll);
    pthread_mutex_destroy(&h->lock);
    free(h);
    errno = e;
    return NULL;
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd,
                                   unsigned open_flags)
{
    (void)logger;
    (void)fd;
    (void)open_flags;
    errno = EOPNOTSUPP; /* a descriptor alone does not carry the ports */
    return NULL;
}

/* Of a port that is in no list any more. */
static void port_free(xenevtchn_handle *h, struct port *p)
{
    pthread_mutex_lock(&h->lock);
    direct_put(&h->guests, p->guest);
    pthread_mutex_unlock(&h->lock);
    if (p->fd >= 0)
        close(p->fd);
    free(p);
}

int xenevtchn_close(xenevtchn_handle *h)
{
    if (!h)
        return 0;
    conn_close(h->c);
    for (unsigned int i = 0; i < NR_BUCKETS; i++) {
        struct port *p;

        while ((p = h->ports[i])) {
            h->ports[i] = p->next;
            port_free(h, p);
        }
    }
    close(h->epoll);
    pthread_mutex_destroy(&h->lock);
    free(h);
    return 0;
}

int xenevtchn_fd(xenevtchn_handle *h)
{
    return h->epoll;
}

static int fail(long rc)
{
    errno = -rc;
    return -1;
}

static long evtchn_op(xenevtchn_handle *h, uint64_t cmd, void *arg, size_t size)
{
    return conn_hypercall_arg(h->c, __HYPERVISOR_event_channel_op,
                              (uint64_t[6]){cmd}, 1, arg, size);
}

static struct port **find(xenevtchn_handle *h, evtchn_port_t port)
{
    struct port **p = &h->ports[port % NR_BUCKETS];

    while (*p && (*p)->port != port)
        p = &(*p)->next;
    return p;
}

static int arm(xenevtchn_handle *h, const struct port *p, int how)
{
    struct epoll_event e = {
        .events = EPOLLIN | EPOLLONESHOT,
        .data.u32 = p->port,
    };

    return epoll_ctl(h->epoll, how, p->fd, &e);
}

static long close_port(xenevtchn_handle *h, evtchn_port_t port)
{
    struct evtchn_close op = {.port = port};

    return evtchn_op(h, EVTCHNOP_close, &op, sizeof(op));
}

/* Takes port out of the list; NULL if it is not there. */
static struct port *take_out(xenevtchn_handle *h, evtchn_port_t port)
{
    struct port **at, *p;

    pthread_mutex_lock(&h->lock);
    at = find(h, port);
    p = *at;
    if (p)
        *at = p->next;
    pthread_mutex_unlock(&h->lock);
    return p;
}

/*
 * Puts a port that hv has just bound under the handle's descriptor.  It is in
 * the list before it is armed: its first event may come at once, to a thread
 * in xenevtchn_pending().
 */
static int adopt(xenevtchn_handle *h, evtchn_port_t port)
{
    struct privcmd_req q = {.op = PRIVCMD_PORT_FD, .args = {port}};
    struct privcmd_rep r;
    struct port *p = calloc(1, sizeof(*p));
    long rc = -ENOMEM;

    if (p) {
        p->port = port;
        rc = conn_call(h->c, &q, -1, &r, &p->fd);
    }
    if (rc) {
        free(p);
        close_port(h, port);
        return fail(rc);
    }
    pthread_mutex_lock(&h->lock);
    p->next = h->ports[port % NR_BUCKETS];
    h->ports[port % NR_BUCKETS] = p;
    rc = arm(h, p, EPOLL_CTL_ADD) < 0 ? -errno : 0;
    pthread_mutex_unlock(&h->lock);
    if (!rc)
        return port;
    p = take_out(h, port);
    if (p)
        port_free(h, p);
    close_port(h, port);
    return fail(rc);
}

/* Raises it in the guest's memory, if hv allows that for this port. */
static bool notify_direct(xenevtchn_handle *h, evtchn_port_t port)
{
    struct port *p;
    bool done;

    pthread_mutex_lock(&h->lock);
    p = *find(h, port);
    done = p && p->guest && direct_raise(p->guest, p->remote);
    pthread_mutex_unlock(&h->lock);
    return done;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
    struct evtchn_send op = {.port = port};
    long rc;

    if (notify_direct(h, port))
        return 0;
    rc = evtchn_op(h, EVTCHNOP_send, &op, sizeof(op));

    return rc ? fail(rc) : 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *h,
                                                      uint32_t domid)
{
    struct evtchn_alloc_unbound op = {.dom = DOMID_SELF, .remote_dom = domid};
    long rc = evtchn_op(h, EVTCHNOP_alloc_unbound, &op, sizeof(op));

    return rc ? fail(rc) : adopt(h, op.port);
}

/* A way around hv for this port's events is welcome, not needed. */
static void aim(xenevtchn_handle *h, evtchn_port_t port, uint32_t domid,
                evtchn_port_t remote)
{
    struct direct *g;
    struct port *p;

    pthread_mutex_lock(&h->lock);
    p = *find(h, port);
    g = p ? direct_get(&h->guests, h->c, domid) : NULL;
    if (g) {
        p->guest = g;
        p->remote = remote;
    }
    pthread_mutex_unlock(&h->lock);
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h,
                                                     uint32_t domid,
                                                     evtchn_port_t remote_port)
{
    struct evtchn_bind_interdomain op = {
        .remote_dom = domid,
        .remote_port = remote_port,
    };
    long rc = evtchn_op(h, EVTCHNOP_bind_interdomain, &op, sizeof(op));

    int port = rc ? fail(rc) : adopt(h, op.local_port);

    if (port >= 0)
        aim(h, port, domid, remote_port);
    return port;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *h,
                                              unsigned int virq)
{
    struct evtchn_bind_virq op = {.virq = virq};
    long rc = evtchn_op(h, EVTCHNOP_bind_virq, &op, sizeof(op));

    return rc ? fail(rc) : adopt(h, op.port);
}

int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
    struct port *p = take_out(h, port);
    long rc;

    if (!p)
        return fail(-EINVAL);
    rc = close_port(h, port);
    port_free(h, p);
    return rc ? fail(rc) : 0;
}

/* The fd of port while nobody else may free it; -1 if it is gone. */
static int clear(xenevtchn_handle *h, evtchn_port_t port)
{
    struct port *p;
    uint64_t n;
    int rc = -1;

    pthread_mutex_lock(&h->lock);
    p = *find(h, port);
    if (p && !p->alone)
        rc = read(p->fd, &n, sizeof(n)) == sizeof(n) ? 0 : -1;
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/*
 * Waits, as the device does, for a port; it is masked until unmasked.  Like
 * the device, it does not wait if xenevtchn_fd() was made O_NONBLOCK: whoever
 * was woken for a port that turns out to be masked must not be stuck here.
 */
xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
    bool wait = !(fcntl(h->epoll, F_GETFL) & O_NONBLOCK);

    for (;;) {
        struct epoll_event e;
        int n = epoll_wait(h->epoll, &e, 1, wait ? -1 : 0);

        if (n < 0)
            return -1;
        if (!n && !wait) {
            errno = EAGAIN;
            return -1;
        }
        if (n && !clear(h, e.data.u32))
            return e.data.u32;
        if (n)
            xenevtchn_unmask(h, e.data.u32);
    }
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
    struct port *p;
    int rc = -1;

    pthread_mutex_lock(&h->lock);
    p = *find(h, port);
    if (p && !p->alone)
        rc = arm(h, p, EPOLL_CTL_MOD);
    else if (!p)
        errno = EINVAL;
    pthread_mutex_unlock(&h->lock);
    return rc;
}

int xenevtchn_restrict(xenevtchn_handle *h, domid_t domid)
{
    struct privcmd_req q = {.op = PRIVCMD_RESTRICT, .domid = domid};
    struct privcmd_rep r;
    long rc = conn_call(h->c, &q, -1, &r, NULL);

    return rc ? fail(rc) : 0;
}

int kxen_port_eventfd(xenevtchn_handle *h, evtchn_port_t port)
{
    struct port *p;
    int fd = -1;

    pthread_mutex_lock(&h->lock);
    p = *find(h, port);
    if (p) {
        if (!p->alone)
            epoll_ctl(h->epoll, EPOLL_CTL_DEL, p->fd, NULL);
        p->alone = true;
        fd = p->fd;
    } else {
        errno = ENOENT;
    }
    pthread_mutex_unlock(&h->lock);
    return fd;
}
