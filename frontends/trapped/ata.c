/* SPDX-License-Identifier: MIT */
/*
 * Disk over a trapped ATA channel at 0x1f0, if the command line has
 * trapped_ata=1: PIO by string instructions, one request at a time, DRQ
 * blocks as large as the disk allows (SET MULTIPLE). The status is read once
 * per block, and the DEVICE register written only when it has to change.
 */
#include "frontends/include/blkdev.h"
#include "frontends/trapped/trapped.h"

#define BASE 0x1f0
#define CTL  0x3f6
#define PIRQ 14

#define REG_DATA    (BASE + 0)
#define REG_ERROR   (BASE + 1)
#define REG_NSECT   (BASE + 2)
#define REG_LBAL    (BASE + 3)
#define REG_LBAM    (BASE + 4)
#define REG_LBAH    (BASE + 5)
#define REG_DEVICE  (BASE + 6)
#define REG_COMMAND (BASE + 7)
#define REG_STATUS  (BASE + 7)

#define ERR_WP 0x40 /* after a write: the disk is write protected */

#define ST_ERR 0x01
#define ST_DRQ 0x08
#define ST_DF  0x20
#define ST_BSY 0x80

#define CTL_NIEN 0x02
#define CTL_SRST 0x04

#define CMD_READ         0x20
#define CMD_WRITE        0x30
#define CMD_READ_MULT    0xc4
#define CMD_WRITE_MULT   0xc5
#define CMD_READ_EXT     0x24
#define CMD_WRITE_EXT    0x34
#define CMD_READ_MULTEXT 0x29
#define CMD_WRITE_MULTXT 0x39
#define CMD_SET_MULT     0xc6
#define CMD_FLUSH        0xe7
#define CMD_IDENTIFY     0xec

#define LBA28_END    0x0fffffffull
#define MAX_SECTORS  256u
#define PATIENCE_NS  (5 * NSEC_PER_SEC)
#define DEVICE_UNSET 0xff

struct ata {
    struct blkdev disk;
    struct trapped_irq irq;
    struct blkreq *req; /* under way */
    char *at;           /* its next byte */
    uint32_t left;      /* sectors not yet moved */
    uint32_t mult;      /* sectors per DRQ block; 1: no MULTIPLE commands */
    uint8_t device;     /* as REG_DEVICE stands */
};

static struct ata *ata(struct blkdev *dev)
{
    return container_of(dev, struct ata, disk);
}

static void set_device(struct ata *a, uint8_t v)
{
    if (a->device != v)
        outb(REG_DEVICE, v);
    a->device = v;
}

static void put_address(uint32_t count, uint64_t lba)
{
    outb(REG_NSECT, (uint8_t)count);
    outb(REG_LBAL, (uint8_t)lba);
    outb(REG_LBAM, (uint8_t)(lba >> 8));
    outb(REG_LBAH, (uint8_t)(lba >> 16));
}

/* Commands by [48-bit][MULTIPLE][write]. */
static const uint8_t rw_commands[2][2][2] = {
    {{CMD_READ, CMD_WRITE}, {CMD_READ_MULT, CMD_WRITE_MULT}},
    {{CMD_READ_EXT, CMD_WRITE_EXT}, {CMD_READ_MULTEXT, CMD_WRITE_MULTXT}},
};

static void command_rw(struct ata *a, bool write, uint64_t lba, uint32_t count)
{
    bool ext = lba + count > LBA28_END;

    if (ext) {
        set_device(a, 0x40);
        put_address(count >> 8, lba >> 24);
        put_address(count, lba);
    } else {
        set_device(a, (uint8_t)(0x40 | lba >> 24));
        put_address(count, lba);
    }
    outb(REG_COMMAND, rw_commands[ext][a->mult > 1][write]);
}

/* One DRQ block. */
static void move_block(struct ata *a)
{
    uint32_t n = MIN(a->left, a->mult);
    size_t dwords = n * BLK_SECTOR_SIZE / 4;

    if (a->req->op == BLK_READ)
        insl(REG_DATA, a->at, dwords);
    else
        outsl(REG_DATA, a->at, dwords);
    a->at += n * BLK_SECTOR_SIZE;
    a->left -= n;
}

static uint8_t wait_not_busy(void)
{
    uint64_t end = time_ns() + PATIENCE_NS;
    uint8_t st = inb(REG_STATUS);

    while ((st & ST_BSY) && time_ns() < end)
        st = inb(REG_STATUS);
    return st;
}

static void end_request(struct ata *a, int status)
{
    struct blkreq *req = a->req;

    a->req = NULL;
    blkdev_complete(&a->disk, req, status);
}

static int ata_submit(struct blkdev *dev, struct blkreq *req)
{
    struct ata *a = ata(dev);

    if (a->req)
        return -EAGAIN;
    a->req = req;
    a->at = req->buf;
    a->left = req->op == BLK_FLUSH ? 0 : req->count;
    if (req->op == BLK_FLUSH) {
        outb(REG_COMMAND, CMD_FLUSH);
        return 0;
    }
    command_rw(a, req->op == BLK_WRITE, req->sector, req->count);
    /* The first block to write is not announced by an interrupt. */
    if (req->op == BLK_WRITE && (wait_not_busy() & ST_DRQ))
        move_block(a);
    return 0;
}

static int error_of(const struct ata *a)
{
    if (a->req->op == BLK_WRITE && (inb(REG_ERROR) & ERR_WP))
        return -EROFS;
    return -EIO;
}

/* The status says what comes next: data, or the end. */
static int step(struct ata *a)
{
    uint8_t st = inb(REG_STATUS);

    if (st & ST_BSY)
        return 0;
    if (st & (ST_ERR | ST_DF)) {
        end_request(a, error_of(a));
        return 1;
    }
    if (a->left) {
        if (!(st & ST_DRQ)) {
            end_request(a, -EIO);
            return 1;
        }
        move_block(a);
        /* The last block to write has yet to reach the disk. */
        if (a->left || a->req->op == BLK_WRITE)
            return 0;
    }
    end_request(a, 0);
    return 1;
}

static int ata_poll(struct blkdev *dev)
{
    struct ata *a = ata(dev);
    int n = 0;

    /*
     * A disk that is done with its block before the data instruction is over
     * has interrupted by then: no need to go to sleep in between.
     */
    while (!n && a->req && (dev->polled || trapped_irq_take(&a->irq))) {
        n = step(a);
        if (dev->polled)
            break;
    }
    return n;
}

static bool ata_ready(struct blkdev *dev)
{
    return READ_ONCE(ata(dev)->irq.fired);
}

static int ata_set_polled(struct blkdev *dev, bool polled)
{
    (void)dev;
    outb(CTL, polled ? CTL_NIEN : 0);
    return 0;
}

static const struct blkdev_ops ata_ops = {
    .submit = ata_submit,
    .poll = ata_poll,
    .ready = ata_ready,
    .set_polled = ata_set_polled,
};

static int ata_reset(struct ata *a)
{
    if (inb(REG_STATUS) == 0xff)
        return -ENODEV; /* a floating bus */
    outb(CTL, CTL_NIEN | CTL_SRST);
    delay_ns(5000);
    outb(CTL, CTL_NIEN);
    a->device = DEVICE_UNSET;
    set_device(a, 0x40);
    return wait_not_busy() & ST_BSY ? -ETIMEDOUT : 0;
}

static int ata_identify(struct ata *a, uint16_t *id)
{
    uint8_t st;

    outb(REG_COMMAND, CMD_IDENTIFY);
    st = wait_not_busy();
    if ((st & (ST_BSY | ST_ERR)) || !(st & ST_DRQ))
        return -EIO;
    insw(REG_DATA, id, 256);
    a->disk.sectors = id[60] | (uint32_t)id[61] << 16;
    if (id[83] & 0x0400)
        a->disk.sectors = id[100] | (uint64_t)id[101] << 16 |
                          (uint64_t)id[102] << 32 | (uint64_t)id[103] << 48;
    a->disk.can_flush = id[83] & 0x1000;
    return 0;
}

static void ata_set_multiple(struct ata *a, uint8_t mult)
{
    a->mult = 1;
    if (mult < 2)
        return;
    outb(REG_NSECT, mult);
    outb(REG_COMMAND, CMD_SET_MULT);
    if (!(wait_not_busy() & (ST_BSY | ST_ERR)))
        a->mult = mult;
}

static int ata_setup(struct ata *a)
{
    static uint16_t id[256];
    int rc = port_io_enable();

    if (!rc)
        rc = ata_reset(a);
    if (!rc)
        rc = ata_identify(a, id);
    if (rc)
        return rc;
    ata_set_multiple(a, (uint8_t)id[47]);
    rc = trapped_irq_bind(&a->irq, PIRQ);
    if (!rc)
        outb(CTL, 0);
    return rc;
}

static void ata_probe(void)
{
    static struct ata a = {
        .disk = {.driver = "ata", .name = "ata0", .ops = &ata_ops}};
    int rc;

    if (!cmdline_u64(cmdline(), "trapped_ata", 0))
        return;
    rc = ata_setup(&a);
    if (rc) {
        printf("ata: no disk at port %x with interrupt %d (error %d), though "
               "the command line promises one\n",
               BASE, PIRQ, rc);
        return;
    }
    a.disk.max_sectors = MAX_SECTORS;
    a.disk.queue_depth = 1;
    snprintf(a.disk.detail, sizeof(a.disk.detail),
             "ATA PIO, 32-bit, %u sectors per block", a.mult);
    blkdev_register(&a.disk);
}

DRIVER(trapped_ata, ata_probe);
