/* SPDX-License-Identifier: MIT */
#include "backends/vbd_queue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hv/client/kxen.h"

/* ---- the server's outside ---- */

static void queue_notify(void *arg)
{
    struct vbd_queue *q = arg;

    chan_notify(&q->chan);
}

static void queue_broken(void *arg, const char *why)
{
    struct vbd_queue *q = arg;

    backend_fail(q->dev, "queue %u: %s", q->id, why);
}

static void queue_refused(void *arg, const char *why, unsigned long nth)
{
    struct vbd_queue *q = arg;

    backend_log(q->dev, nth == 1 ? "%s" : "%s (%lu requests failed so far)",
                why, nth);
}

/* Nothing to do but to empty the eventfd: a turn on the ring follows. */
static void queue_ready(void *arg, int fd)
{
    struct vbd_queue *q = arg;
    eventfd_t n;

    if (fd == q->chan.evt_fd && !eventfd_read(fd, &n))
        chan_count(&q->chan.events_in, n);
}

/* ---- the thread ---- */

static void queue_begin(void *arg)
{
    struct vbd_queue *q = arg;

    vbd_io_watch(&q->server.io, q->chan.evt_fd);
    vbd_io_watch(&q->server.io, q->chan.stop_fd);
    vbd_server_begin(&q->server);
}

static bool queue_turn(void *arg)
{
    struct vbd_queue *q = arg;

    return vbd_server_turn(&q->server);
}

static bool queue_arm(void *arg)
{
    struct vbd_queue *q = arg;

    return vbd_server_arm(&q->server);
}

static void queue_wait(void *arg)
{
    struct vbd_queue *q = arg;

    vbd_server_wait(&q->server);
}

/* I/O belongs to the thread that submitted it, and must end before it does. */
static void queue_end(void *arg)
{
    struct vbd_queue *q = arg;

    vbd_server_end(&q->server, q->keep);
}

static const struct chan_ops queue_chan_ops = {
    .begin = queue_begin,
    .end = queue_end,
    .turn = queue_turn,
    .arm = queue_arm,
    .wait = queue_wait,
};

/* ---- connecting ---- */

/* The first one's is what it was when there was but one. */
static void log_key(const struct backend_dev *dev, unsigned int id, char *key,
                    size_t size)
{
    if (id)
        snprintf(key, size, "vbd/%s/%u", dev->devid, id);
    else
        snprintf(key, size, "vbd/%s", dev->devid);
}

static int map_log(struct vbd_queue *q)
{
    kxctrl *k = kxctrl_open();
    char key[64];
    void *p;
    int fd, ret;

    if (!k)
        return backend_error(q->dev, -errno, "cannot reach the hypervisor");
    log_key(q->dev, q->id, key, sizeof(key));
    ret = kxctrl_inflight_get(k, q->dev->domid, key, sizeof(*q->log), &fd);
    kxctrl_close(k);
    if (ret)
        return backend_error(q->dev, ret,
                             "no memory for the in-flight log from the "
                             "hypervisor: %s",
                             strerror(-ret));
    p = mmap(NULL, sizeof(*q->log), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ret = p == MAP_FAILED ? -errno : 0;
    close(fd);
    if (!ret)
        q->log = p;
    return ret;
}

int vbd_queue_connect(struct vbd_queue *q, struct backend_dev *dev,
                      unsigned int id, const char *prefix)
{
    int ret;

    q->dev = dev;
    q->id = id;
    ret = chan_connect(&q->chan, dev, prefix, CHAN_MAX_ORDER);
    return ret ? ret : map_log(q);
}

static int start_server(struct vbd_queue *q, const struct vbd_image *img,
                        bool adopt, bool persistent)
{
    struct vbd_server_params p = {
        .sring = q->chan.sring,
        .ring_size = q->chan.nr_pages * RING_PAGE_SIZE,
        .log = q->log,
        .adopt = adopt,
        .persistent = persistent,
        .img = img,
        .gnt = &vbd_gntmem_ops,
        .gnt_arg = &q->gntmem,
    };
    int ret = vbd_gntmem_open(&q->gntmem, q->dev->domid);

    if (ret)
        return backend_error(q->dev, ret, "cannot map the domain's memory: %s",
                             strerror(-ret));
    q->server.notify = queue_notify;
    q->server.fail = queue_broken;
    q->server.ready = queue_ready;
    q->server.refused = queue_refused;
    q->server.arg = q;
    q->server.muted = q->server.broken = q->keep = false;
    ret = vbd_server_init(&q->server, &p);
    if (ret == -EPROTO)
        return backend_error(q->dev, ret,
                             "the ring does not fit the log of its requests");
    if (ret)
        return backend_error(q->dev, ret, "cannot set up its I/O: %s",
                             strerror(-ret));
    q->serving = true;
    return 0;
}

int vbd_queue_run(struct vbd_queue *q, const struct vbd_image *img, bool adopt,
                  bool persistent)
{
    int ret = start_server(q, img, adopt, persistent);

    return ret ? ret : chan_start(&q->chan, &queue_chan_ops, q);
}

void vbd_queue_stop(struct vbd_queue *q, bool keep)
{
    q->keep = keep;
    chan_stop(&q->chan);
    if (q->serving)
        vbd_server_exit(&q->server);
    q->serving = false;
    vbd_gntmem_close(&q->gntmem);
    if (q->log)
        munmap(q->log, sizeof(*q->log));
    q->log = NULL;
    chan_disconnect(&q->chan);
}

void vbd_queue_drop_logs(struct backend_dev *dev)
{
    kxctrl *k = kxctrl_open();
    char key[64];

    if (!k)
        return;
    for (unsigned int id = 0; id < VBD_MAX_QUEUES; id++) {
        log_key(dev, id, key, sizeof(key));
        kxctrl_inflight_drop(k, dev->domid, key);
    }
    kxctrl_close(k);
}
