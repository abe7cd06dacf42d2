/* SPDX-License-Identifier: MIT */
#include "hv/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <xen/memory.h>
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/notify.h"
#include "hv/pv/foreign.h"
#include "hv/pv/pv.h"
#include "hv/vcpu.h"

#define MAX_PAGES      (1ull << 28) /* 1 TiB */
#define APIC_HOLE      0xfee00ull
#define APIC_HOLE_LAST 0xfeeffull
/* The bits above carry where a preempted call goes on; ours are not. */
#define MEMOP_CMD_MASK 0x3fu
#define SEALS          (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define EXTENTS_MAX    (1ull << 26)

static int make_memfd(struct domain *d)
{
    size_t len = d->nr_frames << 12;

    d->mem_fd = memfd_create("kxen-domain", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (d->mem_fd < 0 || ftruncate(d->mem_fd, len) < 0 ||
        fcntl(d->mem_fd, F_ADD_SEALS, SEALS) < 0)
        return -errno;
    d->mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                  d->mem_fd, 0);
    if (d->mem == MAP_FAILED) {
        d->mem = NULL;
        return -errno;
    }
    return 0;
}

static int add_memslot(struct domain *d)
{
    struct kvm_userspace_memory_region r = {
        .slot = 0,
        .guest_phys_addr = 0,
        .memory_size = d->nr_frames << 12,
        .userspace_addr = (uintptr_t)d->mem,
    };

    if (d->vm_fd < 0)
        return 0;
    return ioctl(d->vm_fd, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? -errno : 0;
}

/* shared_info as Xen leaves it: every vCPU's events masked. */
static void init_shared_info(struct domain *d)
{
    d->shared_info = domain_frame(d, d->shared_info_gfn);
    for (unsigned int i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        d->shared_info->vcpu_info[i].evtchn_upcall_mask = 1;
}

static int make_vcpus(struct domain *d)
{
    int rc = 0;

    for (unsigned int i = 0; i < d->max_vcpus && !rc; i++)
        rc = vcpu_create(d, i);
    return rc;
}

/* What the host has is what one domain can have. */
static uint64_t host_pages(void)
{
    struct sysinfo si;

    if (sysinfo(&si) < 0)
        return 0;
    return (uint64_t)si.totalram * si.mem_unit / FRAME_SIZE;
}

int domain_set_max_mem(struct domain *d, uint64_t kib)
{
    uint64_t pages = kib / 4;
    int rc = -ESRCH;

    if (!pages || pages > MAX_PAGES)
        return -EINVAL;
    pthread_mutex_lock(&d->lock);
    if (atomic_load(&d->state) == DOMAIN_DYING)
        goto out;
    if (d->mem_ready) {
        rc = pages <= d->max_pages ? 0 : -ENOMEM;
        if (!rc)
            d->page_limit = pages;
        goto out;
    }
    rc = -EEXIST;
    if (d->frame_map || d == d->hv->dom0)
        goto out;
    rc = -ENOMEM;
    if (pages > host_pages())
        goto out;
    d->max_pages = d->page_limit = pages;
    d->frame_map = calloc((pages + 63) / 64, 8);
    rc = d->frame_map ? pv_domain_layout(d, pages) : -ENOMEM;
    if (!rc)
        rc = make_memfd(d);
    if (!rc)
        rc = add_memslot(d);
    if (!rc)
        rc = foreign_window_init(d);
    if (!rc)
        rc = pv_domain_init(d);
    if (rc)
        goto out;
    init_shared_info(d);
    rc = notify_init(d);
    if (!rc)
        rc = make_vcpus(d);
    d->mem_ready = !rc;
out:
    pthread_mutex_unlock(&d->lock);
    return rc;
}

void memory_free(struct domain *d)
{
    for (unsigned int i = 0; i < MAX_VCPUS; i++)
        vcpu_free(d->vcpu[i]);
    foreign_window_free(d);
    notify_free(d);
    pv_domain_free(d);
    if (d->vm_fd >= 0)
        close(d->vm_fd);
    if (d->mem)
        munmap(d->mem, d->nr_frames << 12);
    if (d->mem_fd >= 0)
        close(d->mem_fd);
    free(d->frame_map);
}

static uint64_t next_free(struct domain *d, uint64_t from)
{
    while (from < d->max_pages && domain_owns_frame(d, from))
        from++;
    if (from >= APIC_HOLE && from <= APIC_HOLE_LAST)
        return next_free(d, APIC_HOLE_LAST + 1);
    return from;
}

static int take_frame(struct domain *d, uint64_t *gfn)
{
    uint64_t g = next_free(d, d->next_frame);

    if (g >= d->max_pages)
        return -ENOMEM;
    d->frame_map[g / 64] |= 1ull << (g % 64);
    d->tot_pages++;
    d->next_frame = g + 1;
    *gfn = g;
    return 0;
}

static void release_frame(struct domain *d, uint64_t gfn)
{
    d->frame_map[gfn / 64] &= ~(1ull << (gfn % 64));
    d->tot_pages--;
    if (gfn < d->next_frame)
        d->next_frame = gfn;
}

/* The limit may have been set below what it has. */
static bool may_have(const struct domain *d, uint64_t more)
{
    return d->tot_pages <= d->page_limit &&
           more <= d->page_limit - d->tot_pages;
}

int domain_populate(struct domain *d, uint64_t nr, uint64_t *gfns)
{
    uint64_t gfn;
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    if (!d->mem_ready)
        rc = -EINVAL;
    else if (!may_have(d, nr))
        rc = -ENOMEM;
    for (uint64_t i = 0; i < nr && !rc; i++) {
        rc = take_frame(d, &gfn);
        if (!rc && gfns)
            gfns[i] = gfn;
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

bool domain_has_memory(struct domain *d)
{
    bool ready;

    pthread_mutex_lock(&d->lock);
    ready = d->mem_ready;
    pthread_mutex_unlock(&d->lock);
    return ready;
}

/* ---- XENMEM_* ---- */

static struct domain *reservation_domain(struct caller *c, domid_t domid,
                                         long *rc)
{
    struct domain *d;

    *rc = -ESRCH;
    d = domain_get_for(c, domid);
    if (d && d != c->d && c->d != c->d->hv->dom0) {
        domain_put(d);
        *rc = -EPERM;
        return NULL;
    }
    if (d && !domain_has_memory(d)) {
        domain_put(d);
        *rc = -EINVAL;
        return NULL;
    }
    return d;
}

/* One extent of 2^order frames, ascending and contiguous from *gfn. */
static int populate_extent(struct domain *d, unsigned int order, uint64_t *gfn)
{
    uint64_t n = 1ull << order, g, i;
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    if (!may_have(d, n))
        rc = -ENOMEM;
    for (i = 0; i < n && !rc; i++) {
        rc = take_frame(d, &g);
        if (!rc && !i)
            *gfn = g;
        if (!rc && g != *gfn + i) {
            release_frame(d, g);
            rc = -ENOMEM;
        }
    }
    if (rc && i)
        for (uint64_t k = 0; k + 1 < i; k++)
            release_frame(d, *gfn + k);
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static void set_m2p(struct domain *d, uint64_t mfn, uint64_t pfn)
{
    uint64_t *m2p = domain_frame(d, d->pv->m2p_gfn);

    m2p[mfn] = pfn;
}

static long memory_populate(struct caller *c, struct xen_memory_reservation *r)
{
    guest_addr_t list = {(uintptr_t)r->extent_start.p};
    struct domain *d;
    uint64_t i = 0;
    long rc;

    if (r->extent_order > 18 || r->nr_extents > EXTENTS_MAX)
        return -EINVAL;
    d = reservation_domain(c, r->domid, &rc);
    if (!d)
        return rc;
    for (; i < r->nr_extents; i++) {
        uint64_t pfn, mfn;

        if (c->v && vcpu_preempt(c->v))
            break;
        if (list.addr &&
            copy_from_guest(c, &pfn, guest_addr_index(list, i, 8), sizeof(pfn)))
            break;
        if (populate_extent(d, r->extent_order, &mfn))
            break;
        for (uint64_t k = 0; list.addr && k < 1ull << r->extent_order; k++)
            set_m2p(d, mfn + k, pfn + k);
        if (list.addr &&
            copy_to_guest(c, guest_addr_index(list, i, 8), &mfn, sizeof(mfn)))
            break;
    }
    domain_put(d);
    return i;
}

static bool release_extent(struct domain *d, uint64_t gfn, uint64_t n)
{
    bool ok = true;

    pthread_mutex_lock(&d->lock);
    for (uint64_t k = 0; k < n; k++)
        ok = ok && domain_owns_frame(d, gfn + k);
    /* Emptied before another vCPU can be given them. */
    if (ok)
        fallocate(d->mem_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  gfn << 12, n << 12);
    for (uint64_t k = 0; ok && k < n; k++) {
        release_frame(d, gfn + k);
        set_m2p(d, gfn + k, ~0ull);
    }
    pthread_mutex_unlock(&d->lock);
    return ok;
}

static long memory_decrease(struct caller *c, struct xen_memory_reservation *r)
{
    guest_addr_t list = {(uintptr_t)r->extent_start.p};
    struct domain *d;
    uint64_t i = 0;
    long rc;

    if (r->extent_order > 9 || r->nr_extents > EXTENTS_MAX)
        return -EINVAL;
    d = reservation_domain(c, r->domid, &rc);
    if (!d)
        return rc;
    for (; i < r->nr_extents; i++) {
        uint64_t gfn;

        if ((c->v && vcpu_preempt(c->v)) ||
            copy_from_guest(c, &gfn, guest_addr_index(list, i, 8), 8) ||
            gfn >= d->max_pages ||
            !release_extent(d, gfn, 1ull << r->extent_order))
            break;
    }
    domain_put(d);
    return i;
}

static long reservation_op(struct caller *c, guest_addr_t arg,
                           long (*fn)(struct caller *,
                                      struct xen_memory_reservation *))
{
    struct xen_memory_reservation r;
    long rc = copy_from_guest(c, &r, arg, sizeof(r)) ? -EFAULT : fn(c, &r);

    /* As Xen: nothing done, for whatever reason.  Tools want to know more. */
    return rc < 0 && c->v ? 0 : rc;
}

static long memory_count(struct caller *c, guest_addr_t arg, unsigned int cmd)
{
    struct domain *d;
    domid_t domid;
    long rc;

    if (copy_from_guest(c, &domid, arg, sizeof(domid)))
        return -EFAULT;
    d = reservation_domain(c, domid, &rc);
    if (!d)
        return rc;
    rc = cmd == XENMEM_current_reservation ? d->tot_pages : d->page_limit;
    if (cmd == XENMEM_maximum_gpfn)
        rc = d->max_pages - 1;
    domain_put(d);
    return rc;
}

static long memory_machphys_mapping(struct caller *c, guest_addr_t arg)
{
    struct xen_machphys_mapping m = {.v_start = M2P_VA};

    if (!c->d->pv)
        return -ENOSYS;
    m.max_mfn = c->d->pv->m2p_frames * FRAME_SIZE / 8 - 1;
    m.v_end = m.v_start + (m.max_mfn + 1) * 8;
    return copy_to_guest(c, arg, &m, sizeof(m)) ? -EFAULT : 0;
}

/* BIOS's int 15h, e820: what a memory map is made of. */
struct e820_entry {
    uint64_t addr, size;
    uint32_t type;
} __attribute__((packed));
#define E820_RAM 1u
/* As libxl, which gives PV guests that much beyond maxmem. */
#define SLACK_BYTES (8ull << 20)

/* Room up to maxmem: what a guest has not got yet is its balloon's to fill. */
static long memory_map(struct caller *c, guest_addr_t arg)
{
    struct xen_memory_map m;
    struct e820_entry e = {.type = E820_RAM};

    if (!c->v)
        return -ENOSYS;
    if (copy_from_guest(c, &m, arg, sizeof(m)))
        return -EFAULT;
    e.size = (c->d->max_pages << 12) + SLACK_BYTES;
    if (m.nr_entries &&
        copy_to_guest(c, (guest_addr_t){(uintptr_t)m.buffer.p}, &e, sizeof(e)))
        return -EFAULT;
    m.nr_entries = m.nr_entries ? 1 : 0;
    return copy_to_guest(c, arg, &m, sizeof(m)) ? -EFAULT : 0;
}

/* What no guest of ours is offered, with what Xen says to one. */
static long memory_refused(struct caller *c, guest_addr_t arg, unsigned int cmd)
{
    uint64_t any;

    switch (cmd) {
    case XENMEM_machine_memory_map:
        return -EPERM;
    case XENMEM_get_sharing_freed_pages:
    case XENMEM_get_sharing_shared_pages:
        return 0;
    case XENMEM_claim_pages:
    case XENMEM_machphys_mfn_list:
    case XENMEM_exchange:
    case XENMEM_set_memory_map:
    case XENMEM_set_pod_target:
    case XENMEM_get_pod_target:
    case XENMEM_access_op:
    case XENMEM_get_vnumainfo:
    case XENMEM_reserved_device_memory_map:
    case XENMEM_acquire_resource:
        return copy_from_guest(c, &any, arg, sizeof(any)) ? -EFAULT : -ENOSYS;
    case XENMEM_add_to_physmap:
    case XENMEM_remove_from_physmap:
    case XENMEM_add_to_physmap_batch:
        return copy_from_guest(c, &any, arg, sizeof(any)) ? -EFAULT : -EACCES;
    default:
        return -ENOSYS;
    }
}

long do_memory_op(struct caller *c, const uint64_t args[6])
{
    unsigned int cmd = args[0] & MEMOP_CMD_MASK;
    guest_addr_t arg = {args[1]};

    switch (cmd) {
    case XENMEM_populate_physmap:
    case XENMEM_increase_reservation:
        return reservation_op(c, arg, memory_populate);
    case XENMEM_decrease_reservation:
        return reservation_op(c, arg, memory_decrease);
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return memory_count(c, arg, cmd);
    case XENMEM_maximum_ram_page:
        return c->d->nr_frames;
    case XENMEM_memory_map:
        return memory_map(c, arg);
    case XENMEM_machphys_mapping:
        return memory_machphys_mapping(c, arg);
    default:
        return memory_refused(c, arg, cmd);
    }
}
