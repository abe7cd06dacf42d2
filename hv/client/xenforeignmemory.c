/* SPDX-License-Identifier: MIT */
/* libxenforeignmemory's interface over privcmd. xenforeignmemory.h. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenforeignmemory.h>
#include "hv/client/conn.h"

#define PAGE 4096ul

struct xenforeignmemory_handle {
    struct conn *c;
};

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger,
                                               unsigned open_flags)
{
    xenforeignmemory_handle *h = calloc(1, sizeof(*h));

    (void)logger;
    (void)open_flags;
    if (!h)
        return NULL;
    h->c = conn_open();
    if (!h->c) {
        free(h);
        return NULL;
    }
    return h;
}

int xenforeignmemory_close(xenforeignmemory_handle *h)
{
    if (!h)
        return 0;
    conn_close(h->c);
    free(h);
    return 0;
}

static int map_one(uint8_t *at, int prot, int fd, uint64_t frames,
                   xen_pfn_t gfn)
{
    if (gfn >= frames)
        return -EINVAL;
    if (mmap(at, PAGE, prot, MAP_SHARED | MAP_FIXED, fd, gfn * PAGE) ==
        MAP_FAILED)
        return -errno;
    return 0;
}

void *xenforeignmemory_map2(xenforeignmemory_handle *h, uint32_t dom,
                            void *addr, int prot, int flags, size_t pages,
                            const xen_pfn_t arr[], int err[])
{
    uint64_t frames;
    int fd, first = 0;
    uint8_t *at;
    long rc = conn_domain_memory(h->c, dom, &fd, &frames);

    if (rc) {
        errno = -rc;
        return NULL;
    }
    if (pages > SIZE_MAX / PAGE) {
        close(fd);
        errno = EINVAL;
        return NULL;
    }
    at = mmap(addr, pages * PAGE, PROT_NONE,
              flags | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        close(fd);
        return NULL;
    }
    for (size_t i = 0; i < pages; i++) {
        int e = map_one(at + i * PAGE, prot, fd, frames, arr[i]);

        if (err)
            err[i] = e;
        if (e && !first)
            first = e;
    }
    close(fd);
    /* Without err[] it is all or nothing. */
    if (!first || err)
        return at;
    munmap(at, pages * PAGE);
    errno = -first;
    return NULL;
}

void *xenforeignmemory_map(xenforeignmemory_handle *h, uint32_t dom, int prot,
                           size_t pages, const xen_pfn_t arr[], int err[])
{
    return xenforeignmemory_map2(h, dom, NULL, prot, 0, pages, arr, err);
}

int xenforeignmemory_unmap(xenforeignmemory_handle *h, void *addr, size_t pages)
{
    (void)h;
    return munmap(addr, pages * PAGE);
}

int xenforeignmemory_restrict(xenforeignmemory_handle *h, domid_t domid)
{
    struct privcmd_req q = {.op = PRIVCMD_RESTRICT, .domid = domid};
    struct privcmd_rep r;
    long rc = conn_call(h->c, &q, -1, &r, NULL);

    if (!rc)
        return 0;
    errno = -rc;
    return -1;
}
