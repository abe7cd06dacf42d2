/* SPDX-License-Identifier: MIT */
#include "hv/domain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <stdint.h>
#include <xen/sched.h>
#include "hv/event_channel.h"
#include "hv/grant_table.h"
#include "hv/inflight.h"
#include "hv/log.h"
#include "hv/memory.h"
#include "hv/notify.h"
#include "hv/privcmd.h"
#include "hv/pv/pv.h"
#include "hv/trace.h"
#include "hv/trapped/trapped.h"
#include "hv/vcpu.h"

#define MAX_GRANT_FRAMES     64
#define DEFAULT_GRANT_FRAMES 32
#define DEFAULT_MAPTRACK     1024

void *domain_frame(struct domain *d, uint64_t gfn)
{
    if (!d->mem || gfn >= d->nr_frames)
        return NULL;
    return d->mem + (gfn << 12);
}

bool domain_owns_frame(struct domain *d, uint64_t gfn)
{
    return d->frame_map && gfn < d->max_pages &&
           (d->frame_map[gfn / 64] >> (gfn % 64) & 1);
}

static struct domain *find_rcu(struct hv *hv, domid_t domid)
{
    struct domain *d;

    cds_list_for_each_entry_rcu (d, &hv->domains, node)
        if (d->domid == domid)
            return d;
    return NULL;
}

struct domain *domain_get(struct hv *hv, domid_t domid)
{
    struct domain *d;

    rcu_read_lock();
    d = find_rcu(hv, domid);
    if (d) {
        /* A count of zero never rises: the domain is being freed. */
        unsigned int n = atomic_load(&d->refs);

        while (n && !atomic_compare_exchange_weak(&d->refs, &n, n + 1))
            ;
        if (!n)
            d = NULL;
    }
    rcu_read_unlock();
    if (d && atomic_load(&d->state) == DOMAIN_DYING) {
        domain_put(d);
        d = NULL;
    }
    return d;
}

struct domain *domain_get_next(struct hv *hv, domid_t domid)
{
    for (;;) {
        unsigned int next = DOMID_FIRST_RESERVED;
        struct domain *d;

        rcu_read_lock();
        cds_list_for_each_entry_rcu (d, &hv->domains, node)
            if (d->domid >= domid && d->domid < next)
                next = d->domid;
        rcu_read_unlock();
        if (next == DOMID_FIRST_RESERVED)
            return NULL;
        d = domain_get(hv, next);
        if (d)
            return d;
        domid = next + 1; /* it has just gone */
    }
}

struct domain *domain_get_for(const struct caller *c, domid_t domid)
{
    int only = c->conn ? privcmd_only_domid(c->conn) : -1;

    if (domid == DOMID_SELF)
        domid = c->d->domid;
    if (only >= 0 && domid != only && domid != c->d->domid)
        return NULL;
    return domain_get(c->d->hv, domid);
}

static void destroy_vcpus(struct domain *d)
{
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        if (d->vcpu[i])
            vcpu_ask_stop(d->vcpu[i]);
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        if (d->vcpu[i])
            vcpu_stop(d->vcpu[i]);
}

static void domain_free(struct domain *d)
{
    destroy_vcpus(d);
    evtchn_free(d);
    gnttab_free(d);
    memory_free(d);
    inflight_free(d);
    pthread_mutex_destroy(&d->replay_lock);
    trace_stop(d);
    pthread_mutex_destroy(&d->trace_lock);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static void domain_free_rcu(struct rcu_head *head)
{
    domain_free(caa_container_of(head, struct domain, rcu));
}

void domain_put(struct domain *d)
{
    if (d && atomic_fetch_sub(&d->refs, 1) == 1)
        call_rcu(&d->rcu, domain_free_rcu);
}

static int choose_domid(struct hv *hv, domid_t want, bool priv, domid_t *out)
{
    if (priv || want) {
        *out = want;
        return find_rcu(hv, want) ? -EEXIST : 0;
    }
    for (unsigned int tries = 0; tries < DOMID_FIRST_RESERVED; tries++) {
        if (!hv->next_domid || hv->next_domid >= DOMID_FIRST_RESERVED)
            hv->next_domid = 1;
        *out = hv->next_domid++;
        if (!find_rcu(hv, *out))
            return 0;
    }
    return -ENOSPC;
}

static int check_args(const struct domain_create_args *a)
{
    if (a->domid >= DOMID_FIRST_RESERVED || !a->max_vcpus ||
        a->max_vcpus > MAX_VCPUS || a->max_grant_frames > MAX_GRANT_FRAMES)
        return -EINVAL;
    return 0;
}

static int domain_init_vm(struct domain *d)
{
    if (d->hv->kvm_fd < 0)
        return 0;
    d->vm_fd = ioctl(d->hv->kvm_fd, KVM_CREATE_VM, 0);
    if (d->vm_fd < 0)
        return -errno;
    fcntl(d->vm_fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

int domain_create(struct hv *hv, const struct domain_create_args *a,
                  struct domain **out)
{
    struct domain *d;
    int rc = check_args(a);

    if (rc)
        return rc;
    d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->hv = hv;
    d->vm_fd = d->mem_fd = -1;
    atomic_init(&d->shutdown_code, -1);
    d->latched_code = -1;
    if (a->handle)
        memcpy(d->handle, a->handle, sizeof(d->handle));
    d->max_vcpus = a->max_vcpus;
    d->gnttab_nr =
        a->max_grant_frames < 0 ? DEFAULT_GRANT_FRAMES : a->max_grant_frames;
    d->toolstack_pauses = a->privileged ? 0 : 1;
    atomic_init(&d->pause_count, d->toolstack_pauses);
    atomic_init(&d->refs, 1);
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->trace_lock, NULL);
    pthread_mutex_init(&d->replay_lock, NULL);
    rc = evtchn_init(d, a->max_evtchn_port);
    if (!rc)
        rc = gnttab_init(d, d->gnttab_nr,
                         a->max_maptrack_frames < 0 ? DEFAULT_MAPTRACK
                                                    : a->max_maptrack_frames);
    if (!rc && !a->privileged)
        rc = domain_init_vm(d);
    if (rc)
        goto fail;
    pthread_mutex_lock(&hv->lock);
    rc = choose_domid(hv, a->domid, a->privileged, &d->domid);
    if (!rc)
        cds_list_add_tail_rcu(&d->node, &hv->domains);
    pthread_mutex_unlock(&hv->lock);
    if (rc)
        goto fail;
    *out = d;
    return 0;
fail:
    domain_free(d);
    return rc;
}

void domain_destroy(struct domain *d)
{
    bool first;

    pthread_mutex_lock(&d->lock);
    first = atomic_exchange(&d->state, DOMAIN_DYING) != DOMAIN_DYING;
    pthread_mutex_unlock(&d->lock);
    if (!first)
        return;
    pthread_mutex_lock(&d->hv->lock);
    cds_list_del_rcu(&d->node);
    pthread_mutex_unlock(&d->hv->lock);
    trace_stop(d);
    trapped_bus_stop(d->trapped);
    destroy_vcpus(d);
    notify_stop(d);
    trapped_bus_destroy(d->trapped);
    d->trapped = NULL;
    evtchn_destroy(d);
    gnttab_destroy(d);
    evtchn_raise_global_virq(d->hv, VIRQ_DOM_EXC);
    domain_put(d);
}

static void wake_all(struct domain *d)
{
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        if (d->vcpu[i])
            vcpu_wake(d->vcpu[i]);
}

static void wait_paused(struct domain *d)
{
    wake_all(d);
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        if (d->vcpu[i])
            vcpu_wait_parked(d->vcpu[i]);
}

void domain_pause(struct domain *d)
{
    atomic_fetch_add(&d->pause_count, 1);
    wait_paused(d);
}

void domain_unpause(struct domain *d)
{
    atomic_fetch_sub(&d->pause_count, 1);
    wake_all(d);
}

int domain_pause_by_toolstack(struct domain *d)
{
    bool ok;

    pthread_mutex_lock(&d->lock);
    /* Both counts at once: an unpause must not take back another's pause. */
    ok = d->toolstack_pauses < TOOLSTACK_PAUSES_MAX;
    d->toolstack_pauses += ok;
    atomic_fetch_add(&d->pause_count, ok);
    pthread_mutex_unlock(&d->lock);
    if (!ok)
        return -EOVERFLOW;
    wait_paused(d);
    return 0;
}

int domain_unpause_by_toolstack(struct domain *d)
{
    int building = DOMAIN_BUILDING;
    bool ok;

    pthread_mutex_lock(&d->lock);
    ok = d->toolstack_pauses > 0;
    d->toolstack_pauses -= ok;
    atomic_fetch_sub(&d->pause_count, ok);
    if (ok && !d->toolstack_pauses)
        atomic_compare_exchange_strong(&d->state, &building, DOMAIN_ALIVE);
    pthread_mutex_unlock(&d->lock);
    if (!ok)
        return -EINVAL;
    wake_all(d);
    return 0;
}

void domain_shutdown(struct domain *d, unsigned int reason)
{
    bool first;

    pthread_mutex_lock(&d->lock);
    first = atomic_load(&d->shutdown_code) < 0;
    if (first)
        atomic_store(&d->shutdown_code,
                     d->latched_code >= 0 ? d->latched_code : (uint8_t)reason);
    pthread_mutex_unlock(&d->lock);
    wake_all(d);
    if (first)
        evtchn_raise_global_virq(d->hv, VIRQ_DOM_EXC);
}

void domain_latch_shutdown(struct domain *d, unsigned int reason)
{
    pthread_mutex_lock(&d->lock);
    if (d->latched_code < 0)
        d->latched_code = (uint8_t)reason;
    pthread_mutex_unlock(&d->lock);
}

void domain_crash(struct domain *d, const char *fmt, ...)
{
    char why[sizeof(d->crash_reason)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&d->lock);
    if (atomic_load(&d->shutdown_code) < 0)
        memcpy(d->crash_reason, why, sizeof(why));
    pthread_mutex_unlock(&d->lock);
    /* Not one of the lines of which a domain has only so many. */
    hv_log("d%u: crashed: %s", d->domid, why);
    domain_shutdown(d, SHUTDOWN_crash);
}
