/* SPDX-License-Identifier: MIT */
/*
 * The only way to a caller's memory.  A caller is a vCPU (addresses are guest
 * virtual, walked through its page tables) or a privcmd connection of domain
 * 0 (addresses lie in the connection's arena).  Handlers never see which.
 */
#ifndef HV_GUEST_ACCESS_H
#define HV_GUEST_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

struct domain;
struct vcpu;
struct privcmd_conn;

/* A caller's address: an integer in a struct, so it can't be dereferenced. */
typedef struct {
    uint64_t addr;
} guest_addr_t;

#define GUEST_ADDR(x) ((guest_addr_t){(uint64_t)(uintptr_t)(x)})

/* Who makes a hypercall.  Either v or conn is set, d always. */
struct caller {
    struct domain *d;
    struct vcpu *v;
    struct privcmd_conn *conn;
};

/* Copies len bytes; 0, or -EFAULT with an unknown part of it copied. */
int copy_from_guest(const struct caller *c, void *dst, guest_addr_t src,
                    size_t len);
int copy_to_guest(const struct caller *c, guest_addr_t dst, const void *src,
                  size_t len);

/* A guest's own addresses: not Xen's slots, not the non-canonical hole. */
bool guest_va_ok(uint64_t va);

/* Element i of an array of `size`-byte elements at base. */
static inline guest_addr_t guest_addr_index(guest_addr_t base, uint64_t i,
                                            size_t size)
{
    return (guest_addr_t){base.addr + i * size};
}

#endif
