/* SPDX-License-Identifier: MIT */
/* The store suite's parts: servers to measure and a client to do it with. */
#ifndef TOOLS_KXBENCH_STORE_H
#define TOOLS_KXBENCH_STORE_H

#include <sched.h>
#include <sys/types.h>
#include <xenstore_lib.h>

#include "tools/kxbench.h"

enum kxs_kind { KXS_ECHO, KXS_OURS, KXS_XENSTORED, KXS_NR_KINDS };

struct kxs_server {
    enum kxs_kind kind;
    pid_t pid;
    char dir[4200];
    char socket[108];
};

/*
 * Starts a server in a folder of its own under work_dir.  0; -ENOENT: it is
 * not installed (Debian's xenstored); other -Exxx after saying why.
 */
int kxs_server_start(struct kxb *b, enum kxs_kind kind, struct kxs_server *s);
void kxs_server_stop(struct kxs_server *s);

/* Echoes on the listening socket for ever; XS_WATCH_EVENT goes to all. */
void kxs_echo_serve(int listener);

/* One connection, used by one thread. */
struct kxs_client {
    int fd;
    size_t have; /* bytes in buf */
    char buf[2 * (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)];
};

int kxs_open(struct kxs_client *c, const struct kxs_server *s);
void kxs_close(struct kxs_client *c);

/*
 * Sends one request and waits for its answer; events before it are dropped.
 * The answer's payload stands in c->buf behind the header until the next call,
 * with a 0 behind it.  Its length, or -Exxx (also for XS_ERROR).
 */
int kxs_talk(struct kxs_client *c, uint32_t type, uint32_t tx,
             const void *payload, size_t len);
static inline const char *kxs_answer(const struct kxs_client *c)
{
    return c->buf + sizeof(struct xsd_sockmsg);
}

/* WRITE of a short value. */
int kxs_write(struct kxs_client *c, uint32_t tx, const char *path);
/* Waits for one watch event. */
int kxs_event(struct kxs_client *c);

/*
 * Sends n requests of one type at once, payloads made by fill (which returns
 * their length), and takes their answers.
 */
int kxs_batch(struct kxs_client *c, uint32_t type, unsigned n,
              size_t (*fill)(char *buf, unsigned i, unsigned arg),
              unsigned arg);

#define KXS_CLIENTS 16 /* the most of them */

struct kxs_op {
    const char *name;
    bool fan_out; /* one does it, all others hear of it */
    /* Asks once; me: which of the clients.  Negative: -Exxx. */
    int (*once)(struct kxs_client *c, unsigned me);
};

/*
 * kxbench_store_cell.c: adds the rows of one op with so many clients at the
 * stores, and of its floor at the echo server; servers by kind, pid 0: none.
 */
int kxs_cell_run(struct kxb *b, const struct kxs_op *op,
                 const struct kxs_op *floor, const struct kxs_server *servers,
                 unsigned clients);

/* Where the calling thread and all threads of the servers (by kind) may run. */
void kxs_set_cpus(const struct kxs_server *servers, const cpu_set_t *cpus);

/* kxbench_store_scale.c: rows over the number of nodes and watches. */
int kxs_scale_run(struct kxb *b);

#define KXS_SUITE "store"

#endif
