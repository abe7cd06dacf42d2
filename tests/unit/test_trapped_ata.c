/* SPDX-License-Identifier: MIT */
/*
 * The trapped ATA disk as a driver sees it: IDENTIFY tells the truth, every
 * read and write command moves the right sectors with one interrupt per DRQ
 * block, 28- and 48-bit addresses and both data widths agree, and whatever is
 * out of range, forbidden, surplus or nonsense ends in an error of the
 * device's without touching the image.
 */
#include "tests/unit/test_trapped.h"

#define BASE 0x1f0
#define CTL  0x3f6

#define ST_ERR 0x01
#define ST_DRQ 0x08
#define IDLE   0x50

static int setup_flags(void **state, uint32_t flags)
{
    struct fake *f = fake_new();

    fake_add_disk(f, KXEN_TRAPPED_ATA, flags, BASE);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_flags(state, 0);
}

static int setup_ro(void **state)
{
    return setup_flags(state, KXEN_TRAPPED_RDONLY);
}

static int teardown(void **state)
{
    fake_free(*state);
    return 0;
}

static void command28(struct fake *f, uint8_t op, uint32_t lba, uint8_t count)
{
    fake_outb(f, BASE + 2, count);
    fake_outb(f, BASE + 3, (uint8_t)lba);
    fake_outb(f, BASE + 4, (uint8_t)(lba >> 8));
    fake_outb(f, BASE + 5, (uint8_t)(lba >> 16));
    fake_outb(f, BASE + 6, (uint8_t)(0xe0 | ((lba >> 24) & 0x0f)));
    fake_outb(f, BASE + 7, op);
}

static void command48(struct fake *f, uint8_t op, uint64_t lba, uint16_t count)
{
    fake_outb(f, BASE + 6, 0x40);
    fake_outb(f, BASE + 2, (uint8_t)(count >> 8));
    fake_outb(f, BASE + 3, (uint8_t)(lba >> 24));
    fake_outb(f, BASE + 4, (uint8_t)(lba >> 32));
    fake_outb(f, BASE + 5, (uint8_t)(lba >> 40));
    fake_outb(f, BASE + 2, (uint8_t)count);
    fake_outb(f, BASE + 3, (uint8_t)lba);
    fake_outb(f, BASE + 4, (uint8_t)(lba >> 8));
    fake_outb(f, BASE + 5, (uint8_t)(lba >> 16));
    fake_outb(f, BASE + 7, op);
}

static uint8_t status(struct fake *f)
{
    return fake_inb(f, BASE + 7);
}

static void data(struct fake *f, bool write, unsigned int size, void *buf,
                 unsigned int len)
{
    assert_true(trapped_pio(f->bus, BASE, size, write, buf, len / size));
}

static void expect_error(struct fake *f, uint8_t error)
{
    assert_int_equal(status(f), IDLE | ST_ERR);
    assert_int_equal(fake_inb(f, BASE + 1), error);
    assert_int_equal(fake_edges(f), 1);
}

static void test_identify(void **state)
{
    struct fake *f = *state;
    uint16_t w[256];
    uint8_t sum = 0;

    command28(f, 0xec, 0, 0);
    assert_int_equal(fake_edges(f), 1);
    assert_int_equal(status(f), IDLE | ST_DRQ);
    for (unsigned int i = 0; i < 256; i++) /* one word at a time */
        data(f, false, 2, &w[i], 2);
    assert_int_equal(status(f), IDLE);
    assert_int_equal(w[60] | w[61] << 16, FAKE_SECTORS);
    assert_int_equal(w[100], FAKE_SECTORS);
    assert_int_equal(w[103], 0);
    assert_int_equal(w[47], 0x8080);
    assert_int_equal(w[49] & 0x0300, 0x0200); /* LBA, no DMA */
    assert_int_equal(w[27], 'K' << 8 | 'x');
    for (unsigned int i = 0; i < 512; i++)
        sum += ((uint8_t *)w)[i];
    assert_int_equal(sum, 0);
    assert_int_equal(f->coalesced, BASE);
    assert_int_equal(f->coalesced_nr, 7);
}

static void test_read_sectors(void **state)
{
    struct fake *f = *state;
    uint8_t buf[512];

    command28(f, 0x20, 5, 3);
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(fake_edges(f), 1);
        assert_int_equal(status(f), IDLE | ST_DRQ);
        data(f, false, i % 2 ? 2 : 4, buf, 512);
        expect_sector(buf, 5 + i);
    }
    assert_int_equal(fake_edges(f), 0);
    assert_int_equal(status(f), IDLE);
    data(f, false, 2, buf, 512); /* nothing more to come */
    for (unsigned int i = 0; i < 512; i++)
        assert_int_equal(buf[i], 0xff);
}

/* 256 sectors, then 65536 when they are asked for by 0: beyond the end. */
static void test_zero_counts(void **state)
{
    struct fake *f = *state;
    uint8_t buf[512];

    command28(f, 0x20, 0, 0);
    for (unsigned int i = 0; i < 256; i++) {
        assert_int_equal(status(f), IDLE | ST_DRQ);
        data(f, false, 4, buf, 512);
        expect_sector(buf, i);
    }
    assert_int_equal(status(f), IDLE);
    fake_edges(f);
    command48(f, 0x24, 0, 0);
    expect_error(f, 0x10);
}

static void test_multiple(void **state)
{
    struct fake *f = *state;
    static uint8_t buf[300 * 512], back[512];

    command28(f, 0xc4, 0, 8);
    expect_error(f, 0x04); /* not set up yet */
    command28(f, 0xc6, 0, 3);
    expect_error(f, 0x04); /* no power of two */
    command28(f, 0xc6, 0, 8);
    assert_int_equal(status(f), IDLE);
    assert_int_equal(fake_edges(f), 1);

    command48(f, 0x29, 600, 300);
    for (unsigned int i = 0; i < 300; i += 8) {
        unsigned int n = i + 8 > 300 ? 300 - i : 8;

        assert_int_equal(fake_edges(f), 1);
        assert_int_equal(status(f), IDLE | ST_DRQ);
        data(f, false, 4, buf + i * 512, n * 512);
    }
    assert_int_equal(status(f), IDLE);
    assert_int_equal(fake_edges(f), 0);
    for (unsigned int i = 0; i < 300; i++)
        expect_sector(buf + i * 512, 600 + i);

    command48(f, 0x39, 100, 300);
    for (unsigned int i = 0; i < 300; i += 8) {
        unsigned int n = i + 8 > 300 ? 300 - i : 8;

        assert_int_equal(fake_edges(f), i ? 1 : 0);
        assert_int_equal(status(f), IDLE | ST_DRQ);
        data(f, true, 4, buf + i * 512, n * 512);
    }
    assert_int_equal(fake_edges(f), 1);
    assert_int_equal(status(f), IDLE);
    for (unsigned int i = 0; i < 300; i++) {
        image_read(f, 100 + i, back);
        assert_memory_equal(back, buf + i * 512, 512);
    }
    image_read(f, 400, back);
    expect_sector(back, 400);
}

static void test_write_and_flush(void **state)
{
    struct fake *f = *state;
    uint8_t buf[1024], back[512];

    memset(buf, 0xa5, sizeof(buf));
    command28(f, 0x30, 9, 2);
    assert_int_equal(fake_edges(f), 0);
    for (unsigned int i = 0; i < 512; i += 2)
        data(f, true, 2, buf + i, 2);
    assert_int_equal(fake_edges(f), 1);
    data(f, true, 2, buf + 512, 512);
    assert_int_equal(status(f), IDLE);
    fake_edges(f);
    image_read(f, 10, back);
    assert_memory_equal(back, buf, 512);
    command28(f, 0xe7, 0, 0);
    assert_int_equal(status(f), IDLE);
    assert_int_equal(fake_edges(f), 1);
    fake_outb(f, BASE + 1, 0x82); /* write cache off: writes flush */
    command28(f, 0xef, 0, 0);
    assert_int_equal(status(f), IDLE);
    command28(f, 0x30, 11, 1);
    data(f, true, 4, buf, 512);
    assert_int_equal(status(f), IDLE);
}

/* More data than the command asked for goes nowhere. */
static void test_surplus_data(void **state)
{
    struct fake *f = *state;
    static uint8_t buf[64 * 512];
    uint8_t back[512];

    memset(buf, 0x5a, sizeof(buf));
    command28(f, 0x30, 20, 1);
    data(f, true, 4, buf, sizeof(buf));
    assert_int_equal(status(f), IDLE);
    image_read(f, 20, back);
    assert_memory_equal(back, buf, 512);
    image_read(f, 21, back);
    expect_sector(back, 21);
    data(f, true, 4, buf, sizeof(buf));
    assert_int_equal(status(f), IDLE);
}

static void test_ranges(void **state)
{
    struct fake *f = *state;

    command28(f, 0x20, FAKE_SECTORS, 1);
    expect_error(f, 0x10);
    command28(f, 0x30, FAKE_SECTORS - 1, 2);
    expect_error(f, 0x10);
    command48(f, 0x34, 0xffffffffffffull, 0xffff);
    expect_error(f, 0x10);
    command48(f, 0x42, FAKE_SECTORS - 4, 4);
    assert_int_equal(status(f), IDLE);
    fake_edges(f);
    fake_outb(f, BASE + 6, 0xa0); /* CHS 0/0/0: sectors count from 1 */
    fake_outb(f, BASE + 2, 1);
    fake_outb(f, BASE + 3, 0);
    fake_outb(f, BASE + 7, 0x20);
    expect_error(f, 0x10);
    command28(f, 0x99, 0, 0); /* no such command */
    expect_error(f, 0x04);
}

static void test_chs(void **state)
{
    struct fake *f = *state;
    uint8_t buf[512];

    fake_outb(f, BASE + 2, 1);
    fake_outb(f, BASE + 3, 7); /* sector 7, cylinder 0, head 2 */
    fake_outb(f, BASE + 4, 0);
    fake_outb(f, BASE + 5, 0);
    fake_outb(f, BASE + 6, 0xa2);
    fake_outb(f, BASE + 7, 0x20);
    data(f, false, 2, buf, 512);
    expect_sector(buf, 2 * 63 + 6);
}

static void test_read_only(void **state)
{
    struct fake *f = *state;
    uint8_t buf[512];

    command28(f, 0x30, 1, 1);
    expect_error(f, 0x44);
    memset(buf, 0, sizeof(buf));
    data(f, true, 4, buf, 512);
    image_read(f, 1, buf);
    expect_sector(buf, 1);
    command28(f, 0xe7, 0, 0);
    assert_int_equal(status(f), IDLE);
}

static void test_reset_and_nien(void **state)
{
    struct fake *f = *state;

    command28(f, 0x30, 1, 1);
    fake_outb(f, CTL, 0x04);
    assert_int_equal(status(f), 0x80);
    fake_outb(f, BASE + 7, 0xec); /* ignored while busy */
    fake_outb(f, CTL, 0x02);
    assert_int_equal(status(f), IDLE);
    assert_int_equal(fake_inb(f, BASE + 1), 0x01);
    assert_int_equal(fake_inb(f, BASE + 2), 1);
    assert_int_equal(fake_inb(f, BASE + 3), 1);
    assert_int_equal(fake_inb(f, BASE + 4), 0);
    command28(f, 0xe7, 0, 0);
    assert_int_equal(fake_edges(f), 0); /* nIEN */
    fake_outb(f, CTL, 0);
    assert_int_equal(fake_edges(f), 1);
    assert_int_equal(fake_inb(f, CTL), IDLE); /* does not acknowledge */
    fake_outb(f, CTL, 2);
    fake_outb(f, CTL, 0);
    assert_int_equal(fake_edges(f), 1);
    fake_outb(f, BASE + 6, 0xf0); /* nobody is device 1 */
    assert_int_equal(status(f), 0);
    fake_outb(f, BASE + 7, 0xec);
    assert_int_equal(fake_edges(f), 0);
}

static void test_previous_contents(void **state)
{
    struct fake *f = *state;

    command48(f, 0x27, 0, 0); /* READ NATIVE MAX EXT */
    assert_int_equal(fake_inb(f, BASE + 3), (FAKE_SECTORS - 1) & 0xff);
    assert_int_equal(fake_inb(f, BASE + 4), (FAKE_SECTORS - 1) >> 8);
    fake_outb(f, BASE + 3, 0x11);
    fake_outb(f, BASE + 3, 0x22);
    fake_outb(f, CTL, 0x80);
    assert_int_equal(fake_inb(f, BASE + 3), 0x11);
    fake_outb(f, BASE + 2, 0);
    assert_int_equal(fake_inb(f, BASE + 3), 0x22);
}

/* The image shrinks under the guest: an error, and the device goes on. */
static void test_truncated_image(void **state)
{
    struct fake *f = *state;
    uint8_t buf[512];

    assert_int_equal(ftruncate(f->image, 512), 0);
    command28(f, 0x20, 4, 1);
    expect_error(f, 0x40);
    assert_int_equal(fake_inb(f, BASE + 3), 4);
    assert_int_equal(f->logged, 1);
    command28(f, 0x20, 0, 1);
    data(f, false, 4, buf, 512);
    expect_sector(buf, 0);
}

static void test_garbage(void **state)
{
    struct fake *f = *state;
    static uint8_t buf[4096];

    srand(2);
    for (unsigned int i = 0; i < 100000; i++) {
        uint16_t port = rand() % 9 ? (uint16_t)(BASE + rand() % 8) : CTL;
        unsigned int size = 1u << (rand() % 3);

        buf[0] = (uint8_t)rand();
        if (port == CTL)
            buf[0] &= 0x82;
        assert_true(trapped_pio(f->bus, port, size, rand() % 2, buf,
                                port == BASE ? 1 + rand() % 1024u : 1));
    }
}

static void test_not_an_image(void **state)
{
    struct fake *f = *state;
    struct kxen_trapped d = {.kind = KXEN_TRAPPED_ATA, .base = 0x170};
    int p[2];

    assert_int_equal(pipe(p), 0);
    assert_int_equal(trapped_bus_add(f->bus, &d, p[0]), -ENOTSUP);
    close(p[0]);
    close(p[1]);
    assert_int_equal(trapped_bus_add(f->bus, &d, p[0]), -EBADF);
    d.base = 0xfff0;
    assert_int_equal(trapped_bus_add(f->bus, &d, f->image), -EINVAL);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_identify),
        T(test_read_sectors),
        T(test_zero_counts),
        T(test_multiple),
        T(test_write_and_flush),
        T(test_surplus_data),
        T(test_ranges),
        T(test_chs),
        cmocka_unit_test_setup_teardown(test_read_only, setup_ro, teardown),
        T(test_reset_and_nien),
        T(test_previous_contents),
        T(test_truncated_image),
        T(test_garbage),
        T(test_not_an_image),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
