/* SPDX-License-Identifier: MIT */
/* `hv --check` and `hv --bench-floors`, and what hv itself probes at start. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>
#include <jansson.h>
#include <liburing.h>
#include "hv/kvm_host.h"
#include "hv/kvm_kick.h"
#include "hv/probe.h"
#include "kxen/monitor.h"

#define LOOP_TURNS0 2000u
#define LOOP_TURNS3 2000000u
#define EXITS       500u
#define CHECK_RUNS  15
#define EVENTS      2000u

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* The CPL at which OUT exits; QEMU's SVM does not read the TSS's bitmap. */
static int out_cpl(const struct probe_vm *p)
{
    return p->host->out_cpl3 ? 3 : 0;
}

static bool out_exits(struct probe_vm *p, int cpl, struct kvm_regs *r)
{
    return !probe_vm_set(p, probe_out, cpl, (struct probe_regs){0}) &&
           probe_vm_run(p) == DOORBELL_HYPERCALL &&
           ioctl(p->fd, KVM_GET_REGS, r) >= 0;
}

/* The CPL at which SYSCALL arrives, -1 if it does not. */
static int syscall_cpl(struct probe_vm *p)
{
    struct kvm_regs r;

    if (probe_vm_set(p, probe_syscall, 3, (struct probe_regs){0}) ||
        probe_vm_run(p) != DOORBELL_HYPERCALL ||
        ioctl(p->fd, KVM_GET_REGS, &r) < 0)
        return -1;
    return r.rax & 3;
}

/* Runs a piece that counts rcx down to 0; its OUT may trap. */
static bool runs_through(struct probe_vm *p)
{
    struct kvm_regs r;
    int port = probe_vm_run(p);

    return (port == DOORBELL_HYPERCALL || port == DOORBELL_TRAP) &&
           ioctl(p->fd, KVM_GET_REGS, &r) >= 0 && !r.rcx;
}

static bool slot256_works(struct probe_vm *p)
{
    return !probe_vm_set(
               p, probe_read256, 3,
               (struct probe_regs){.rbx = PROBE_SLOT256_VA, .rcx = 1}) &&
           runs_through(p);
}

/* ns a turn of a two-instruction loop; negative if it can't be run. */
static double loop_ns(struct probe_vm *p, int cpl, unsigned int turns)
{
    uint64_t t;

    if (probe_vm_set(p, probe_loop, cpl, (struct probe_regs){.rcx = turns}))
        return -1;
    t = now_ns();
    if (!runs_through(p))
        return -1;
    return (double)(now_ns() - t) / turns;
}

/* For a KVM that does not tell: without it guests would have no time. */
static uint64_t measure_tsc_khz(void)
{
    uint64_t t = now_ns(), tsc = __rdtsc();

    usleep(20000);
    tsc = __rdtsc() - tsc;
    return tsc * 1000000 / (now_ns() - t);
}

void kvm_host_probe(struct kvm_host *h)
{
    struct probe_vm p;
    struct kvm_regs r;
    int khz;

    if (probe_vm_open(&p, h, false))
        return;
    h->out_cpl3 = out_exits(&p, 3, &r);
    h->out_advanced =
        out_exits(&p, out_cpl(&p), &r) && r.rip != probe_va(probe_out);
    h->syscall_cpl0 = syscall_cpl(&p) == 0;
    khz = ioctl(p.fd, KVM_GET_TSC_KHZ, 0);
    h->tsc_khz = khz > 0 ? (uint64_t)khz : measure_tsc_khz();
    probe_vm_close(&p);
}

/* ---- floors ---- */

static double pio_exit_ns(struct probe_vm *p)
{
    uint64_t t;

    if (probe_vm_set(p, probe_out, out_cpl(p), (struct probe_regs){0}))
        return -1;
    t = now_ns();
    for (unsigned int i = 0; i < EXITS; i++)
        if (probe_vm_run(p) != DOORBELL_HYPERCALL)
            return -1;
    return (double)(now_ns() - t) / EXITS;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* The median: another guest of this machine's host disturbs some of them. */
static double pio_exit_median_ns(struct probe_vm *p)
{
    double ns[CHECK_RUNS];

    pio_exit_ns(p); /* warms caches and shadow tables */
    for (int i = 0; i < CHECK_RUNS; i++) {
        ns[i] = pio_exit_ns(p);
        if (ns[i] < 0)
            return -1;
    }
    qsort(ns, CHECK_RUNS, sizeof(ns[0]), by_value);
    return ns[CHECK_RUNS / 2];
}

static int set_ioeventfd(struct probe_vm *p, int fd)
{
    struct kvm_ioeventfd e = {
        .addr = DOORBELL_EVTCHN,
        .len = 4,
        .fd = fd,
        .flags = KVM_IOEVENTFD_FLAG_PIO,
    };

    return ioctl(p->vm_fd, KVM_IOEVENTFD, &e) < 0 ? -errno : 0;
}

static double ioeventfd_ns(struct probe_vm *p)
{
    struct probe_regs r = {.rcx = EVENTS, .rdx = DOORBELL_EVTCHN};
    uint64_t t;

    if (probe_vm_set(p, probe_events, out_cpl(p), r))
        return -1;
    t = now_ns();
    if (probe_vm_run(p) != DOORBELL_HYPERCALL)
        return -1;
    return (double)(now_ns() - t) / EVENTS;
}

static json_t *samples(struct probe_vm *p, double (*one)(struct probe_vm *),
                       unsigned int runs)
{
    json_t *a = json_array();

    one(p); /* the first warms caches and shadow tables */
    for (unsigned int i = 0; i < runs; i++)
        json_array_append_new(a, json_real(one(p)));
    return json_pack("{s:s, s:o}", "unit", "ns", "samples", a);
}

static void print_json(json_t *j)
{
    json_dumpf(j, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(j);
}

int kvm_bench_floors(unsigned int runs)
{
    struct kvm_host h;
    struct probe_vm p;
    char err[256];
    json_t *j;
    int fd;

    if (kvm_host_open(&h, err, sizeof(err))) {
        fprintf(stderr, "hv: %s\n", err);
        return 1;
    }
    kvm_host_probe(&h);
    if (probe_vm_open(&p, &h, false)) {
        fprintf(stderr, "hv: cannot make a VM\n");
        kvm_host_close(&h);
        return 1;
    }
    j = json_object();
    json_object_set_new(j, "pio_exit", samples(&p, pio_exit_ns, runs));
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd >= 0 && !set_ioeventfd(&p, fd))
        json_object_set_new(j, "ioeventfd_out",
                            samples(&p, ioeventfd_ns, runs));
    kick_add_floors(&h, j, runs);
    print_json(j);
    if (fd >= 0)
        close(fd);
    probe_vm_close(&p);
    kvm_host_close(&h);
    return 0;
}

/* ---- check ---- */

static bool io_uring_works(void)
{
    struct io_uring r;

    if (io_uring_queue_init(4, &r, 0))
        return false;
    io_uring_queue_exit(&r);
    return true;
}

static void text(json_t *a, const char *key, const char *value,
                 const char *meaning)
{
    json_array_append_new(a, json_pack("{s:s, s:s, s:s}", "check", key, "value",
                                       value, "meaning", meaning));
}

static void ns(json_t *a, const char *key, double v, const char *meaning)
{
    char buf[32];

    if (v < 0)
        snprintf(buf, sizeof(buf), "does not run");
    else if (v < 1000)
        snprintf(buf, sizeof(buf), "%.3g ns", v);
    else
        snprintf(buf, sizeof(buf), "%.3g us", v / 1000);
    text(a, key, buf, meaning);
}

static json_t *look(struct kvm_host *h, struct probe_vm *p)
{
    json_t *a = json_array();
    double r0, r3 = loop_ns(p, 3, LOOP_TURNS3);
    int cpl = syscall_cpl(p);
    bool hw = cpl == 0, s256 = slot256_works(p);

    r0 = loop_ns(p, 0, hw ? LOOP_TURNS3 : LOOP_TURNS0);
    text(a, "kvm", hw ? "hardware" : "software",
         hw ? "VT-x or SVM: exits cost about a microsecond"
            : "no VT-x or SVM here: ring 3 is native, ring 0 is interpreted");
    ns(a, "ring3_loop", r3, "PV guests run their kernel here, at host speed");
    ns(a, "ring0_loop", r0,
       hw ? "native: ring-0 (PVH) guests would run as well"
          : "interpreted: nothing of a guest stays here for long");
    text(a, "l4_slot_256", s256 ? "usable" : "not usable",
         s256 ? "Xen's customary M2P address would work"
              : "the monitor and the M2P live in slots 257 to 259 instead");
    text(a, "syscall",
         cpl == 0   ? "enters ring 0"
         : cpl == 3 ? "stays at ring 3"
                    : "does not arrive",
         "how a guest's SYSCALL reaches the monitor; either way is handled");
    text(a, "monitor", hw ? "ring 0" : "ring 3",
         hw ? "in by SYSCALL and the gates, out by SYSRET and IRET"
            : "in by SYSCALL and int3, out by SYSEXIT");
    text(a, "ring3_out", h->out_cpl3 ? "exits" : "traps",
         h->out_cpl3 ? "a trapped device's port costs one exit"
                     : "this KVM ignores the TSS's port bitmap: ports are "
                       "emulated, more slowly");
    ns(a, "pio_exit", pio_exit_median_ns(p),
       "what each hypercall that needs hv, and each trapped access, costs");
    text(a, "ioeventfd", h->ioeventfd ? "yes" : "no",
         h->ioeventfd ? "EVTCHNOP_send to a backend does not leave the kernel"
                      : "every EVTCHNOP_send exits to hv");
    text(a, "io_uring", io_uring_works() ? "yes" : "no",
         "the disk backend's I/O; without it disks cannot be served");
    return a;
}

static void print_people(const json_t *a)
{
    size_t i;
    json_t *f;

    json_array_foreach (a, i, f)
        printf("%-12s %-16s %s\n",
               json_string_value(json_object_get(f, "check")),
               json_string_value(json_object_get(f, "value")),
               json_string_value(json_object_get(f, "meaning")));
}

int kvm_check(bool json)
{
    struct kvm_host h;
    struct probe_vm p;
    char err[256];
    json_t *a;
    int rc = kvm_host_open(&h, err, sizeof(err));

    if (!rc && (rc = probe_vm_open(&p, &h, false))) {
        snprintf(err, sizeof(err), "cannot make a VM: %s", strerror(-rc));
        kvm_host_close(&h);
    }
    if (rc) {
        if (json)
            print_json(json_pack("{s:b, s:s}", "usable", 0, "error", err));
        else
            printf("%-12s %-16s %s\n", "kvm", "not usable", err);
        return 1;
    }
    kvm_host_probe(&h);
    a = look(&h, &p);
    if (json) {
        print_json(json_pack("{s:b, s:o}", "usable", 1, "checks", a));
    } else {
        print_people(a);
        json_decref(a);
    }
    probe_vm_close(&p);
    kvm_host_close(&h);
    return 0;
}
