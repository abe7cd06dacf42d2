/* SPDX-License-Identifier: MIT */
/* Which device a port or address belongs to, and the way there. */
#include "hv/trapped/trapped.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RANGES  (2 * TRAPPED_MAX_DEVS)
#define WINDOW_PAGE 4096u

/* A new kind of device is one line here. */
static const struct trapped_ops *const trapped_kinds[] = {
    [KXEN_TRAPPED_UART] = &trapped_uart_ops,
    [KXEN_TRAPPED_ATA] = &trapped_ata_ops,
    [KXEN_TRAPPED_VIRTIO] = &trapped_virtio_ops,
};

struct range {
    struct trapped_dev *dev;
    uint64_t start, len;
    unsigned int offset; /* of `start` within the device's registers */
    bool mmio;
};

/* Filled before the domain runs, constant afterwards: no lock. */
struct trapped_bus {
    struct trapped_env env;
    struct trapped_dev *devs[TRAPPED_MAX_DEVS];
    unsigned int nr_devs;
    struct range ranges[MAX_RANGES];
    unsigned int nr_ranges;
    unsigned int mmio_pages;
    bool stopping; /* atomic */
};

struct trapped_bus *trapped_bus_create(const struct trapped_env *env)
{
    struct trapped_bus *bus = calloc(1, sizeof(*bus));

    if (bus)
        bus->env = *env;
    return bus;
}

void trapped_bus_stop(struct trapped_bus *bus)
{
    if (bus)
        __atomic_store_n(&bus->stopping, true, __ATOMIC_RELAXED);
}

bool trapped_stopping(const struct trapped_dev *dev)
{
    return __atomic_load_n(&dev->bus->stopping, __ATOMIC_RELAXED);
}

void trapped_bus_destroy(struct trapped_bus *bus)
{
    if (!bus)
        return;
    while (bus->nr_devs) {
        struct trapped_dev *dev = bus->devs[--bus->nr_devs];

        dev->ops->destroy(dev);
        pthread_mutex_destroy(&dev->lock);
        free(dev);
    }
    free(bus);
}

static const struct trapped_ops *kind_ops(uint32_t kind)
{
    if (kind >= sizeof(trapped_kinds) / sizeof(trapped_kinds[0]))
        return NULL;
    return trapped_kinds[kind];
}

int trapped_bus_add(struct trapped_bus *bus, struct kxen_trapped *desc, int fd)
{
    const struct trapped_ops *ops = kind_ops(desc->kind);
    unsigned int had_ranges = bus->nr_ranges;
    struct trapped_dev *dev;
    int rc;

    if (!ops || (desc->flags & ~ops->flags))
        return -EINVAL;
    if (bus->nr_devs == TRAPPED_MAX_DEVS)
        return -ENOSPC;
    dev = calloc(1, sizeof(*dev));
    if (!dev)
        return -ENOMEM;
    dev->ops = ops;
    dev->env = &bus->env;
    dev->bus = bus;
    dev->pirq = desc->pirq;
    pthread_mutex_init(&dev->lock, NULL);
    rc = ops->create(dev, desc, fd);
    if (rc) {
        bus->nr_ranges = had_ranges;
        pthread_mutex_destroy(&dev->lock);
        free(dev);
        return rc;
    }
    bus->devs[bus->nr_devs++] = dev;
    return 0;
}

static int claim(struct trapped_dev *dev, bool mmio, uint64_t start,
                 uint64_t len, unsigned int offset)
{
    struct trapped_bus *bus = dev->bus;

    for (unsigned int i = 0; i < bus->nr_ranges; i++) {
        const struct range *r = &bus->ranges[i];

        if (r->mmio == mmio && start < r->start + r->len &&
            r->start < start + len)
            return -EEXIST;
    }
    if (bus->nr_ranges == MAX_RANGES)
        return -ENOSPC;
    bus->ranges[bus->nr_ranges++] = (struct range){
        .dev = dev, .start = start, .len = len, .offset = offset, .mmio = mmio};
    return 0;
}

int trapped_claim_pio(struct trapped_dev *dev, uint16_t start, uint16_t len,
                      unsigned int offset)
{
    if (start + len > 0x10000)
        return -EINVAL;
    return claim(dev, false, start, len, offset);
}

int trapped_claim_mmio(struct trapped_dev *dev, uint64_t start, uint64_t len)
{
    return claim(dev, true, start, len, 0);
}

uint64_t trapped_mmio_page(struct trapped_dev *dev)
{
    struct trapped_bus *bus = dev->bus;

    return bus->env.mmio_base + (uint64_t)WINDOW_PAGE * bus->mmio_pages++;
}

static const struct range *find(const struct trapped_bus *bus, bool mmio,
                                uint64_t addr)
{
    for (unsigned int i = 0; i < bus->nr_ranges; i++) {
        const struct range *r = &bus->ranges[i];

        if (r->mmio == mmio && addr - r->start < r->len)
            return r;
    }
    return NULL;
}

/* One item of up to four bytes. */
static void access_one(struct trapped_dev *dev, unsigned int offset,
                       unsigned int size, bool write, void *data)
{
    uint32_t val = 0;

    if (write) {
        memcpy(&val, data, size);
        dev->ops->write(dev, offset, size, val);
    } else {
        val = dev->ops->read(dev, offset, size);
        memcpy(data, &val, size);
    }
}

bool trapped_pio(struct trapped_bus *bus, uint16_t port, unsigned int size,
                 bool write, void *data, unsigned int count)
{
    const struct range *r = find(bus, false, port);
    struct trapped_dev *dev;
    unsigned int offset;

    if (!r || (size != 1 && size != 2 && size != 4))
        return false;
    dev = r->dev;
    offset = r->offset + (port - (unsigned int)r->start);
    pthread_mutex_lock(&dev->lock);
    if (count < 2 || !dev->ops->string ||
        !dev->ops->string(dev, offset, size, write, data, size * count))
        for (unsigned int i = 0; i < count; i++)
            access_one(dev, offset, size, write, (char *)data + i * size);
    pthread_mutex_unlock(&dev->lock);
    return true;
}

bool trapped_mmio(struct trapped_bus *bus, uint64_t addr, unsigned int size,
                  bool write, void *data)
{
    const struct range *r = find(bus, true, addr);
    unsigned int offset, done;
    struct trapped_dev *dev;

    if (!r || !size || size > 8)
        return false;
    dev = r->dev;
    offset = r->offset + (unsigned int)(addr - r->start);
    pthread_mutex_lock(&dev->lock);
    /* No register is wider than four bytes. */
    for (done = 0; done < size; done += 4)
        access_one(dev, offset + done, size - done > 4 ? 4 : size - done, write,
                   (char *)data + done);
    pthread_mutex_unlock(&dev->lock);
    return true;
}

void trapped_raise(struct trapped_dev *dev)
{
    if (dev->env->raise_pirq)
        dev->env->raise_pirq(dev->env->opaque, dev->pirq);
}

void trapped_log(struct trapped_dev *dev, const char *fmt, ...)
{
    char text[200], line[256];
    va_list ap;

    if (!dev->env->log)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    snprintf(line, sizeof(line), "trapped %s (pirq %u): %s", dev->ops->name,
             dev->pirq, text);
    dev->env->log(dev->env->opaque, line);
}

void *trapped_guest_ptr(struct trapped_dev *dev, uint64_t addr, uint64_t len)
{
    if (len > dev->env->mem_size || addr > dev->env->mem_size - len)
        return NULL;
    return (char *)dev->env->guest_mem + addr;
}
