/* SPDX-License-Identifier: MIT */
#include "hv/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_SIZE_UP ((sizeof(struct notify_page) + 4095) & ~(size_t)4095)

static int make_page(struct notify *n)
{
    n->page_fd = memfd_create("kxen-notify", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    /* Others have it too: nobody is to cut it off under our hands. */
    if (n->page_fd < 0 || ftruncate(n->page_fd, PAGE_SIZE_UP) < 0 ||
        fcntl(n->page_fd, F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    n->page = mmap(NULL, PAGE_SIZE_UP, PROT_READ | PROT_WRITE, MAP_SHARED,
                   n->page_fd, 0);
    if (n->page == MAP_FAILED) {
        n->page = NULL;
        return -errno;
    }
    return 0;
}

int notify_init(struct domain *d)
{
    struct notify *n = calloc(1, sizeof(*n));
    int rc;

    if (!n)
        return -ENOMEM;
    n->nudge_fd = -1;
    d->notify = n;
    rc = make_page(n);
    if (rc)
        return rc;
    n->page->shared_info_off = d->shared_info_gfn << 12;
    n->nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (n->nudge_fd < 0)
        return -errno;
    if (d->hv->nudge_epoll >= 0) {
        /*
         * By edge, so that nobody reads it: a client that makes it blocking
         * could hold up the thread that serves all domains.
         */
        struct epoll_event e = {
            .events = EPOLLIN | EPOLLET,
            .data.u32 = d->domid,
        };

        if (epoll_ctl(d->hv->nudge_epoll, EPOLL_CTL_ADD, n->nudge_fd, &e) < 0)
            return -errno;
    }
    return 0;
}

void notify_stop(struct domain *d)
{
    struct notify *n = d->notify;

    /* Others may hold duplicates: closing alone would not take it out. */
    if (n && n->nudge_fd >= 0 && d->hv->nudge_epoll >= 0)
        epoll_ctl(d->hv->nudge_epoll, EPOLL_CTL_DEL, n->nudge_fd, NULL);
}

void notify_free(struct domain *d)
{
    struct notify *n = d->notify;

    if (!n)
        return;
    if (n->page)
        munmap(n->page, PAGE_SIZE_UP);
    if (n->page_fd >= 0)
        close(n->page_fd);
    notify_stop(d);
    if (n->nudge_fd >= 0)
        close(n->nudge_fd);
    free(n);
    d->notify = NULL;
}

static void set_port(struct domain *d, evtchn_port_t port, uint16_t val)
{
    if (d->notify && port < NOTIFY_PORTS)
        __atomic_store_n(&d->notify->page->port_vcpu[port], val,
                         __ATOMIC_SEQ_CST);
}

void notify_allow(struct domain *d, evtchn_port_t port, unsigned int id)
{
    set_port(d, port, id + 1);
}

void notify_forbid(struct domain *d, evtchn_port_t port)
{
    set_port(d, port, 0);
}

void notify_info_moved(struct vcpu *v)
{
    struct notify *n = v->d->notify;

    if (n)
        __atomic_store_n(&n->page->vcpu[v->id].info_off,
                         (uint8_t *)atomic_load(&v->vcpu_info) - v->d->mem,
                         __ATOMIC_SEQ_CST);
}

/* A vCPU of d in the guest has an event that only a signal tells it of. */
static void nudge(struct domain *d)
{
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        if (d->vcpu[i] &&
            __atomic_load_n(&d->notify->page->vcpu[i].kicked, __ATOMIC_SEQ_CST))
            vcpu_kick(d->vcpu[i]);
}

static void *nudge_thread(void *arg)
{
    struct hv *hv = arg;

    rcu_register_thread();
    for (;;) {
        struct epoll_event e;
        struct domain *d;

        if (epoll_wait(hv->nudge_epoll, &e, 1, -1) != 1)
            continue;
        d = domain_get(hv, e.data.u32);
        if (!d)
            continue; /* dying */
        nudge(d);
        domain_put(d);
    }
    return NULL;
}

int notify_start(struct hv *hv)
{
    pthread_attr_t attr;
    pthread_t t;
    int rc;

    hv->nudge_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (hv->nudge_epoll < 0)
        return -errno;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    rc = -pthread_create(&t, &attr, nudge_thread, hv);
    pthread_attr_destroy(&attr);
    return rc;
}
