/* SPDX-License-Identifier: MIT */
#include "hv/kvm_kick.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "hv/probe.h"
#include "kxen/monitor.h"

#define VECTOR    0x40
#define GSI       24
#define APIC_SVR  0xf0
#define APIC_ISR  0x100
#define SETTLE_NS 200000u /* let the guest spin before it is kicked */

struct kicker {
    struct probe_vm p;
    pthread_t vcpu;
    int irq_fd; /* -1: by signal */
    atomic_bool ready;
    atomic_bool over;    /* no more kicks are wanted */
    atomic_uint waiting; /* the number of the kick it waits for, 0 = none */
    atomic_ulong at;     /* when it was kicked */
    unsigned int runs;
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void on_signal(int sig)
{
    (void)sig;
}

/* An interrupt that this KVM loses must not hang the run. */
static void rescue(struct kicker *k, unsigned int nr)
{
    struct timespec ms = {.tv_nsec = 1000000};

    for (int i = 0; i < 100 && atomic_load(&k->waiting) == nr; i++)
        nanosleep(&ms, NULL);
    if (atomic_load(&k->waiting) == nr)
        pthread_kill(k->vcpu, SIGUSR2);
}

/* One kick each time the vCPU says that it is about to spin. */
static void *kick_thread(void *arg)
{
    struct kicker *k = arg;
    struct timespec settle = {.tv_nsec = SETTLE_NS};
    uint64_t one = 1;

    for (unsigned int nr = 1; nr <= k->runs; nr++) {
        while (!atomic_exchange(&k->ready, false)) {
            if (atomic_load(&k->over))
                return NULL;
            sched_yield();
        }
        nanosleep(&settle, NULL);
        atomic_store(&k->at, now_ns());
        if (k->irq_fd < 0)
            pthread_kill(k->vcpu, SIGUSR2);
        else if (write(k->irq_fd, &one, sizeof(one)) < 0)
            return NULL;
        rescue(k, nr);
    }
    return NULL;
}

static int route_irq(struct kicker *k)
{
    struct {
        struct kvm_irq_routing head;
        struct kvm_irq_routing_entry e;
    } r = {
        .head.nr = 1,
        .e = {.gsi = GSI,
              .type = KVM_IRQ_ROUTING_MSI,
              .u.msi = {.address_lo = 0xfee00000, .data = VECTOR}},
    };
    struct kvm_irqfd f = {.gsi = GSI};

    k->irq_fd = eventfd(0, EFD_CLOEXEC);
    f.fd = k->irq_fd;
    if (k->irq_fd < 0 || ioctl(k->p.vm_fd, KVM_SET_GSI_ROUTING, &r) < 0 ||
        ioctl(k->p.vm_fd, KVM_IRQFD, &f) < 0)
        return -errno;
    return 0;
}

/* Software-enabled, and nothing in service: what an EOI leaves. */
static int reset_apic(struct probe_vm *p)
{
    struct kvm_lapic_state s;
    uint32_t svr = 0x1ff;

    if (ioctl(p->fd, KVM_GET_LAPIC, &s) < 0)
        return -errno;
    memcpy(s.regs + APIC_SVR, &svr, sizeof(svr));
    memset(s.regs + APIC_ISR + (VECTOR / 32) * 16, 0, 4);
    return ioctl(p->fd, KVM_SET_LAPIC, &s) < 0 ? -errno : 0;
}

/* ns of one kick, or negative. */
static double one_kick(struct kicker *k, unsigned int nr)
{
    uint64_t t;
    int rc;

    if (probe_vm_set(&k->p, probe_spin, 3, (struct probe_regs){0}) ||
        (k->irq_fd >= 0 && reset_apic(&k->p)))
        return -1;
    atomic_store(&k->waiting, nr);
    atomic_store(&k->ready, true);
    rc = ioctl(k->p.fd, KVM_RUN, 0);
    atomic_store(&k->waiting, 0);
    if (k->irq_fd < 0 ? rc == 0 || errno != EINTR
                      : rc < 0 || k->p.run->exit_reason != KVM_EXIT_IO ||
                            k->p.run->io.port != DOORBELL_TRAP)
        return -1;
    /* The irqfd's exit has left the vCPU at CPL0: it must get back. */
    if (k->irq_fd >= 0 &&
        probe_vm_set(&k->p, probe_spin, 3, (struct probe_regs){0}))
        return -1;
    t = now_ns();
    return t - atomic_load(&k->at);
}

static json_t *measure(struct kicker *k)
{
    json_t *a = json_array();
    pthread_t t;
    bool ok = true;

    k->vcpu = pthread_self();
    if (pthread_create(&t, NULL, kick_thread, k)) {
        json_decref(a);
        return NULL;
    }
    for (unsigned int nr = 1; nr <= k->runs && ok; nr++) {
        double ns = one_kick(k, nr);

        ok = ns >= 0;
        json_array_append_new(a, json_real(ns));
    }
    atomic_store(&k->over, true);
    pthread_join(t, NULL);
    if (ok)
        return json_pack("{s:s, s:o}", "unit", "ns", "samples", a);
    json_decref(a);
    return NULL;
}

static void add_row(const struct kvm_host *h, json_t *j, const char *name,
                    unsigned int runs, bool irq)
{
    struct kicker k = {.irq_fd = -1, .runs = runs};
    json_t *row;

    if (probe_vm_open(&k.p, h, irq))
        return;
    row = irq && route_irq(&k) ? NULL : measure(&k);
    if (row)
        json_object_set_new(j, name, row);
    if (k.irq_fd >= 0)
        close(k.irq_fd);
    probe_vm_close(&k.p);
}

void kick_add_floors(const struct kvm_host *h, json_t *j, unsigned int runs)
{
    struct sigaction sa = {.sa_handler = on_signal}, old;

    sigaction(SIGUSR2, &sa, &old);
    add_row(h, j, "kick_signal", runs, false);
    add_row(h, j, "kick_irqfd", runs, true);
    sigaction(SIGUSR2, &old, NULL);
}
