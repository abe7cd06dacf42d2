/* SPDX-License-Identifier: MIT */
/* physdev_op: port permission and IRQs of trapped devices. xen/physdev.h. */
#include <errno.h>
#include <stdint.h>
#include <xen/physdev.h>
#include "hv/domain.h"
#include "hv/event_channel.h"
#include "hv/hypercall.h"
#include "hv/vcpu.h"

static long physdev_set_iopl(struct caller *c, void *arg)
{
    const struct physdev_set_iopl *op = arg;

    if (op->iopl > 3)
        return -EINVAL;
    c->v->iopl = op->iopl;
    return 0;
}

static long physdev_set_iobitmap(struct caller *c, void *arg)
{
    const struct physdev_set_iobitmap *op = arg;

    (void)c;
    return op->nr_ports > 65536 ? -EINVAL : 0;
}

/* Trapped IRQs are edges: there is nothing to end. */
static long physdev_eoi(struct caller *c, void *arg)
{
    const struct physdev_eoi *op = arg;

    return evtchn_pirq_is_bound(c->d, op->irq) ? 0 : -EINVAL;
}

static long physdev_irq_status(struct caller *c, void *arg)
{
    struct physdev_irq_status_query *op = arg;

    (void)c;
    op->flags = 0;
    return 0;
}

static const struct subop_desc physdev_ops[] = {
    [PHYSDEVOP_eoi] = {"eoi", sizeof(struct physdev_eoi), 0, physdev_eoi},
    [PHYSDEVOP_irq_status_query] = {"irq_status_query",
                                    sizeof(struct physdev_irq_status_query),
                                    SUBOP_COPYBACK, physdev_irq_status},
    [PHYSDEVOP_set_iopl] = {"set_iopl", sizeof(struct physdev_set_iopl),
                            SUBOP_GUEST, physdev_set_iopl},
    [PHYSDEVOP_set_iobitmap] = {"set_iobitmap",
                                sizeof(struct physdev_set_iobitmap),
                                SUBOP_GUEST, physdev_set_iobitmap},
};

long do_physdev_op(struct caller *c, const uint64_t args[6])
{
    return subop_dispatch(c, physdev_ops,
                          sizeof(physdev_ops) / sizeof(physdev_ops[0]), args[0],
                          (guest_addr_t){args[1]});
}
