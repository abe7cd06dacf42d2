/* SPDX-License-Identifier: MIT */
/* libxencall's interface over privcmd.  Source: xencall.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xencall.h>
#include "hv/client/conn.h"

#define PAGE 4096

struct xencall_handle {
    struct conn *c;
};

xencall_handle *xencall_open(struct xentoollog_logger *logger,
                             unsigned open_flags)
{
    xencall_handle *h = calloc(1, sizeof(*h));

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

int xencall_close(xencall_handle *h)
{
    if (!h)
        return 0;
    conn_close(h->c);
    free(h);
    return 0;
}

int xencall_fd(xencall_handle *h)
{
    return h->c->sock;
}

long xencall2L(xencall_handle *h, unsigned int op, uint64_t a1, uint64_t a2)
{
    long rc = conn_hypercall(h->c, op, (uint64_t[6]){a1, a2});

    if (rc >= 0)
        return rc;
    errno = -rc;
    return -1;
}

static int call(xencall_handle *h, unsigned int op, uint64_t a1, uint64_t a2,
                uint64_t a3, uint64_t a4, uint64_t a5)
{
    long rc = conn_hypercall(h->c, op, (uint64_t[6]){a1, a2, a3, a4, a5});

    if (rc >= 0)
        return rc;
    errno = -rc;
    return -1;
}

int xencall0(xencall_handle *h, unsigned int op)
{
    return call(h, op, 0, 0, 0, 0, 0);
}

int xencall1(xencall_handle *h, unsigned int op, uint64_t a1)
{
    return call(h, op, a1, 0, 0, 0, 0);
}

int xencall2(xencall_handle *h, unsigned int op, uint64_t a1, uint64_t a2)
{
    return call(h, op, a1, a2, 0, 0, 0);
}

int xencall3(xencall_handle *h, unsigned int op, uint64_t a1, uint64_t a2,
             uint64_t a3)
{
    return call(h, op, a1, a2, a3, 0, 0);
}

int xencall4(xencall_handle *h, unsigned int op, uint64_t a1, uint64_t a2,
             uint64_t a3, uint64_t a4)
{
    return call(h, op, a1, a2, a3, a4, 0);
}

int xencall5(xencall_handle *h, unsigned int op, uint64_t a1, uint64_t a2,
             uint64_t a3, uint64_t a4, uint64_t a5)
{
    return call(h, op, a1, a2, a3, a4, a5);
}

static void *alloc(xencall_handle *h, size_t size, size_t align)
{
    void *p = conn_arena_alloc(h->c, size, align);

    if (p)
        return memset(p, 0, size);
    errno = ENOMEM;
    return NULL;
}

void *xencall_alloc_buffer_pages(xencall_handle *h, size_t nr_pages)
{
    if (nr_pages > PRIVCMD_ARENA_SIZE / PAGE) {
        errno = ENOMEM;
        return NULL;
    }
    return alloc(h, nr_pages * PAGE, PAGE);
}

void xencall_free_buffer_pages(xencall_handle *h, void *p, size_t nr_pages)
{
    (void)nr_pages;
    conn_arena_free(h->c, p);
}

void *xencall_alloc_buffer(xencall_handle *h, size_t size)
{
    return alloc(h, size, 64);
}

void xencall_free_buffer(xencall_handle *h, void *p)
{
    conn_arena_free(h->c, p);
}
