/* SPDX-License-Identifier: MIT */
#include "backends/console_hub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH         64
#define RETRY_NS      100000000ull
#define EVENTS_A_TURN 256

/* ---- descriptors ---- */

int hub_item_add(struct console_hub *hub, struct hub_item *item, int fd,
                 uint32_t events,
                 void (*fire)(struct hub_item *item, uint32_t events))
{
    struct epoll_event ev = {.events = events, .data.ptr = item};

    if (epoll_ctl(hub->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
        return -errno;
    item->hub = hub;
    item->fd = fd;
    item->events = events;
    item->fire = fire;
    return 0;
}

void hub_item_set(struct hub_item *item, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = item};

    if (events != item->events && item->fire)
        epoll_ctl(item->hub->epfd, EPOLL_CTL_MOD, item->fd, &ev);
    item->events = events;
}

void hub_item_del(struct hub_item *item, bool close_fd, void *owner)
{
    if (!item->fire) {
        free(owner); /* never was in the epoll */
        return;
    }
    epoll_ctl(item->hub->epfd, EPOLL_CTL_DEL, item->fd, NULL);
    if (close_fd)
        close(item->fd);
    item->fire = NULL; /* for what is left of it in this batch */
    if (owner)
        hub_item_bury(item->hub, item, owner);
}

void hub_item_bury(struct console_hub *hub, struct hub_item *item, void *owner)
{
    item->owner = owner;
    SLIST_INSERT_HEAD(&hub->graveyard, item, dead);
}

static void bury(struct console_hub *hub)
{
    struct hub_item *item;

    while ((item = SLIST_FIRST(&hub->graveyard))) {
        SLIST_REMOVE_HEAD(&hub->graveyard, dead);
        free(item->owner);
    }
}

/* ---- the store ---- */

static void store_close(struct console_hub *hub)
{
    hub_item_del(&hub->store, false, NULL);
    if (hub->xs)
        xs_close(hub->xs);
    hub->xs = NULL;
    hub->xs_broken = false;
}

static void store_event(struct console_hub *hub, const char *token)
{
    bool again;
    uint64_t domid;

    if (!strncmp(token, "con:", 4) && !parse_u64(token + 4, &domid))
        again = console_domain_touch(hub, (domid_t)domid);
    else
        again = console_domains_scan(hub);
    if (again)
        hub->retry_at = backend_now_ns() + RETRY_NS;
}

static void store_fire(struct hub_item *item, uint32_t events)
{
    struct console_hub *hub = item->hub;
    char **ev;
    int i;

    (void)events;
    for (i = 0; i < EVENTS_A_TURN && hub->xs && !hub->xs_broken; i++) {
        ev = xs_check_watch(hub->xs);
        if (!ev) {
            hub->xs_broken = errno != EAGAIN;
            return;
        }
        store_event(hub, ev[XS_WATCH_TOKEN]);
        free(ev);
    }
}

static void store_open(struct console_hub *hub)
{
    hub->xs = xs_open(0);
    if (hub->xs && xs_watch(hub->xs, "@introduceDomain", "intro") &&
        xs_watch(hub->xs, "@releaseDomain", "rel") &&
        !hub_item_add(hub, &hub->store, xs_fileno(hub->xs), EPOLLIN,
                      store_fire)) {
        console_domains_rewatch(hub);
        return;
    }
    if (hub->xs)
        store_close(hub);
}

/* ---- other threads ---- */

static bool log_is_ours(struct console_hub *hub, const struct hub_request *r)
{
    char path[96], buf[8];

    snprintf(path, sizeof(path), "/local/domain/%u/console/%s-log", r->domid,
             r->name);
    if (!hub->xs || !store_read(hub->xs, path, buf, sizeof(buf)))
        return true;
    xs_write(hub->xs, XBT_NULL, path, "1", 1);
    return false;
}

static void kick_fire(struct hub_item *item, uint32_t events)
{
    struct console_hub *hub = item->hub;
    struct hub_request *r;
    eventfd_t v;
    int ret;

    (void)events;
    eventfd_read(item->fd, &v);
    while ((r = STAILQ_FIRST(&hub->requests))) {
        STAILQ_REMOVE_HEAD(&hub->requests, link);
        ret = console_fd_stream(hub, r->domid, r->name, r->fd,
                                log_is_ours(hub, r));
        if (ret)
            backends_log(hub->b, "d%u %s: no log and attach: %s", r->domid,
                         r->name, strerror(-ret));
        free(r);
    }
}

static bool name_ok(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return n && !s[n] && n < sizeof(((struct hub_request *)0)->name);
}

int backends_console_add_stream(struct backends *b, domid_t domid,
                                const char *name, int fd)
{
    struct console_hub *hub = b->console;
    struct hub_request *r = NULL;
    int ret = -EINVAL;

    if (!name_ok(name) || !strcmp(name, "console"))
        goto out;
    ret = -ENOMEM;
    r = calloc(1, sizeof(*r));
    if (!r)
        goto out;
    r->domid = domid;
    r->fd = fd;
    strcpy(r->name, name);
    pthread_mutex_lock(&hub->lock);
    STAILQ_INSERT_TAIL(&hub->requests, r, link);
    pthread_mutex_unlock(&hub->lock);
    eventfd_write(hub->kick_fd, 1);
    return 0;
out:
    close(fd);
    return ret;
}

json_t *console_hub_stats(struct console_hub *hub)
{
    json_t *arr = json_array();
    struct console_stream *s;

    pthread_mutex_lock(&hub->lock);
    TAILQ_FOREACH(s, &hub->streams, link)
    json_array_append_new(arr, json_pack("{s:i, s:s, s:I, s:I, s:i}", "domid",
                                         s->domid, "stream", s->name,
                                         "bytes_out", (json_int_t)s->bytes_out,
                                         "bytes_in", (json_int_t)s->bytes_in,
                                         "clients", (int)s->nr_clients));
    pthread_mutex_unlock(&hub->lock);
    return arr;
}

/* ---- the loop ---- */

/* Rings with more than a turn's worth: each has one more, in order. */
static bool service_busy(struct console_hub *hub)
{
    struct console_stream *s, *next;
    uint64_t now = backend_now_ns();
    bool busy = false;

    for (s = TAILQ_FIRST(&hub->streams); s; s = next) {
        next = TAILQ_NEXT(s, link);
        if (s->busy && s->source && s->source->more)
            s->busy = s->source->more(s);
        busy |= s->busy;
        if (console_stream_finished(s, now))
            console_stream_free(s);
        else if (s->closing && (!hub->retry_at || s->closing < hub->retry_at))
            hub->retry_at = s->closing;
    }
    return busy;
}

static int sleep_ms(struct console_hub *hub, bool busy)
{
    uint64_t now = backend_now_ns();

    if (busy)
        return 0;
    if (!hub->xs)
        return 100;
    if (!hub->retry_at)
        return -1;
    return hub->retry_at <= now ? 0
                                : (int)((hub->retry_at - now) / 1000000) + 1;
}

static void upkeep(struct console_hub *hub)
{
    if (hub->xs_broken)
        store_close(hub);
    if (!hub->xs)
        store_open(hub);
    if (hub->xs && hub->retry_at && backend_now_ns() >= hub->retry_at) {
        hub->retry_at = 0;
        if (console_domains_scan(hub))
            hub->retry_at = backend_now_ns() + RETRY_NS;
    }
}

static void batch(struct epoll_event *ev, int n)
{
    struct hub_item *item;
    int i;

    for (i = 0; i < n; i++) {
        item = ev[i].data.ptr;
        if (item->fire)
            item->fire(item, ev[i].events);
    }
}

static bool all_finished(struct console_hub *hub)
{
    struct console_client *c;
    struct console_stream *s;

    TAILQ_FOREACH(s, &hub->streams, link)
    TAILQ_FOREACH(c, &s->clients, link)
    if (c->pos >= 0 && c->pos < s->log.end)
        return false;
    return true;
}

static void *hub_thread(void *arg)
{
    struct console_hub *hub = arg;
    struct epoll_event ev[BATCH];
    uint64_t end = 0;
    int n, ms;

    pthread_mutex_lock(&hub->lock);
    for (;;) {
        upkeep(hub);
        ms = sleep_ms(hub, service_busy(hub));
        bury(hub);
        if (atomic_load(&hub->stop)) {
            end = end ? end : backend_now_ns() + 1000000000ull;
            if (all_finished(hub) || backend_now_ns() >= end)
                break;
            ms = ms < 0 || ms > 10 ? 10 : ms;
        }
        pthread_mutex_unlock(&hub->lock);
        n = epoll_wait(hub->epfd, ev, BATCH, ms);
        pthread_mutex_lock(&hub->lock);
        batch(ev, n);
    }
    pthread_mutex_unlock(&hub->lock);
    return NULL;
}

static void hub_free(struct console_hub *hub)
{
    struct console_stream *s;
    struct hub_request *r;

    console_domains_free(hub);
    while ((s = TAILQ_FIRST(&hub->streams)))
        console_stream_free(s);
    while ((r = STAILQ_FIRST(&hub->requests))) {
        STAILQ_REMOVE_HEAD(&hub->requests, link);
        close(r->fd);
        free(r);
    }
    store_close(hub);
    bury(hub);
    if (hub->xce)
        xenevtchn_close(hub->xce);
    if (hub->xgt)
        xengnttab_close(hub->xgt);
    if (hub->xfm)
        xenforeignmemory_close(hub->xfm);
    if (hub->kick_fd >= 0)
        close(hub->kick_fd);
    if (hub->epfd >= 0)
        close(hub->epfd);
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

struct console_hub *console_hub_start(struct backends *b)
{
    struct console_hub *hub = calloc(1, sizeof(*hub));
    int err;

    if (!hub)
        return NULL;
    hub->b = b;
    TAILQ_INIT(&hub->streams);
    LIST_INIT(&hub->domains);
    STAILQ_INIT(&hub->requests);
    pthread_mutex_init(&hub->lock, NULL);
    hub->epfd = epoll_create1(EPOLL_CLOEXEC);
    hub->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = hub->epfd < 0 || hub->kick_fd < 0 ? EMFILE : 0;
    if (!err)
        err = -hub_item_add(hub, &hub->kick, hub->kick_fd, EPOLLIN, kick_fire);
    if (!err)
        err = pthread_create(&hub->thread, NULL, hub_thread, hub);
    if (!err)
        return hub;
    hub_free(hub);
    errno = err;
    return NULL;
}

void console_hub_stop(struct console_hub *hub)
{
    if (!hub)
        return;
    atomic_store(&hub->stop, true);
    eventfd_write(hub->kick_fd, 1);
    pthread_join(hub->thread, NULL);
    hub_free(hub);
}
