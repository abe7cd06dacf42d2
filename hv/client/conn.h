/* SPDX-License-Identifier: MIT */
/* A privcmd connection, as every client handle has one. Thread safe. */
#ifndef HV_CLIENT_CONN_H
#define HV_CLIENT_CONN_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include "kxen/privcmd.h"

struct arena_range;

struct conn {
    pthread_mutex_t lock; /* one exchange at a time, and the arena */
    int sock;
    uint8_t *arena;
    struct arena_range *ranges; /* given out by conn_arena_alloc() */
};

/* Connects to <run dir>/hv.sock.  NULL with errno. */
struct conn *conn_open(void);
void conn_close(struct conn *c);

/*
 * One exchange.  Sends fd beside the request unless negative; *reply_fd (may
 * be NULL) gets what came back, or -1.  The reply's rc, or -errno of the
 * socket: -ECONNRESET when hv has gone.
 */
long conn_call(struct conn *c, const struct privcmd_req *q, int fd,
               struct privcmd_rep *r, int *reply_fd);

/*
 * A hypercall whose arguments hold no pointers, or pointers into the arena.
 */
long conn_hypercall(struct conn *c, uint64_t nr, const uint64_t args[6]);

/*
 * A hypercall (cmd, arg [, count]) whose one argument, size bytes, is passed
 * through the arena in and out.  arg_index says which of args it becomes.
 */
long conn_hypercall_arg(struct conn *c, uint64_t nr, uint64_t args[6],
                        unsigned int arg_index, void *arg, size_t size);

/*
 * Arena memory that lives until conn_arena_free(), at a multiple of align (a
 * power of two up to a page); NULL when it is full.  Freed in any order.
 */
void *conn_arena_alloc(struct conn *c, size_t size, size_t align);
void conn_arena_free(struct conn *c, void *p);

/* The memory of a domain: fd (the caller's) and its frames. */
long conn_domain_memory(struct conn *c, uint32_t domid, int *fd,
                        uint64_t *nr_frames);

#endif
