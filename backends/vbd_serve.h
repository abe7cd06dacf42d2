/* SPDX-License-Identifier: MIT */
/*
 * A connected disk at work: ring, log, grants and I/O put together.  All but
 * init and exit belong to the device's thread.
 */
#ifndef BACKENDS_VBD_SERVE_H
#define BACKENDS_VBD_SERVE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "backends/vbd_grants.h"
#include "backends/vbd_io.h"
#include "backends/vbd_ring.h"

struct vbd_slot {
    struct vbd_op op;
    struct vbd_map map;
    struct iovec iov[VBD_MAX_INDIRECT];
};

struct vbd_counters {
    atomic_ulong requests, errors, reads, writes, flushes, discards;
    atomic_ulong sectors_read, sectors_written;
};

struct vbd_server {
    struct vbd_ring ring;
    struct vbd_io io;
    struct vbd_grants *grants;
    struct vbd_limits lim;
    struct vbd_recovery *recovery; /* to be replayed by begin */
    struct vbd_slot *slot;         /* one for each entry of the log */
    struct vbd_req scratch;
    bool mapped[VBD_LOG_SLOTS];
    bool muted;  /* completions are no longer answered */
    bool broken; /* the frontend is; told once */
    struct vbd_counters count;
    /* The outside: */
    void (*notify)(void *arg);                /* send the event */
    void (*fail)(void *arg, const char *why); /* the frontend is broken */
    void (*ready)(void *arg, int fd);         /* of vbd_io_watch() */
    /* May be NULL: the nth request that failed, where n is a power of two. */
    void (*refused)(void *arg, const char *why, unsigned long nth);
    void *arg;
};

struct vbd_server_params {
    void *sring;
    size_t ring_size; /* bytes */
    struct vbd_log *log;
    bool adopt;      /* the log and the ring are in use */
    bool persistent; /* grants */
    const struct vbd_image *img;
    const struct vbd_gnt_ops *gnt;
    void *gnt_arg;
};

/*
 * Puts a server together; the outside (notify...) is set by the caller first.
 * 0; -EPROTO: the ring cannot be adopted; -ENOMEM; io_uring's errors.
 */
int vbd_server_init(struct vbd_server *s, const struct vbd_server_params *p);
/* After vbd_server_end(), or without any turn. */
void vbd_server_exit(struct vbd_server *s);

/* Replays what an earlier process owed. */
void vbd_server_begin(struct vbd_server *s);
/* Takes requests, reaps, answers; true if there was anything to do. */
bool vbd_server_turn(struct vbd_server *s);
/* Asks for events; true if there is work after all. */
bool vbd_server_arm(struct vbd_server *s);
/* Sleeps till I/O completes or a watched descriptor is readable. */
void vbd_server_wait(struct vbd_server *s);
/*
 * Finishes the I/O under way. keep: answers it, and leaves the rest in the
 * log for the next process; else the frontend hears nothing more.
 */
void vbd_server_end(struct vbd_server *s, bool keep);

#endif
