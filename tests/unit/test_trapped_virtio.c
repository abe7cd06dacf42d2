/* SPDX-License-Identifier: MIT */
/*
 * The trapped virtio-mmio disk, served inline and by its worker: negotiation,
 * every request type, many requests at once, interrupts only where they are
 * wanted, a reset in the midst of I/O.  A hostile driver (chains in circles,
 * buffers outside memory, runaway indices, requests without header or status,
 * sectors beyond the end) gets an error or a device that waits for its reset,
 * and never a byte of the image or of foreign memory changed.
 */
#include "tests/unit/test_trapped.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>

#define NUM      64u
#define DESC     0x1000u
#define AVAIL    0x2000u
#define USED     0x3000u
#define HEADERS  0x4000u /* 16 bytes each, then a status byte each */
#define STATUSES 0x5000u
#define DATA     0x10000u /* one page each */
#define BIT(n)   (1ull << (n))

struct drv {
    struct fake *f;
    uint32_t flags;
    uint16_t avail;    /* as published */
    uint16_t seen;     /* of the used ring */
    uint64_t features; /* asked for */
};

static uint32_t reg_read(struct drv *d, unsigned int reg)
{
    uint32_t v = 0;

    assert_true(trapped_mmio(d->f->bus, d->f->desc.base + reg, 4, false, &v));
    return v;
}

static void reg_write(struct drv *d, unsigned int reg, uint32_t v)
{
    assert_true(trapped_mmio(d->f->bus, d->f->desc.base + reg, 4, true, &v));
}

static struct vring_desc *desc(struct drv *d, unsigned int i)
{
    return (struct vring_desc *)(d->f->mem + DESC) + i;
}

static struct vring_avail *avail(struct drv *d)
{
    return (struct vring_avail *)(d->f->mem + AVAIL);
}

static struct vring_used *used(struct drv *d)
{
    return (struct vring_used *)(d->f->mem + USED);
}

static void negotiate(struct drv *d, uint64_t features)
{
    reg_write(d, VIRTIO_MMIO_STATUS, 0);
    assert_int_equal(reg_read(d, VIRTIO_MMIO_STATUS), 0);
    reg_write(d, VIRTIO_MMIO_STATUS, 1);
    reg_write(d, VIRTIO_MMIO_STATUS, 3);
    for (uint32_t i = 0; i < 2; i++) {
        reg_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
        reg_write(d, VIRTIO_MMIO_DRIVER_FEATURES,
                  (uint32_t)(features >> (32 * i)));
    }
    reg_write(d, VIRTIO_MMIO_STATUS, 11);
}

static void start_queue(struct drv *d, uint32_t num, uint64_t desc_addr)
{
    memset(d->f->mem + DESC, 0, DATA - DESC);
    d->avail = d->seen = 0;
    reg_write(d, VIRTIO_MMIO_QUEUE_SEL, 0);
    reg_write(d, VIRTIO_MMIO_QUEUE_NUM, num);
    reg_write(d, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)desc_addr);
    reg_write(d, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(desc_addr >> 32));
    reg_write(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL);
    reg_write(d, VIRTIO_MMIO_QUEUE_USED_LOW, USED);
    reg_write(d, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void start(struct drv *d)
{
    negotiate(d, d->features);
    assert_int_equal(reg_read(d, VIRTIO_MMIO_STATUS), 11);
    start_queue(d, NUM, DESC);
    reg_write(d, VIRTIO_MMIO_STATUS, 15);
    assert_int_equal(reg_read(d, VIRTIO_MMIO_STATUS), 15);
    fake_edges(d->f);
}

static int setup_flags(void **state, uint32_t flags)
{
    struct drv *d = calloc(1, sizeof(*d));

    assert_non_null(d);
    d->f = fake_new();
    d->flags = flags;
    d->features = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_BLK_F_FLUSH);
    fake_add_disk(d->f, KXEN_TRAPPED_VIRTIO, flags, 0);
    assert_int_equal(d->f->desc.base, FAKE_WINDOW);
    start(d);
    *state = d;
    return 0;
}

static int setup_inline(void **state)
{
    return setup_flags(state, 0);
}

static int setup_worker(void **state)
{
    return setup_flags(state, KXEN_TRAPPED_IOEVENTFD);
}

static int setup_ro(void **state)
{
    return setup_flags(state, KXEN_TRAPPED_RDONLY);
}

static int teardown(void **state)
{
    struct drv *d = *state;

    fake_free(d->f);
    free(d);
    return 0;
}

/* Slot i: descriptors 3i..3i+2, its header, status byte and data page. */
static void fill(struct drv *d, unsigned int i, uint32_t type, uint64_t sector,
                 uint32_t len)
{
    struct virtio_blk_outhdr *hdr = (void *)(d->f->mem + HEADERS + 16 * i);
    uint16_t write = type == VIRTIO_BLK_T_OUT ? 0 : VRING_DESC_F_WRITE;
    struct vring_desc *c = desc(d, 3 * i);

    *hdr = (struct virtio_blk_outhdr){.type = type, .sector = sector};
    d->f->mem[STATUSES + i] = 0xee;
    c[0] = (struct vring_desc){HEADERS + 16 * i, 16, VRING_DESC_F_NEXT,
                               (uint16_t)(3 * i + (len ? 1 : 2))};
    c[1] = (struct vring_desc){DATA + 4096 * i, len, VRING_DESC_F_NEXT | write,
                               (uint16_t)(3 * i + 2)};
    c[2] = (struct vring_desc){STATUSES + i, 1, VRING_DESC_F_WRITE, 0};
}

static void post(struct drv *d, uint16_t head)
{
    avail(d)->ring[d->avail++ % NUM] = head;
}

static void kick(struct drv *d)
{
    __atomic_store_n(&avail(d)->idx, d->avail, __ATOMIC_SEQ_CST);
    if (d->f->doorbell >= 0)
        eventfd_write(d->f->doorbell, 1); /* as KVM would */
    else
        reg_write(d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

static uint16_t used_idx(struct drv *d)
{
    return __atomic_load_n(&used(d)->idx, __ATOMIC_ACQUIRE);
}

/* One request to its end: its status byte. */
static uint8_t request(struct drv *d, uint32_t type, uint64_t sector,
                       uint32_t len)
{
    fill(d, 0, type, sector, len);
    post(d, 0);
    kick(d);
    wait_until(used_idx(d) == d->avail);
    assert_int_equal(used(d)->ring[d->seen++ % NUM].id, 0);
    return d->f->mem[STATUSES];
}

static bool broken(struct drv *d)
{
    return reg_read(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* Posts head as it stands; the device must give up, say so, and recover. */
static void expect_broken(struct drv *d, uint16_t head)
{
    unsigned int logged = d->f->logged;
    uint16_t before = used_idx(d);

    post(d, head);
    kick(d);
    wait_until(broken(d));
    assert_int_equal(d->f->logged, logged + 1);
    assert_int_equal(reg_read(d, VIRTIO_MMIO_INTERRUPT_STATUS) & 2, 2);
    kick(d); /* of no avail */
    assert_int_equal(used_idx(d), before);
    start(d);
    assert_int_equal(request(d, VIRTIO_BLK_T_IN, 3, 512), VIRTIO_BLK_S_OK);
    expect_sector(d->f->mem + DATA, 3);
}

static void test_registers(void **state)
{
    struct drv *d = *state;
    uint64_t sectors = 0;

    assert_int_equal(reg_read(d, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
    assert_int_equal(reg_read(d, VIRTIO_MMIO_VERSION), 2);
    assert_int_equal(reg_read(d, VIRTIO_MMIO_DEVICE_ID), 2);
    assert_int_equal(reg_read(d, VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
    assert_true(trapped_mmio(d->f->bus, FAKE_WINDOW + VIRTIO_MMIO_CONFIG, 8,
                             false, &sectors));
    assert_int_equal(sectors, FAKE_SECTORS);
    reg_write(d, VIRTIO_MMIO_QUEUE_SEL, 1);
    assert_int_equal(reg_read(d, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
    assert_false(
        trapped_mmio(d->f->bus, FAKE_WINDOW + 4096, 4, false, &sectors));
    assert_int_equal(d->f->doorbell >= 0,
                     !!(d->flags & KXEN_TRAPPED_IOEVENTFD));
    if (d->f->doorbell >= 0)
        assert_int_equal(d->f->doorbell_addr, FAKE_WINDOW + 0x50);
}

static void test_negotiation(void **state)
{
    struct drv *d = *state;

    negotiate(d, BIT(VIRTIO_BLK_F_FLUSH)); /* legacy */
    assert_int_equal(reg_read(d, VIRTIO_MMIO_STATUS), 3);
    negotiate(d, BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_BLK_F_MQ));
    assert_int_equal(reg_read(d, VIRTIO_MMIO_STATUS), 3);
    negotiate(d, BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC));
    assert_int_equal(reg_read(d, VIRTIO_MMIO_STATUS), 3);
}

static void test_requests(void **state)
{
    struct drv *d = *state;
    uint8_t *data = d->f->mem + DATA, sector[512];

    assert_int_equal(request(d, VIRTIO_BLK_T_IN, 17, 2048), VIRTIO_BLK_S_OK);
    assert_int_equal(used(d)->ring[0].len, 2049);
    for (unsigned int i = 0; i < 4; i++)
        expect_sector(data + 512 * i, 17 + i);
    assert_int_equal(fake_edges(d->f), 1);
    assert_int_equal(reg_read(d, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
    reg_write(d, VIRTIO_MMIO_INTERRUPT_ACK, 1);
    assert_int_equal(reg_read(d, VIRTIO_MMIO_INTERRUPT_STATUS), 0);

    memset(data, 0x3c, 4096);
    assert_int_equal(request(d, VIRTIO_BLK_T_OUT, 40, 1024), VIRTIO_BLK_S_OK);
    image_read(d->f, 41, sector);
    assert_memory_equal(sector, data, 512);
    image_read(d->f, 42, sector);
    expect_sector(sector, 42);
    assert_int_equal(request(d, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(request(d, VIRTIO_BLK_T_GET_ID, 0, 20), VIRTIO_BLK_S_OK);
    assert_string_equal((char *)data, "kxen-trapped-disk");
    assert_int_equal(request(d, 99, 0, 512), VIRTIO_BLK_S_UNSUPP);
}

static void test_bad_ranges(void **state)
{
    struct drv *d = *state;
    uint8_t sector[512];

    memset(d->f->mem + DATA, 0, 4096);
    assert_int_equal(request(d, VIRTIO_BLK_T_IN, FAKE_SECTORS, 512), 1);
    assert_int_equal(request(d, VIRTIO_BLK_T_OUT, FAKE_SECTORS - 1, 1024), 1);
    assert_int_equal(request(d, VIRTIO_BLK_T_OUT, UINT64_MAX, 512), 1);
    assert_int_equal(request(d, VIRTIO_BLK_T_OUT, UINT64_MAX / 512, 512), 1);
    assert_int_equal(request(d, VIRTIO_BLK_T_OUT, 0, 511), 1);
    for (unsigned int i = 0; i < 2; i++) {
        image_read(d->f, i * (FAKE_SECTORS - 1), sector);
        expect_sector(sector, i * (FAKE_SECTORS - 1));
    }
}

/* Header and status need not have descriptors of their own. */
static void test_any_layout(void **state)
{
    struct drv *d = *state;
    uint8_t *m = d->f->mem;

    fill(d, 0, VIRTIO_BLK_T_IN, 8, 512);
    *desc(d, 0) = (struct vring_desc){HEADERS, 5, VRING_DESC_F_NEXT, 1};
    *desc(d, 1) = (struct vring_desc){HEADERS + 5, 11, VRING_DESC_F_NEXT, 2};
    *desc(d, 2) = (struct vring_desc){
        DATA, 100, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 3};
    *desc(d, 3) = (struct vring_desc){DATA + 100, 413, VRING_DESC_F_WRITE, 0};
    m[DATA + 512] = 0xee;
    post(d, 0);
    kick(d);
    wait_until(used_idx(d) == 1);
    expect_sector(m + DATA, 8);
    assert_int_equal(m[DATA + 512], VIRTIO_BLK_S_OK);
}

/* Twenty at once, several rounds: each is answered once, with its data. */
static void many(struct drv *d)
{
    for (unsigned int round = 0; round < 50; round++) {
        bool done[20] = {false};

        for (unsigned int i = 0; i < 20; i++) {
            fill(d, i, VIRTIO_BLK_T_IN, round * 20 + i, 512);
            post(d, (uint16_t)(3 * i));
        }
        kick(d);
        wait_until(used_idx(d) == d->avail);
        for (unsigned int i = 0; i < 20; i++) {
            uint32_t slot = used(d)->ring[d->seen++ % NUM].id / 3;

            assert_true(slot < 20 && !done[slot]);
            done[slot] = true;
            assert_int_equal(d->f->mem[STATUSES + slot], VIRTIO_BLK_S_OK);
            expect_sector(d->f->mem + DATA + 4096 * slot, round * 20 + slot);
        }
    }
}

static void test_many(void **state)
{
    struct drv *d = *state;

    many(d);
    assert_true(fake_edges(d->f) >= 1);
    if (!(d->flags & KXEN_TRAPPED_IOEVENTFD)) {
        many(d); /* one interrupt for the twenty */
        assert_int_equal(fake_edges(d->f), 50);
    }
}

static void test_interrupt_suppression(void **state)
{
    struct drv *d = *state;
    uint16_t *used_event = &avail(d)->ring[NUM];

    avail(d)->flags = VRING_AVAIL_F_NO_INTERRUPT;
    assert_int_equal(request(d, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(fake_edges(d->f), 0);

    d->features |= BIT(VIRTIO_RING_F_EVENT_IDX);
    start(d);
    *used_event = 2; /* after the third */
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(fake_edges(d->f), 0);
        assert_int_equal(request(d, VIRTIO_BLK_T_IN, i, 512), VIRTIO_BLK_S_OK);
    }
    wait_until(fake_edges(d->f) == 1);
    many(d);
    /* Once it rests, the device asks to be notified of the next request. */
    wait_until(__atomic_load_n((uint16_t *)&used(d)->ring[NUM],
                               __ATOMIC_SEQ_CST) == d->avail);
}

static void test_hostile_chains(void **state)
{
    struct drv *d = *state;

    fill(d, 0, VIRTIO_BLK_T_IN, 0, 512); /* in a circle */
    desc(d, 2)->flags |= VRING_DESC_F_NEXT;
    desc(d, 2)->next = 1;
    expect_broken(d, 0);
    fill(d, 0, VIRTIO_BLK_T_IN, 0, 512); /* on itself */
    desc(d, 0)->next = 0;
    expect_broken(d, 0);
    expect_broken(d, NUM); /* head and link beyond the table */
    expect_broken(d, 0xffff);
    fill(d, 0, VIRTIO_BLK_T_IN, 0, 512);
    desc(d, 0)->next = NUM;
    expect_broken(d, 0);
    fill(d, 0, VIRTIO_BLK_T_IN, 0, 512);
    desc(d, 0)->flags |= VRING_DESC_F_INDIRECT;
    expect_broken(d, 0);
    fill(d, 0, VIRTIO_BLK_T_IN, 0, 512); /* to read behind to write */
    desc(d, 2)->flags = 0;
    expect_broken(d, 0);
    fill(d, 0, VIRTIO_BLK_T_OUT, 0, 512); /* no status */
    desc(d, 2)->flags = 0;
    expect_broken(d, 0);
    fill(d, 0, VIRTIO_BLK_T_IN, 0, 512); /* no header */
    desc(d, 0)->len = 15;
    expect_broken(d, 0);
    fill(d, 0, VIRTIO_BLK_T_IN, 0, 512); /* empty status */
    desc(d, 1)->len = desc(d, 2)->len = 0;
    expect_broken(d, 0);
}

static void test_hostile_addresses(void **state)
{
    static const uint64_t addrs[] = {
        FAKE_MEM,   FAKE_MEM - 511,   FAKE_WINDOW,
        UINT64_MAX, UINT64_MAX - 511, 1ull << 63,
    };
    struct drv *d = *state;

    for (unsigned int i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
        fill(d, 0, VIRTIO_BLK_T_IN, 0, 512);
        desc(d, 1)->addr = addrs[i];
        expect_broken(d, 0);
    }
    fill(d, 0, VIRTIO_BLK_T_IN, 0, 512);
    desc(d, 1)->len = UINT32_MAX;
    expect_broken(d, 0);
    fill(d, 0, VIRTIO_BLK_T_IN, 0, 512); /* the last page is still good */
    desc(d, 1)->addr = FAKE_MEM - 512;
    post(d, 0);
    kick(d);
    wait_until(used_idx(d) == d->avail);
    expect_sector(d->f->mem + FAKE_MEM - 512, 0);
}

static void test_runaway_index(void **state)
{
    struct drv *d = *state;

    d->avail += NUM;
    expect_broken(d, 0);
    d->avail -= 5; /* backwards */
    expect_broken(d, 0);
}

static void test_bad_queue(void **state)
{
    static const uint64_t places[] = {DESC + 8, FAKE_MEM - 512, 1ull << 63,
                                      UINT64_MAX - 15};
    static const uint32_t sizes[] = {0, 3, 512, UINT32_MAX};
    struct drv *d = *state;

    for (unsigned int i = 0; i < 4; i++) {
        negotiate(d, d->features);
        start_queue(d, NUM, places[i]);
        assert_true(broken(d));
        assert_int_equal(reg_read(d, VIRTIO_MMIO_QUEUE_READY), 0);
        negotiate(d, d->features);
        start_queue(d, sizes[i], DESC);
        assert_true(broken(d));
        reg_write(d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    }
    start(d);
    assert_int_equal(request(d, VIRTIO_BLK_T_IN, 1, 512), VIRTIO_BLK_S_OK);
}

static void test_reset_under_way(void **state)
{
    struct drv *d = *state;

    for (unsigned int round = 0; round < 200; round++) {
        for (unsigned int i = 0; i < 20; i++) {
            fill(d, i, i % 5 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_FLUSH, i, 4096);
            post(d, (uint16_t)(3 * i));
        }
        kick(d);
        reg_write(d, VIRTIO_MMIO_STATUS, 0);
        /* From here on the memory is the driver's again. */
        memset(d->f->mem, 0x77, FAKE_MEM);
        if (round % 20 == 0)
            usleep(2000);
        for (unsigned int i = DATA; i < DATA + 20 * 4096; i += 64)
            assert_int_equal(d->f->mem[i], 0x77);
        start(d);
    }
    many(d);
}

static void test_read_only(void **state)
{
    struct drv *d = *state;
    uint8_t sector[512];

    reg_write(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    assert_true(reg_read(d, VIRTIO_MMIO_DEVICE_FEATURES) &
                BIT(VIRTIO_BLK_F_RO));
    assert_int_equal(request(d, VIRTIO_BLK_T_OUT, 2, 512), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(d, VIRTIO_BLK_T_FLUSH, 2, 0), VIRTIO_BLK_S_OK);
    image_read(d->f, 2, sector);
    expect_sector(sector, 2);
}

static void test_truncated_image(void **state)
{
    struct drv *d = *state;

    assert_int_equal(ftruncate(d->f->image, 1024), 0);
    assert_int_equal(request(d, VIRTIO_BLK_T_IN, 1, 1024), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(d, VIRTIO_BLK_T_IN, 1, 512), VIRTIO_BLK_S_OK);
}

/* Without an ioeventfd the write exits, and the worker serves it all the same.
 */
static void test_no_ioeventfd(void **state)
{
    struct drv *d = calloc(1, sizeof(*d));

    (void)state;
    assert_non_null(d);
    d->f = fake_new();
    d->f->refuse_ioeventfd = true;
    d->features = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX);
    fake_add_disk(d->f, KXEN_TRAPPED_VIRTIO, KXEN_TRAPPED_IOEVENTFD, 0);
    assert_int_equal(d->f->logged, 1);
    start(d);
    many(d);
    fake_free(d->f);
    free(d);
}

static void test_garbage(void **state)
{
    struct drv *d = *state;
    uint8_t buf[8];

    srand(3);
    for (unsigned int round = 0; round < 300; round++) {
        start(d);
        for (unsigned int i = DESC; i < DATA; i += 4) {
            uint32_t r = (uint32_t)rand();

            if (rand() % 2)
                r &= 0x0003003f;
            memcpy(d->f->mem + i, &r, 4);
        }
        avail(d)->idx = (uint16_t)(rand() % 70);
        reg_write(d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        for (unsigned int i = 0; i < 100; i++) {
            uint64_t v = (uint64_t)rand();

            memcpy(buf, &v, 8);
            trapped_mmio(d->f->bus, FAKE_WINDOW + (uint32_t)rand() % 0x200,
                         1u << (rand() % 4), rand() % 2, buf);
        }
    }
    for (uint64_t n = 0; n < 4; n++) /* some may have been written: read all */
        image_read(d->f, n, d->f->mem);
}

#define BOTH(fn)                                                               \
    {#fn " (inline)", fn, setup_inline, teardown, NULL},                       \
    {                                                                          \
#fn " (worker)", fn, setup_worker, teardown, NULL                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_registers),
        BOTH(test_negotiation),
        BOTH(test_requests),
        BOTH(test_bad_ranges),
        BOTH(test_any_layout),
        BOTH(test_many),
        BOTH(test_interrupt_suppression),
        BOTH(test_hostile_chains),
        BOTH(test_hostile_addresses),
        BOTH(test_runaway_index),
        BOTH(test_bad_queue),
        BOTH(test_reset_under_way),
        BOTH(test_truncated_image),
        BOTH(test_garbage),
        cmocka_unit_test_setup_teardown(test_read_only, setup_ro, teardown),
        cmocka_unit_test(test_no_ioeventfd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
