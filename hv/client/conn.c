/* SPDX-License-Identifier: MIT */
#include "hv/client/conn.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "hv/client/kxen.h"
#include "hv/fdpass.h"

/* The first part is for calls in passing, the rest for conn_arena_alloc(). */
#define SCRATCH_SIZE (1u << 20)

/* A part of the arena in use, in order of offset. */
struct arena_range {
    struct arena_range *next;
    size_t off, len;
};

static long exchange(struct conn *c, const struct privcmd_req *q, int fd,
                     struct privcmd_rep *r, int *reply_fd)
{
    ssize_t n;
    int rc = fdpass_send(c->sock, q, sizeof(*q), fd);

    *reply_fd = -1;
    if (rc)
        return rc == -EPIPE ? -ECONNRESET : rc;
    n = fdpass_recv(c->sock, r, sizeof(*r), reply_fd);
    if (n < 0)
        return n;
    return n == sizeof(*r) ? r->rc : -ECONNRESET;
}

long conn_call(struct conn *c, const struct privcmd_req *q, int fd,
               struct privcmd_rep *r, int *reply_fd)
{
    int got;
    long rc;

    pthread_mutex_lock(&c->lock);
    rc = exchange(c, q, fd, r, &got);
    pthread_mutex_unlock(&c->lock);
    if (reply_fd)
        *reply_fd = got;
    else if (got >= 0)
        close(got);
    return rc;
}

static int connect_to_hv(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int sock, rc;

    if (kxen_path(a.sun_path, sizeof(a.sun_path), "hv.sock")) {
        errno = ENAMETOOLONG;
        return -1;
    }
    sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return -1;
    if (connect(sock, (struct sockaddr *)&a, sizeof(a)) == 0)
        return sock;
    rc = errno;
    close(sock);
    errno = rc;
    return -1;
}

static long greet(struct conn *c)
{
    struct privcmd_req q = {.op = PRIVCMD_HELLO, .args = {PRIVCMD_VERSION}};
    struct privcmd_rep r;
    int fd;
    long rc = conn_call(c, &q, -1, &r, &fd);

    if (rc)
        return rc;
    c->arena = mmap(NULL, PRIVCMD_ARENA_SIZE, PROT_READ | PROT_WRITE,
                    MAP_SHARED, fd, 0);
    close(fd);
    if (c->arena == MAP_FAILED) {
        c->arena = NULL;
        return -errno;
    }
    q.op = PRIVCMD_ARENA;
    q.args[0] = (uintptr_t)c->arena;
    return conn_call(c, &q, -1, &r, NULL);
}

struct conn *conn_open(void)
{
    struct conn *c = calloc(1, sizeof(*c));
    long rc;

    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    c->sock = connect_to_hv();
    if (c->sock < 0) {
        rc = -errno;
    } else {
        rc = greet(c);
        if (!rc)
            return c;
    }
    conn_close(c);
    errno = -rc;
    return NULL;
}

void conn_close(struct conn *c)
{
    if (!c)
        return;
    while (c->ranges) {
        struct arena_range *r = c->ranges;

        c->ranges = r->next;
        free(r);
    }
    if (c->arena)
        munmap(c->arena, PRIVCMD_ARENA_SIZE);
    if (c->sock >= 0)
        close(c->sock);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void hypercall_req(struct privcmd_req *q, uint64_t nr,
                          const uint64_t args[6])
{
    memset(q, 0, sizeof(*q));
    q->op = PRIVCMD_HYPERCALL;
    q->args[0] = nr;
    memcpy(&q->args[1], args, 6 * sizeof(args[0]));
}

long conn_hypercall(struct conn *c, uint64_t nr, const uint64_t args[6])
{
    struct privcmd_req q;
    struct privcmd_rep r;

    hypercall_req(&q, nr, args);
    return conn_call(c, &q, -1, &r, NULL);
}

long conn_hypercall_arg(struct conn *c, uint64_t nr, uint64_t args[6],
                        unsigned int arg_index, void *arg, size_t size)
{
    struct privcmd_req q;
    struct privcmd_rep r;
    int fd;
    long rc;

    if (size > SCRATCH_SIZE)
        return -E2BIG;
    pthread_mutex_lock(&c->lock);
    memcpy(c->arena, arg, size);
    args[arg_index] = (uintptr_t)c->arena;
    hypercall_req(&q, nr, args);
    rc = exchange(c, &q, -1, &r, &fd);
    memcpy(arg, c->arena, size);
    pthread_mutex_unlock(&c->lock);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* First fit: where in the list a range of len bytes goes, and its offset. */
static struct arena_range **find_gap(struct conn *c, size_t len, size_t align,
                                     size_t *off)
{
    struct arena_range **p;

    *off = SCRATCH_SIZE;
    for (p = &c->ranges; *p; p = &(*p)->next) {
        if ((*p)->off >= *off && (*p)->off - *off >= len)
            return p;
        *off = ((*p)->off + (*p)->len + align - 1) / align * align;
    }
    return *off <= PRIVCMD_ARENA_SIZE && len <= PRIVCMD_ARENA_SIZE - *off
               ? p
               : NULL;
}

void *conn_arena_alloc(struct conn *c, size_t size, size_t align)
{
    struct arena_range *r, **at;
    uint8_t *p = NULL;

    if (size > PRIVCMD_ARENA_SIZE)
        return NULL;
    r = malloc(sizeof(*r));
    if (!r)
        return NULL;
    r->len = size ? size : 1;
    pthread_mutex_lock(&c->lock);
    at = find_gap(c, r->len, align, &r->off);
    if (at) {
        r->next = *at;
        *at = r;
        p = c->arena + r->off;
    }
    pthread_mutex_unlock(&c->lock);
    if (!p)
        free(r);
    return p;
}

void conn_arena_free(struct conn *c, void *p)
{
    struct arena_range **at = &c->ranges, *r;

    pthread_mutex_lock(&c->lock);
    while (*at && c->arena + (*at)->off != (uint8_t *)p)
        at = &(*at)->next;
    r = *at;
    if (r)
        *at = r->next;
    pthread_mutex_unlock(&c->lock);
    free(r);
}

long conn_domain_memory(struct conn *c, uint32_t domid, int *fd,
                        uint64_t *nr_frames)
{
    struct privcmd_req q = {.op = PRIVCMD_DOMAIN_MEM, .domid = domid};
    struct privcmd_rep r;
    long rc = conn_call(c, &q, -1, &r, fd);

    if (!rc)
        *nr_frames = r.vals[0];
    return rc;
}
