/* SPDX-License-Identifier: MIT */
/*
 * An ATA disk (ATA/ATAPI-6), device 0 of a channel, PIO only.
 *
 * Commands run to their end in the vCPU's thread, so BSY is never seen but
 * during a software reset.  Data passes through a buffer of up to 256 sectors:
 * the image is read and written in such chunks, however small the DRQ blocks
 * are.  The data port takes 16- and 32-bit items and whole string accesses.
 */
#include "hv/trapped/trapped.h"
#include "hv/trapped/io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR        512u
#define CHUNK_SECTORS 256u
#define MAX_MULT      128u /* sectors of a READ/WRITE MULTIPLE block */
#define HEADS         16u
#define TRACK         63u /* sectors */
#define LBA28_SECTORS 0x0fffffffull
#define CTL_OFFSET    0x206u /* from the command block's base */

enum ata_reg {
    REG_DATA,
    REG_ERROR, /* FEATURES when written */
    REG_NSECT,
    REG_LBAL,
    REG_LBAM,
    REG_LBAH,
    REG_DEVICE,
    REG_STATUS, /* COMMAND when written */
    REG_CTL,    /* ALTERNATE STATUS when read */
    NR_REGS,
};

#define ST_ERR  0x01
#define ST_DRQ  0x08
#define ST_DSC  0x10
#define ST_DRDY 0x40
#define ST_BSY  0x80
#define ST_IDLE (ST_DRDY | ST_DSC)

#define ERR_ABRT 0x04
#define ERR_IDNF 0x10
#define ERR_UNC  0x40 /* on reads; WP, write protected, on writes */

#define CTL_NIEN 0x02
#define CTL_SRST 0x04
#define CTL_HOB  0x80

#define DEV_SLAVE 0x10
#define DEV_LBA   0x40

enum ata_xfer { XFER_NONE, XFER_IN, XFER_OUT };

struct ata {
    struct trapped_dev *dev;
    struct io_image img;
    uint64_t sectors;

    /* The task file: now and before (for 48-bit addresses). */
    uint8_t reg[NR_REGS], prev[NR_REGS];
    uint8_t status, error;
    bool intrq; /* as the device drives it */
    bool irq;   /* as the guest sees it: gated by nIEN */

    unsigned int heads, track; /* INITIALIZE DEVICE PARAMETERS */
    unsigned int mult;         /* 0: MULTIPLE commands are off */
    bool write_cache;

    /* The transfer under way. */
    enum ata_xfer xfer;
    unsigned int block; /* bytes per interrupt */
    unsigned int pos, block_end, len;
    uint64_t lba;  /* of buf[0] */
    uint32_t left; /* sectors, those in buf included */
    bool lba48;
    uint8_t buf[CHUNK_SECTORS * SECTOR];
};

/* ---- interrupt and end of a command ---- */

static void update_irq(struct ata *a)
{
    bool level = a->intrq && !(a->reg[REG_CTL] & CTL_NIEN);

    if (level && !a->irq)
        trapped_raise(a->dev);
    a->irq = level;
}

static void set_intrq(struct ata *a, bool on)
{
    a->intrq = on;
    update_irq(a);
}

/* The end of a command: with success where error is 0. */
static void finish(struct ata *a, uint8_t error)
{
    a->xfer = XFER_NONE;
    a->error = error;
    a->status = ST_IDLE | (error ? ST_ERR : 0);
    set_intrq(a, true);
}

/* ---- addresses ---- */

static void put_lba(struct ata *a, uint64_t lba)
{
    a->reg[REG_LBAL] = (uint8_t)lba;
    a->reg[REG_LBAM] = (uint8_t)(lba >> 8);
    a->reg[REG_LBAH] = (uint8_t)(lba >> 16);
    if (a->lba48) {
        a->prev[REG_LBAL] = (uint8_t)(lba >> 24);
        a->prev[REG_LBAM] = (uint8_t)(lba >> 32);
        a->prev[REG_LBAH] = (uint8_t)(lba >> 40);
    } else {
        a->reg[REG_DEVICE] = (a->reg[REG_DEVICE] & 0xf0) | ((lba >> 24) & 0x0f);
    }
}

/* Where a command failed, in the registers; CHS users do without. */
static void fail_at(struct ata *a, uint64_t lba, uint8_t error)
{
    if (a->lba48 || (a->reg[REG_DEVICE] & DEV_LBA))
        put_lba(a, lba);
    finish(a, error);
}

static uint64_t get_chs(const struct ata *a)
{
    uint32_t cyl = a->reg[REG_LBAH] << 8 | a->reg[REG_LBAM];
    uint32_t head = a->reg[REG_DEVICE] & 0x0f;

    if (!a->reg[REG_LBAL] || a->reg[REG_LBAL] > a->track || head >= a->heads)
        return UINT64_MAX;
    return ((uint64_t)cyl * a->heads + head) * a->track + a->reg[REG_LBAL] - 1;
}

static uint64_t get_lba(const struct ata *a)
{
    uint64_t low =
        a->reg[REG_LBAH] << 16 | a->reg[REG_LBAM] << 8 | a->reg[REG_LBAL];

    if (a->lba48)
        return (uint64_t)a->prev[REG_LBAH] << 40 |
               (uint64_t)a->prev[REG_LBAM] << 32 |
               (uint64_t)a->prev[REG_LBAL] << 24 | low;
    if (!(a->reg[REG_DEVICE] & DEV_LBA))
        return get_chs(a);
    return (uint64_t)(a->reg[REG_DEVICE] & 0x0f) << 24 | low;
}

static uint32_t get_count(const struct ata *a)
{
    uint32_t n = a->reg[REG_NSECT];

    if (a->lba48) {
        n |= (uint32_t)a->prev[REG_NSECT] << 8;
        return n ? n : 65536;
    }
    return n ? n : 256;
}

/* The range a command names, into lba and left.  False: it has failed. */
static bool get_range(struct ata *a, bool lba48)
{
    a->lba48 = lba48;
    if (lba48 && !(a->reg[REG_DEVICE] & DEV_LBA)) {
        finish(a, ERR_ABRT);
        return false;
    }
    a->lba = get_lba(a);
    a->left = get_count(a);
    if (a->lba >= a->sectors || a->left > a->sectors - a->lba) {
        finish(a, ERR_IDNF);
        return false;
    }
    return true;
}

/* ---- data ---- */

static uint32_t chunk_sectors(const struct ata *a)
{
    return a->left < CHUNK_SECTORS ? a->left : CHUNK_SECTORS;
}

/* Offers (or asks for) the next DRQ block of buf. */
static void begin_block(struct ata *a, bool interrupt)
{
    a->block_end = a->pos + a->block < a->len ? a->pos + a->block : a->len;
    a->status = ST_IDLE | ST_DRQ;
    if (interrupt)
        set_intrq(a, true);
}

static void begin_chunk(struct ata *a, bool interrupt)
{
    a->len = chunk_sectors(a) * SECTOR;
    a->pos = 0;
    if (a->xfer == XFER_IN &&
        io_rw(&a->img, IO_READ, a->buf, a->len, a->lba * SECTOR)) {
        trapped_log(a->dev, "reading sector %llu of the image failed",
                    (unsigned long long)a->lba);
        fail_at(a, a->lba, ERR_UNC);
        return;
    }
    begin_block(a, interrupt);
}

/* Every sector has passed. */
static void transfer_done(struct ata *a)
{
    if (a->xfer == XFER_IN) {
        /* The last interrupt was that of the last block. */
        a->xfer = XFER_NONE;
        a->status = ST_IDLE;
        return;
    }
    if (!a->write_cache && io_rw(&a->img, IO_FLUSH, NULL, 0, 0))
        fail_at(a, a->lba, ERR_ABRT);
    else
        finish(a, 0);
}

static void end_chunk(struct ata *a)
{
    uint32_t n = a->len / SECTOR;

    if (a->xfer == XFER_OUT &&
        io_rw(&a->img, IO_WRITE, a->buf, a->len, a->lba * SECTOR)) {
        trapped_log(a->dev, "writing sector %llu of the image failed",
                    (unsigned long long)a->lba);
        fail_at(a, a->lba, ERR_ABRT);
        return;
    }
    a->left -= n;
    if (!a->left) {
        transfer_done(a);
        return;
    }
    a->lba += n;
    begin_chunk(a, true);
}

/* Moves len bytes through the data port; without DRQ the bus floats. */
static void data_port(struct ata *a, enum ata_xfer dir, uint8_t *data,
                      unsigned int len)
{
    while (len && a->xfer == dir) {
        unsigned int n = a->block_end - a->pos;

        if (n > len)
            n = len;
        if (dir == XFER_IN)
            memcpy(data, a->buf + a->pos, n);
        else
            memcpy(a->buf + a->pos, data, n);
        a->pos += n;
        data += n;
        len -= n;
        if (a->pos == a->len)
            end_chunk(a);
        else if (a->pos == a->block_end)
            begin_block(a, true);
    }
    if (dir == XFER_IN)
        memset(data, 0xff, len);
}

/* ---- commands ---- */

#define CMD_EXT   1u
#define CMD_MULT  2u
#define CMD_WRITE 4u

static void cmd_rw(struct ata *a, unsigned int flags)
{
    bool write = flags & CMD_WRITE;

    if ((flags & CMD_MULT) && !a->mult) {
        finish(a, ERR_ABRT);
        return;
    }
    if (write && a->img.rdonly) {
        finish(a, ERR_UNC | ERR_ABRT);
        return;
    }
    if (!get_range(a, flags & CMD_EXT))
        return;
    a->block = (flags & CMD_MULT ? a->mult : 1) * SECTOR;
    a->xfer = write ? XFER_OUT : XFER_IN;
    a->error = 0;
    begin_chunk(a, !write); /* the first block to write is not announced */
}

static void cmd_verify(struct ata *a, unsigned int flags)
{
    if (!get_range(a, flags & CMD_EXT))
        return;
    while (a->left) {
        uint32_t n = chunk_sectors(a);

        if (io_rw(&a->img, IO_READ, a->buf, n * SECTOR, a->lba * SECTOR)) {
            fail_at(a, a->lba, ERR_UNC);
            return;
        }
        a->lba += n;
        a->left -= n;
    }
    finish(a, 0);
}

static void cmd_flush(struct ata *a, unsigned int flags)
{
    (void)flags;
    finish(a, io_rw(&a->img, IO_FLUSH, NULL, 0, 0) ? ERR_ABRT : 0);
}

static void cmd_set_multiple(struct ata *a, unsigned int flags)
{
    uint8_t n = a->reg[REG_NSECT];

    (void)flags;
    if (n > MAX_MULT || (n & (n - 1))) {
        finish(a, ERR_ABRT);
        return;
    }
    a->mult = n;
    finish(a, 0);
}

static void cmd_set_features(struct ata *a, unsigned int flags)
{
    uint8_t mode = a->reg[REG_NSECT], error = 0;

    (void)flags;
    switch (a->reg[REG_ERROR]) {
    case 0x02:
        a->write_cache = true;
        break;
    case 0x82:
        a->write_cache = false;
        if (io_rw(&a->img, IO_FLUSH, NULL, 0, 0))
            error = ERR_ABRT;
        break;
    case 0x03: /* transfer mode: PIO default, or with flow control 0..4 */
        if (mode > 0x01 && (mode < 0x08 || mode > 0x0c))
            error = ERR_ABRT;
        break;
    case 0x55: /* look-ahead off, on; power-on defaults off, on */
    case 0xaa:
    case 0x66:
    case 0xcc:
        break;
    default:
        error = ERR_ABRT;
    }
    finish(a, error);
}

static void cmd_init_params(struct ata *a, unsigned int flags)
{
    (void)flags;
    if (!a->reg[REG_NSECT]) {
        finish(a, ERR_ABRT);
        return;
    }
    a->heads = (a->reg[REG_DEVICE] & 0x0f) + 1u;
    a->track = a->reg[REG_NSECT];
    finish(a, 0);
}

static void cmd_native_max(struct ata *a, unsigned int flags)
{
    uint64_t last = a->sectors ? a->sectors - 1 : 0;

    a->lba48 = flags & CMD_EXT;
    if (!a->lba48 && last >= LBA28_SECTORS)
        last = LBA28_SECTORS - 1;
    put_lba(a, last);
    finish(a, 0);
}

static void cmd_check_power(struct ata *a, unsigned int flags)
{
    (void)flags;
    a->reg[REG_NSECT] = 0xff; /* active */
    finish(a, 0);
}

static void cmd_nothing(struct ata *a, unsigned int flags)
{
    (void)flags;
    finish(a, 0);
}

/* What identifies an ATA device after a reset. */
static void put_signature(struct ata *a)
{
    a->reg[REG_NSECT] = 1;
    a->reg[REG_LBAL] = 1;
    a->reg[REG_LBAM] = 0;
    a->reg[REG_LBAH] = 0;
    a->reg[REG_DEVICE] = 0;
}

static void cmd_diagnostic(struct ata *a, unsigned int flags)
{
    (void)flags;
    put_signature(a);
    finish(a, 0);
    a->error = 0x01; /* device 0 passed; this is no error */
}

/* ATA strings have the two bytes of each word swapped, blanks at the end. */
static void put_string(uint16_t *w, unsigned int words, const char *s)
{
    for (unsigned int i = 0; i < words; i++) {
        uint8_t first = *s ? (uint8_t)*s++ : ' ';
        uint8_t second = *s ? (uint8_t)*s++ : ' ';

        w[i] = (uint16_t)(first << 8 | second);
    }
}

static void put_geometry(const struct ata *a, uint16_t *w)
{
    uint64_t cyls = a->sectors / (HEADS * TRACK);
    uint64_t now = a->sectors / (a->heads * a->track);
    uint32_t chs;

    w[1] = cyls < 16383 ? (uint16_t)cyls : 16383;
    w[3] = HEADS;
    w[6] = TRACK;
    w[54] = now < 65535 ? (uint16_t)now : 65535;
    w[55] = (uint16_t)a->heads;
    w[56] = (uint16_t)a->track;
    chs = w[54] * a->heads * a->track;
    w[57] = (uint16_t)chs;
    w[58] = (uint16_t)(chs >> 16);
}

static void put_capacity(const struct ata *a, uint16_t *w)
{
    uint64_t n28 = a->sectors < LBA28_SECTORS ? a->sectors : LBA28_SECTORS;

    w[60] = (uint16_t)n28;
    w[61] = (uint16_t)(n28 >> 16);
    for (unsigned int i = 0; i < 4; i++)
        w[100 + i] = (uint16_t)(a->sectors >> (16 * i));
}

static void put_features(const struct ata *a, uint16_t *w)
{
    w[47] = 0x8000 | MAX_MULT;
    w[48] = 1;      /* 32-bit data port */
    w[49] = 0x0a00; /* IORDY, LBA; no DMA */
    w[50] = 0x4000;
    w[53] = 0x0003; /* words 54-58 and 64-70 are valid */
    w[59] = a->mult ? (uint16_t)(0x0100 | a->mult) : 0;
    w[64] = 0x0003; /* PIO 3 and 4 */
    w[67] = w[68] = 120;
    w[80] = 0x0070; /* ATA/ATAPI-4, 5, 6 */
    w[82] = 0x0020; /* write cache */
    w[83] = 0x7400; /* FLUSH EXT, FLUSH, 48-bit addresses */
    w[84] = 0x4000;
    w[85] = a->write_cache ? 0x0020 : 0;
    w[86] = 0x3400;
    w[87] = 0x4000;
    w[106] = 0x4000; /* one logical sector per physical one */
}

static void cmd_identify(struct ata *a, unsigned int flags)
{
    uint16_t w[SECTOR / 2] = {0};
    uint8_t sum = 0;

    (void)flags;
    w[0] = 0x0040; /* fixed disk */
    put_geometry(a, w);
    put_string(w + 10, 10, "KXEN0");
    put_string(w + 23, 4, "1");
    put_string(w + 27, 20, "Kxen trapped ATA disk");
    put_features(a, w);
    put_capacity(a, w);
    w[255] = 0xa5;
    memcpy(a->buf, w, sizeof(w));
    for (unsigned int i = 0; i < SECTOR - 1; i++)
        sum += a->buf[i];
    a->buf[SECTOR - 1] = (uint8_t)-sum;

    a->xfer = XFER_IN;
    a->error = 0;
    a->block = a->len = SECTOR;
    a->left = 1;
    a->pos = 0;
    begin_block(a, true);
}

struct ata_cmd {
    void (*fn)(struct ata *a, unsigned int flags);
    unsigned int flags;
};

static const struct ata_cmd commands[256] = {
    [0x10] = {cmd_nothing, 0}, /* RECALIBRATE */
    [0x20] = {cmd_rw, 0},      /* READ SECTORS */
    [0x21] = {cmd_rw, 0},
    [0x24] = {cmd_rw, CMD_EXT},
    [0x27] = {cmd_native_max, CMD_EXT},
    [0x29] = {cmd_rw, CMD_EXT | CMD_MULT},
    [0x30] = {cmd_rw, CMD_WRITE}, /* WRITE SECTORS */
    [0x31] = {cmd_rw, CMD_WRITE},
    [0x34] = {cmd_rw, CMD_WRITE | CMD_EXT},
    [0x39] = {cmd_rw, CMD_WRITE | CMD_EXT | CMD_MULT},
    [0x40] = {cmd_verify, 0},
    [0x41] = {cmd_verify, 0},
    [0x42] = {cmd_verify, CMD_EXT},
    [0x70] = {cmd_nothing, 0}, /* SEEK */
    [0x90] = {cmd_diagnostic, 0},
    [0x91] = {cmd_init_params, 0},
    [0xc4] = {cmd_rw, CMD_MULT},
    [0xc5] = {cmd_rw, CMD_WRITE | CMD_MULT},
    [0xc6] = {cmd_set_multiple, 0},
    [0xe0] = {cmd_nothing, 0}, /* STANDBY IMMEDIATE */
    [0xe1] = {cmd_nothing, 0}, /* IDLE IMMEDIATE */
    [0xe2] = {cmd_nothing, 0}, /* STANDBY */
    [0xe3] = {cmd_nothing, 0}, /* IDLE */
    [0xe5] = {cmd_check_power, 0},
    [0xe7] = {cmd_flush, 0},
    [0xea] = {cmd_flush, 0}, /* FLUSH CACHE EXT */
    [0xec] = {cmd_identify, 0},
    [0xef] = {cmd_set_features, 0},
    [0xf8] = {cmd_native_max, 0},
};

static void command(struct ata *a, uint8_t op)
{
    const struct ata_cmd *cmd = &commands[op];

    set_intrq(a, false);
    if ((a->reg[REG_DEVICE] & DEV_SLAVE) && op != 0x90)
        return; /* nobody there */
    a->xfer = XFER_NONE;
    if (cmd->fn)
        cmd->fn(a, cmd->flags);
    else
        finish(a, ERR_ABRT);
}

/* ---- registers ---- */

static void write_ctl(struct ata *a, uint8_t val)
{
    uint8_t was = a->reg[REG_CTL];

    a->reg[REG_CTL] = val;
    if (val & CTL_SRST) {
        a->xfer = XFER_NONE;
        a->status = ST_BSY;
        a->intrq = false;
    } else if (was & CTL_SRST) {
        put_signature(a);
        a->error = 0x01; /* diagnostics passed */
        a->status = ST_IDLE;
    }
    update_irq(a);
}

static uint8_t read_status(const struct ata *a)
{
    return a->reg[REG_DEVICE] & DEV_SLAVE ? 0 : a->status;
}

static uint8_t read_reg(struct ata *a, unsigned int reg)
{
    switch (reg) {
    case REG_ERROR:
        return a->error;
    case REG_STATUS:
        set_intrq(a, false);
        return read_status(a);
    case REG_CTL:
        return read_status(a);
    case REG_DEVICE:
        return a->reg[REG_DEVICE] | 0xa0;
    default:
        return a->reg[REG_CTL] & CTL_HOB ? a->prev[reg] : a->reg[reg];
    }
}

static void write_reg(struct ata *a, unsigned int reg, uint8_t val)
{
    if (reg == REG_CTL) {
        write_ctl(a, val);
        return;
    }
    a->reg[REG_CTL] &= (uint8_t)~CTL_HOB;
    if (a->status & ST_BSY)
        return;
    if (reg == REG_STATUS) {
        command(a, val);
        return;
    }
    a->prev[reg] = a->reg[reg];
    a->reg[reg] = val;
}

static uint32_t ata_read(struct trapped_dev *dev, unsigned int offset,
                         unsigned int size)
{
    struct ata *a = dev->priv;
    uint32_t val = UINT32_MAX;

    if (offset == REG_DATA)
        data_port(a, XFER_IN, (uint8_t *)&val, size);
    else
        val = read_reg(a, offset);
    return val;
}

static void ata_write(struct trapped_dev *dev, unsigned int offset,
                      unsigned int size, uint32_t val)
{
    struct ata *a = dev->priv;

    if (offset == REG_DATA)
        data_port(a, XFER_OUT, (uint8_t *)&val, size);
    else
        write_reg(a, offset, (uint8_t)val);
}

static bool ata_string(struct trapped_dev *dev, unsigned int offset,
                       unsigned int size, bool write, uint8_t *data,
                       unsigned int len)
{
    (void)size;
    if (offset != REG_DATA)
        return false;
    data_port(dev->priv, write ? XFER_OUT : XFER_IN, data, len);
    return true;
}

/* ---- life ---- */

static void ata_destroy(struct trapped_dev *dev)
{
    struct ata *a = dev->priv;

    close(a->img.fd);
    free(a);
}

static int ata_create(struct trapped_dev *dev, struct kxen_trapped *desc,
                      int fd)
{
    uint16_t base = (uint16_t)desc->base;
    struct ata *a;
    int rc;

    if (desc->base > 0xffff - CTL_OFFSET)
        return -EINVAL;
    rc = trapped_claim_pio(dev, base, REG_CTL, 0);
    if (!rc)
        rc = trapped_claim_pio(dev, (uint16_t)(base + CTL_OFFSET), 1, REG_CTL);
    if (rc)
        return rc;
    a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    rc = io_image_init(&a->img, fd, desc->flags & KXEN_TRAPPED_RDONLY);
    if (rc) {
        free(a);
        return rc;
    }
    a->dev = dev;
    a->sectors = a->img.size / SECTOR;
    a->heads = HEADS;
    a->track = TRACK;
    a->write_cache = true;
    a->status = ST_IDLE;
    a->error = 0x01;
    put_signature(a);
    dev->priv = a;
    /* All but COMMAND and CONTROL have no effect that cannot wait. */
    if (dev->env->coalesce_pio)
        dev->env->coalesce_pio(dev->env->opaque, base, REG_STATUS, true);
    return 0;
}

const struct trapped_ops trapped_ata_ops = {
    .name = "ata",
    .flags = KXEN_TRAPPED_RDONLY,
    .create = ata_create,
    .destroy = ata_destroy,
    .read = ata_read,
    .write = ata_write,
    .string = ata_string,
};
