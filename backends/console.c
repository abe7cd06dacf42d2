/* SPDX-License-Identifier: MIT */
/*
 * Backend of the PV console, protocol xen/io/console.h: the ring that every
 * domain has from its start_info.
 *
 * It is no xenbus device: as for xenconsoled, /local/domain/<id>/console says
 * ring-ref (a frame), port, type and limit; we write tty.  Grant 0 of the
 * domain gives the page, else its frame.  The ring's indices are in the page,
 * so a new process goes on where the old one stopped; the log goes on, too.
 */
#include "backends/console_hub.h"
#include "backends/console_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/grant_table.h>

#include "hv/client/kxen.h"

#define TURN          2048 /* bytes from one ring before others have a turn */
#define DEFAULT_LIMIT (1 << 20)
#define LIMIT_TO_LOG  16 /* log file size per byte of `limit` */
#define CLOSE_TURNS   64
#define TELL_AFTER    25 /* failures; the first may be a dying dom0's port */

struct console_domain {
    LIST_ENTRY(console_domain) link;
    struct console_hub *hub;
    domid_t domid;
    bool watched, seen;    /* seen: by the scan under way */
    unsigned int failures; /* to connect; more than a few are told, once */
    struct console_stream *stream; /* NULL: not connected (yet) */
    /* While connected: */
    struct hub_item event; /* the port's eventfd */
    struct console_pty *pty;
    struct xencons_interface *intf;
    bool by_grant;
    bool broken; /* indices were impossible: the ring is left alone */
    evtchn_port_t port;
};

/* ---- the ring ---- */

static void ring_broken(struct console_domain *d)
{
    if (!d->broken)
        backends_log(d->hub->b,
                     "d%u console: closed, its ring indices are impossible "
                     "(out %u..%u, in %u..%u)",
                     d->domid, d->intf->out_cons, d->intf->out_prod,
                     d->intf->in_cons, d->intf->in_prod);
    d->broken = true;
}

/* One turn; true if the ring had something. */
static bool take_output(struct console_domain *d)
{
    char buf[TURN];
    int n;

    if (d->broken || !d->intf)
        return false;
    n = console_ring_read(d->intf, buf, sizeof(buf));
    if (n < 0)
        ring_broken(d);
    if (n <= 0)
        return false;
    console_stream_output(d->stream, buf, (size_t)n);
    if (d->pty)
        console_pty_output(d->pty, buf, (size_t)n);
    xenevtchn_notify(d->hub->xce, d->port); /* there is room again */
    return true;
}

static void give_input(struct console_stream *s)
{
    struct console_domain *d = s->priv;
    int n;

    if (!s->nr_input || d->broken || !d->intf)
        return;
    n = console_ring_write(d->intf, s->input, s->nr_input);
    if (n < 0)
        ring_broken(d);
    if (n <= 0)
        return;
    console_stream_consumed(s, (size_t)n);
    xenevtchn_notify(d->hub->xce, d->port);
}

static bool more_output(struct console_stream *s)
{
    return take_output(s->priv);
}

static void event_fire(struct hub_item *item, uint32_t events)
{
    struct console_domain *d =
        (struct console_domain *)((char *)item -
                                  offsetof(struct console_domain, event));
    eventfd_t v;

    (void)events;
    eventfd_read(item->fd, &v);
    d->stream->busy = take_output(d);
    give_input(d->stream); /* it may have read some */
}

/* ---- coming and going ---- */

static void unmap_ring(struct console_domain *d)
{
    if (d->intf && d->by_grant)
        xengnttab_unmap(d->hub->xgt, d->intf, 1);
    else if (d->intf)
        xenforeignmemory_unmap(d->hub->xfm, d->intf, 1);
    d->intf = NULL;
}

static void domain_close(struct console_stream *s)
{
    struct console_domain *d = s->priv;
    int i;

    /* The last words: the domain may be gone, its page is still here. */
    for (i = 0; i < CLOSE_TURNS && take_output(d); i++)
        ;
    hub_item_del(&d->event, false, NULL);
    xenevtchn_unbind(d->hub->xce, d->port);
    unmap_ring(d);
    console_pty_free(d->pty);
    d->pty = NULL;
    d->stream = NULL;
}

static const struct console_source domain_source = {
    .input = give_input,
    .close = domain_close,
    .more = more_output,
};

static int read_num(struct console_domain *d, const char *node, uint64_t *v)
{
    char path[96], buf[32];
    int ret;

    snprintf(path, sizeof(path), "/local/domain/%u/console/%s", d->domid, node);
    ret = store_read(d->hub->xs, path, buf, sizeof(buf));
    return ret ? ret : parse_u64(buf, v);
}

static void map_ring(struct console_domain *d, uint64_t frame)
{
    xen_pfn_t pfn = frame;
    int err = 0;

    d->by_grant = true;
    d->intf = xengnttab_map_grant_ref(
        d->hub->xgt, d->domid, GNTTAB_RESERVED_CONSOLE, PROT_READ | PROT_WRITE);
    if (d->intf || frame == UINT64_MAX)
        return;
    d->by_grant = false;
    d->intf = xenforeignmemory_map(d->hub->xfm, d->domid,
                                   PROT_READ | PROT_WRITE, 1, &pfn, &err);
    if (d->intf && err) {
        xenforeignmemory_unmap(d->hub->xfm, d->intf, 1);
        d->intf = NULL;
    }
}

static int bind_port(struct console_domain *d, uint64_t remote)
{
    int fd, port = xenevtchn_bind_interdomain(d->hub->xce, d->domid,
                                              (evtchn_port_t)remote);

    if (port < 0)
        return errno ? -errno : -EINVAL;
    d->port = (evtchn_port_t)port;
    fd = kxen_port_eventfd(d->hub->xce, d->port);
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    if (fd >= 0 && !hub_item_add(d->hub, &d->event, fd, EPOLLIN, event_fire))
        return 0;
    xenevtchn_unbind(d->hub->xce, d->port);
    return -EIO;
}

static bool tty_written(struct console_domain *d)
{
    char path[96], buf[64] = "";

    snprintf(path, sizeof(path), "/local/domain/%u/console/tty", d->domid);
    store_read(d->hub->xs, path, buf, sizeof(buf));
    return buf[0] != '\0';
}

static void write_tty(struct console_domain *d)
{
    const char *name = console_pty_name(d->pty);
    char path[96];

    snprintf(path, sizeof(path), "/local/domain/%u/console/tty", d->domid);
    xs_write(d->hub->xs, XBT_NULL, path, name, (unsigned int)strlen(name));
}

static int open_stream(struct console_domain *d)
{
    uint64_t limit = DEFAULT_LIMIT;

    if (read_num(d, "limit", &limit) || limit < 4096 || limit > (1 << 30))
        limit = DEFAULT_LIMIT;
    /* A tty is there: somebody before us served this very domain. */
    d->stream =
        console_stream_new(d->hub, d->domid, "console", &domain_source, d,
                           (int64_t)limit * LIMIT_TO_LOG, tty_written(d));
    if (!d->stream)
        return -errno;
    d->pty = console_pty_new(d->stream);
    if (d->pty)
        write_tty(d);
    else
        backends_log(d->hub->b, "d%u console: no pty (%s), attach still works",
                     d->domid, strerror(errno));
    return 0;
}

static void connect_failed(struct console_domain *d, const char *what, int err)
{
    if (++d->failures == TELL_AFTER)
        backends_log(d->hub->b, "d%u console: cannot %s: %s", d->domid, what,
                     strerror(-err));
}

/* Port and page are known. 0; -EAGAIN: once more later. */
static int domain_connect(struct console_domain *d, uint64_t port,
                          uint64_t frame)
{
    int ret;

    d->broken = false;
    map_ring(d, frame);
    if (!d->intf) {
        connect_failed(d, "map its ring", errno ? -errno : -EFAULT);
        return -EAGAIN;
    }
    ret = bind_port(d, port);
    if (ret) {
        connect_failed(d, "bind its event channel", ret);
        unmap_ring(d);
        return -EAGAIN;
    }
    ret = open_stream(d);
    if (!ret) {
        d->stream->busy = true; /* it may have spoken before we came */
        return 0;
    }
    hub_item_del(&d->event, false, NULL);
    xenevtchn_unbind(d->hub->xce, d->port);
    unmap_ring(d);
    return ret;
}

static bool hub_has_hv(struct console_hub *hub)
{
    if (!hub->xce)
        hub->xce = xenevtchn_open(NULL, 0);
    if (!hub->xgt)
        hub->xgt = xengnttab_open(NULL, 0);
    if (!hub->xfm)
        hub->xfm = xenforeignmemory_open(NULL, 0);
    return hub->xce && hub->xgt && hub->xfm;
}

static struct console_domain *domain_find(struct console_hub *hub,
                                          domid_t domid)
{
    struct console_domain *d;

    LIST_FOREACH(d, &hub->domains, link)
    if (d->domid == domid)
        return d;
    return NULL;
}

static struct console_domain *domain_get(struct console_hub *hub, domid_t domid)
{
    struct console_domain *d = domain_find(hub, domid);
    char path[64], token[16];

    if (!d) {
        d = calloc(1, sizeof(*d));
        if (!d)
            return NULL;
        d->hub = hub;
        d->domid = domid;
        LIST_INSERT_HEAD(&hub->domains, d, link);
    }
    if (!d->watched && hub->xs) {
        snprintf(path, sizeof(path), "/local/domain/%u/console", domid);
        snprintf(token, sizeof(token), "con:%u", domid);
        d->watched = xs_watch(hub->xs, path, token);
    }
    return d;
}

bool console_domain_touch(struct console_hub *hub, domid_t domid)
{
    struct console_domain *d = domain_find(hub, domid);
    uint64_t port, frame;

    if (!d || !hub->xs)
        return false;
    if (read_num(d, "port", &port) || !port || port > INT32_MAX) {
        /* Not written yet: the watch will tell. Or gone, with the domain. */
        if (d->stream)
            hub->retry_at = backend_now_ns();
        return false;
    }
    if (d->stream)
        return false;
    if (read_num(d, "ring-ref", &frame))
        frame = UINT64_MAX;
    if (!hub_has_hv(hub))
        return true;
    return domain_connect(d, port, frame) == -EAGAIN;
}

static void domain_free(struct console_domain *d, bool now)
{
    struct console_hub *hub = d->hub;
    char path[64], token[16];

    snprintf(path, sizeof(path), "/local/domain/%u/console", d->domid);
    snprintf(token, sizeof(token), "con:%u", d->domid);
    if (d->watched && hub->xs)
        xs_unwatch(hub->xs, path, token);
    if (d->stream && now)
        console_stream_free(d->stream);
    else if (d->stream)
        console_stream_close(d->stream);
    LIST_REMOVE(d, link);
    hub_item_bury(hub, &d->event, d);
}

/* A domain that is gone takes its other streams, its UART, along. */
static void close_streams(struct console_hub *hub, domid_t domid)
{
    struct console_stream *s;

    TAILQ_FOREACH(s, &hub->streams, link)
    if (s->domid == domid)
        console_stream_close(s);
}

bool console_domains_scan(struct console_hub *hub)
{
    struct console_domain *d, *next;
    unsigned int i, n = 0;
    bool again = false;
    char **doms = xs_directory(hub->xs, XBT_NULL, "/local/domain", &n);
    uint64_t domid;

    /* No answer is not the answer that there are none. */
    if (!doms && errno != ENOENT) {
        hub->xs_broken = true;
        return true;
    }
    LIST_FOREACH(d, &hub->domains, link)
    d->seen = false;
    for (i = 0; i < n; i++) {
        if (parse_u64(doms[i], &domid) || !domid ||
            domid >= DOMID_FIRST_RESERVED)
            continue;
        d = domain_get(hub, (domid_t)domid);
        if (d)
            d->seen = true;
        again |= console_domain_touch(hub, (domid_t)domid);
    }
    free(doms);
    for (d = LIST_FIRST(&hub->domains); d; d = next) {
        next = LIST_NEXT(d, link);
        if (!d->seen) {
            close_streams(hub, d->domid);
            domain_free(d, false);
        }
    }
    return again;
}

void console_domains_rewatch(struct console_hub *hub)
{
    struct console_domain *d;

    LIST_FOREACH(d, &hub->domains, link)
    d->watched = false;
    hub->retry_at = backend_now_ns(); /* look around at once */
}

void console_domains_free(struct console_hub *hub)
{
    struct console_domain *d;

    while ((d = LIST_FIRST(&hub->domains)))
        domain_free(d, true);
}
