/* SPDX-License-Identifier: MIT */
/*
 * One of a disk's queues: a ring, its thread, and the server that works on it.
 * Queues share the image and nothing else.  All calls are the xenbus thread's.
 */
#ifndef BACKENDS_VBD_QUEUE_H
#define BACKENDS_VBD_QUEUE_H

#include <stdbool.h>

#include "backends/chan.h"
#include "backends/vbd_gntmem.h"
#include "backends/vbd_serve.h"

/* As many as Linux's blkfront makes for 16 vCPUs. */
#define VBD_MAX_QUEUES 16u

struct vbd_queue {
    struct backend_dev *dev;
    unsigned int id;
    struct backend_chan chan;
    struct vbd_server server;
    struct vbd_gntmem gntmem;
    struct vbd_log *log; /* mapped in-flight memory */
    bool keep;           /* how the server is to end */
    bool serving;        /* server is set up */
};

/*
 * Reads the queue's keys below the frontend's folder, or below its `prefix`
 * ("queue-3/"), maps ring and log, binds the port.  0, -EAGAIN while adopting,
 * or -Exxx with the words in the device; vbd_queue_stop() is due either way.
 */
int vbd_queue_connect(struct vbd_queue *q, struct backend_dev *dev,
                      unsigned int id, const char *prefix);

/* Starts its thread. adopt: requests of an earlier process are owed. */
int vbd_queue_run(struct vbd_queue *q, const struct vbd_image *img, bool adopt,
                  bool persistent);

/*
 * Ends the thread, whose I/O is finished first, and gives everything back but
 * the log.  keep: the next process goes on.
 */
void vbd_queue_stop(struct vbd_queue *q, bool keep);

/* Forgets the logs of all queues a disk can have. */
void vbd_queue_drop_logs(struct backend_dev *dev);

#endif
