/* SPDX-License-Identifier: MIT */
/*
 * libxengnttab's interface over privcmd: hv pins the grants, and the frames
 * are mapped from the granting domain's memory here.  Source: xengnttab.h.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xengnttab.h>
#include <xen/grant_table.h>
#include "hv/client/conn.h"
#include "hv/client/kxen.h"

#define PAGE     4096ul
#define MAPS_MAX 1024 /* grants of one call */

/* A domain's memory, open as long as grants of it are mapped. */
struct memory {
    struct memory *next;
    uint32_t domid;
    uint32_t users; /* grants */
    int fd;
};

struct grant {
    uint32_t handle;
    struct memory *mem;
};

struct mapping {
    struct mapping *next;
    uint8_t *addr;
    uint32_t count;
    uint32_t clear_at;  /* byte to clear at unmap, or ~0 */
    evtchn_port_t port; /* to signal at unmap, or ~0 */
    struct grant grants[];
};

struct xengntdev_handle {
    struct conn *c;
    pthread_mutex_t lock; /* maps, mems */
    struct mapping *maps;
    struct memory *mems;
};

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger,
                                 unsigned open_flags)
{
    xengnttab_handle *h = calloc(1, sizeof(*h));

    (void)logger;
    (void)open_flags;
    if (!h)
        return NULL;
    pthread_mutex_init(&h->lock, NULL);
    h->c = conn_open();
    if (!h->c) {
        free(h);
        return NULL;
    }
    return h;
}

int xengnttab_close(xengnttab_handle *h)
{
    if (!h)
        return 0;
    while (h->maps) {
        struct mapping *m = h->maps;

        h->maps = m->next;
        munmap(m->addr, m->count * PAGE);
        free(m);
    }
    conn_close(h->c);
    while (h->mems) {
        struct memory *m = h->mems;

        h->mems = m->next;
        close(m->fd);
        free(m);
    }
    pthread_mutex_destroy(&h->lock);
    free(h);
    return 0;
}

int xengnttab_fd(xengnttab_handle *h)
{
    return h->c->sock;
}

static void *fail(long rc)
{
    errno = -rc;
    return NULL;
}

static int status_errno(int16_t status)
{
    switch (status) {
    case GNTST_okay:
        return 0;
    case GNTST_bad_domain:
        return ESRCH;
    case GNTST_permission_denied:
        return EACCES;
    case GNTST_no_space:
    case GNTST_no_device_space:
        return ENOSPC;
    case GNTST_eagain:
        return EAGAIN;
    default:
        return EINVAL;
    }
}

/*
 * A reference to domid's memory, NULL if it can't be had.  Kept by domain id: a
 * grant that is mapped keeps the id from meaning another domain.
 */
static struct memory *memory_get(xengnttab_handle *h, uint32_t domid)
{
    struct memory *m;
    uint64_t frames;

    pthread_mutex_lock(&h->lock);
    for (m = h->mems; m && m->domid != domid; m = m->next)
        ;
    if (!m && (m = calloc(1, sizeof(*m)))) {
        if (conn_domain_memory(h->c, domid, &m->fd, &frames)) {
            free(m);
            m = NULL;
        } else {
            m->domid = domid;
            m->next = h->mems;
            h->mems = m;
        }
    }
    if (m)
        m->users++;
    pthread_mutex_unlock(&h->lock);
    return m;
}

static void memory_put(xengnttab_handle *h, struct memory *m)
{
    struct memory **p = &h->mems;

    if (!m)
        return;
    pthread_mutex_lock(&h->lock);
    if (--m->users) {
        m = NULL;
    } else {
        while (*p != m)
            p = &(*p)->next;
        *p = m->next;
    }
    pthread_mutex_unlock(&h->lock);
    if (m) {
        close(m->fd);
        free(m);
    }
}

static long gnttab_op(xengnttab_handle *h, unsigned int cmd, void *arg,
                      size_t size, unsigned int count)
{
    return conn_hypercall_arg(h->c, __HYPERVISOR_grant_table_op,
                              (uint64_t[6]){cmd, 0, count}, 1, arg, size);
}

static void unpin(xengnttab_handle *h, const struct grant *grants,
                  uint32_t count)
{
    gnttab_unmap_grant_ref_t *u = calloc(count ? count : 1, sizeof(*u));

    if (!u)
        return; /* hv lets go of them when the connection closes */
    for (uint32_t i = 0; i < count; i++)
        u[i].handle = grants[i].handle;
    gnttab_op(h, GNTTABOP_unmap_grant_ref, u, count * sizeof(*u), count);
    free(u);
}

/* Asks hv for all; on any refusal none stays mapped.  0 or -errno. */
static long pin(xengnttab_handle *h, gnttab_map_grant_ref_t *ops,
                uint32_t count, struct grant *grants)
{
    uint32_t ok = 0;
    long rc =
        gnttab_op(h, GNTTABOP_map_grant_ref, ops, count * sizeof(*ops), count);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < count; i++) {
        if (ops[i].status == GNTST_okay)
            grants[ok++].handle = ops[i].handle;
        else if (!rc)
            rc = -status_errno(ops[i].status);
    }
    if (rc)
        unpin(h, grants, ok);
    return rc;
}

static long map_frames(xengnttab_handle *h, struct mapping *m,
                       const gnttab_map_grant_ref_t *ops, int prot)
{
    for (uint32_t i = 0; i < m->count; i++) {
        struct memory *mem = memory_get(h, ops[i].dom);

        if (!mem)
            return -ESRCH;
        m->grants[i].mem = mem;
        if (mmap(m->addr + i * PAGE, PAGE, prot, MAP_SHARED | MAP_FIXED,
                 mem->fd, ops[i].dev_bus_addr & ~(PAGE - 1)) == MAP_FAILED)
            return -errno;
    }
    return 0;
}

/* Undoes map_frames() and pin(), whole or in part. */
static void unmap(xengnttab_handle *h, struct mapping *m)
{
    munmap(m->addr, m->count * PAGE);
    for (uint32_t i = 0; i < m->count; i++)
        memory_put(h, m->grants[i].mem);
    unpin(h, m->grants, m->count);
}

static void *map_refs(xengnttab_handle *h, uint32_t count,
                      const uint32_t *domids, uint32_t one_domid,
                      const uint32_t *refs, int prot, uint32_t clear_at,
                      evtchn_port_t port)
{
    gnttab_map_grant_ref_t *ops;
    struct mapping *m;
    long rc;

    if (!count || count > MAPS_MAX)
        return fail(-EINVAL);
    ops = calloc(count, sizeof(*ops));
    m = calloc(1, sizeof(*m) + count * sizeof(m->grants[0]));
    rc = ops && m ? 0 : -ENOMEM;
    if (rc)
        goto out;
    for (uint32_t i = 0; i < count; i++) {
        ops[i].dom = domids ? domids[i] : one_domid;
        ops[i].ref = refs[i];
        ops[i].flags =
            GNTMAP_host_map | (prot & PROT_WRITE ? 0 : GNTMAP_readonly);
    }
    m->count = count;
    m->clear_at = clear_at;
    m->port = port;
    m->addr = mmap(NULL, count * PAGE, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m->addr == MAP_FAILED) {
        rc = -errno;
        goto out;
    }
    rc = pin(h, ops, count, m->grants);
    if (rc) {
        munmap(m->addr, count * PAGE);
        goto out;
    }
    rc = map_frames(h, m, ops, prot);
    if (rc) {
        unmap(h, m);
        goto out;
    }
    pthread_mutex_lock(&h->lock);
    m->next = h->maps;
    h->maps = m;
    pthread_mutex_unlock(&h->lock);
out:
    free(ops);
    if (!rc)
        return m->addr;
    free(m);
    return fail(rc);
}

void *xengnttab_map_grant_ref(xengnttab_handle *h, uint32_t domid, uint32_t ref,
                              int prot)
{
    return map_refs(h, 1, NULL, domid, &ref, prot, ~0u, ~0u);
}

void *xengnttab_map_grant_refs(xengnttab_handle *h, uint32_t count,
                               uint32_t *domids, uint32_t *refs, int prot)
{
    return map_refs(h, count, domids, 0, refs, prot, ~0u, ~0u);
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *h, uint32_t count,
                                      uint32_t domid, uint32_t *refs, int prot)
{
    return map_refs(h, count, NULL, domid, refs, prot, ~0u, ~0u);
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *h, uint32_t domid,
                                     uint32_t ref, int prot,
                                     uint32_t notify_offset,
                                     evtchn_port_t notify_port)
{
    if (notify_offset != ~0u && notify_offset >= PAGE)
        return fail(-EINVAL);
    return map_refs(h, 1, NULL, domid, &ref, prot, notify_offset, notify_port);
}

/* What map_grant_ref_notify promised; made at unmap, not at our death. */
static void notify(xengnttab_handle *h, const struct mapping *m)
{
    struct evtchn_send op = {.port = m->port};

    if (m->clear_at != ~0u)
        m->addr[m->clear_at] = 0;
    if (m->port != ~0u)
        conn_hypercall_arg(h->c, __HYPERVISOR_event_channel_op,
                           (uint64_t[6]){EVTCHNOP_send}, 1, &op, sizeof(op));
}

int xengnttab_unmap(xengnttab_handle *h, void *start_address, uint32_t count)
{
    struct mapping **p, *m;

    pthread_mutex_lock(&h->lock);
    for (p = &h->maps; *p && (*p)->addr != start_address; p = &(*p)->next)
        ;
    m = *p;
    if (m && m->count == count)
        *p = m->next;
    pthread_mutex_unlock(&h->lock);
    if (!m || m->count != count) {
        errno = EINVAL;
        return -1;
    }
    notify(h, m);
    unmap(h, m);
    free(m);
    return 0;
}

int xengnttab_set_max_grants(xengnttab_handle *h, uint32_t nr_grants)
{
    (void)h;
    (void)nr_grants; /* hv's map tracking is the limit */
    return 0;
}

/* ---- copy: by a mapping for the time of the copy ---- */

static int copy_side(xengnttab_handle *h, union xengnttab_copy_ptr *p,
                     int foreign, uint16_t len, int prot, uint8_t **at,
                     void **mapped)
{
    *mapped = NULL;
    if (!foreign) {
        *at = p->virt;
        return 0;
    }
    if (p->foreign.offset + (uint32_t)len > PAGE)
        return GNTST_bad_copy_arg;
    *mapped =
        xengnttab_map_grant_ref(h, p->foreign.domid, p->foreign.ref, prot);
    if (!*mapped)
        return errno == ESRCH ? GNTST_bad_domain : GNTST_bad_gntref;
    *at = (uint8_t *)*mapped + p->foreign.offset;
    return 0;
}

static int16_t copy_one(xengnttab_handle *h, xengnttab_grant_copy_segment_t *s)
{
    void *map_from, *map_to = NULL;
    uint8_t *from, *to;
    int rc = copy_side(h, &s->source, s->flags & GNTCOPY_source_gref, s->len,
                       PROT_READ, &from, &map_from);

    if (!rc)
        rc = copy_side(h, &s->dest, s->flags & GNTCOPY_dest_gref, s->len,
                       PROT_READ | PROT_WRITE, &to, &map_to);
    if (!rc)
        memcpy(to, from, s->len);
    if (map_from)
        xengnttab_unmap(h, map_from, 1);
    if (map_to)
        xengnttab_unmap(h, map_to, 1);
    return rc;
}

int xengnttab_grant_copy(xengnttab_handle *h, uint32_t count,
                         xengnttab_grant_copy_segment_t *segs)
{
    for (uint32_t i = 0; i < count; i++)
        segs[i].status = copy_one(h, &segs[i]);
    return 0;
}
