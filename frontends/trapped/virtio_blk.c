/* SPDX-License-Identifier: MIT */
/*
 * Disks over virtio-mmio (version 2), one split ring, for each word
 * virtio_mmio.device=SIZE@ADDRESS:PIRQ of the command line.
 *
 * A register access is an exit, so in operation there is one: QueueNotify,
 * and only when the device asks for it. Completions are looked for in memory;
 * the used event is armed just before going to sleep. The interrupt is an
 * edge and nothing but the used ring interests us, so InterruptStatus and
 * InterruptACK are left alone, unless the command line has virtio_ack=1: then
 * each interrupt is read and acknowledged, as the specification has it.
 */
#include "frontends/include/blkdev.h"
#include "frontends/trapped/trapped.h"
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#define MAGIC       0x74726976u
#define MAX_NUM     256u /* a descriptor table of one page */
#define MAX_SLOTS   64u
#define MAX_SECTORS 256u
#define MAX_DEVICES 4
#define NO_DESC     0xffffu
#define BIT(n)      (1ull << (n))
#define WANTED                                                                 \
    (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) |                  \
     BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_RO))

/* What of a request lies outside its buffer; a page of them. */
struct slot {
    struct virtio_blk_outhdr hdr;
    uint8_t status;
    uint8_t pad[7];
    struct blkreq *req;
};

struct vblk {
    struct blkdev disk;
    struct trapped_irq irq;
    volatile char *regs;
    uint64_t features;
    bool dead;
    bool ack;   /* by the letter of the specification */
    bool armed; /* used_event asks for an interrupt */
    bool late;  /* one was asked for, its completion was seen before it */

    uint16_t num;
    struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    uint16_t avail_idx; /* not yet published */
    uint16_t used_seen;
    uint16_t free_desc, nr_free;
    struct slot *slots;
    uint8_t slot_of[MAX_NUM]; /* by head descriptor */
    uint64_t free_slots;      /* a bit each */
};

static struct vblk *vblk(struct blkdev *dev)
{
    return container_of(dev, struct vblk, disk);
}

static uint32_t reg_read(const struct vblk *v, unsigned int reg)
{
    return mmio_read32(v->regs + reg);
}

static void reg_write(const struct vblk *v, unsigned int reg, uint32_t val)
{
    mmio_write32(v->regs + reg, val);
}

/* ---- descriptors --------------------------------------------------------- */

static uint16_t *used_event(struct vblk *v)
{
    return &v->avail->ring[v->num];
}

static uint16_t *avail_event(struct vblk *v)
{
    return (uint16_t *)&v->used->ring[v->num];
}

/* Takes the free list's first; `flags` beside NEXT. */
static void add_desc(struct vblk *v, const void *va, uint32_t len,
                     uint16_t flags)
{
    struct vring_desc *d = &v->desc[v->free_desc];

    d->addr = virt_to_machine(va);
    d->len = len;
    d->flags = flags | VRING_DESC_F_NEXT;
    v->free_desc = d->next;
    v->nr_free--;
}

/* How much from va on is contiguous in machine memory, at most len. */
static uint32_t machine_run(const char *va, uint32_t len)
{
    uint64_t start = virt_to_machine(va);
    uint32_t run = (uint32_t)(PAGE_SIZE - (start & ~PAGE_MASK));

    while (run < len && virt_to_machine(va + run) == start + run)
        run += PAGE_SIZE;
    return MIN(run, len);
}

static void add_buffer(struct vblk *v, const char *va, uint32_t len,
                       uint16_t flags)
{
    uint32_t run;

    for (; len; len -= run, va += run) {
        run = machine_run(va, len);
        add_desc(v, va, run, flags);
    }
}

/* Gives a chain back; its links are still those of the free list. */
static void free_chain(struct vblk *v, uint16_t head)
{
    uint16_t last = head;

    v->nr_free++;
    while (v->desc[last].flags & VRING_DESC_F_NEXT) {
        last = v->desc[last].next;
        v->nr_free++;
    }
    v->desc[last].next = v->free_desc;
    v->free_desc = head;
}

/* ---- submit -------------------------------------------------------------- */

static uint32_t wire_type(enum blk_op op)
{
    if (op == BLK_READ)
        return VIRTIO_BLK_T_IN;
    return op == BLK_WRITE ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_FLUSH;
}

static struct slot *slot_take(struct vblk *v, uint16_t head)
{
    unsigned int i;

    if (!v->free_slots)
        return NULL;
    i = (unsigned int)__builtin_ctzl(v->free_slots);
    v->free_slots &= v->free_slots - 1;
    v->slot_of[head] = (uint8_t)i;
    return &v->slots[i];
}

/* Header, pages of the buffer (one more if it starts within), status. */
static uint32_t descs_at_most(const struct blkreq *req)
{
    return 2 + (req->op == BLK_FLUSH ? 0 : req->count / 8 + 2);
}

static int vblk_submit(struct blkdev *dev, struct blkreq *req)
{
    struct vblk *v = vblk(dev);
    uint16_t head = v->free_desc, last;
    struct slot *s;

    if (v->dead)
        return -EIO;
    if (v->nr_free < descs_at_most(req))
        return -EAGAIN;
    s = slot_take(v, head);
    if (!s)
        return -EAGAIN;
    s->req = req;
    s->hdr.type = wire_type(req->op);
    s->hdr.ioprio = 0;
    s->hdr.sector = req->op == BLK_FLUSH ? 0 : req->sector;
    add_desc(v, &s->hdr, sizeof(s->hdr), 0);
    if (req->op != BLK_FLUSH)
        add_buffer(v, req->buf, req->count * BLK_SECTOR_SIZE,
                   req->op == BLK_READ ? VRING_DESC_F_WRITE : 0);
    last = v->free_desc;
    add_desc(v, &s->status, 1, VRING_DESC_F_WRITE);
    v->desc[last].flags = VRING_DESC_F_WRITE;
    v->avail->ring[v->avail_idx++ % v->num] = head;
    return 0;
}

static bool device_wants_kick(struct vblk *v, uint16_t old)
{
    if (!(v->features & BIT(VIRTIO_RING_F_EVENT_IDX)))
        return !(READ_ONCE(v->used->flags) & VRING_USED_F_NO_NOTIFY);
    return vring_need_event(READ_ONCE(*avail_event(v)), v->avail_idx, old);
}

static void vblk_kick(struct blkdev *dev)
{
    struct vblk *v = vblk(dev);
    uint16_t old = v->avail->idx;

    if (v->dead || old == v->avail_idx)
        return;
    __atomic_store_n(&v->avail->idx, v->avail_idx, __ATOMIC_RELEASE);
    /* Pairs with the device's fence between avail_event and avail->idx. */
    xen_mb();
    if (device_wants_kick(v, old))
        reg_write(v, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

/* ---- complete ------------------------------------------------------------ */

static void fail_all(struct vblk *v, const char *why)
{
    unsigned int i;

    printf("%s: %s; disk given up\n", v->disk.name, why);
    v->dead = true;
    for (i = 0; i < MAX_SLOTS; i++) {
        struct blkreq *req = v->slots[i].req;

        v->slots[i].req = NULL;
        if (req)
            blkdev_complete(&v->disk, req, -EIO);
    }
}

static int wire_status(uint8_t status)
{
    if (status == VIRTIO_BLK_S_OK)
        return 0;
    return status == VIRTIO_BLK_S_UNSUPP ? -EOPNOTSUPP : -EIO;
}

static bool complete_one(struct vblk *v, uint32_t head)
{
    struct blkreq *req;
    struct slot *s;

    if (head >= v->num || !v->slots[v->slot_of[head]].req) {
        fail_all(v, "the device answered what was not asked");
        return false;
    }
    s = &v->slots[v->slot_of[head]];
    req = s->req;
    s->req = NULL;
    v->free_slots |= BIT(v->slot_of[head]);
    free_chain(v, (uint16_t)head);
    blkdev_complete(&v->disk, req, wire_status(READ_ONCE(s->status)));
    return true;
}

/*
 * An interrupt that brought no completion may be a device in distress; or that
 * of a completion found before it came, which is not worth an exit.
 */
static void check_device(struct vblk *v)
{
    if (v->late || v->dead || !v->disk.in_flight)
        v->late = false;
    else if (reg_read(v, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET)
        fail_all(v, "the device asks for a reset");
}

static void acknowledge(struct vblk *v)
{
    reg_write(v, VIRTIO_MMIO_INTERRUPT_ACK,
              reg_read(v, VIRTIO_MMIO_INTERRUPT_STATUS));
}

/* With event indices a used_event left behind asks for no interrupt. */
static void disarm(struct vblk *v, bool fired)
{
    WRITE_ONCE(*used_event(v), (uint16_t)(v->used_seen - 1));
    v->late = v->armed && !fired;
    v->armed = false;
}

static int vblk_poll(struct blkdev *dev)
{
    struct vblk *v = vblk(dev);
    bool fired = trapped_irq_take(&v->irq);
    uint16_t idx;
    int n = 0;

    if (fired && v->ack)
        acknowledge(v);
    /* Pairs with the device's release of used->idx. */
    idx = __atomic_load_n(&v->used->idx, __ATOMIC_ACQUIRE);
    while (!v->dead && v->used_seen != idx) {
        n++;
        if (!complete_one(v, v->used->ring[v->used_seen++ % v->num].id))
            break;
    }
    if (n)
        disarm(v, fired);
    else if (fired)
        check_device(v);
    return n;
}

static bool vblk_ready(struct blkdev *dev)
{
    struct vblk *v = vblk(dev);

    v->armed = true;
    WRITE_ONCE(*used_event(v), v->used_seen);
    WRITE_ONCE(v->avail->flags, 0);
    xen_mb();
    return READ_ONCE(v->used->idx) != v->used_seen || v->dead ||
           READ_ONCE(v->irq.fired);
}

static int vblk_set_polled(struct blkdev *dev, bool polled)
{
    struct vblk *v = vblk(dev);

    disarm(v, true);
    WRITE_ONCE(v->avail->flags, polled ? VRING_AVAIL_F_NO_INTERRUPT : 0);
    return 0;
}

static void vblk_close(struct blkdev *dev)
{
    reg_write(vblk(dev), VIRTIO_MMIO_STATUS, 0);
}

static const struct blkdev_ops vblk_ops = {
    .submit = vblk_submit,
    .kick = vblk_kick,
    .poll = vblk_poll,
    .ready = vblk_ready,
    .set_polled = vblk_set_polled,
    .close = vblk_close,
};

/* ---- set-up -------------------------------------------------------------- */

static int negotiate(struct vblk *v)
{
    uint32_t i, status;

    reg_write(v, VIRTIO_MMIO_STATUS, 0);
    status = VIRTIO_CONFIG_S_ACKNOWLEDGE;
    reg_write(v, VIRTIO_MMIO_STATUS, status);
    status |= VIRTIO_CONFIG_S_DRIVER;
    reg_write(v, VIRTIO_MMIO_STATUS, status);
    for (i = 0; i < 2; i++) {
        reg_write(v, VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
        v->features |= (uint64_t)reg_read(v, VIRTIO_MMIO_DEVICE_FEATURES)
                       << (32 * i);
    }
    v->features &= WANTED;
    for (i = 0; i < 2; i++) {
        reg_write(v, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
        reg_write(v, VIRTIO_MMIO_DRIVER_FEATURES,
                  (uint32_t)(v->features >> (32 * i)));
    }
    status |= VIRTIO_CONFIG_S_FEATURES_OK;
    reg_write(v, VIRTIO_MMIO_STATUS, status);
    status = reg_read(v, VIRTIO_MMIO_STATUS);
    return status & VIRTIO_CONFIG_S_FEATURES_OK ? 0 : -EOPNOTSUPP;
}

static int alloc_queue(struct vblk *v)
{
    unsigned int i;

    v->desc = page_alloc(1);
    v->avail = page_alloc(1);
    v->used = page_alloc(1);
    v->slots = page_alloc(1);
    if (!v->desc || !v->avail || !v->used || !v->slots)
        return -ENOMEM;
    for (i = 0; i < v->num; i++)
        v->desc[i].next = (uint16_t)(i + 1 < v->num ? i + 1 : NO_DESC);
    v->nr_free = v->num;
    v->free_slots = ~0ull;
    return 0;
}

static void put_address(struct vblk *v, unsigned int reg, const void *va)
{
    uint64_t addr = virt_to_machine(va);

    reg_write(v, reg, (uint32_t)addr);
    reg_write(v, reg + 4, (uint32_t)(addr >> 32));
}

static int setup_queue(struct vblk *v)
{
    uint32_t max;
    int rc;

    reg_write(v, VIRTIO_MMIO_QUEUE_SEL, 0);
    max = reg_read(v, VIRTIO_MMIO_QUEUE_NUM_MAX);
    /* The largest request has to fit. */
    if (max < 2 * MAX_SECTORS / 8)
        return -ENOSPC;
    v->num = (uint16_t)MIN(max, MAX_NUM);
    rc = alloc_queue(v);
    if (rc)
        return rc;
    reg_write(v, VIRTIO_MMIO_QUEUE_NUM, v->num);
    put_address(v, VIRTIO_MMIO_QUEUE_DESC_LOW, v->desc);
    put_address(v, VIRTIO_MMIO_QUEUE_AVAIL_LOW, v->avail);
    put_address(v, VIRTIO_MMIO_QUEUE_USED_LOW, v->used);
    reg_write(v, VIRTIO_MMIO_QUEUE_READY, 1);
    return 0;
}

static int setup(struct vblk *v, uint64_t addr, unsigned int pirq)
{
    int rc;

    v->regs = map_machine(addr, VIRTIO_MMIO_CONFIG + 0x100, true);
    if (!v->regs)
        return -ENOMEM;
    if (reg_read(v, VIRTIO_MMIO_MAGIC_VALUE) != MAGIC ||
        reg_read(v, VIRTIO_MMIO_VERSION) != 2 ||
        reg_read(v, VIRTIO_MMIO_DEVICE_ID) != VIRTIO_ID_BLOCK)
        return -ENODEV;
    rc = negotiate(v);
    if (!rc)
        rc = setup_queue(v);
    if (!rc)
        rc = trapped_irq_bind(&v->irq, pirq);
    if (rc) {
        reg_write(v, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FAILED);
        return rc;
    }
    reg_write(v, VIRTIO_MMIO_STATUS,
              VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                  VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
    vblk_set_polled(&v->disk, false);
    return 0;
}

static void announce(struct vblk *v, unsigned int n)
{
    struct blkdev *d = &v->disk;

    d->driver = "virtio";
    d->ops = &vblk_ops;
    snprintf(d->name, sizeof(d->name), "virtio%u", n);
    d->sectors = reg_read(v, VIRTIO_MMIO_CONFIG) |
                 (uint64_t)reg_read(v, VIRTIO_MMIO_CONFIG + 4) << 32;
    d->max_sectors = MAX_SECTORS;
    d->queue_depth = MAX_SLOTS;
    d->read_only = v->features & BIT(VIRTIO_BLK_F_RO);
    d->can_flush = v->features & BIT(VIRTIO_BLK_F_FLUSH);
    snprintf(d->detail, sizeof(d->detail), "virtio-mmio, ring of %u%s%s",
             v->num,
             v->features & BIT(VIRTIO_RING_F_EVENT_IDX) ? ", event index" : "",
             v->ack ? ", interrupts acknowledged" : "");
    blkdev_register(d);
}

/* SIZE@ADDRESS:PIRQ, as Linux takes it. */
static int parse_device(const char *p, uint64_t *addr, uint64_t *pirq)
{
    uint64_t size;

    if (parse_u64(&p, 0, &size) || *p++ != '@')
        return -EINVAL;
    if (parse_u64(&p, 0, addr) || *p++ != ':')
        return -EINVAL;
    return parse_u64(&p, 0, pirq) || (*p && *p != ':') ? -EINVAL : 0;
}

static void probe_one(const char *word, unsigned int n)
{
    struct vblk *v = heap_alloc(sizeof(*v));
    uint64_t addr, pirq;
    int rc = v ? parse_device(word, &addr, &pirq) : -ENOMEM;

    if (!rc) {
        v->ack = cmdline_u64(cmdline(), "virtio_ack", 0);
        rc = setup(v, addr, (unsigned int)pirq);
    }
    if (rc) {
        printf("virtio_mmio.device=%s: no disk there (error %d)\n", word, rc);
        return;
    }
    announce(v, n);
}

static void vblk_probe(void)
{
    char word[64];
    unsigned int n;

    for (n = 0; n < MAX_DEVICES && cmdline_get(cmdline(), "virtio_mmio.device",
                                               n, word, sizeof(word));
         n++)
        probe_one(word, n);
}

DRIVER(trapped_virtio, vblk_probe);
