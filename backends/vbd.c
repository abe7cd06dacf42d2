/* SPDX-License-Identifier: MIT */
/*
 * Backend "vbd", protocol xen/io/blkif.h: disks from raw images and block
 * devices.  This file is the store's side of it; vbd_serve.c does the work.
 *
 * Backend nodes read: params (the path), mode ("r" or "w"), poll-us,
 * discard-enable, max-queues.  Rings of up to 16 pages; x86_64-abi.
 */
#include "backends/vbd_queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/io/protocols.h>

struct vbd {
    struct backend_dev *dev;
    char path[512];
    struct vbd_image img;
    unsigned int max_queues; /* offered */
    unsigned int nr_queues;  /* that the frontend made */
    struct vbd_queue queue[VBD_MAX_QUEUES];
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
    backend_write_be(dev, "multi-queue-max-queues", "%u", v->max_queues);
    backend_write_be(dev, "feature-discard", "%d", v->img.discard);
    if (v->img.discard) {
        backend_write_be(dev, "discard-granularity", "%u", v->img.discard_unit);
        backend_write_be(dev, "discard-alignment", "0");
        backend_write_be(dev, "discard-secure", "0");
    }
}

/*
 * A thread each: more than there are CPUs only wait for each other.  What an
 * earlier process offered may have been more.
 */
static unsigned int max_queues(struct backend_dev *dev)
{
    int64_t n = sysconf(_SC_NPROCESSORS_ONLN);

    if (dev->adopting)
        return VBD_MAX_QUEUES;
    backend_read_be_num(dev, "max-queues", &n);
    return n < 1 ? 1 : n > VBD_MAX_QUEUES ? VBD_MAX_QUEUES : (unsigned int)n;
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
    v->max_queues = max_queues(dev);
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
    if (!queues || queues > v->max_queues)
        return backend_error(dev, -EINVAL,
                             "the frontend wants %" PRIu64 " queues, up to %u "
                             "were offered",
                             queues, v->max_queues);
    v->nr_queues = (unsigned int)queues;
    return 0;
}

static int connect_queues(struct vbd *v)
{
    char prefix[24] = "";
    unsigned int i;
    int ret = 0;

    for (i = 0; i < v->nr_queues && !ret; i++) {
        if (v->nr_queues > 1)
            snprintf(prefix, sizeof(prefix), "queue-%u/", i);
        ret = vbd_queue_connect(&v->queue[i], v->dev, i, prefix);
    }
    return ret;
}

static int run_queues(struct vbd *v, bool adopt)
{
    uint64_t persistent = 0;
    unsigned int i;
    int ret = 0;

    backend_read_fe_num(v->dev, "feature-persistent", &persistent);
    for (i = 0; i < v->nr_queues && !ret; i++)
        ret = vbd_queue_run(&v->queue[i], &v->img, adopt, persistent == 1);
    return ret;
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
        ret = connect_queues(v);
    if (!ret && !adopt)
        ret = publish_disk(v);
    if (!ret)
        ret = run_queues(v, adopt);
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

static void vbd_disconnect(struct backend_dev *dev, bool keep)
{
    struct vbd *v = dev->priv;

    for (unsigned int i = 0; i < v->nr_queues; i++)
        vbd_queue_stop(&v->queue[i], keep);
    if (!keep)
        vbd_queue_drop_logs(dev);
}

/* ---- the rest ---- */

static void vbd_changed(struct backend_dev *dev, const char *node)
{
    struct vbd *v = dev->priv;

    for (unsigned int i = 0; i < v->nr_queues; i++)
        if (!strcmp(node, "poll-us"))
            atomic_store(&v->queue[i].chan.poll_us, backend_poll_us(dev));
}

/* The sum over all queues of the counter at `offset` in a struct vbd_queue. */
static void add(const struct vbd *v, json_t *obj, const char *name,
                size_t offset)
{
    json_int_t sum = 0;

    for (unsigned int i = 0; i < v->nr_queues; i++) {
        const char *q = (const char *)&v->queue[i];

        sum += (json_int_t)atomic_load_explicit(
            (const atomic_ulong *)(const void *)(q + offset),
            memory_order_relaxed);
    }
    json_object_set_new(obj, name, json_integer(sum));
}

static void vbd_stats(struct backend_dev *dev, json_t *obj)
{
    static const struct {
        const char *name;
        size_t offset;
    } counters[] = {
        {"requests", offsetof(struct vbd_queue, server.count.requests)},
        {"errors", offsetof(struct vbd_queue, server.count.errors)},
        {"reads", offsetof(struct vbd_queue, server.count.reads)},
        {"writes", offsetof(struct vbd_queue, server.count.writes)},
        {"flushes", offsetof(struct vbd_queue, server.count.flushes)},
        {"discards", offsetof(struct vbd_queue, server.count.discards)},
        {"sectors_read", offsetof(struct vbd_queue, server.count.sectors_read)},
        {"sectors_written",
         offsetof(struct vbd_queue, server.count.sectors_written)},
        {"events_in", offsetof(struct vbd_queue, chan.events_in)},
        {"events_out", offsetof(struct vbd_queue, chan.events_out)},
        {"sleeps", offsetof(struct vbd_queue, chan.sleeps)},
    };
    struct vbd *v = dev->priv;

    json_object_set_new(obj, "image", json_string(v->path));
    json_object_set_new(obj, "queues", json_integer(v->nr_queues));
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
        add(v, obj, counters[i].name, counters[i].offset);
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
