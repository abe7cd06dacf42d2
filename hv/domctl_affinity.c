/* SPDX-License-Identifier: MIT */
/* Where vCPUs run: the affinity of their threads. Source: xen/domctl.h. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <stdint.h>
#include <xen/domctl.h>
#include "hv/domain.h"
#include "hv/domctl.h"
#include "hv/vcpu.h"

#define MAP_BYTES (CPU_SETSIZE / 8)

static int thread_affinity(struct vcpu *v, const cpu_set_t *set, cpu_set_t *got)
{
    int rc = -ESRCH;

    pthread_mutex_lock(&v->lock);
    if (v->thread_started)
        rc = set ? -pthread_setaffinity_np(v->thread, sizeof(*set), set) : 0;
    if (v->thread_started && !rc)
        rc = -pthread_getaffinity_np(v->thread, sizeof(*got), got);
    pthread_mutex_unlock(&v->lock);
    return rc;
}

static int map_in(const struct caller *c, const struct xenctl_bitmap *map,
                  cpu_set_t *set)
{
    uint8_t bytes[MAP_BYTES] = {0};
    uint32_t bits = map->nr_bits < CPU_SETSIZE ? map->nr_bits : CPU_SETSIZE;

    if (copy_from_guest(c, bytes, (guest_addr_t){(uintptr_t)map->bitmap.p},
                        (bits + 7) / 8))
        return -EFAULT;
    CPU_ZERO(set);
    for (uint32_t i = 0; i < bits; i++)
        if (bytes[i / 8] >> (i % 8) & 1)
            CPU_SET(i, set);
    return 0;
}

/* As Xen: what is there beyond the caller's bits is not told. */
static int map_out(const struct caller *c, const struct xenctl_bitmap *map,
                   const cpu_set_t *set)
{
    uint8_t bytes[MAP_BYTES] = {0};
    uint32_t bits = map->nr_bits < CPU_SETSIZE ? map->nr_bits : CPU_SETSIZE;

    for (uint32_t i = 0; i < bits; i++)
        if (CPU_ISSET(i, set))
            bytes[i / 8] |= 1u << (i % 8);
    return copy_to_guest(c, (guest_addr_t){(uintptr_t)map->bitmap.p}, bytes,
                         (bits + 7) / 8);
}

static int maps_out(const struct caller *c,
                    const struct xen_domctl_vcpuaffinity *op,
                    const cpu_set_t *set)
{
    int rc = 0;

    if (op->flags & XEN_VCPUAFFINITY_HARD)
        rc = map_out(c, &op->cpumap_hard, set);
    if (!rc && (op->flags & XEN_VCPUAFFINITY_SOFT))
        rc = map_out(c, &op->cpumap_soft, set);
    return rc;
}

static bool flags_ok(const struct xen_domctl_vcpuaffinity *op)
{
    const uint32_t both = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT;

    return (op->flags & both) &&
           !(op->flags & ~(both | XEN_VCPUAFFINITY_FORCE));
}

long domctl_set_affinity(struct caller *c, struct vcpu *v,
                         struct xen_domctl_vcpuaffinity *op)
{
    bool hard = op->flags & XEN_VCPUAFFINITY_HARD;
    cpu_set_t set, got;
    int rc;

    if (!flags_ok(op))
        return -EINVAL;
    rc = hard ? map_in(c, &op->cpumap_hard, &set) : 0;
    if (!rc)
        rc = thread_affinity(v, hard ? &set : NULL, &got);
    return rc ? rc : maps_out(c, op, &got);
}

long domctl_get_affinity(struct caller *c, struct vcpu *v,
                         struct xen_domctl_vcpuaffinity *op)
{
    cpu_set_t got;
    int rc;

    if (!flags_ok(op))
        return -EINVAL;
    rc = thread_affinity(v, NULL, &got);
    return rc ? rc : maps_out(c, op, &got);
}

unsigned int domctl_vcpu_cpu(struct vcpu *v)
{
    char path[64], text[512], *p;
    unsigned int field;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)v->tid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    p = fgets(text, sizeof(text), f);
    fclose(f);
    /* The 39th field; the second is a name in brackets, of any characters. */
    p = p ? strrchr(text, ')') : NULL;
    for (field = 2; p && field < 39; field++)
        p = strchr(p + 1, ' ');
    return p ? strtoul(p, NULL, 10) : 0;
}
