/* SPDX-License-Identifier: MIT */
/*
 * A domain: for a guest one KVM VM and one sealed memfd, where frame number
 * == memfd offset >> 12; domain 0 has neither and speaks through privcmd.
 *
 * Locking: domains are found under RCU (domain_get takes a reference, which
 * outlives the read side).  domain->lock guards life cycle and memory
 * accounting.  Events and grants have locks of their own (see their headers).
 * Order: domain->lock, then grant lock, then event lock, then vcpu->lock.
 */
#ifndef HV_DOMAIN_H
#define HV_DOMAIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu.h>
#include <urcu/rculist.h>
#include <xen/xen.h>
#include <xen/vcpu.h>
#include "hv/clock.h"
#include "hv/fdsignal.h"

struct evtchn_table;
struct foreign_window;
struct grant_table;
struct trapped_bus;
struct inflight;
struct notify;
struct pv_domain;
struct vcpu;

#define MAX_VCPUS  XEN_LEGACY_MAX_VCPUS
#define FRAME_SIZE 4096u
#define DOMID_HV0  0

/* Who is asked for the next domain id and the list of all. */
struct hv {
    struct cds_list_head domains; /* RCU list of struct domain, by domid */
    pthread_mutex_t lock;         /* writers of domains, next_domid */
    domid_t next_domid;
    int kvm_fd;               /* -1: no KVM, unit tests */
    int nudge_epoll;          /* hv/notify.c; -1 without */
    struct fdsignal fdsignal; /* towards domain 0's ports */
    struct domain *dom0;
    uint64_t boot_ns; /* CLOCK_MONOTONIC when system_time was 0 */
    struct hv_clock clock;
    const struct kvm_host *host;
};

enum domain_state { DOMAIN_BUILDING, DOMAIN_ALIVE, DOMAIN_DYING };

struct domain {
    struct cds_list_head node;
    struct rcu_head rcu;
    atomic_uint refs;
    struct hv *hv;
    domid_t domid;
    xen_domain_handle_t handle;
    pthread_mutex_t lock;
    atomic_int state; /* enum domain_state; written under lock */

    /* vCPUs stand while it is not 0; the toolstack's part of it, under lock. */
    atomic_int pause_count;
    unsigned int toolstack_pauses;

    /*
     * SHUTDOWN_*, or -1 while running.  Written under lock; latched_code is
     * what SCHEDOP_shutdown_code has chosen for then, or -1.
     */
    atomic_int shutdown_code;
    int latched_code;
    char crash_reason[256];

    /* Memory; a guest's only.  mem maps the whole memfd. */
    int vm_fd, mem_fd;
    uint8_t *mem;
    uint64_t nr_frames;  /* in the memfd, hv's own included */
    uint64_t max_pages;  /* the guest's frames are below */
    uint64_t page_limit; /* how many it may have; at most max_pages */
    uint64_t tot_pages;  /* given to the guest now */
    uint64_t next_frame; /* populate hands out from here */
    uint64_t *frame_map; /* one bit a frame: given to the guest */
    bool mem_ready;      /* all of it is there, vCPUs too; under lock */

    uint64_t shared_info_gfn, gnttab_gfn, status_gfn, foreign_gfn;
    uint32_t gnttab_nr; /* frames reserved at gnttab_gfn */
    uint64_t foreign_nr;
    struct shared_info *shared_info;

    unsigned int max_vcpus;
    struct vcpu *vcpu[MAX_VCPUS];

    struct evtchn_table *evtchn;
    struct grant_table *grants;
    struct notify *notify; /* hv/notify.h */
    struct foreign_window *foreign;
    struct pv_domain *pv;        /* the monitor's side: hv/pv/pv.h */
    struct trapped_bus *trapped; /* NULL without trapped devices */
    atomic_ulong vm_assist;      /* 1 << VMASST_TYPE_* */
    bool coalesced;              /* KVM queues some of their port writes */
    pthread_mutex_t replay_lock; /* one vCPU at a time takes them out */
    struct inflight *inflight;   /* list, under lock */

    atomic_bool trace_on; /* hv/trace.h; the rest under trace_lock */
    pthread_mutex_t trace_lock;
    int trace_fd;
    unsigned long trace_lost;

    char console_line[256]; /* console_io's, under lock */
    unsigned int console_len;

    uint64_t log_paid_ns; /* domain_log()'s rate limit: used up until then */
    unsigned int log_dropped;
};

/* Frame gfn of d's memory, NULL if out of range (or d is domain 0). */
void *domain_frame(struct domain *d, uint64_t gfn);

/* True if the guest owns gfn (populated, not one of hv's own). */
bool domain_owns_frame(struct domain *d, uint64_t gfn);

/* Finds by id and takes a reference; NULL if there is none, or it is dying. */
struct domain *domain_get(struct hv *hv, domid_t domid);
void domain_put(struct domain *d);

/* The same for the lowest domain id from `domid` on. */
struct domain *domain_get_next(struct hv *hv, domid_t domid);

/*
 * A hypercall's domid argument: DOMID_SELF is the caller.  As domain_get; NULL
 * also for a domain that the caller's connection is not to reach.
 */
struct caller;
struct domain *domain_get_for(const struct caller *c, domid_t domid);

/*
 * Makes a domain in state BUILDING, paused once, and links it in.  *domid 0
 * asks for the next free id.  0, -EEXIST, -EINVAL, -ENOMEM or an errno of KVM.
 */
struct domain_create_args {
    domid_t domid;
    bool privileged;       /* domain 0 */
    const uint8_t *handle; /* 16 bytes, or NULL for zeros */
    unsigned int max_vcpus;
    uint32_t max_evtchn_port; /* highest port number */
    /* As Xen's: negative is the default, 0 none at all. */
    int32_t max_grant_frames;
    int32_t max_maptrack_frames;
};
int domain_create(struct hv *hv, const struct domain_create_args *a,
                  struct domain **out);

/* Stops its vCPUs, breaks every tie to others, drops the creation reference. */
void domain_destroy(struct domain *d);

/* Counted.  domain_pause() returns when no vCPU is in the guest. */
void domain_pause(struct domain *d);
void domain_unpause(struct domain *d);

/*
 * The toolstack's pauses: at most TOOLSTACK_PAUSES_MAX (-EOVERFLOW), and it
 * takes back no more than it made (-EINVAL).  The first unpause to reach zero
 * ends BUILDING.
 */
#define TOOLSTACK_PAUSES_MAX 255
int domain_pause_by_toolstack(struct domain *d);
int domain_unpause_by_toolstack(struct domain *d);

/* True while a vCPU may run as far as the domain is concerned. */
static inline bool domain_may_run(const struct domain *d)
{
    return !atomic_load(&d->pause_count) && atomic_load(&d->shutdown_code) < 0;
}

/*
 * Ends the domain's run with SHUTDOWN_reason and tells domain 0 by
 * VIRQ_DOM_EXC.  Only the first call counts.
 */
void domain_shutdown(struct domain *d, unsigned int reason);

/* The reason that a later domain_shutdown() gives, whatever it is told. */
void domain_latch_shutdown(struct domain *d, unsigned int reason);

/* domain_shutdown(SHUTDOWN_crash), with the reason in words, logged. */
void domain_crash(struct domain *d, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
