/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <xen/xen.h>
#include "hv/client/direct.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "kxen/evtchn_2l.h"
#include "kxen/notify.h"

struct direct {
    struct direct *next;
    uint32_t domid;
    unsigned int users; /* ports */
    uint8_t *mem;
    size_t mem_size;
    struct notify_page *page;
    struct shared_info *shared;
    int nudge_fd;
    unsigned int nr_vcpus;
    int wake_fd[XEN_LEGACY_MAX_VCPUS];
};

static long get_fd(struct conn *c, uint32_t domid, uint64_t which, int *fd,
                   uint64_t *nr_vcpus)
{
    struct privcmd_req q = {
        .op = PRIVCMD_NOTIFY_FD,
        .domid = domid,
        .args = {which},
    };
    struct privcmd_rep r;
    long rc = conn_call(c, &q, -1, &r, fd);

    if (!rc && *fd < 0)
        rc = -1;
    if (!rc && nr_vcpus)
        *nr_vcpus = r.vals[0];
    return rc;
}

static void *map_fd(int fd, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    close(fd);
    return p == MAP_FAILED ? NULL : p;
}

static void direct_free(struct direct *g)
{
    if (g->mem)
        munmap(g->mem, g->mem_size);
    if (g->page)
        munmap(g->page, sizeof(*g->page));
    if (g->nudge_fd >= 0)
        close(g->nudge_fd);
    for (unsigned int i = 0; i < g->nr_vcpus; i++)
        if (g->wake_fd[i] >= 0)
            close(g->wake_fd[i]);
    free(g);
}

/* Once: others of domain 0 can write the page, and need not mean well. */
static bool find_shared_info(struct direct *g)
{
    uint64_t off = __atomic_load_n(&g->page->shared_info_off, __ATOMIC_RELAXED);

    if (off % 4096 || off > g->mem_size - sizeof(*g->shared))
        return false;
    g->shared = (void *)(g->mem + off);
    return true;
}

static bool fill(struct direct *g, struct conn *c)
{
    uint64_t frames, nr;
    int fd;

    if (conn_domain_memory(c, g->domid, &fd, &frames))
        return false;
    g->mem_size = frames << 12;
    g->mem = map_fd(fd, g->mem_size);
    if (!g->mem || get_fd(c, g->domid, 0, &fd, &nr))
        return false;
    g->page = map_fd(fd, sizeof(*g->page));
    if (!g->page || !find_shared_info(g) || nr > XEN_LEGACY_MAX_VCPUS ||
        get_fd(c, g->domid, 1, &g->nudge_fd, NULL))
        return false;
    for (; g->nr_vcpus < nr; g->nr_vcpus++)
        if (get_fd(c, g->domid, 2 + g->nr_vcpus, &g->wake_fd[g->nr_vcpus],
                   NULL))
            return false;
    return true;
}

struct direct *direct_get(struct direct **list, struct conn *c, uint32_t domid)
{
    struct direct *g = *list;

    while (g && g->domid != domid)
        g = g->next;
    if (g) {
        g->users++;
        return g;
    }
    g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    g->domid = domid;
    g->nudge_fd = -1;
    if (!fill(g, c)) {
        direct_free(g);
        return NULL;
    }
    g->users = 1;
    g->next = *list;
    *list = g;
    return g;
}

void direct_put(struct direct **list, struct direct *g)
{
    if (!g || --g->users)
        return;
    while (*list != g)
        list = &(*list)->next;
    *list = g->next;
    direct_free(g);
}

static void kick(struct direct *g, unsigned int id)
{
    struct notify_vcpu *v = &g->page->vcpu[id];
    uint64_t one = 1;
    uint32_t where;

    /* Partner: the vCPU stores where, then looks at kicked. */
    if (__atomic_exchange_n(&v->kicked, 1, __ATOMIC_SEQ_CST))
        return;
    where = __atomic_load_n(&v->where, __ATOMIC_SEQ_CST);
    if (where == NOTIFY_IN_HV)
        return;
    if (write(where == NOTIFY_ASLEEP ? g->wake_fd[id] : g->nudge_fd, &one,
              sizeof(one)) < 0)
        return; /* the counter is full: it is on its way already */
}

static struct vcpu_info *info_of(void *ctx, evtchn_port_t port)
{
    struct direct *g = ctx;
    unsigned int id =
        __atomic_load_n(&g->page->port_vcpu[port], __ATOMIC_SEQ_CST);
    uint64_t off;

    if (!id || id > g->nr_vcpus)
        return NULL;
    off = __atomic_load_n(&g->page->vcpu[id - 1].info_off, __ATOMIC_SEQ_CST);
    if (off % 8 || off > g->mem_size - sizeof(struct vcpu_info))
        return NULL;
    return (void *)(g->mem + off);
}

static void kick_pollers(struct direct *g)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (unsigned int i = 0; i < g->nr_vcpus; i++)
        if (__atomic_load_n(&g->page->vcpu[i].polling, __ATOMIC_SEQ_CST))
            kick(g, i);
}

bool direct_raise(struct direct *g, evtchn_port_t port)
{
    struct evtchn_2l_target t = {
        .shared = g->shared,
        .vcpu_info = info_of,
        .ctx = g,
    };
    unsigned int id;

    if (port >= NOTIFY_PORTS)
        return false;
    id = __atomic_load_n(&g->page->port_vcpu[port], __ATOMIC_SEQ_CST);
    if (!id || id > g->nr_vcpus)
        return false;
    if (evtchn_2l_set_pending(&t, port))
        kick(g, id - 1);
    kick_pollers(g);
    /*
     * Partner: hv forbids the port, then looks for the bit.  It may not have
     * found ours when the guest left the 2-level ABI meanwhile.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&g->page->port_vcpu[port], __ATOMIC_SEQ_CST);
}
