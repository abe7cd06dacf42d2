/* SPDX-License-Identifier: MIT */
#include "xenstore/daemon/hvlink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/grant_table.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

#include "hv/client/kxen.h"
#include "xenstore/core/domain.h"
#include "xenstore/core/ring.h"

#define CHECK_SECONDS 1    /* looking for an hv, or whether it lives */
#define MAX_DOMAINS   4096 /* looked at after one VIRQ_DOM_EXC */

/* The handles of one connection to hv; rings keep them until they are gone. */
struct session {
    unsigned int refs; /* link->lock */
    xenevtchn_handle *xce;
    xengnttab_handle *xgt;
    xenforeignmemory_handle *fmem;
    kxctrl *ctrl;
    xenevtchn_port_or_error_t virq;
};

struct ring_conn {
    struct sring ring; /* first: the two are one object */
    struct stask task;
    struct shvlink *link;
    struct session *session;
    struct ring_conn *next; /* of the link, its lock held */
    evtchn_port_t port;
    bool granted; /* how the page was mapped */
};

struct shvlink {
    struct sworker *worker;
    pthread_mutex_t lock;
    struct session *session; /* NULL while there is no hv */
    struct ring_conn *rings;
    struct stask events; /* the event channel descriptor */
    struct stask check;  /* looks from time to time for an hv, or at it */
    int timer;
    bool said_absent;
};

#define container(ptr, type, member)                                           \
    ((type *)((char *)(ptr)-offsetof(type, member)))

static void session_put(struct shvlink *l, struct session *se)
{
    unsigned int left;

    pthread_mutex_lock(&l->lock);
    left = --se->refs;
    pthread_mutex_unlock(&l->lock);
    if (left)
        return;
    if (se->xce)
        xenevtchn_close(se->xce);
    if (se->xgt)
        xengnttab_close(se->xgt);
    if (se->fmem)
        xenforeignmemory_close(se->fmem);
    if (se->ctrl)
        kxctrl_close(se->ctrl);
    free(se);
}

static struct session *session_get(struct shvlink *l)
{
    struct session *se;

    pthread_mutex_lock(&l->lock);
    se = l->session;
    if (se)
        se->refs++;
    pthread_mutex_unlock(&l->lock);
    return se;
}

/* Opens all handles; NULL with errno. */
static struct session *session_open(void)
{
    struct session *se = calloc(1, sizeof(*se));

    if (!se)
        return NULL;
    se->xce = xenevtchn_open(NULL, 0);
    /* A wakeup may be for nothing; the whole worker must not wait then. */
    if (se->xce)
        fcntl(xenevtchn_fd(se->xce), F_SETFL, O_NONBLOCK);
    if (!se->xce)
        goto fail;
    se->xgt = xengnttab_open(NULL, 0);
    if (!se->xgt)
        goto fail;
    se->fmem = xenforeignmemory_open(NULL, 0);
    if (!se->fmem)
        goto fail;
    se->ctrl = kxctrl_open();
    if (!se->ctrl)
        goto fail;
    se->refs = 1;
    se->virq = xenevtchn_bind_virq(se->xce, VIRQ_DOM_EXC);
    return se;
fail:
    if (se->fmem)
        xenforeignmemory_close(se->fmem);
    if (se->xgt)
        xengnttab_close(se->xgt);
    if (se->xce)
        xenevtchn_close(se->xce);
    free(se);
    return NULL;
}

static int start_timer(struct shvlink *l)
{
    struct itimerspec its = {.it_interval.tv_sec = CHECK_SECONDS,
                             .it_value.tv_sec = CHECK_SECONDS};

    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->timer < 0 || timerfd_settime(l->timer, 0, &its, NULL))
        return -errno;
    return stask_watch_fd(&l->check, l->timer, EPOLLIN);
}

/* One look at one domain; admin is held. */
static void check_domain(struct store *s, kxctrl *ctrl, uint32_t id)
{
    struct xen_domctl_getdomaininfo info;
    int rc = kxctrl_domain_getinfo(ctrl, id, &info);

    if (rc == -ESRCH || (!rc && info.flags & XEN_DOMINF_dying))
        sdom_release(s, id, "it was destroyed");
    else if (!rc && info.flags & XEN_DOMINF_shutdown)
        sdom_was_shutdown(s, id);
}

/* Looks at all domains; admin is held. */
static void check_domains(struct shvlink *l)
{
    struct store *s = l->worker->store;
    struct session *se = session_get(l);
    uint32_t *ids = calloc(MAX_DOMAINS, sizeof(*ids));
    unsigned int n = 0;

    if (ids && se)
        n = sdom_list(s, ids, MAX_DOMAINS);
    for (unsigned int i = 0; i < n; i++)
        check_domain(s, se->ctrl, ids[i]);
    free(ids);
    if (se)
        session_put(l, se);
}

/* Takes up a session with hv, if there is one.  Admin is held. */
static int link_up(struct shvlink *l)
{
    struct store *s = l->worker->store;
    struct session *se;
    int rc;

    if (l->session)
        return 0;
    se = session_open();
    if (!se) {
        rc = -errno;
        if (!l->said_absent)
            store_log(s,
                      "no hypervisor at %s (%s): serving local clients; "
                      "domains can be introduced once it is there",
                      kxen_run_dir(), strerror(-rc));
        l->said_absent = true;
        return rc;
    }
    if (se->virq < 0)
        store_log(s,
                  "cannot bind VIRQ_DOM_EXC (%s): deaths of domains are "
                  "only seen by RELEASE",
                  strerror(errno));
    pthread_mutex_lock(&l->lock);
    l->session = se;
    pthread_mutex_unlock(&l->lock);
    l->said_absent = false;
    store_log(s, "connected to the hypervisor at %s", kxen_run_dir());
    rc = stask_watch_fd(&l->events, xenevtchn_fd(se->xce), EPOLLIN);
    /* What an earlier store served, and what happened since. */
    sdom_adopt_all(s);
    check_domains(l);
    return rc;
}

/* hv is gone, and its domains with it. */
static void link_down(struct shvlink *l)
{
    struct store *s = l->worker->store;
    struct session *se;
    uint32_t ids[256];
    unsigned int n;

    pthread_mutex_lock(&s->admin);
    pthread_mutex_lock(&l->lock);
    se = l->session;
    l->session = NULL;
    pthread_mutex_unlock(&l->lock);
    if (se) {
        store_log(s, "the hypervisor is gone; waiting for another");
        stask_forget_fd(&l->events, xenevtchn_fd(se->xce));
        while ((n = sdom_list(s, ids, 256)))
            while (n)
                sdom_release(s, ids[--n], "its hypervisor is gone");
        session_put(l, se);
    }
    pthread_mutex_unlock(&s->admin);
}

static void ring_event(struct shvlink *l, evtchn_port_t port)
{
    struct ring_conn *rc;

    pthread_mutex_lock(&l->lock);
    for (rc = l->rings; rc && rc->port != port; rc = rc->next)
        ;
    /* Rings are freed by this very thread, so it stays. */
    pthread_mutex_unlock(&l->lock);
    if (rc)
        stask_queue(&rc->task);
}

static void domain_event(struct shvlink *l)
{
    pthread_mutex_lock(&l->worker->store->admin);
    check_domains(l);
    pthread_mutex_unlock(&l->worker->store->admin);
}

static bool events_turn(struct stask *t, uint32_t events)
{
    struct shvlink *l = container(t, struct shvlink, events);
    struct session *se = session_get(l);
    xenevtchn_port_or_error_t port;
    bool lost = false;

    (void)events;
    if (!se)
        return false;
    port = xenevtchn_pending(se->xce);
    if (port < 0) {
        lost = errno != EAGAIN && errno != EINTR;
    } else {
        xenevtchn_unmask(se->xce, port);
        if (port != se->virq)
            ring_event(l, port);
        else
            domain_event(l);
    }
    session_put(l, se);
    if (lost)
        link_down(l);
    return false;
}

/* Handles do not tell when hv dies; a call does. */
static bool hv_alive(struct shvlink *l)
{
    struct session *se = session_get(l);
    struct xen_domctl_getdomaininfo info;
    int rc;

    if (!se)
        return false;
    rc = kxctrl_domain_getinfo(se->ctrl, 0, &info);
    session_put(l, se);
    return rc != -ECONNRESET && rc != -EPIPE && rc != -ENOTCONN;
}

static bool check_turn(struct stask *t, uint32_t events)
{
    struct shvlink *l = container(t, struct shvlink, check);
    struct store *s = l->worker->store;
    uint64_t n;

    (void)events;
    if (read(l->timer, &n, sizeof(n)) < 0)
        return false;
    if (l->session && !hv_alive(l)) {
        link_down(l);
        return false;
    }
    pthread_mutex_lock(&s->admin);
    if (l->session)
        sdom_adopt_all(s);
    else
        link_up(l);
    pthread_mutex_unlock(&s->admin);
    return false;
}

static void ring_notify(struct sring *r)
{
    struct ring_conn *rc = (struct ring_conn *)r;

    xenevtchn_notify(rc->session->xce, rc->port);
}

static void ring_kick(struct sring *r)
{
    stask_queue(&((struct ring_conn *)r)->task);
}

static void unmap_ring(struct ring_conn *rc)
{
    if (!rc->ring.page)
        return;
    if (rc->granted)
        xengnttab_unmap(rc->session->xgt, rc->ring.page, 1);
    else
        xenforeignmemory_unmap(rc->session->fmem, rc->ring.page, 1);
}

static void ring_free(struct stask *t)
{
    struct ring_conn *rc = container(t, struct ring_conn, task);
    struct ring_conn **p = &rc->link->rings;

    pthread_mutex_lock(&rc->link->lock);
    while (*p && *p != rc)
        p = &(*p)->next;
    if (*p)
        *p = rc->next;
    pthread_mutex_unlock(&rc->link->lock);
    xenevtchn_unbind(rc->session->xce, rc->port);
    unmap_ring(rc);
    session_put(rc->link, rc->session);
    free(rc);
}

/* The store ends; the domain and what the journal says of it do not. */
static void ring_end(struct stask *t)
{
    struct ring_conn *rc = container(t, struct ring_conn, task);
    struct store *s = rc->link->worker->store;
    struct sdom *d;

    store_lock(s);
    d = sdom_find(s, rc->ring.conn.who.id);
    if (d && d->conn == &rc->ring.conn)
        d->conn = NULL;
    store_unlock(s);
    sring_fini(&rc->ring);
}

static bool ring_turn(struct stask *t, uint32_t events)
{
    struct ring_conn *rc = container(t, struct ring_conn, task);
    bool more;

    (void)events;
    if (rc->ring.conn.closing) {
        sring_fini(&rc->ring);
        stask_free_later(t);
        return false;
    }
    more = sring_turn(&rc->ring);
    if (rc->ring.rest_ns)
        stask_rest(t, rc->ring.rest_ns);
    return more;
}

/* The ring page: by its well-known grant, or else by frame number. */
static void *map_ring(struct ring_conn *rc, uint32_t domid, uint64_t gfn)
{
    xen_pfn_t frame = gfn;
    void *page;

    page = xengnttab_map_grant_ref(rc->session->xgt, domid,
                                   GNTTAB_RESERVED_XENSTORE,
                                   PROT_READ | PROT_WRITE);
    rc->granted = page != NULL;
    if (!page)
        page = xenforeignmemory_map(rc->session->fmem, domid,
                                    PROT_READ | PROT_WRITE, 1, &frame, NULL);
    return page;
}

static uint32_t features_for(struct store *s, uint32_t domid)
{
    uint32_t features = s->features;
    struct sdom *d;

    store_lock(s);
    d = sdom_find(s, domid);
    if (d && d->features_set)
        features = d->features;
    store_unlock(s);
    return features;
}

/* Maps and binds; on failure the log says what did not work. */
static int ring_connect(struct ring_conn *rc, uint32_t domid, uint64_t gfn,
                        uint32_t port)
{
    struct store *s = rc->link->worker->store;
    struct xenstore_domain_interface *page;
    xenevtchn_port_or_error_t local;
    int err;

    page = map_ring(rc, domid, gfn);
    if (!page) {
        err = -errno;
        store_log(s,
                  "domain %u: cannot map its store ring (grant %d or frame "
                  "%#llx): %s",
                  domid, GNTTAB_RESERVED_XENSTORE, (unsigned long long)gfn,
                  strerror(-err));
        return err;
    }
    rc->ring.page = page;
    local = xenevtchn_bind_interdomain(rc->session->xce, domid, port);
    if (local < 0) {
        err = -errno;
        store_log(s, "domain %u: cannot bind its event channel %u: %s", domid,
                  port, strerror(-err));
        unmap_ring(rc);
        return err;
    }
    rc->port = local;
    err = sring_init(&rc->ring, s, domid, page, features_for(s, domid));
    if (err) {
        xenevtchn_unbind(rc->session->xce, local);
        unmap_ring(rc);
        return err;
    }
    rc->ring.notify = ring_notify;
    rc->ring.kick = ring_kick;
    return 0;
}

static int host_introduce(void *ctx, uint32_t domid, uint64_t gfn,
                          uint32_t port, struct sconn **conn)
{
    struct shvlink *l = ctx;
    struct ring_conn *rc;
    int err = link_up(l);

    if (err)
        return err;
    rc = calloc(1, sizeof(*rc));
    if (!rc)
        return -ENOMEM;
    rc->link = l;
    rc->session = session_get(l);
    rc->task.worker = l->worker;
    rc->task.turn = ring_turn;
    rc->task.free = ring_free;
    rc->task.end = ring_end;
    err = rc->session ? ring_connect(rc, domid, gfn, port) : -ENOTCONN;
    if (err) {
        if (rc->session)
            session_put(l, rc->session);
        free(rc);
        return err;
    }
    pthread_mutex_lock(&l->lock);
    rc->next = l->rings;
    l->rings = rc;
    pthread_mutex_unlock(&l->lock);
    stask_own(&rc->task);
    *conn = &rc->ring.conn;
    store_log(l->worker->store, "domain %u: introduced (port %u)", domid, port);
    return 0;
}

static int host_rebind(void *ctx, struct sconn *conn, uint32_t port)
{
    struct ring_conn *rc = (struct ring_conn *)conn;
    struct shvlink *l = ctx;
    evtchn_port_t old = rc->port;
    xenevtchn_port_or_error_t local;

    xenevtchn_unbind(rc->session->xce, old);
    local = xenevtchn_bind_interdomain(rc->session->xce, conn->who.id, port);
    if (local < 0)
        return -errno;
    pthread_mutex_lock(&l->lock);
    rc->port = local;
    pthread_mutex_unlock(&l->lock);
    stask_queue(&rc->task);
    return 0;
}

static int host_identify(void *ctx, uint32_t domid, uint8_t handle[16])
{
    struct xen_domctl_getdomaininfo info;
    struct session *se = session_get(ctx);
    int rc;

    if (!se)
        return -ENOTCONN;
    rc = kxctrl_domain_getinfo(se->ctrl, domid, &info);
    session_put(ctx, se);
    if (!rc && info.flags & XEN_DOMINF_dying)
        rc = -ESRCH;
    if (!rc)
        memcpy(handle, info.handle, sizeof(info.handle));
    return rc;
}

static const struct store_host hv_host = {
    .identify = host_identify,
    .introduce = host_introduce,
    .rebind = host_rebind,
};

int shvlink_open(struct sworker *worker, struct shvlink **out)
{
    struct shvlink *l = calloc(1, sizeof(*l));
    int rc;

    if (!l)
        return -ENOMEM;
    l->worker = worker;
    pthread_mutex_init(&l->lock, NULL);
    l->events.worker = worker;
    l->events.turn = events_turn;
    l->check.worker = worker;
    l->check.turn = check_turn;
    rc = start_timer(l);
    if (rc) {
        free(l);
        return rc;
    }
    worker->store->host = &hv_host;
    worker->store->host_ctx = l;
    pthread_mutex_lock(&worker->store->admin);
    link_up(l);
    pthread_mutex_unlock(&worker->store->admin);
    *out = l;
    return 0;
}

void shvlink_close(struct shvlink *l)
{
    if (l->session)
        session_put(l, l->session);
    close(l->timer);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
