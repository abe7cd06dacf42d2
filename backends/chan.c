/* SPDX-License-Identifier: MIT */
#include "backends/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/core.h"
#include "backends/ring.h"
#include "hv/client/kxen.h"

#define LOOKS     64 /* at the ring between looks at all else */
#define LOOKS_HOT 8  /* of these, the first without pause */

static int read_grefs(struct backend_chan *c, const char *prefix,
                      unsigned int max_order, uint32_t *refs)
{
    struct backend_dev *dev = c->dev;
    uint64_t order = 0, ref;
    char node[48];
    unsigned int i;
    int ret = backend_read_fe_num(dev, "ring-page-order", &order);

    if (ret && ret != -ENOENT)
        return backend_error(dev, ret, "ring-page-order is not a number");
    if (order > max_order)
        return backend_error(dev, -EINVAL,
                             "ring-page-order %" PRIu64 " is above the %u "
                             "that max-ring-page-order allows",
                             order, max_order);
    c->nr_pages = 1u << order;
    snprintf(node, sizeof(node), "%sring-ref", prefix);
    for (i = 0; i < c->nr_pages; i++) {
        /* Whoever writes ring-page-order 0 may still say ring-ref0. */
        if (order || backend_read_fe_num(dev, node, &ref))
            snprintf(node, sizeof(node), "%sring-ref%u", prefix, i);
        ret = backend_read_fe_num(dev, node, &ref);
        if (ret || ref > UINT32_MAX)
            return backend_error(dev, ret ? ret : -ERANGE,
                                 "%s/%s is missing or no grant reference",
                                 dev->fe_path, node);
        refs[i] = (uint32_t)ref;
    }
    return 0;
}

static int map_ring(struct backend_chan *c, const char *prefix,
                    unsigned int max_order)
{
    uint32_t refs[CHAN_MAX_PAGES];
    int ret = read_grefs(c, prefix, max_order, refs);

    if (ret)
        return ret;
    c->xgt = xengnttab_open(NULL, 0);
    if (!c->xgt)
        return backend_error(c->dev, -errno,
                             "cannot reach the hypervisor's grant tables "
                             "(is hv running?)");
    c->sring = xengnttab_map_domain_grant_refs(
        c->xgt, c->nr_pages, c->dev->domid, refs, PROT_READ | PROT_WRITE);
    if (c->sring)
        return 0;
    return backend_error(c->dev, errno ? -errno : -EFAULT,
                         "cannot map the ring: grant %u%s of domain %u is "
                         "not valid for domain 0",
                         refs[0], c->nr_pages > 1 ? " or its fellows" : "",
                         c->dev->domid);
}

static int bind_port(struct backend_chan *c, const char *prefix)
{
    struct backend_dev *dev = c->dev;
    uint64_t remote;
    char node[48];
    int port, ret;

    snprintf(node, sizeof(node), "%sevent-channel", prefix);
    ret = backend_read_fe_num(dev, node, &remote);
    if (ret || remote > INT32_MAX)
        return backend_error(dev, ret ? ret : -ERANGE,
                             "%s/%s is missing or not a port", dev->fe_path,
                             node);
    c->xce = xenevtchn_open(NULL, 0);
    if (!c->xce)
        return backend_error(dev, -errno,
                             "cannot reach the hypervisor's event channels "
                             "(is hv running?)");
    port =
        xenevtchn_bind_interdomain(c->xce, dev->domid, (evtchn_port_t)remote);
    if (port < 0)
        return backend_error(dev, errno ? -errno : -EINVAL,
                             "cannot bind event channel %" PRIu64
                             " of domain %u",
                             remote, dev->domid);
    c->port = (evtchn_port_t)port;
    c->evt_fd = kxen_port_eventfd(c->xce, c->port);
    if (c->evt_fd < 0)
        return backend_error(dev, -errno, "port %d has no eventfd", port);
    /* Woken twice for one event, we must not sleep in the second read. */
    fcntl(c->evt_fd, F_SETFL, O_NONBLOCK);
    return 0;
}

int chan_connect(struct backend_chan *c, struct backend_dev *dev,
                 const char *prefix, unsigned int max_order)
{
    int ret;

    memset(c, 0, sizeof(*c));
    c->dev = dev;
    c->evt_fd = -1;
    atomic_store(&c->poll_us, backend_poll_us(dev));
    c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->stop_fd < 0)
        return -errno;
    ret = map_ring(c, prefix, max_order);
    if (!ret)
        ret = bind_port(c, prefix);
    /* The process before us may still be dying, with the port in its hands:
     * when hv gives it to us, that process has run its last instruction. */
    return ret && dev->adopting ? -EAGAIN : ret;
}

void chan_disconnect(struct backend_chan *c)
{
    if (!c->dev)
        return;
    if (c->xce)
        xenevtchn_close(c->xce);
    if (c->xgt && c->sring)
        xengnttab_unmap(c->xgt, c->sring, c->nr_pages);
    if (c->xgt)
        xengnttab_close(c->xgt);
    if (c->stop_fd >= 0)
        close(c->stop_fd);
    c->xce = NULL;
    c->xgt = NULL;
    c->sring = NULL;
    c->stop_fd = -1;
    c->evt_fd = -1;
    c->dev = NULL;
}

void chan_notify(struct backend_chan *c)
{
    chan_count(&c->events_out, 1);
    xenevtchn_notify(c->xce, c->port);
}

void chan_wait(struct backend_chan *c)
{
    struct pollfd fds[2] = {
        {.fd = c->evt_fd, .events = POLLIN},
        {.fd = c->stop_fd, .events = POLLIN},
    };
    eventfd_t v;

    if (poll(fds, 2, -1) > 0 && (fds[0].revents & POLLIN) &&
        !eventfd_read(c->evt_fd, &v))
        chan_count(&c->events_in, v);
}

/*
 * Spins as the poll policy says; true if a turn found work.  Without
 * sched_yield(): newer kernels take it for a waiver of CPU time, and a thread
 * that yields often is not run again for long once somebody else wants to.
 */
static bool spin(struct backend_chan *c)
{
    int us = atomic_load_explicit(&c->poll_us, memory_order_relaxed);
    uint64_t start = 0, now = 0;
    unsigned int i;

    if (!us)
        return false;
    do {
        /* The clock costs more than a look at the ring: it comes late. */
        for (i = 0; i < LOOKS; i++) {
            if (c->ops->turn(c->arg))
                return true;
            if (i >= LOOKS_HOT)
                __builtin_ia32_pause();
        }
        if (atomic_load_explicit(&c->stop, memory_order_relaxed))
            return false;
        us = atomic_load_explicit(&c->poll_us, memory_order_relaxed);
        now = us < 0 ? 0 : backend_now_ns();
        start = start ? start : now;
    } while (us < 0 || now - start < (uint64_t)us * 1000);
    return false;
}

static void *chan_thread(void *arg)
{
    struct backend_chan *c = arg;

    if (c->ops->begin)
        c->ops->begin(c->arg);
    while (!atomic_load(&c->stop)) {
        if (c->ops->turn(c->arg) || spin(c))
            continue;
        if (c->ops->arm(c->arg))
            continue;
        chan_count(&c->sleeps, 1);
        if (c->ops->wait)
            c->ops->wait(c->arg);
        else
            chan_wait(c);
    }
    if (c->ops->end)
        c->ops->end(c->arg);
    return NULL;
}

int chan_start(struct backend_chan *c, const struct chan_ops *ops, void *arg)
{
    int ret;

    c->ops = ops;
    c->arg = arg;
    ret = pthread_create(&c->thread, NULL, chan_thread, c);
    c->running = !ret;
    return -ret;
}

void chan_stop(struct backend_chan *c)
{
    if (!c->running)
        return;
    atomic_store(&c->stop, true);
    eventfd_write(c->stop_fd, 1);
    pthread_join(c->thread, NULL);
    c->running = false;
}

static json_int_t load(atomic_ulong *v)
{
    return (json_int_t)atomic_load_explicit(v, memory_order_relaxed);
}

void chan_stats(struct backend_chan *c, json_t *obj)
{
    json_object_set_new(obj, "events_in", json_integer(load(&c->events_in)));
    json_object_set_new(obj, "events_out", json_integer(load(&c->events_out)));
    json_object_set_new(obj, "sleeps", json_integer(load(&c->sleeps)));
}
