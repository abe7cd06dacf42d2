/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the trapped devices share: a bus whose guest is an array,
 * whose interrupts are counted, and whose image is a temporary file.
 */
#ifndef TESTS_UNIT_TEST_TRAPPED_H
#define TESTS_UNIT_TEST_TRAPPED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "hv/trapped/trapped.h"
#include "tests/unit/scratch.h"

#define FAKE_MEM     (1u << 20)
#define FAKE_WINDOW  0x100000000ull
#define FAKE_SECTORS 1024u
#define FAKE_PIRQ    14u

struct fake {
    struct trapped_bus *bus;
    uint8_t *mem; /* the guest's, an unmapped page on either side */
    int memfd;
    unsigned int edges;  /* atomic */
    unsigned int logged; /* atomic */
    int doorbell;        /* what ioeventfd was given, or -1 */
    uint64_t doorbell_addr;
    bool refuse_ioeventfd;
    uint16_t coalesced, coalesced_nr;
    int image; /* a second descriptor of the image, for looking at it */
    struct kxen_trapped desc;
};

static inline void fake_raise(void *opaque, unsigned int pirq)
{
    struct fake *f = opaque;

    if (pirq == FAKE_PIRQ)
        __atomic_add_fetch(&f->edges, 1, __ATOMIC_SEQ_CST);
}

static inline int fake_ioeventfd(void *opaque, uint64_t addr, unsigned int size,
                                 uint32_t datamatch, int fd, bool add)
{
    struct fake *f = opaque;

    if (f->refuse_ioeventfd)
        return -ENOSPC;
    (void)size;
    (void)datamatch;
    f->doorbell = add ? fd : -1;
    f->doorbell_addr = addr;
    return 0;
}

static inline int fake_coalesce(void *opaque, uint16_t port, unsigned int nr,
                                bool add)
{
    struct fake *f = opaque;

    (void)add;
    f->coalesced = port;
    f->coalesced_nr = (uint16_t)nr;
    return 0;
}

static inline void fake_log(void *opaque, const char *msg)
{
    struct fake *f = opaque;

    (void)msg;
    __atomic_add_fetch(&f->logged, 1, __ATOMIC_SEQ_CST);
}

/* Edges since the last call. */
static inline unsigned int fake_edges(struct fake *f)
{
    return __atomic_exchange_n(&f->edges, 0, __ATOMIC_SEQ_CST);
}

/* Until *cond_expr is true, or five seconds have gone. */
#define wait_until(cond_expr)                                                  \
    do {                                                                       \
        bool came_ = false;                                                    \
        for (int tries_ = 0; !came_ && tries_ < 50000; tries_++) {             \
            came_ = (cond_expr);                                               \
            if (!came_)                                                        \
                usleep(100);                                                   \
        }                                                                      \
        assert_true(came_);                                                    \
    } while (0)

#define FAKE_PAGE 4096u

static inline void fake_map(struct fake *f)
{
    uint8_t *va = mmap(NULL, FAKE_MEM + 2 * FAKE_PAGE, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(va, MAP_FAILED);
    f->mem = va + FAKE_PAGE;
    f->memfd = memfd_create("fake", MFD_CLOEXEC);
    assert_true(f->memfd >= 0);
    assert_int_equal(ftruncate(f->memfd, FAKE_MEM), 0);
    assert_ptr_equal(mmap(f->mem, FAKE_MEM, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_FIXED, f->memfd, 0),
                     f->mem);
}

static inline struct fake *fake_new(void)
{
    struct fake *f = calloc(1, sizeof(*f));
    struct trapped_env env = {
        .mem_size = FAKE_MEM,
        .mmio_base = FAKE_WINDOW,
        .raise_pirq = fake_raise,
        .ioeventfd = fake_ioeventfd,
        .coalesce_pio = fake_coalesce,
        .log = fake_log,
        .opaque = f,
    };

    assert_non_null(f);
    fake_map(f);
    f->doorbell = f->image = -1;
    env.guest_mem = f->mem;
    f->bus = trapped_bus_create(&env);
    assert_non_null(f->bus);
    return f;
}

static inline void fake_free(struct fake *f)
{
    trapped_bus_stop(f->bus);
    trapped_bus_destroy(f->bus);
    if (f->image >= 0)
        close(f->image);
    munmap(f->mem - FAKE_PAGE, FAKE_MEM + 2 * FAKE_PAGE);
    close(f->memfd);
    free(f);
}

/* Byte i of sector n of a fresh image. */
static inline uint8_t image_byte(uint64_t sector, unsigned int i)
{
    return (uint8_t)(sector * 7 + i * 13 + (sector >> 8));
}

/* Adds a disk over a fresh image of FAKE_SECTORS sectors. */
static inline void fake_add_disk(struct fake *f, uint32_t kind, uint32_t flags,
                                 uint64_t base)
{
    char name[64];
    uint8_t sector[512];

    f->image = mkstemp(scratch_name(name, sizeof(name)));
    assert_true(f->image >= 0);
    unlink(name);
    for (uint64_t n = 0; n < FAKE_SECTORS; n++) {
        for (unsigned int i = 0; i < 512; i++)
            sector[i] = image_byte(n, i);
        assert_int_equal(write(f->image, sector, 512), 512);
    }
    f->desc = (struct kxen_trapped){
        .kind = kind, .flags = flags, .base = base, .pirq = FAKE_PIRQ};
    assert_int_equal(trapped_bus_add(f->bus, &f->desc, dup(f->image)), 0);
}

static inline void expect_sector(const uint8_t *data, uint64_t sector)
{
    for (unsigned int i = 0; i < 512; i++)
        assert_int_equal(data[i], image_byte(sector, i));
}

/* What stands in the image now. */
static inline void image_read(struct fake *f, uint64_t sector, uint8_t *buf)
{
    assert_int_equal(pread(f->image, buf, 512, (off_t)sector * 512), 512);
}

static inline uint8_t fake_inb(struct fake *f, uint16_t port)
{
    uint8_t v = 0;

    assert_true(trapped_pio(f->bus, port, 1, false, &v, 1));
    return v;
}

static inline void fake_outb(struct fake *f, uint16_t port, uint8_t v)
{
    assert_true(trapped_pio(f->bus, port, 1, true, &v, 1));
}

#endif
