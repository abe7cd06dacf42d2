/* SPDX-License-Identifier: MIT */
/* Port I/O from ring 3, which a PV guest must ask for. */
#include "frontends/include/kernel.h"
#include "frontends/include/hypercall.h"

int port_io_enable(void)
{
    struct physdev_set_iopl op = {.iopl = 1};

    return (int)PHYSDEV_OP(set_iopl, &op);
}
