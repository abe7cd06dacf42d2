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

    if (op->nr_ports > 65536)
        return -EINVAL;
    c->v->io_bitmap = (uintptr_t)op->bitmap.p;
    c->v->io_ports = op->nr_ports;
    return 0;
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

    if (op->irq >= NR_PIRQS)
        return -EINVAL;
    (void)c;
    op->flags = 0;
    return 0;
}

/* For a domain with hardware of its own, which none is. */
static long physdev_denied(struct caller *c, void *arg)
{
    (void)c;
    (void)arg;
    return -EPERM;
}

static long physdev_nothing(struct caller *c, void *arg)
{
    (void)c;
    (void)arg;
    return 0;
}

static long physdev_invalid(struct caller *c, void *arg)
{
    (void)c;
    (void)arg;
    return -EINVAL;
}

#define DENIED(nr, arg) [nr] = {#nr, sizeof(arg), 0, physdev_denied}

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
    [PHYSDEVOP_IRQ_UNMASK_NOTIFY] = {"IRQ_UNMASK_NOTIFY", 0, 0,
                                     physdev_nothing},
    [PHYSDEVOP_pirq_eoi_gmfn_v1] = {"pirq_eoi_gmfn_v1",
                                    sizeof(struct physdev_pirq_eoi_gmfn), 0,
                                    physdev_invalid},
    [PHYSDEVOP_pirq_eoi_gmfn_v2] = {"pirq_eoi_gmfn_v2",
                                    sizeof(struct physdev_pirq_eoi_gmfn), 0,
                                    physdev_invalid},
    [PHYSDEVOP_pci_mmcfg_reserved] = {"pci_mmcfg_reserved", 0, 0,
                                      physdev_denied},
    [PHYSDEVOP_dbgp_op] = {"dbgp_op", 0, 0, physdev_denied},
    DENIED(PHYSDEVOP_apic_read, struct physdev_apic),
    DENIED(PHYSDEVOP_apic_write, struct physdev_apic),
    DENIED(PHYSDEVOP_alloc_irq_vector, struct physdev_irq),
    DENIED(PHYSDEVOP_map_pirq, struct physdev_map_pirq),
    DENIED(PHYSDEVOP_unmap_pirq, struct physdev_unmap_pirq),
    DENIED(PHYSDEVOP_manage_pci_add, struct physdev_manage_pci),
    DENIED(PHYSDEVOP_manage_pci_remove, struct physdev_manage_pci),
    DENIED(PHYSDEVOP_restore_msi, struct physdev_restore_msi),
    DENIED(PHYSDEVOP_manage_pci_add_ext, struct physdev_manage_pci_ext),
    DENIED(PHYSDEVOP_setup_gsi, struct physdev_setup_gsi),
    DENIED(PHYSDEVOP_pci_device_add, struct physdev_pci_device),
    DENIED(PHYSDEVOP_pci_device_remove, struct physdev_pci_device),
    DENIED(PHYSDEVOP_restore_msi_ext, struct physdev_pci_device),
    DENIED(PHYSDEVOP_prepare_msix, struct physdev_pci_device),
    DENIED(PHYSDEVOP_release_msix, struct physdev_pci_device),
};

long do_physdev_op(struct caller *c, const uint64_t args[6])
{
    return subop_dispatch(c, physdev_ops,
                          sizeof(physdev_ops) / sizeof(physdev_ops[0]), args[0],
                          (guest_addr_t){args[1]});
}
