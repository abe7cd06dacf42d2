/* SPDX-License-Identifier: MIT */
/*
 * A host of real hv code without /dev/kvm: domains that have memory and vCPUs
 * but no VM and no threads.  A guest is played by hvt_guest(): a caller whose
 * page tables, made here, map all of its RAM at HVT_VA.
 */
#ifndef TESTS_UNIT_HV_HOST_H
#define TESTS_UNIT_HV_HOST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <xen/memory.h>
#include "hv/domain.h"
#include "hv/guest_access.h"
#include "hv/hypercall.h"
#include "hv/kvm_host.h"
#include "hv/log.h"
#include "hv/memory.h"
#include "hv/vcpu.h"

#define HVT_VA     0x40000000ull /* of frame 0 */
#define HVT_TABLES 8             /* frames 0..7: L4, L3, L2, L1s for 8 MiB */
#define HVT_ARG    (HVT_VA + HVT_TABLES * 4096ull)
#define HVT_KIB    8192u

static struct hv hvt;
static struct kvm_host hvt_host;

static inline int hvt_setup(void **state)
{
    struct domain_create_args a = {
        .privileged = true,
        .max_vcpus = 1,
        .max_evtchn_port = 4095,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
    };

    (void)state;
    memset(&hvt, 0, sizeof(hvt));
    hvt_host = (struct kvm_host){.fd = -1, .tsc_khz = 2000000};
    hvt.kvm_fd = hvt.nudge_epoll = -1;
    hvt.host = &hvt_host;
    hvt.next_domid = 1;
    CDS_INIT_LIST_HEAD(&hvt.domains);
    pthread_mutex_init(&hvt.lock, NULL);
    return domain_create(&hvt, &a, &hvt.dom0);
}

static inline int hvt_teardown(void **state)
{
    struct domain *d;

    (void)state;
    while ((d = domain_get_next(&hvt, 1))) {
        domain_destroy(d);
        domain_put(d);
    }
    domain_destroy(hvt.dom0);
    rcu_barrier(); /* all are freed: sanitizers see what is left */
    pthread_mutex_destroy(&hvt.lock);
    return 0;
}

static inline struct domain *hvt_domain_bare(unsigned int vcpus)
{
    struct domain_create_args a = {.max_vcpus = vcpus,
                                   .max_evtchn_port = 1023,
                                   .max_grant_frames = -1,
                                   .max_maptrack_frames = -1};
    struct domain *d;

    assert_int_equal(domain_create(&hvt, &a, &d), 0);
    return d;
}

static inline uint64_t *hvt_table(struct domain *d, unsigned int gfn)
{
    return domain_frame(d, gfn);
}

static inline void hvt_tables(struct domain *d)
{
    uint64_t flags = 7;

    hvt_table(d, 0)[(HVT_VA >> 39) & 511] = 1 << 12 | flags;
    hvt_table(d, 1)[(HVT_VA >> 30) & 511] = 2 << 12 | flags;
    for (unsigned int t = 0; t < 4; t++)
        hvt_table(d, 2)[t] = (uint64_t)(3 + t) << 12 | flags;
    for (unsigned int i = 0; i < 2048; i++)
        hvt_table(d, 3 + i / 512)[i % 512] = (uint64_t)i << 12 | flags;
}

/* HVT_KIB of memory, all given to it, running as far as hv is concerned. */
static inline struct domain *hvt_domain(unsigned int vcpus)
{
    struct domain *d = hvt_domain_bare(vcpus);

    assert_int_equal(domain_set_max_mem(d, HVT_KIB), 0);
    assert_int_equal(domain_populate(d, HVT_KIB / 4, NULL), 0);
    hvt_tables(d);
    for (unsigned int i = 0; i < vcpus; i++) {
        d->vcpu[i]->cr3 = 0;
        d->vcpu[i]->up = d->vcpu[i]->initialised = true;
    }
    assert_int_equal(domain_unpause_by_toolstack(d), 0);
    return d;
}

static inline struct caller hvt_guest(struct domain *d)
{
    return (struct caller){.d = d, .v = d->vcpu[0]};
}

/* Where the guest's va is in our memory. */
static inline void *hvt_at(struct domain *d, uint64_t va)
{
    return d->mem + (va - HVT_VA);
}

/* A hypercall (cmd, argument at HVT_ARG [, count]). */
static inline long hvt_call(struct domain *d, unsigned int nr, uint64_t cmd,
                            const void *arg, size_t size, uint64_t more)
{
    struct caller c = hvt_guest(d);

    if (arg)
        memcpy(hvt_at(d, HVT_ARG), arg, size);
    return hypercall_dispatch(&c, nr, (uint64_t[6]){cmd, HVT_ARG, more});
}

#endif
