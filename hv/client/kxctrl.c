/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <unistd.h>
#include <xen/domctl.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include "hv/client/conn.h"
#include "hv/client/kxen.h"

#define POPULATE_CHUNK 65536u

struct kxctrl {
    struct conn *c;
};

kxctrl *kxctrl_open(void)
{
    kxctrl *k = calloc(1, sizeof(*k));

    if (!k)
        return NULL;
    k->c = conn_open();
    if (!k->c) {
        free(k);
        return NULL;
    }
    return k;
}

void kxctrl_close(kxctrl *k)
{
    if (!k)
        return;
    conn_close(k->c);
    free(k);
}

/* ---- domctl ---- */

static int domctl(kxctrl *k, struct xen_domctl *op)
{
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    return conn_hypercall_arg(k->c, __HYPERVISOR_domctl, (uint64_t[6]){0}, 0,
                              op, sizeof(*op));
}

static int simple_domctl(kxctrl *k, uint32_t cmd, uint32_t domid)
{
    struct xen_domctl op = {.cmd = cmd, .domain = domid};

    return domctl(k, &op);
}

int kxctrl_domain_create(kxctrl *k, const struct xen_domctl_createdomain *cfg,
                         uint32_t *domid)
{
    struct xen_domctl op = {
        .cmd = XEN_DOMCTL_createdomain,
        .domain = *domid,
        .u.createdomain = *cfg,
    };
    int rc = domctl(k, &op);

    if (!rc)
        *domid = op.domain;
    return rc;
}

int kxctrl_domain_destroy(kxctrl *k, uint32_t domid)
{
    return simple_domctl(k, XEN_DOMCTL_destroydomain, domid);
}

int kxctrl_domain_pause(kxctrl *k, uint32_t domid)
{
    return simple_domctl(k, XEN_DOMCTL_pausedomain, domid);
}

int kxctrl_domain_unpause(kxctrl *k, uint32_t domid)
{
    return simple_domctl(k, XEN_DOMCTL_unpausedomain, domid);
}

int kxctrl_domain_shutdown(kxctrl *k, uint32_t domid, uint8_t reason)
{
    struct sched_remote_shutdown s = {.domain_id = domid, .reason = reason};

    return conn_hypercall_arg(k->c, __HYPERVISOR_sched_op,
                              (uint64_t[6]){SCHEDOP_remote_shutdown}, 1, &s,
                              sizeof(s));
}

int kxctrl_domain_max_mem(kxctrl *k, uint32_t domid, uint64_t kib)
{
    struct xen_domctl op = {
        .cmd = XEN_DOMCTL_max_mem,
        .domain = domid,
        .u.max_mem.max_memkb = kib,
    };

    return domctl(k, &op);
}

int kxctrl_domain_hypercall_init(kxctrl *k, uint32_t domid, uint64_t gfn)
{
    struct xen_domctl op = {
        .cmd = XEN_DOMCTL_hypercall_init,
        .domain = domid,
        .u.hypercall_init.gmfn = gfn,
    };

    return domctl(k, &op);
}

int kxctrl_domain_getinfo(kxctrl *k, uint32_t domid,
                          struct xen_domctl_getdomaininfo *info)
{
    struct xen_domctl op = {
        .cmd = XEN_DOMCTL_getdomaininfo,
        .domain = domid,
    };
    int rc = domctl(k, &op);

    if (rc)
        return rc;
    if (op.u.getdomaininfo.domain != domid)
        return -ESRCH; /* hv tells of the next one, as Xen does */
    *info = op.u.getdomaininfo;
    return 0;
}

int kxctrl_vcpu_getinfo(kxctrl *k, uint32_t domid, uint32_t vcpu,
                        struct xen_domctl_getvcpuinfo *info)
{
    struct xen_domctl op = {
        .cmd = XEN_DOMCTL_getvcpuinfo,
        .domain = domid,
        .u.getvcpuinfo.vcpu = vcpu,
    };
    int rc = domctl(k, &op);

    if (!rc)
        *info = op.u.getvcpuinfo;
    return rc;
}

/* A domctl or hypercall whose argument points to a second buffer. */
static void *buffer(kxctrl *k, size_t size, int *rc)
{
    void *p = conn_arena_alloc(k->c, size, 64);

    *rc = p ? 0 : -ENOMEM;
    return p;
}

static int context_op(kxctrl *k, uint32_t cmd, uint32_t domid, uint32_t vcpu,
                      vcpu_guest_context_t *ctx)
{
    struct xen_domctl op = {
        .cmd = cmd,
        .domain = domid,
        .u.vcpucontext.vcpu = vcpu,
    };
    int rc;
    vcpu_guest_context_t *p = buffer(k, sizeof(*p), &rc);

    if (rc)
        return rc;
    *p = *ctx;
    op.u.vcpucontext.ctxt.p = p;
    rc = domctl(k, &op);
    *ctx = *p;
    conn_arena_free(k->c, p);
    return rc;
}

int kxctrl_vcpu_setcontext(kxctrl *k, uint32_t domid, uint32_t vcpu,
                           const struct vcpu_guest_context *ctx)
{
    vcpu_guest_context_t copy = *ctx;

    return context_op(k, XEN_DOMCTL_setvcpucontext, domid, vcpu, &copy);
}

int kxctrl_vcpu_getcontext(kxctrl *k, uint32_t domid, uint32_t vcpu,
                           struct vcpu_guest_context *ctx)
{
    return context_op(k, XEN_DOMCTL_getvcpucontext, domid, vcpu, ctx);
}

static int affinity_op(kxctrl *k, uint32_t cmd, uint32_t domid, uint32_t vcpu,
                       uint8_t *map, size_t size)
{
    struct xen_domctl op = {
        .cmd = cmd,
        .domain = domid,
        .u.vcpuaffinity = {.vcpu = vcpu, .flags = XEN_VCPUAFFINITY_HARD},
    };
    int rc;
    uint8_t *p = buffer(k, size, &rc);

    if (rc)
        return rc;
    memcpy(p, map, size);
    op.u.vcpuaffinity.cpumap_hard.bitmap.p = p;
    op.u.vcpuaffinity.cpumap_hard.nr_bits = size * 8;
    rc = domctl(k, &op);
    if (!rc)
        memcpy(map, p, size);
    conn_arena_free(k->c, p);
    return rc;
}

int kxctrl_vcpu_setaffinity(kxctrl *k, uint32_t domid, uint32_t vcpu,
                            uint8_t *map, size_t size)
{
    return affinity_op(k, XEN_DOMCTL_setvcpuaffinity, domid, vcpu, map, size);
}

int kxctrl_vcpu_getaffinity(kxctrl *k, uint32_t domid, uint32_t vcpu,
                            uint8_t *map, size_t size)
{
    return affinity_op(k, XEN_DOMCTL_getvcpuaffinity, domid, vcpu, map, size);
}

/* ---- memory ---- */

static int populate_chunk(kxctrl *k, uint32_t domid, uint64_t n,
                          xen_pfn_t *frames, uint64_t first)
{
    struct xen_memory_reservation r = {
        .extent_start.p = frames,
        .nr_extents = n,
        .domid = domid,
    };
    long rc;

    for (uint64_t i = 0; i < n; i++)
        frames[i] = first + i;
    rc = conn_hypercall_arg(k->c, __HYPERVISOR_memory_op,
                            (uint64_t[6]){XENMEM_populate_physmap}, 1, &r,
                            sizeof(r));
    return rc < 0 ? rc : rc == (long)n ? 0 : -ENOMEM;
}

int kxctrl_domain_populate(kxctrl *k, uint32_t domid, uint64_t nr_frames,
                           xen_pfn_t *gfns)
{
    size_t size = POPULATE_CHUNK * sizeof(xen_pfn_t);
    int rc;
    xen_pfn_t *p = buffer(k, size, &rc);

    for (uint64_t done = 0, n; !rc && done < nr_frames; done += n) {
        n = nr_frames - done;
        n = n < POPULATE_CHUNK ? n : POPULATE_CHUNK;
        rc = populate_chunk(k, domid, n, p, done);
        if (!rc && gfns)
            memcpy(gfns + done, p, n * sizeof(*p));
    }
    conn_arena_free(k->c, p);
    return rc;
}

/* ---- sysctl ---- */

static int sysctl(kxctrl *k, struct xen_sysctl *op)
{
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return conn_hypercall_arg(k->c, __HYPERVISOR_sysctl, (uint64_t[6]){0}, 0,
                              op, sizeof(*op));
}

int kxctrl_domain_getinfolist(kxctrl *k, uint32_t first_domid, uint32_t max,
                              struct xen_domctl_getdomaininfo *info)
{
    size_t size;
    struct xen_sysctl op = {.cmd = XEN_SYSCTL_getdomaininfolist};
    struct xen_domctl_getdomaininfo *p;
    int rc;

    if (max > 4096)
        max = 4096;
    size = max * sizeof(*info);
    p = buffer(k, size, &rc);
    if (rc)
        return rc;
    op.u.getdomaininfolist.first_domain = first_domid;
    op.u.getdomaininfolist.max_domains = max;
    op.u.getdomaininfolist.buffer.p = p;
    rc = sysctl(k, &op);
    if (!rc) {
        rc = op.u.getdomaininfolist.num_domains;
        memcpy(info, p, rc * sizeof(*info));
    }
    conn_arena_free(k->c, p);
    return rc;
}

int kxctrl_readconsole(kxctrl *k, char *buf, uint32_t size, int clear)
{
    struct xen_sysctl op = {.cmd = XEN_SYSCTL_readconsole};
    int rc;
    char *p = buffer(k, size, &rc);

    if (rc)
        return rc;
    op.u.readconsole.clear = !!clear;
    op.u.readconsole.buffer.p = p;
    op.u.readconsole.count = size;
    rc = sysctl(k, &op);
    if (!rc) {
        rc = op.u.readconsole.count;
        memcpy(buf, p, rc);
    }
    conn_arena_free(k->c, p);
    return rc;
}

int kxctrl_physinfo(kxctrl *k, struct xen_sysctl_physinfo *info)
{
    struct xen_sysctl op = {.cmd = XEN_SYSCTL_physinfo};
    int rc = sysctl(k, &op);

    if (!rc)
        *info = op.u.physinfo;
    return rc;
}

/* ---- the rest ---- */

int kxctrl_evtchn_alloc_unbound(kxctrl *k, uint32_t domid, uint32_t remote)
{
    struct evtchn_alloc_unbound op = {.dom = domid, .remote_dom = remote};
    long rc = conn_hypercall_arg(k->c, __HYPERVISOR_event_channel_op,
                                 (uint64_t[6]){EVTCHNOP_alloc_unbound}, 1, &op,
                                 sizeof(op));

    return rc ? rc : (int)op.port;
}

static int plain(kxctrl *k, struct privcmd_req *q, struct privcmd_rep *r)
{
    return conn_call(k->c, q, -1, r, NULL);
}

int kxctrl_gnttab_seed(kxctrl *k, uint32_t domid, grant_ref_t ref, uint32_t to,
                       uint64_t gfn)
{
    struct privcmd_req q = {
        .op = PRIVCMD_GNTTAB_SEED,
        .domid = domid,
        .args = {ref, to, gfn},
    };
    struct privcmd_rep r;

    return plain(k, &q, &r);
}

int kxctrl_crash_reason(kxctrl *k, uint32_t domid, char *buf, size_t size)
{
    struct privcmd_req q = {.op = PRIVCMD_CRASH_REASON, .domid = domid};
    struct privcmd_rep r;
    int rc = plain(k, &q, &r);

    if (rc || !size)
        return rc;
    r.text[sizeof(r.text) - 1] = 0;
    strncpy(buf, r.text, size - 1);
    buf[size - 1] = 0;
    return 0;
}

int kxctrl_domain_memory(kxctrl *k, uint32_t domid, int *fd,
                         uint64_t *nr_frames)
{
    return conn_domain_memory(k->c, domid, fd, nr_frames);
}

static int keyed(struct privcmd_req *q, const char *key)
{
    if (strlen(key) >= sizeof(q->key))
        return -EINVAL;
    strcpy(q->key, key);
    return 0;
}

int kxctrl_inflight_get(kxctrl *k, uint32_t domid, const char *key, size_t size,
                        int *fd)
{
    struct privcmd_req q = {
        .op = PRIVCMD_INFLIGHT_GET,
        .domid = domid,
        .args = {size},
    };
    struct privcmd_rep r;
    int rc = keyed(&q, key);

    return rc ? rc : conn_call(k->c, &q, -1, &r, fd);
}

int kxctrl_inflight_drop(kxctrl *k, uint32_t domid, const char *key)
{
    struct privcmd_req q = {.op = PRIVCMD_INFLIGHT_DROP, .domid = domid};
    struct privcmd_rep r;
    int rc = keyed(&q, key);

    return rc ? rc : plain(k, &q, &r);
}

int kxctrl_trapped_add(kxctrl *k, uint32_t domid, struct kxen_trapped *dev,
                       int fd)
{
    struct privcmd_req q = {.op = PRIVCMD_TRAPPED_ADD, .domid = domid};
    struct privcmd_rep r;
    int rc;

    memcpy(q.args, dev, sizeof(*dev));
    rc = conn_call(k->c, &q, fd, &r, NULL);
    if (!rc)
        dev->base = r.vals[0];
    return rc;
}

int kxctrl_exit_stats(kxctrl *k, uint32_t domid, struct kxen_exit_stats *s)
{
    struct privcmd_req q = {.op = PRIVCMD_STATS, .domid = domid};
    struct privcmd_rep r;
    int rc = plain(k, &q, &r);

    if (rc)
        return rc;
    *s = (struct kxen_exit_stats){
        .hypercall = r.stats[0],
        .trap = r.stats[1],
        .pio = r.stats[2],
        .mmio = r.stats[3],
        .signal = r.stats[4],
        .other = r.stats[6],
        .upcalls = r.stats[7],
    };
    return 0;
}

int kxctrl_counters(kxctrl *k, uint32_t domid, char **text)
{
    struct privcmd_req q = {.op = PRIVCMD_COUNTERS, .domid = domid};
    struct privcmd_rep r;
    int fd = -1, rc = conn_call(k->c, &q, -1, &r, &fd);
    off_t len = rc ? 0 : lseek(fd, 0, SEEK_END);

    if (rc)
        return rc;
    *text = calloc(1, (size_t)len + 1);
    if (!*text)
        rc = -ENOMEM;
    else if (pread(fd, *text, (size_t)len, 0) != len)
        rc = -EIO;
    if (rc)
        free(*text);
    close(fd);
    return rc;
}

int kxctrl_trace(kxctrl *k, uint32_t domid, int fd)
{
    struct privcmd_req q = {.op = PRIVCMD_TRACE, .domid = domid};
    struct privcmd_rep r;

    return conn_call(k->c, &q, fd, &r, NULL);
}
