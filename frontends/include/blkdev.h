/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_BLKDEV_H
#define FRONTENDS_BLKDEV_H

#include "frontends/include/lib.h"

/*
 * A disk, whatever drives it. Guests use the blkdev_* functions; a driver
 * fills in a struct blkdev and calls blkdev_register() from its probe.
 * Sectors are of 512 bytes. All of it belongs to one vCPU: a driver's event
 * handler does nothing but wake it, the work is done in poll().
 */

enum blk_op {
    BLK_READ,
    BLK_WRITE,
    BLK_FLUSH,   /* what was completed before is durable afterwards */
    BLK_BARRIER, /* a write, ordered against all others, and durable */
    BLK_DISCARD, /* no buffer */
};

#define BLK_SECTOR_SIZE 512
#define BLK_PENDING     1 /* status of a request in flight */

struct blkreq {
    enum blk_op op;
    uint64_t sector;
    uint32_t count; /* sectors; at most blkdev max_sectors */
    void *buf;      /* from blkdev_buf_alloc of the same disk, page aligned or
                     * at a multiple of 512 within it */
    int status;     /* BLK_PENDING, then 0 or -Exxx */
    void (*done)(struct blkreq *req); /* may be NULL; may submit again */
    void *priv;                       /* the submitter's */
    uint64_t start;                   /* the submitter's: a time stamp */
    void *driver;                     /* the driver's while in flight */
    struct blkreq *next;              /* the driver's while in flight */
};

struct blkdev;

struct blkdev_ops {
    /*
     * Queue a request that blkdev_submit has checked. 0, or -EAGAIN if the
     * queue is full (poll, then try again), or another -Exxx. The driver may
     * hold the notification back until kick.
     */
    int (*submit)(struct blkdev *dev, struct blkreq *req);
    /* Publish what was queued and notify the other side; may be NULL. */
    void (*kick)(struct blkdev *dev);
    /*
     * Complete what has finished (status, then done); returns how many. With
     * dev->polled it must spend no exits to find out that nothing has; else it
     * may acknowledge an interrupt.
     */
    int (*poll)(struct blkdev *dev);
    /*
     * Called with events off before sleeping: is there something to poll? If
     * not, the next completion must raise an event (re-arm it here).
     */
    bool (*ready)(struct blkdev *dev);
    /* Change between events and polling; may be NULL. Queue is empty. */
    int (*set_polled)(struct blkdev *dev, bool polled);
    /* Pages for I/O; NULL means page_alloc/page_free will do. */
    void *(*buf_alloc)(struct blkdev *dev, size_t npages);
    void (*buf_free)(struct blkdev *dev, void *buf, size_t npages);
    /* Give the device up in good order; may be NULL. */
    void (*close)(struct blkdev *dev);
};

struct blkdev {
    const char *driver; /* "xen", "ata", "virtio" */
    char name[16];      /* "xvda", "ata0", "virtio0" */
    const struct blkdev_ops *ops;
    uint64_t sectors;
    uint32_t max_sectors; /* of one request */
    uint32_t queue_depth; /* requests in flight it takes */
    bool read_only;
    bool can_flush, can_barrier, can_discard;
    bool polled;
    char detail[80]; /* for people: what was negotiated */
    /* Counted by blkdev.c */
    uint32_t in_flight;
    uint64_t completed, failed;
    struct blkdev *next;
};

/* For drivers. blkdev_complete sets status, counts, and calls done. */
void blkdev_register(struct blkdev *dev);
void blkdev_complete(struct blkdev *dev, struct blkreq *req, int status);

/* For guests. */
struct blkdev *blkdev_first(void);
/* By name, or by driver name ("xen" gives its first disk); NULL if none. */
struct blkdev *blkdev_find(const char *name);

/*
 * Checks range, alignment and direction, then queues. 0: status is
 * BLK_PENDING till done. -EAGAIN: full. -EINVAL, -EROFS, -EOPNOTSUPP: refused.
 * blkdev_kick must follow the last of a batch.
 */
int blkdev_submit(struct blkdev *dev, struct blkreq *req);
void blkdev_kick(struct blkdev *dev);
int blkdev_poll(struct blkdev *dev);
/* Poll until at least one request completed: sleeps, or spins if polled. */
void blkdev_wait(struct blkdev *dev);
/* Wait until nothing is in flight. */
void blkdev_drain(struct blkdev *dev);
/* Submit, kick, wait for this one; its status. */
int blkdev_do(struct blkdev *dev, struct blkreq *req);
int blkdev_set_polled(struct blkdev *dev, bool polled);
void *blkdev_buf_alloc(struct blkdev *dev, size_t bytes);
void blkdev_buf_free(struct blkdev *dev, void *buf, size_t bytes);
void blkdev_close_all(void);

#endif
