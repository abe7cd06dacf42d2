/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_TRAPPED_TRAPPED_H
#define FRONTENDS_TRAPPED_TRAPPED_H

/* What the drivers of trapped devices share: interrupts and accesses. */
#include "frontends/include/kernel.h"

/* A device's interrupt: an edge that the handler notes for the driver. */
struct trapped_irq {
    unsigned int pirq;
    evtchn_port_t port;
    bool needs_eoi; /* asked once: an EOI is a hypercall with an exit */
    bool fired;
};

/* Binds irq->pirq. 0 or -Exxx. */
int trapped_irq_bind(struct trapped_irq *irq, unsigned int pirq);

/* Whether it fired since the last call. */
bool trapped_irq_take(struct trapped_irq *irq);

/* One plain instruction each, which is easily emulated. */
static inline uint32_t mmio_read32(const volatile void *reg)
{
    uint32_t val;

    __asm__ volatile("movl %1, %0"
                     : "=r"(val)
                     : "m"(*(const volatile uint32_t *)reg)
                     : "memory");
    return val;
}

static inline void mmio_write32(volatile void *reg, uint32_t val)
{
    __asm__ volatile("movl %1, %0"
                     : "=m"(*(volatile uint32_t *)reg)
                     : "r"(val)
                     : "memory");
}

static inline void insb(uint16_t port, void *buf, size_t count)
{
    __asm__ volatile("rep insb"
                     : "+D"(buf), "+c"(count)
                     : "d"(port)
                     : "memory");
}

static inline void outsb(uint16_t port, const void *buf, size_t count)
{
    __asm__ volatile("rep outsb"
                     : "+S"(buf), "+c"(count)
                     : "d"(port)
                     : "memory");
}

static inline void insl(uint16_t port, void *buf, size_t count)
{
    __asm__ volatile("rep insl"
                     : "+D"(buf), "+c"(count)
                     : "d"(port)
                     : "memory");
}

static inline void outsl(uint16_t port, const void *buf, size_t count)
{
    __asm__ volatile("rep outsl"
                     : "+S"(buf), "+c"(count)
                     : "d"(port)
                     : "memory");
}

#endif
