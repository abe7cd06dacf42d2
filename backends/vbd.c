/* SPDX-License-Identifier: MIT */
/*
 * Backend "vbd", protocol xen/io/blkif.h: disks from raw images and block
 * devices.  This file is the store's side of it; vbd_serve.c does the work.
 *
 * Backend nodes read: params (the path), mode ("r" or "w"), poll-us,
 * discard-enable.  One queue; rings of up to 16 pages; x86_64-abi.
 */
#include "backends/vbd_serve.h"
#include "backends/chan.h"
#include "backends/vbd_gntmem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/io/protocols.h>

#include "hv/client/kxen.h"

struct vbd {
    struct backend_dev *dev;
    char path[512];
    struct vbd_image img;
    struct backend_chan chan;
    struct vbd_server server;
    struct vbd_gntmem gntmem;
    struct vbd_log *log; /* mapped in-flight memory */
    bool keep;           /* how the server is to end */
    bool serving;        /* server is set up */
};

/* ---- the server's outside ---- */

static void vbd_notify(void *arg)
{
    struct vbd *v = arg;

    chan_notify(&v->chan);
}

static void vbd_broken(void *arg, const char *why)
{
    struct vbd *v = arg;

    backend_fail(v->dev, "%s", why);
}

static void vbd_refused(void *arg, const char *why, unsigned long nth)
{
    struct vbd *v = arg;

    backend_log(v->dev, nth == 1 ? "%s" : "%s (%lu requests failed so far)",
                why, nth);
}

/* Nothing to do but to empty the eventfd: a turn on the ring follows. */
static void vbd_ready(void *arg, int fd)
{
    struct vbd *v = arg;
    eventfd_t n;

    if (fd == v->chan.evt_fd && !eventfd_read(fd, &n))
        chan_count(&v->chan.events_in, n);
}

/* ---- the thread ---- */

static void vbd_begin(void *arg)
{
    struct vbd *v = arg;

    vbd_io_watch(&v->server.io, v->chan.evt_fd);
    vbd_io_watch(&v->server.io, v->chan.stop_fd);
    vbd_server_begin(&v->server);
}

static bool vbd_turn(void *arg)
{
    struct vbd *v = arg;

    return vbd_server_turn(&v->server);
}

static bool vbd_arm(void *arg)
{
    struct vbd *v = arg;

    return vbd_server_arm(&v->server);
}

static void vbd_wait(void *arg)
{
    struct vbd *v = arg;

    vbd_server_wait(&v->server);
}

/* I/O belongs to the thread that submitted it, and must end before it does. */
static void vbd_end(void *arg)
{
    struct vbd *v = arg;

    vbd_server_end(&v->server, v->keep);
}

static const struct chan_ops vbd_chan_ops = {
    .begin = vbd_begin,
    .end = vbd_end,
    .turn = vbd_turn,
    .arm = vbd_arm,
    .wait = vbd_wait,
};

/* ---- probe ---- */

static int read_config(struct vbd *v, bool *rdonly)
{
    char mode[8] = "r", params[sizeof(v->path)];
    const char *path = params;
    int ret = backend_read_be(v->dev, "params", params, sizeof(params));

    if (ret)
        return backend_error(v->dev, ret, "%s/params, the image, is missing",
                             v->dev->be_path);
    if (!strncmp(path, "aio:", 4) || !strncmp(path, "raw:", 4))
        path += 4;
    snprintf(v->path, sizeof(v->path), "%s", path);
    backend_read_be(v->dev, "mode", mode, sizeof(mode));
    *rdonly = strchr(mode, 'w') == NULL;
    return 0;
}

/* A lock that is held may be its owner's last breath: that is worth waiting
 * for, be it the dom0 before us or the domain before this one. */
static int open_image(struct vbd *v, bool rdonly)
{
    char err[400];
    int ret = vbd_image_open(&v->img, v->path, rdonly, err, sizeof(err));

    if (!ret)
        return 0;
    backend_error(v->dev, ret, "%s", err);
    if (ret != -EBUSY)
        return ret;
    return -EAGAIN;
}

static int check_uring(struct vbd *v)
{
    struct io_uring ring;
    int ret = io_uring_queue_init(4, &ring, 0);

    if (ret)
        return backend_error(v->dev, ret,
                             "this host does not let us use io_uring: %s (see "
                             "sysctl kernel.io_uring_disabled, seccomp)",
                             strerror(-ret));
    io_uring_queue_exit(&ring);
    return 0;
}

static void publish_features(struct vbd *v)
{
    struct backend_dev *dev = v->dev;

    backend_write_be(dev, "feature-barrier", "1");
    backend_write_be(dev, "feature-flush-cache", "1");
    backend_write_be(dev, "feature-persistent", "1");
    backend_write_be(dev, "feature-max-indirect-segments", "%u",
                     VBD_MAX_INDIRECT);
    backend_write_be(dev, "max-ring-page-order", "%u", CHAN_MAX_ORDER);
    backend_write_be(dev, "max-ring-pages", "%u", CHAN_MAX_PAGES);
    backend_write_be(dev, "multi-queue-max-queues", "1");
    backend_write_be(dev, "feature-discard", "%d", v->img.discard);
    if (v->img.discard) {
        backend_write_be(dev, "discard-granularity", "%u", v->img.discard_unit);
        backend_write_be(dev, "discard-alignment", "0");
        backend_write_be(dev, "discard-secure", "0");
    }
}

static int vbd_probe(struct backend_dev *dev)
{
    struct vbd *v = calloc(1, sizeof(*v));
    int64_t discard = 1;
    bool rdonly;
    int ret;

    if (!v)
        return -ENOMEM;
    v->dev = dev;
    v->img.fd = -1;
    ret = read_config(v, &rdonly);
    if (!ret)
        ret = check_uring(v);
    if (!ret)
        ret = open_image(v, rdonly);
    if (ret) {
        free(v);
        return ret;
    }
    backend_read_be_num(dev, "discard-enable", &discard);
    v->img.discard = v->img.discard && discard;
    dev->priv = v;
    if (!dev->adopting)
        publish_features(v);
    return 0;
}

static void vbd_remove(struct backend_dev *dev)
{
    struct vbd *v = dev->priv;

    vbd_image_close(&v->img);
    free(v);
}

/* ---- connect ---- */

static int check_frontend(struct vbd *v)
{
    char proto[32] = XEN_IO_PROTO_ABI_NATIVE;
    struct backend_dev *dev = v->dev;
    uint64_t queues = 1;

    backend_read_fe(dev, "protocol", proto, sizeof(proto));
    if (strcmp(proto, XEN_IO_PROTO_ABI_X86_64))
        return backend_error(dev, -EPROTONOSUPPORT,
                             "the frontend speaks \"%s\", only %s is known "
                             "here",
                             proto, XEN_IO_PROTO_ABI_X86_64);
    backend_read_fe_num(dev, "multi-queue-num-queues", &queues);
    if (queues != 1)
        return backend_error(dev, -EINVAL,
                             "the frontend wants %" PRIu64 " queues, 1 was "
                             "offered",
                             queues);
    return 0;
}

static void log_key(struct vbd *v, char *key, size_t size)
{
    snprintf(key, size, "vbd/%s", v->dev->devid);
}

static int map_log(struct vbd *v)
{
    kxctrl *k = kxctrl_open();
    char key[64];
    void *p;
    int fd, ret;

    if (!k)
        return backend_error(v->dev, -errno, "cannot reach the hypervisor");
    log_key(v, key, sizeof(key));
    ret = kxctrl_inflight_get(k, v->dev->domid, key, sizeof(*v->log), &fd);
    kxctrl_close(k);
    if (ret)
        return backend_error(v->dev, ret,
                             "no memory for the in-flight log from the "
                             "hypervisor: %s",
                             strerror(-ret));
    p = mmap(NULL, sizeof(*v->log), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ret = p == MAP_FAILED ? -errno : 0;
    close(fd);
    if (!ret)
        v->log = p;
    return ret;
}

static int start_server(struct vbd *v, bool adopt)
{
    struct vbd_server_params p = {
        .sring = v->chan.sring,
        .ring_size = v->chan.nr_pages * RING_PAGE_SIZE,
        .log = v->log,
        .adopt = adopt,
        .img = &v->img,
        .gnt = &vbd_gntmem_ops,
        .gnt_arg = &v->gntmem,
    };
    uint64_t persistent = 0;
    int ret;

    ret = vbd_gntmem_open(&v->gntmem, v->dev->domid);
    if (ret)
        return backend_error(v->dev, ret, "cannot map the domain's memory: %s",
                             strerror(-ret));
    backend_read_fe_num(v->dev, "feature-persistent", &persistent);
    p.persistent = persistent == 1;
    v->server.notify = vbd_notify;
    v->server.fail = vbd_broken;
    v->server.ready = vbd_ready;
    v->server.refused = vbd_refused;
    v->server.arg = v;
    v->server.muted = v->server.broken = v->keep = false;
    ret = vbd_server_init(&v->server, &p);
    if (ret == -EPROTO)
        return backend_error(v->dev, ret,
                             "the ring does not fit the log of its requests");
    if (ret)
        return backend_error(v->dev, ret, "cannot set up its I/O: %s",
                             strerror(-ret));
    v->serving = true;
    return 0;
}

/* What the disk is, after its size was looked at again. */
static int publish_disk(struct vbd *v)
{
    bool discard = v->img.discard;
    char err[400];
    int ret = vbd_image_measure(&v->img, v->path, err, sizeof(err));

    if (ret)
        return backend_error(v->dev, ret, "%s", err);
    v->img.discard = discard;
    backend_write_be(v->dev, "sectors", "%" PRIu64, v->img.sectors);
    backend_write_be(v->dev, "sector-size", "%u", VBD_SECTOR);
    backend_write_be(v->dev, "physical-sector-size", "%u", v->img.phys_sector);
    return backend_write_be(v->dev, "info", "%u",
                            v->img.rdonly ? VDISK_READONLY : 0);
}

static int vbd_join(struct backend_dev *dev, bool adopt)
{
    struct vbd *v = dev->priv;
    int ret = check_frontend(v);

    if (!ret)
        ret = chan_connect(&v->chan, dev, CHAN_MAX_ORDER);
    if (!ret)
        ret = map_log(v);
    if (!ret && !adopt)
        ret = publish_disk(v);
    if (!ret)
        ret = start_server(v, adopt);
    if (!ret)
        ret = chan_start(&v->chan, &vbd_chan_ops, v);
    return ret;
}

static int vbd_connect(struct backend_dev *dev)
{
    return vbd_join(dev, false);
}

static int vbd_adopt(struct backend_dev *dev)
{
    return vbd_join(dev, true);
}

static void drop_log(struct vbd *v)
{
    kxctrl *k = kxctrl_open();
    char key[64];

    log_key(v, key, sizeof(key));
    if (k) {
        kxctrl_inflight_drop(k, v->dev->domid, key);
        kxctrl_close(k);
    }
}

static void vbd_disconnect(struct backend_dev *dev, bool keep)
{
    struct vbd *v = dev->priv;

    v->keep = keep;
    chan_stop(&v->chan);
    if (v->serving)
        vbd_server_exit(&v->server);
    v->serving = false;
    vbd_gntmem_close(&v->gntmem);
    if (v->log)
        munmap(v->log, sizeof(*v->log));
    v->log = NULL;
    if (!keep)
        drop_log(v);
    chan_disconnect(&v->chan);
}

/* ---- the rest ---- */

static void vbd_changed(struct backend_dev *dev, const char *node)
{
    struct vbd *v = dev->priv;

    if (!strcmp(node, "poll-us"))
        atomic_store(&v->chan.poll_us, backend_poll_us(dev));
}

static void add(json_t *obj, const char *name, atomic_ulong *value)
{
    json_object_set_new(obj, name,
                        json_integer((json_int_t)atomic_load_explicit(
                            value, memory_order_relaxed)));
}

static void vbd_stats(struct backend_dev *dev, json_t *obj)
{
    struct vbd *v = dev->priv;
    struct vbd_counters *c = &v->server.count;

    json_object_set_new(obj, "image", json_string(v->path));
    add(obj, "requests", &c->requests);
    add(obj, "errors", &c->errors);
    add(obj, "reads", &c->reads);
    add(obj, "writes", &c->writes);
    add(obj, "flushes", &c->flushes);
    add(obj, "discards", &c->discards);
    add(obj, "sectors_read", &c->sectors_read);
    add(obj, "sectors_written", &c->sectors_written);
    chan_stats(&v->chan, obj);
}

static const struct backend_ops vbd_ops = {
    .type = "vbd",
    .connect_at = XenbusStateInitialised,
    .probe = vbd_probe,
    .connect = vbd_connect,
    .adopt = vbd_adopt,
    .disconnect = vbd_disconnect,
    .remove = vbd_remove,
    .changed = vbd_changed,
    .stats = vbd_stats,
};
BACKEND_REGISTER(vbd_ops);
