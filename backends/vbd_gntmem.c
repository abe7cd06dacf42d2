/* SPDX-License-Identifier: MIT */
#include "backends/vbd_gntmem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hv/client/kxen.h"

_Static_assert(sizeof(gnttab_map_grant_ref_t) >=
                   sizeof(gnttab_unmap_grant_ref_t),
               "one buffer serves both");

static int map_memory(struct vbd_gntmem *m)
{
    kxctrl *k = kxctrl_open();
    uint64_t frames;
    void *p;
    int fd, ret;

    if (!k)
        return -errno;
    ret = kxctrl_domain_memory(k, m->domid, &fd, &frames);
    kxctrl_close(k);
    if (ret)
        return ret;
    p = mmap(NULL, frames * RING_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
             fd, 0);
    ret = p == MAP_FAILED ? -errno : 0;
    close(fd);
    if (ret)
        return ret;
    m->mem = p;
    m->size = frames * RING_PAGE_SIZE;
    return 0;
}

int vbd_gntmem_open(struct vbd_gntmem *m, domid_t domid)
{
    int ret;

    memset(m, 0, sizeof(*m));
    m->domid = domid;
    m->xcall = xencall_open(NULL, 0);
    if (!m->xcall)
        return -errno;
    m->buf = xencall_alloc_buffer(m->xcall, VBD_GNT_BATCH *
                                                sizeof(gnttab_map_grant_ref_t));
    ret = m->buf ? map_memory(m) : -ENOMEM;
    if (ret)
        vbd_gntmem_close(m);
    return ret;
}

void vbd_gntmem_close(struct vbd_gntmem *m)
{
    if (m->mem)
        munmap(m->mem, m->size);
    if (m->buf)
        xencall_free_buffer(m->xcall, m->buf);
    if (m->xcall)
        xencall_close(m->xcall);
    memset(m, 0, sizeof(*m));
}

static void unmap(void *arg, const uint32_t *handles, unsigned int n)
{
    struct vbd_gntmem *m = arg;
    gnttab_unmap_grant_ref_t *op = m->buf;
    unsigned int i;

    memset(op, 0, n * sizeof(*op));
    for (i = 0; i < n; i++)
        op[i].handle = handles[i];
    xencall3(m->xcall, __HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref,
             (uint64_t)(uintptr_t)op, n);
}

/* Takes the results from the buffer; how many pages, and of what else. */
static int collect(struct vbd_gntmem *m, unsigned int n, void **addr,
                   uint32_t *handles, uint32_t *outside,
                   unsigned int *nr_outside)
{
    const gnttab_map_grant_ref_t *op = m->buf;
    unsigned int i;
    int good = 0;

    *nr_outside = 0;
    for (i = 0; i < n; i++) {
        uint64_t at = op[i].dev_bus_addr & ~(uint64_t)(RING_PAGE_SIZE - 1);

        addr[i] = NULL;
        if (op[i].status != GNTST_okay)
            continue;
        if (at >= m->size) {
            outside[(*nr_outside)++] = op[i].handle;
            continue;
        }
        addr[i] = m->mem + at;
        handles[i] = op[i].handle;
        good++;
    }
    return good;
}

static int map(void *arg, const uint32_t *refs, unsigned int n, bool write,
               void **addr, uint32_t *handles)
{
    uint32_t outside[VBD_GNT_BATCH];
    struct vbd_gntmem *m = arg;
    gnttab_map_grant_ref_t *op = m->buf;
    unsigned int i, nr_outside;
    int good;

    memset(op, 0, n * sizeof(*op));
    for (i = 0; i < n; i++) {
        op[i].dom = m->domid;
        op[i].ref = refs[i];
        op[i].flags = GNTMAP_host_map | (write ? 0 : GNTMAP_readonly);
        op[i].status = GNTST_general_error;
    }
    /* Each page has its own result, also when the call as a whole fails. */
    xencall3(m->xcall, __HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref,
             (uint64_t)(uintptr_t)op, n);
    good = collect(m, n, addr, handles, outside, &nr_outside);
    if (nr_outside)
        unmap(m, outside, nr_outside);
    return good;
}

const struct vbd_gnt_ops vbd_gntmem_ops = {
    .map = map,
    .unmap = unmap,
};
