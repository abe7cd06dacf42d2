/* SPDX-License-Identifier: MIT */
/* Disks by whatever driver: the checks and the waiting, said once. */
#include "frontends/include/blkdev.h"
#include "frontends/include/kernel.h"

static struct blkdev *disks;

void blkdev_register(struct blkdev *dev)
{
    struct blkdev **p = &disks;

    while (*p)
        p = &(*p)->next;
    *p = dev;
}

struct blkdev *blkdev_first(void)
{
    return disks;
}

struct blkdev *blkdev_find(const char *name)
{
    struct blkdev *dev;

    for (dev = disks; dev; dev = dev->next)
        if (strcmp(dev->name, name) == 0)
            return dev;
    for (dev = disks; dev; dev = dev->next)
        if (strcmp(dev->driver, name) == 0)
            return dev;
    return NULL;
}

static int check_data(const struct blkdev *dev, const struct blkreq *req)
{
    if (req->count == 0 || req->sector > dev->sectors ||
        req->count > dev->sectors - req->sector)
        return -EINVAL;
    if (req->op == BLK_DISCARD)
        return 0;
    if (req->count > dev->max_sectors || !req->buf ||
        (unsigned long)req->buf % BLK_SECTOR_SIZE)
        return -EINVAL;
    return 0;
}

static int check(const struct blkdev *dev, const struct blkreq *req)
{
    if (req->op != BLK_READ && req->op != BLK_FLUSH && dev->read_only)
        return -EROFS;
    switch (req->op) {
    case BLK_FLUSH:
        return dev->can_flush ? 0 : -EOPNOTSUPP;
    case BLK_BARRIER:
        return dev->can_barrier ? check_data(dev, req) : -EOPNOTSUPP;
    case BLK_DISCARD:
        return dev->can_discard ? check_data(dev, req) : -EOPNOTSUPP;
    case BLK_READ:
    case BLK_WRITE:
        return check_data(dev, req);
    }
    return -EINVAL;
}

int blkdev_submit(struct blkdev *dev, struct blkreq *req)
{
    int rc = check(dev, req);

    if (rc)
        return rc;
    req->status = BLK_PENDING;
    rc = dev->ops->submit(dev, req);
    if (rc)
        req->status = rc;
    else
        dev->in_flight++;
    return rc;
}

void blkdev_complete(struct blkdev *dev, struct blkreq *req, int status)
{
    dev->in_flight--;
    dev->completed++;
    if (status)
        dev->failed++;
    req->status = status;
    if (req->done)
        req->done(req);
}

void blkdev_kick(struct blkdev *dev)
{
    if (dev->ops->kick)
        dev->ops->kick(dev);
}

int blkdev_poll(struct blkdev *dev)
{
    return dev->ops->poll(dev);
}

void blkdev_wait(struct blkdev *dev)
{
    while (dev->in_flight && dev->ops->poll(dev) == 0) {
        if (dev->polled)
            cpu_relax();
        else
            wait_event(dev->ops->ready(dev));
    }
}

void blkdev_drain(struct blkdev *dev)
{
    blkdev_kick(dev);
    while (dev->in_flight)
        blkdev_wait(dev);
}

int blkdev_do(struct blkdev *dev, struct blkreq *req)
{
    int rc;

    while ((rc = blkdev_submit(dev, req)) == -EAGAIN) {
        if (!dev->in_flight)
            return -ENOMEM;
        blkdev_kick(dev);
        blkdev_wait(dev);
    }
    if (rc)
        return rc;
    blkdev_kick(dev);
    while (req->status == BLK_PENDING)
        blkdev_wait(dev);
    return req->status;
}

int blkdev_set_polled(struct blkdev *dev, bool polled)
{
    int rc = 0;

    blkdev_drain(dev);
    if (dev->ops->set_polled)
        rc = dev->ops->set_polled(dev, polled);
    if (!rc)
        dev->polled = polled;
    return rc;
}

static size_t pages(size_t bytes)
{
    return (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

void *blkdev_buf_alloc(struct blkdev *dev, size_t bytes)
{
    if (dev->ops->buf_alloc)
        return dev->ops->buf_alloc(dev, pages(bytes));
    return page_alloc(pages(bytes));
}

void blkdev_buf_free(struct blkdev *dev, void *buf, size_t bytes)
{
    if (!buf)
        return;
    if (dev->ops->buf_free)
        dev->ops->buf_free(dev, buf, pages(bytes));
    else
        page_free(buf, pages(bytes));
}

void blkdev_close_all(void)
{
    struct blkdev *dev = disks;

    for (disks = NULL; dev; dev = dev->next) {
        blkdev_drain(dev);
        if (dev->ops->close)
            dev->ops->close(dev);
    }
}
