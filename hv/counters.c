/* SPDX-License-Identifier: MIT */
#include "hv/counters.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "hv/pv/pv.h"

#define STATS_MAX     512 /* KVM has about 60; one that has more is odd */
#define STAT_NAME_MAX 256

static void add(json_t *to, const char *name, uint64_t n)
{
    n += json_integer_value(json_object_get(to, name));
    json_object_set_new(to, name, json_integer((json_int_t)n));
}

static void add_hv(json_t *to, const struct vcpu *v)
{
    static const char *const names[NR_EXIT_KINDS] = {
        [EXIT_HYPERCALL] = "hypercall",
        [EXIT_TRAP] = "trap",
        [EXIT_PIO] = "pio",
        [EXIT_MMIO] = "mmio",
        [EXIT_SIGNAL] = "signal",
        [EXIT_HALT] = "halt",
        [EXIT_OTHER] = "other",
    };

    for (unsigned int i = 0; i < NR_EXIT_KINDS; i++)
        add(to, names[i], v->exits[i]);
    add(to, "upcalls", v->upcalls);
}

static void add_monitor(json_t *to, const struct vcpu *v)
{
    static const char *const names[MON_NR_COUNTS] = {
        [MON_SYSCALLS] = "syscalls", [MON_FAULTS] = "page_faults",
        [MON_GPS] = "gp_faults",     [MON_HYPERCALLS] = "hypercalls",
        [MON_PTES] = "pte_writes",   [MON_CR3S] = "cr3_loads",
    };
    const struct mon_vcpu *m =
        domain_frame(v->d, pv_vcpu_gfn(v->d, v->id, PV_VDATA));

    for (unsigned int i = 0; m && i < MON_NR_COUNTS; i++)
        add(to, names[i], m->count[i]);
}

/* One of KVM's: a plain number that grows, no histogram, no peak. */
static void add_stat(json_t *to, int fd, const struct kvm_stats_header *h,
                     uint32_t i)
{
    union {
        struct kvm_stats_desc desc;
        char room[sizeof(struct kvm_stats_desc) + STAT_NAME_MAX];
    } u = {0};
    size_t size = sizeof(u.desc) + h->name_size;
    uint64_t n;

    if (pread(fd, &u, size, h->desc_offset + i * size) != (ssize_t)size ||
        (u.desc.flags & KVM_STATS_TYPE_MASK) != KVM_STATS_TYPE_CUMULATIVE ||
        u.desc.size != 1 || u.room[sizeof(u.room) - 1])
        return;
    if (pread(fd, &n, sizeof(n), h->data_offset + u.desc.offset) == sizeof(n))
        add(to, u.room + sizeof(u.desc), n);
}

/* Of a VM or a vCPU; a KVM without statistics (fd -1) adds none. */
static void add_kvm(json_t *to, int fd)
{
    struct kvm_stats_header h;

    if (pread(fd, &h, sizeof(h), 0) == sizeof(h) &&
        h.name_size < STAT_NAME_MAX && h.num_desc <= STATS_MAX)
        for (uint32_t i = 0; i < h.num_desc; i++)
            add_stat(to, fd, &h, i);
}

static void add_vm(json_t *to, const struct domain *d)
{
    int fd = d->vm_fd >= 0 ? ioctl(d->vm_fd, KVM_GET_STATS_FD, 0) : -1;

    if (fd < 0)
        return;
    add_kvm(to, fd);
    close(fd);
}

static json_t *collect(const struct domain *d)
{
    json_t *hv = json_object(), *mon = json_object(), *kvm = json_object();

    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *v = d->vcpu[i];

        if (!v || d->vm_fd < 0)
            continue;
        add_hv(hv, v);
        add_monitor(mon, v);
        add_kvm(kvm, v->stats_fd);
    }
    add_vm(kvm, d);
    return json_pack("{s:o, s:o, s:o}", "hv", hv, "monitor", mon, "kvm", kvm);
}

int counters_fd(const struct domain *d)
{
    json_t *all = collect(d);
    char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
    ssize_t len = text ? (ssize_t)strlen(text) : 0;
    int fd = text ? memfd_create("kxen-counters", MFD_CLOEXEC) : -1;

    if (!text) {
        fd = -ENOMEM;
    } else if (fd < 0) {
        fd = -errno;
    } else if (pwrite(fd, text, len, 0) != len) {
        close(fd);
        fd = -ENOMEM;
    }
    free(text);
    json_decref(all);
    return fd;
}
