/* SPDX-License-Identifier: MIT */
/*
 * The guest's drivers for trapped devices, compiled as they are, drive the
 * device models without a VM between them: each port and register access is a
 * call. What the drivers write and read must be what stands in the image, by
 * events and polled, one request or many at a time; the accesses (exits, on
 * KVM) that a request costs are counted and must not grow.
 */
#include "tests/unit/test_trapped.h"

#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "frontends/include/blkdev.h"
#include "frontends/include/console.h"

/* ---- in the place of the guest's kernel --------------------------------- */

#define FRONTENDS_KERNEL_H
#define FRONTENDS_TRAPPED_TRAPPED_H
#define PAGE_SIZE        4096ul
#define PAGE_SHIFT       12
#define PAGE_MASK        (~(PAGE_SIZE - 1))
#define NSEC_PER_SEC     1000000000ull
#define xen_mb()         __sync_synchronize()
#define READ_ONCE(x)     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define DRIVER(id, fn)   static void (*const driver_##id)(void) = fn
#define wait_event(cond)                                                       \
    do {                                                                       \
        while (!(cond))                                                        \
            sched_yield();                                                     \
    } while (0)

struct trapped_irq {
    bool fired;
};

static struct {
    struct fake *f;
    uint8_t *view; /* memory as the guest maps it */
    char cmdline[128];
    size_t next_page;
    struct trapped_irq *irq;
    unsigned int exits;
    struct console *con;
} guest;

static const char *cmdline(void)
{
    return guest.cmdline;
}

static void cpu_relax(void)
{
    sched_yield();
}

/*
 * The guest's pages lie in another order than the machine's: what is
 * contiguous for the one is not for the other, but for every fourth pair.
 */
static uint64_t pfn_to_machine_pfn(uint64_t pfn)
{
    return pfn % 8 < 2 ? pfn : pfn ^ 1;
}

static void start_guest(void)
{
    uint64_t pfn, pages = FAKE_MEM / PAGE_SIZE;

    memset(&guest, 0, sizeof(guest));
    guest.f = fake_new();
    guest.next_page = 1;
    guest.view =
        mmap(NULL, FAKE_MEM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(guest.view, MAP_FAILED);
    for (pfn = 0; pfn < pages; pfn++)
        mmap(guest.view + pfn * PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED, guest.f->memfd,
             (off_t)(pfn_to_machine_pfn(pfn) * PAGE_SIZE));
}

static void stop_guest(void)
{
    fake_free(guest.f);
    munmap(guest.view, FAKE_MEM);
}

static void *page_alloc(size_t npages)
{
    void *va = guest.view + guest.next_page * PAGE_SIZE;

    guest.next_page += npages;
    assert_true(guest.next_page * PAGE_SIZE <= FAKE_MEM);
    return va;
}

static void page_free(void *va, size_t npages)
{
    (void)va;
    (void)npages;
}

static void *heap_alloc(size_t size)
{
    assert_true(size <= PAGE_SIZE);
    return page_alloc(1);
}

static uint64_t virt_to_machine(const void *va)
{
    uint64_t at = (uint64_t)((const uint8_t *)va - guest.view);

    return pfn_to_machine_pfn(at >> PAGE_SHIFT) << PAGE_SHIFT |
           (at & ~PAGE_MASK);
}

/* The window is not memory: registers are recognised by their address. */
static void *map_machine(uint64_t machine, size_t len, bool uncached)
{
    (void)len;
    (void)uncached;
    return (void *)(uintptr_t)machine;
}

static uint64_t time_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void delay_ns(uint64_t ns)
{
    (void)ns;
}

static int port_io_enable(void)
{
    return 0;
}

static int trapped_irq_bind(struct trapped_irq *irq, unsigned int pirq)
{
    (void)pirq;
    guest.irq = irq;
    return 0;
}

static bool trapped_irq_take(struct trapped_irq *irq)
{
    /* The interrupts that the fake has counted become one event. */
    if (fake_edges(guest.f))
        irq->fired = true;
    if (!irq->fired)
        return false;
    irq->fired = false;
    return true;
}

static void access_port(uint16_t port, unsigned int size, bool write, void *buf,
                        size_t count)
{
    size_t at, part = write ? 1 : 1024 / size;

    /* KVM takes 1024 bytes of an ins at a time, and one item of an outs. */
    for (at = 0; at < count; at += part) {
        if (part > count - at)
            part = count - at;
        guest.exits++;
        assert_true(trapped_pio(guest.f->bus, port, size, write,
                                (char *)buf + at * size, (unsigned int)part));
    }
    if (guest.irq && __atomic_load_n(&guest.f->edges, __ATOMIC_SEQ_CST))
        guest.irq->fired = true;
}

static void outb(uint16_t port, uint8_t v)
{
    access_port(port, 1, true, &v, 1);
}

static uint8_t inb(uint16_t port)
{
    uint8_t v = 0;

    access_port(port, 1, false, &v, 1);
    return v;
}

static void insb(uint16_t port, void *buf, size_t n)
{
    access_port(port, 1, false, buf, n);
}

static void insw(uint16_t port, void *buf, size_t n)
{
    access_port(port, 2, false, buf, n);
}

static void insl(uint16_t port, void *buf, size_t n)
{
    access_port(port, 4, false, buf, n);
}

static void outsb(uint16_t port, const void *buf, size_t n)
{
    access_port(port, 1, true, (void *)(uintptr_t)buf, n);
}

static void outsl(uint16_t port, const void *buf, size_t n)
{
    access_port(port, 4, true, (void *)(uintptr_t)buf, n);
}

static uint32_t mmio_read32(const volatile void *reg)
{
    uint32_t v = 0;

    guest.exits++;
    assert_true(
        trapped_mmio(guest.f->bus, (uint64_t)(uintptr_t)reg, 4, false, &v));
    return v;
}

static void mmio_write32(volatile void *reg, uint32_t v)
{
    uint64_t addr = (uint64_t)(uintptr_t)reg;

    if (guest.f->doorbell >= 0 && addr == guest.f->doorbell_addr) {
        eventfd_write(guest.f->doorbell, 1);
        return;
    }
    guest.exits++;
    assert_true(trapped_mmio(guest.f->bus, addr, 4, true, &v));
}

void console_register(struct console *con)
{
    guest.con = con;
}

/* ---- the drivers, whole ---------------------------------------------------
 */

/* parse_u64 is also the name of a function in backends/. */
#include "frontends/parse.c"
#include "frontends/blkdev.c"

#include "frontends/trapped/ata.c"
#undef BASE
#undef PIRQ

#define setup       vblk_setup
#define put_address vblk_put_address
#include "frontends/trapped/virtio_blk.c"
#undef setup
#undef put_address

#include "frontends/trapped/uart.c"

/* ---- the tests ------------------------------------------------------------
 */

static struct blkdev *start_disk(uint32_t kind, uint32_t flags, bool polled)
{
    struct blkdev *d;

    start_guest();
    disks = NULL;
    fake_add_disk(guest.f, kind, flags, kind == KXEN_TRAPPED_ATA ? 0x1f0 : 0);
    snprintf(guest.cmdline, sizeof(guest.cmdline),
             kind == KXEN_TRAPPED_ATA ? "trapped_ata=1"
                                      : "virtio_mmio.device=0x200@0x%llx:14",
             (unsigned long long)guest.f->desc.base);
    driver_trapped_ata();
    driver_trapped_virtio();
    d = blkdev_first();
    assert_non_null(d);
    assert_int_equal(d->sectors, FAKE_SECTORS);
    assert_int_equal(blkdev_set_polled(d, polled), 0);
    return d;
}

static void stop_disk(void)
{
    blkdev_close_all();
    stop_guest();
}

#define BATCH     4u
#define BUF_PAGES 33u

/* Random requests, several at a time, against a copy of the disk. */
static void exercise(struct blkdev *d)
{
    static uint8_t model[FAKE_SECTORS * 512];
    struct blkreq reqs[BATCH] = {0};
    unsigned int i, n = d->queue_depth < BATCH ? d->queue_depth : BATCH;
    uint32_t area = FAKE_SECTORS / n;
    uint8_t *bufs = page_alloc(n * BUF_PAGES);

    assert_int_equal(pread(guest.f->image, model, sizeof(model), 0),
                     sizeof(model));
    srand(4);
    for (unsigned int round = 0; round < 300; round++) {
        for (i = 0; i < n; i++) {
            struct blkreq *r = &reqs[i];
            uint32_t skew = (uint32_t)rand() % 8;

            /* Each has its own part of the disk, so that order is no matter. */
            r->op = (enum blk_op)(rand() % 2);
            r->count = 1 + (uint32_t)rand() % 256;
            r->sector = area * i + (uint32_t)rand() % (area - r->count + 1);
            r->buf = bufs + i * BUF_PAGES * PAGE_SIZE + skew * 512;
            if (r->op == BLK_WRITE) {
                memset(r->buf, rand(), r->count * 512);
                memcpy(model + r->sector * 512, r->buf, r->count * 512);
            }
            assert_int_equal(blkdev_submit(d, r), 0);
        }
        blkdev_drain(d);
        for (i = 0; i < n; i++) {
            struct blkreq *r = &reqs[i];

            assert_int_equal(r->status, 0);
            assert_memory_equal(r->buf, model + r->sector * 512,
                                r->count * 512);
        }
    }
    reqs[0] = (struct blkreq){.op = BLK_FLUSH};
    assert_int_equal(blkdev_do(d, &reqs[0]), 0);
    for (i = 0; i < FAKE_SECTORS; i++) {
        uint8_t sector[512];

        image_read(guest.f, i, sector);
        assert_memory_equal(sector, model + i * 512, 512);
    }
}

static void test_disks(void **state)
{
    (void)state;
    for (int polled = 0; polled < 2; polled++) {
        exercise(start_disk(KXEN_TRAPPED_ATA, 0, polled));
        stop_disk();
        exercise(start_disk(KXEN_TRAPPED_VIRTIO, 0, polled));
        stop_disk();
        exercise(
            start_disk(KXEN_TRAPPED_VIRTIO, KXEN_TRAPPED_IOEVENTFD, polled));
        stop_disk();
    }
}

static unsigned int cost(struct blkdev *d, enum blk_op op)
{
    struct blkreq r = {.op = op, .sector = 8, .count = 8, .buf = page_alloc(1)};
    unsigned int before;

    assert_int_equal(blkdev_do(d, &r), 0); /* what is done once */
    before = guest.exits;
    assert_int_equal(blkdev_do(d, &r), 0);
    return guest.exits - before;
}

/* 4 KiB: exits to user space as KVM would make them. */
static void test_exits_per_request(void **state)
{
    struct blkdev *d;

    (void)state;
    d = start_disk(KXEN_TRAPPED_ATA, 0, false);
    /* count, three of the address, command; status; four of data */
    assert_int_equal(cost(d, BLK_READ), 10);
    /* without coalescing; with it 3: command, status, status */
    assert_int_equal(cost(d, BLK_WRITE), 5 + 1 + 1024 + 1);
    stop_disk();
    d = start_disk(KXEN_TRAPPED_VIRTIO, 0, false);
    assert_int_equal(cost(d, BLK_READ), 1);
    assert_int_equal(cost(d, BLK_WRITE), 1);
    assert_int_equal(guest.f->edges, 0); /* found without being told */
    stop_disk();
    d = start_disk(KXEN_TRAPPED_VIRTIO, KXEN_TRAPPED_IOEVENTFD, false);
    assert_int_equal(cost(d, BLK_READ), 0);
    stop_disk();
}

static void test_errors(void **state)
{
    struct blkreq r = {.op = BLK_WRITE, .count = 1};
    struct blkdev *d;

    (void)state;
    d = start_disk(KXEN_TRAPPED_ATA, KXEN_TRAPPED_RDONLY, false);
    r.buf = page_alloc(1);
    assert_int_equal(blkdev_do(d, &r), -EROFS);
    assert_int_equal(ftruncate(guest.f->image, 0), 0);
    r.op = BLK_READ;
    assert_int_equal(blkdev_do(d, &r), -EIO);
    stop_disk();
    d = start_disk(KXEN_TRAPPED_VIRTIO, KXEN_TRAPPED_RDONLY, false);
    assert_true(d->read_only);
    r.buf = page_alloc(1);
    assert_int_equal(ftruncate(guest.f->image, 0), 0);
    assert_int_equal(blkdev_do(d, &r), -EIO);
    stop_disk();
}

/* The device gives up: requests fail, nobody waits for ever. */
static void test_device_in_distress(void **state)
{
    struct blkdev *d = start_disk(KXEN_TRAPPED_VIRTIO, 0, false);
    struct blkreq r = {.op = BLK_READ, .count = 1, .buf = page_alloc(1)};

    (void)state;
    assert_int_equal(blkdev_do(d, &r), 0);
    assert_int_equal(blkdev_submit(d, &r), 0);
    vblk(d)->desc[vblk(d)->avail->ring[1]].len = 3;
    blkdev_kick(d);
    while (r.status == BLK_PENDING)
        blkdev_poll(d);
    assert_int_equal(r.status, -EIO);
    assert_int_equal(blkdev_submit(d, &r), -EIO);
    stop_disk();
}

static void test_no_device(void **state)
{
    (void)state;
    memset(&guest, 0, sizeof(guest));
    disks = NULL;
    driver_trapped_ata();
    driver_trapped_virtio();
    driver_trapped_uart();
    assert_null(blkdev_first());
    assert_null(guest.con);
}

static void test_console(void **state)
{
    struct kxen_trapped desc = {
        .kind = KXEN_TRAPPED_UART, .base = 0x3f8, .pirq = FAKE_PIRQ};
    char text[64], in[300], buf[300];
    size_t got = 0;
    int sv[2];

    (void)state;
    start_guest();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    assert_int_equal(trapped_bus_add(guest.f->bus, &desc, sv[1]), 0);
    strcpy(guest.cmdline, "trapped_uart=1");
    driver_trapped_uart();
    assert_non_null(guest.con);

    guest.exits = 0;
    memset(text, 'x', sizeof(text));
    assert_int_equal(guest.con->ops->write(guest.con, text, 64), 64);
    assert_int_equal(guest.exits, 64 + 4);
    assert_int_equal(read(sv[0], buf, sizeof(buf)), 64);
    assert_true(guest.con->ops->drained(guest.con));

    assert_false(guest.con->ops->readable(guest.con));
    for (unsigned int i = 0; i < sizeof(in); i++)
        in[i] = (char)i;
    assert_int_equal(write(sv[0], in, sizeof(in)), sizeof(in));
    while (got < sizeof(in)) {
        wait_until(guest.con->ops->readable(guest.con));
        got += (size_t)guest.con->ops->read(guest.con, buf + got,
                                            sizeof(buf) - got);
    }
    assert_memory_equal(in, buf, sizeof(in));
    stop_guest();
    close(sv[0]);
}

/* Nobody reads: the driver waits for the transmit interrupt, loses nothing. */
static void test_console_full(void **state)
{
    struct kxen_trapped desc = {
        .kind = KXEN_TRAPPED_UART, .base = 0x3f8, .pirq = FAKE_PIRQ};
    size_t sent = 0, got = 0;
    char buf[4096];
    int sv[2], n;

    (void)state;
    start_guest();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    assert_int_equal(trapped_bus_add(guest.f->bus, &desc, sv[1]), 0);
    strcpy(guest.cmdline, "trapped_uart=1");
    driver_trapped_uart();
    memset(buf, 'y', sizeof(buf));
    while ((n = guest.con->ops->write(guest.con, buf, 16)) > 0)
        sent += (size_t)n;
    assert_false(guest.con->ops->writable(guest.con));
    while (got < sent) {
        ssize_t part = recv(sv[0], buf, sizeof(buf), 0);

        assert_true(part > 0);
        got += (size_t)part;
    }
    wait_until(guest.con->ops->writable(guest.con));
    assert_int_equal(got, sent);
    assert_int_equal(write(sv[0], "in", 2), 2); /* input still interrupts */
    wait_until(guest.con->ops->readable(guest.con));
    stop_guest();
    close(sv[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disks),
        cmocka_unit_test(test_exits_per_request),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_device_in_distress),
        cmocka_unit_test(test_no_device),
        cmocka_unit_test(test_console),
        cmocka_unit_test(test_console_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
