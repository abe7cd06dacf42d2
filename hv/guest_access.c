/* SPDX-License-Identifier: MIT */
#include "hv/guest_access.h"

#include <errno.h>
#include <string.h>
#include "hv/domain.h"
#include "hv/privcmd.h"
#include "hv/pv/pv.h"
#include "hv/vcpu.h"

bool guest_va_ok(uint64_t va)
{
    unsigned int slot = (va >> 39) & 511;

    return (int64_t)(va << 16) >> 16 == (int64_t)va &&
           !(slot >= XEN_FIRST_SLOT && slot < XEN_FIRST_SLOT + XEN_NR_SLOTS);
}

static int copy_guest(struct vcpu *v, void *buf, uint64_t va, size_t len,
                      bool write)
{
    uint8_t *p = buf;

    while (len) {
        size_t n = FRAME_SIZE - va % FRAME_SIZE;
        uint64_t maddr;

        if (n > len)
            n = len;
        if (!guest_va_ok(va) || pv_walk(v, v->cr3, va, write, &maddr))
            return -EFAULT;
        if (write)
            memcpy(v->d->mem + maddr, p, n);
        else
            memcpy(p, v->d->mem + maddr, n);
        p += n;
        va += n;
        len -= n;
    }
    return 0;
}

int copy_from_guest(const struct caller *c, void *dst, guest_addr_t src,
                    size_t len)
{
    if (c->v)
        return copy_guest(c->v, dst, src.addr, len, false);
    return privcmd_copy(c->conn, dst, src.addr, len, false);
}

int copy_to_guest(const struct caller *c, guest_addr_t dst, const void *src,
                  size_t len)
{
    if (c->v)
        return copy_guest(c->v, (void *)src, dst.addr, len, true);
    return privcmd_copy(c->conn, (void *)src, dst.addr, len, true);
}
