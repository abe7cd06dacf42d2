/* SPDX-License-Identifier: MIT */
#include "frontends/trapped/trapped.h"
#include "frontends/include/hypercall.h"

static void irq_handler(evtchn_port_t port, void *arg)
{
    struct trapped_irq *irq = arg;

    (void)port;
    WRITE_ONCE(irq->fired, true);
}

int trapped_irq_bind(struct trapped_irq *irq, unsigned int pirq)
{
    struct physdev_irq_status_query query = {.irq = pirq};
    int rc;

    irq->pirq = pirq;
    rc = evtchn_bind_pirq(pirq, irq_handler, irq);
    if (rc < 0)
        return rc;
    irq->port = (evtchn_port_t)rc;
    irq->needs_eoi = PHYSDEV_OP(irq_status_query, &query) ||
                     (query.flags & XENIRQSTAT_needs_eoi);
    return 0;
}

bool trapped_irq_take(struct trapped_irq *irq)
{
    if (!READ_ONCE(irq->fired))
        return false;
    /* Before the device is looked at: what comes later fires again. */
    __atomic_store_n(&irq->fired, false, __ATOMIC_SEQ_CST);
    if (irq->needs_eoi)
        pirq_eoi(irq->pirq);
    return true;
}
