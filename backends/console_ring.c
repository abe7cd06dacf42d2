/* SPDX-License-Identifier: MIT */
#include "backends/ring.h"
#include "backends/console_ring.h"

int console_ring_read(struct xencons_interface *intf, char *buf, size_t size)
{
    XENCONS_RING_IDX prod = ring_load(&intf->out_prod);
    XENCONS_RING_IDX cons = ring_load(&intf->out_cons);
    XENCONS_RING_IDX i, n = prod - cons;

    if (n > sizeof(intf->out))
        return -1;
    if (n > size)
        n = (XENCONS_RING_IDX)size;
    for (i = 0; i < n; i++)
        buf[i] = intf->out[MASK_XENCONS_IDX(cons + i, intf->out)];
    /* The bytes were read before the guest may overwrite them: pairs with
     * its barrier between reading out_cons and writing. */
    ring_store(&intf->out_cons, cons + n);
    return (int)n;
}

int console_ring_write(struct xencons_interface *intf, const char *buf,
                       size_t size)
{
    XENCONS_RING_IDX cons = ring_load(&intf->in_cons);
    XENCONS_RING_IDX prod = ring_load(&intf->in_prod);
    XENCONS_RING_IDX i, room, used = prod - cons;

    if (used > sizeof(intf->in))
        return -1;
    room = (XENCONS_RING_IDX)sizeof(intf->in) - used;
    if (size > room)
        size = room;
    for (i = 0; i < size; i++)
        intf->in[MASK_XENCONS_IDX(prod + i, intf->in)] = buf[i];
    ring_store(&intf->in_prod, prod + (XENCONS_RING_IDX)size);
    return (int)size;
}
