/* SPDX-License-Identifier: MIT */
/*
 * Trapped devices: what a guest reaches by port I/O or MMIO exits.
 *
 * Nothing here knows KVM or struct domain.  hv hands a bus what it needs (a
 * struct trapped_env), calls trapped_pio() and trapped_mmio() from its vCPU
 * exit path, and maps raise_pirq onto the event channel bound to that
 * physical IRQ.  A device is one file with a state struct, its callbacks, a
 * struct trapped_ops, and one line in the table of bus.c.
 *
 * Locking: the bus takes a device's lock around every callback that a guest
 * access leads to; several vCPUs may come at once.  The callbacks in
 * trapped_env are called with that lock held, from vCPU threads and from the
 * devices' own threads, and must not call back into the bus.
 */
#ifndef HV_TRAPPED_TRAPPED_H
#define HV_TRAPPED_TRAPPED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "hv/client/kxen.h"

/* What hv gives the devices of one domain. */
struct trapped_env {
    /*
     * Guest machine address 0 as hv sees it.  All mem_size bytes must stay
     * readable and writable as long as the bus lives: a foreign window, or
     * hv's own frames, lie beyond them.
     */
    void *guest_mem;
    uint64_t mem_size;

    /* Machine address of a page-aligned window for virtio-mmio registers. */
    uint64_t mmio_base;

    /* An edge on a physical IRQ.  Any thread. */
    void (*raise_pirq)(void *opaque, unsigned int pirq);

    /*
     * Optional.  Let `fd`, an eventfd, be signalled by the kernel when the
     * guest writes `datamatch` to MMIO address addr.  0 or -Exxx; where it
     * fails the write exits and the device signals fd itself.
     */
    int (*ioeventfd)(void *opaque, uint64_t addr, unsigned int size,
                     uint32_t datamatch, int fd, bool add);

    /*
     * Optional.  Writes to ports [port, port + nr) may be queued by the
     * kernel (KVM_REGISTER_COALESCED_MMIO with pio = 1), provided that hv
     * replays the queue through trapped_pio() after each KVM_RUN, before it
     * looks at the exit itself.  0 or -Exxx.
     */
    int (*coalesce_pio)(void *opaque, uint16_t port, unsigned int nr, bool add);

    /*
     * Optional.  One line for hv's log, without newline.  A hostile guest
     * can cause many: hv limits the rate.
     */
    void (*log)(void *opaque, const char *msg);

    void *opaque;
};

/* All the trapped devices of one domain. */
struct trapped_bus;

/* A bus without devices; env is copied.  NULL when out of memory. */
struct trapped_bus *trapped_bus_create(const struct trapped_env *env);

/*
 * The domain is going down: a device in the midst of a guest's endless list of
 * requests leaves off after the current one.  Any thread, before joining the
 * vCPUs.  NULL is allowed.
 */
void trapped_bus_stop(struct trapped_bus *bus);

/*
 * Stops the devices' threads, waits for their I/O, closes their descriptors.
 * No vCPU may be inside trapped_pio() or trapped_mmio().  NULL is allowed.
 */
void trapped_bus_destroy(struct trapped_bus *bus);

/*
 * Adds the device that *desc asks for, before the domain first runs.  For
 * virtio desc->base is written: each takes a page of the window.  On success
 * the bus owns fd (a UART's is made non-blocking); on failure the caller still
 * does.  -EINVAL: unknown kind or flag, or a bad base; -EEXIST: the ports are
 * taken; -ENOSPC: TRAPPED_MAX_DEVS are there; -EBADF, -ENOTSUP: fd cannot be
 * used as an image; -ENOMEM.
 */
#define TRAPPED_MAX_DEVS 16
int trapped_bus_add(struct trapped_bus *bus, struct kxen_trapped *desc, int fd);

/*
 * A port access of KVM_EXIT_IO: `count` items of `size` (1, 2, 4) bytes at
 * data, one after another, all to the same port (rep ins/outs).  False, and
 * nothing done, when no device is there.
 */
bool trapped_pio(struct trapped_bus *bus, uint16_t port, unsigned int size,
                 bool write, void *data, unsigned int count);

/* An access of KVM_EXIT_MMIO, size 1..8.  False when no device is there. */
bool trapped_mmio(struct trapped_bus *bus, uint64_t addr, unsigned int size,
                  bool write, void *data);

/* ---- for the device models ---- */

struct trapped_dev;

struct trapped_ops {
    const char *name;
    uint32_t flags; /* the KXEN_TRAPPED_* flags it understands */
    /*
     * Makes dev->priv, claims ranges.  On failure it leaves fd open and
     * nothing behind.
     */
    int (*create)(struct trapped_dev *dev, struct kxen_trapped *desc, int fd);
    /* Called without the lock; ends threads, closes the descriptor. */
    void (*destroy)(struct trapped_dev *dev);
    /* One access at `offset` of the device's range; dev->lock is held. */
    uint32_t (*read)(struct trapped_dev *dev, unsigned int offset,
                     unsigned int size);
    void (*write)(struct trapped_dev *dev, unsigned int offset,
                  unsigned int size, uint32_t val);
    /*
     * Optional: a whole string access at once, `len` bytes in items of
     * `size`.  False: take it item by item.
     */
    bool (*string)(struct trapped_dev *dev, unsigned int offset,
                   unsigned int size, bool write, uint8_t *data,
                   unsigned int len);
};

struct trapped_dev {
    const struct trapped_ops *ops;
    const struct trapped_env *env;
    struct trapped_bus *bus;
    unsigned int pirq;
    pthread_mutex_t lock;
    void *priv;
};

/*
 * The guest reaches [start, start + len) by reads and writes at offset
 * `offset` on.  -EEXIST when another device is there, -ENOSPC.
 */
int trapped_claim_pio(struct trapped_dev *dev, uint16_t start, uint16_t len,
                      unsigned int offset);
int trapped_claim_mmio(struct trapped_dev *dev, uint64_t start, uint64_t len);

/* The next free page of the virtio window. */
uint64_t trapped_mmio_page(struct trapped_dev *dev);

/* Whether trapped_bus_stop() was called. */
bool trapped_stopping(const struct trapped_dev *dev);

/* An edge on the device's IRQ. */
void trapped_raise(struct trapped_dev *dev);

/* Says what a guest did wrong, in one line. */
void trapped_log(struct trapped_dev *dev, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * len bytes of guest memory at machine address addr, or NULL if any of them
 * is outside.
 */
void *trapped_guest_ptr(struct trapped_dev *dev, uint64_t addr, uint64_t len);

extern const struct trapped_ops trapped_uart_ops;
extern const struct trapped_ops trapped_ata_ops;
extern const struct trapped_ops trapped_virtio_ops;

#endif
