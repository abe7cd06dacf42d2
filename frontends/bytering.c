/* SPDX-License-Identifier: MIT */
#include "frontends/include/lib.h"

int bytering_put(char *ring, uint32_t size, const uint32_t *cons,
                 uint32_t *prod, const void *src, uint32_t len)
{
    uint32_t p = *prod, used, at, first;

    /* Pairs with the peer's release of cons: the bytes are read out. */
    used = p - __atomic_load_n(cons, __ATOMIC_ACQUIRE);
    if (used > size)
        return -EPROTO;
    len = MIN(len, size - used);
    at = p & (size - 1);
    first = MIN(len, size - at);
    memcpy(ring + at, src, first);
    memcpy(ring, (const char *)src + first, len - first);
    __atomic_store_n(prod, p + len, __ATOMIC_RELEASE);
    return (int)len;
}

int bytering_get(const char *ring, uint32_t size, uint32_t *cons,
                 const uint32_t *prod, void *dst, uint32_t len)
{
    uint32_t c = *cons, avail, at, first;

    /* Pairs with the peer's release of prod: the bytes are there. */
    avail = __atomic_load_n(prod, __ATOMIC_ACQUIRE) - c;
    if (avail > size)
        return -EPROTO;
    len = MIN(len, avail);
    at = c & (size - 1);
    first = MIN(len, size - at);
    memcpy(dst, ring + at, first);
    memcpy((char *)dst + first, ring, len - first);
    __atomic_store_n(cons, c + len, __ATOMIC_RELEASE);
    return (int)len;
}
