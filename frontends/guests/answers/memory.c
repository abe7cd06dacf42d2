/* SPDX-License-Identifier: MIT */
/* memory_op. Source: xen/memory.h */
#include "frontends/guests/answers/answers.h"

static long memory_op(unsigned long op, const void *arg)
{
    return hypercall_op(__HYPERVISOR_memory_op, op, (void *)arg);
}

static void pointers(void)
{
    unsigned int op;

    for (op = 0; op <= 30; op++) {
        if (op == XENMEM_maximum_ram_page)
            continue; /* takes no argument */
        answer(memory_op(op, NOWHERE), "memory/op %u at nowhere", op);
        answer(memory_op(op, XENS), "memory/op %u at Xen's", op);
    }
    answer(memory_op(63, NOWHERE), "memory/op 63");
}

static void amounts(void)
{
    static const struct {
        const char *name;
        domid_t dom;
    } doms[] = {
        {"ours", DOMID_SELF},
        {"domain 0's", 0},
        {"none's", NO_DOMAIN},
        {"a bad number's", BAD_DOMAIN},
    };
    unsigned long pages = start_info()->nr_pages;
    size_t i;
    long rc;

    for (i = 0; i < ARRAY_SIZE(doms); i++) {
        rc = memory_op(XENMEM_current_reservation, &doms[i].dom);
        answer(rc == (long)pages ? 1 : rc, "memory/current_reservation, %s",
               doms[i].name);
        rc = memory_op(XENMEM_maximum_reservation, &doms[i].dom);
        answer(rc >= (long)pages ? 1 : rc, "memory/maximum_reservation, %s",
               doms[i].name);
        rc = memory_op(XENMEM_maximum_gpfn, &doms[i].dom);
        answer(rc >= (long)pages - 1 ? 1 : rc, "memory/maximum_gpfn, %s",
               doms[i].name);
    }
    answer_yes(memory_op(XENMEM_maximum_ram_page, NULL) >= (long)pages,
               "memory/maximum_ram_page");
}

static struct xen_memory_reservation want(xen_pfn_t *list, unsigned long n,
                                          unsigned int order, domid_t dom)
{
    struct xen_memory_reservation r = {
        .nr_extents = n, .extent_order = order, .domid = dom};

    set_xen_guest_handle(r.extent_start, list);
    return r;
}

static void reserve(const char *name, unsigned long op, xen_pfn_t *list,
                    unsigned long n, unsigned int order, domid_t dom)
{
    struct xen_memory_reservation r = want(list, n, order, dom);

    answer(memory_op(op, &r), "memory/%s", name);
}

/* A page given away and another had for it. */
static void give_and_take(void)
{
    struct frame f = frame_alloc();
    unsigned long pfn = virt_to_pfn(f.va);
    xen_pfn_t list = f.mfn;
    struct mmu_update u;

    reserve("increase beyond the most", XENMEM_increase_reservation, &list, 1,
            0, DOMID_SELF);
    list = pfn;
    reserve("populate beyond the most", XENMEM_populate_physmap, &list, 1, 0,
            DOMID_SELF);
    answer(hypervisor_update_va_mapping((unsigned long)f.va, 0, UVMF_INVLPG),
           "memory/unmap the page");
    list = f.mfn;
    reserve("decrease by it", XENMEM_decrease_reservation, &list, 1, 0,
            DOMID_SELF);
    reserve("decrease by it again", XENMEM_decrease_reservation, &list, 1, 0,
            DOMID_SELF);
    answer(frame_remap(&f, PTE_RAM_RW), "memory/map it though it is gone");
    list = pfn;
    reserve("populate it", XENMEM_populate_physmap, &list, 1, 0, DOMID_SELF);
    f.mfn = list;
    answer(frame_remap(&f, PTE_RAM_RW), "memory/map it");
    u.ptr = (list << PAGE_SHIFT) | MMU_MACHPHYS_UPDATE;
    u.val = pfn;
    answer(hypervisor_mmu_update(&u, 1), "memory/say what it is");
    answer_yes(*(volatile uint64_t *)f.va == 0, "memory/it is empty");
}

static void wrong(void)
{
    xen_pfn_t list = 1ul << 40;

    reserve("decrease by none of ours", XENMEM_decrease_reservation, &list, 1,
            0, DOMID_SELF);
    reserve("decrease by order 30", XENMEM_decrease_reservation, &list, 1, 30,
            DOMID_SELF);
    reserve("populate order 30", XENMEM_populate_physmap, &list, 1, 30,
            DOMID_SELF);
    reserve("populate order 10", XENMEM_populate_physmap, &list, 1, 10,
            DOMID_SELF);
    reserve("populate nothing", XENMEM_populate_physmap, &list, 0, 0,
            DOMID_SELF);
    reserve("populate 2^40", XENMEM_populate_physmap, &list, 1ul << 40, 0,
            DOMID_SELF);
    reserve("decrease by 2^40", XENMEM_decrease_reservation, NOWHERE, 1ul << 40,
            0, DOMID_SELF);
    reserve("populate from nowhere", XENMEM_populate_physmap, NOWHERE, 1, 0,
            DOMID_SELF);
    reserve("decrease from nowhere", XENMEM_decrease_reservation, NOWHERE, 1, 0,
            DOMID_SELF);
    reserve("populate domain 0", XENMEM_populate_physmap, &list, 1, 0, 0);
    reserve("decrease domain 0", XENMEM_decrease_reservation, &list, 1, 0, 0);
    reserve("populate none", XENMEM_populate_physmap, &list, 1, 0, NO_DOMAIN);
    reserve("decrease none", XENMEM_decrease_reservation, &list, 1, 0,
            NO_DOMAIN);
}

static void physmap(void)
{
    struct xen_add_to_physmap add = {.domid = DOMID_SELF, .gpfn = 1};
    struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = 1};
    struct xen_memory_exchange exchange = {.nr_exchanged = 0};
    struct xen_machphys_mapping mapping = {0};
    struct xen_memory_map map = {0};

    answer(memory_op(XENMEM_add_to_physmap, &add), "memory/add_to_physmap");
    answer(memory_op(XENMEM_remove_from_physmap, &remove),
           "memory/remove_from_physmap");
    answer(memory_op(XENMEM_exchange, &exchange), "memory/exchange nothing");
    answer(memory_op(XENMEM_machphys_mapping, &mapping),
           "memory/machphys_mapping");
    answer_yes(mapping.v_start < mapping.v_end && mapping.max_mfn > 0,
               "memory/machphys_mapping makes sense");
    answer(memory_op(XENMEM_memory_map, &map), "memory/memory_map");
    answer(memory_op(XENMEM_machine_memory_map, &map),
           "memory/machine_memory_map");
}

/* The M2P is there to be read, and not to be written to. */
static void m2p(void)
{
    struct xen_machphys_mapping mapping = {0};
    struct frame f = frame_alloc();
    const uint64_t *table;

    memory_op(XENMEM_machphys_mapping, &mapping);
    table = (const uint64_t *)mapping.v_start;
    answer_yes(table[f.mfn] == virt_to_pfn(f.va), "memory/M2P is right");
    page_free(f.va, 1);
}

void answers_memory(void)
{
    amounts();
    give_and_take();
    wrong();
    physmap();
    m2p();
    pointers();
}
