/* SPDX-License-Identifier: MIT */
/* mmu_update and update_va_mapping. Source: xen/xen.h */
#include "frontends/guests/answers/answers.h"

#define NO_MFN (1ul << 39)
#define FLAGS  (~0x000ffffffffff000ul)

static struct frame l1, page;

static long update(uint64_t ptr, uint64_t val)
{
    struct mmu_update u = {.ptr = ptr, .val = val};

    return hypervisor_mmu_update(&u, 1);
}

static uint64_t slot(unsigned int i)
{
    return (l1.mfn << PAGE_SHIFT) + 8 * i;
}

static uint64_t at(const struct frame *f, uint64_t flags)
{
    return (f->mfn << PAGE_SHIFT) | flags;
}

/* Written into a pinned L1, and read back. */
static void put(const char *name, uint64_t val)
{
    long rc = update(slot(1), val);
    uint64_t now = ((volatile uint64_t *)l1.va)[1];

    answer(rc, "update/L1, %s", name);
    if (!rc)
        printf("update/L1, %s, flags: %lx\n", name, now & FLAGS);
    update(slot(1), 0);
}

static void entries(void)
{
    struct start_info *si = (struct start_info *)start_info();

    put("nothing", 0);
    put("present", at(&page, PTE_P));
    put("writable", at(&page, PTE_P | PTE_RW));
    put("user", at(&page, PTE_P | PTE_U));
    put("all", at(&page, PTE_RAM_RW));
    put("global", at(&page, PTE_P | PTE_G));
    put("user, global", at(&page, PTE_P | PTE_G | PTE_U));
    put("uncached", at(&page, PTE_P | 0x10));
    put("bit 7", at(&page, PTE_P | PTE_PS));
    put("bits 9 to 11", at(&page, PTE_P | 0xe00));
    put("bit 52", at(&page, PTE_P | 1ul << 52));
    put("bit 58", at(&page, PTE_P | 1ul << 58));
    put("no execution", at(&page, PTE_P | 1ul << 63));
    put("not present, all else", 0xffe);
    put("of a frame of none", (NO_MFN << PAGE_SHIFT) | PTE_P);
    put("of itself, read-only", at(&l1, PTE_P));
    put("of itself, writable", at(&l1, PTE_P | PTE_RW));
    put("of the L4, read-only",
        (virt_to_mfn((void *)si->pt_base) << PAGE_SHIFT) | PTE_P);
    put("of the L4, writable",
        (virt_to_mfn((void *)si->pt_base) << PAGE_SHIFT) | PTE_P | PTE_RW);
    put("of shared_info, writable", si->shared_info | PTE_P | PTE_RW);
}

static void preserve(void)
{
    volatile uint64_t *e = (volatile uint64_t *)l1.va + 1;

    update(slot(1), at(&page, PTE_RAM_RW));
    answer(update(slot(1) | MMU_PT_UPDATE_PRESERVE_AD, at(&page, PTE_P)),
           "update/L1, keep A and D");
    printf("update/L1, keep A and D, flags: %lx\n", *e & FLAGS);
    answer(update(slot(1), at(&page, PTE_P)), "update/L1, not kept");
    printf("update/L1, not kept, flags: %lx\n", *e & FLAGS);
    update(slot(1), 0);
}

static void pointers(void)
{
    volatile uint64_t *word = page.va;

    answer(update(slot(1) | 4, 0), "update/unaligned");
    answer(update(slot(1) | 3, 0), "update/command 3");
    answer(update(NO_MFN << PAGE_SHIFT, 0), "update/in none");
    answer(update(page.mfn << PAGE_SHIFT, 0x1234567),
           "update/in a page, which is no table");
    printf("update/in a page, word: %lx\n", *word);
    *word = 0;
    answer(update((page.mfn << PAGE_SHIFT) | MMU_MACHPHYS_UPDATE,
                  virt_to_pfn(page.va)),
           "update/M2P");
    answer(update((NO_MFN << PAGE_SHIFT) | MMU_MACHPHYS_UPDATE, 1),
           "update/M2P of none");
    answer(update(start_info()->shared_info, 0), "update/in shared_info");
}

/* The L4 in use: what of it is ours. */
static void top(void)
{
    const volatile uint64_t *l4 = (const uint64_t *)start_info()->pt_base;
    uint64_t base = virt_to_machine((void *)start_info()->pt_base);

    answer(update(base + 8 * 256, 0), "update/L4, Xen's slot 256");
    answer(update(base + 8 * 271, 0), "update/L4, Xen's slot 271");
    answer(update(base + 8 * 100, 0), "update/L4, an empty slot");
    answer(update(base + 8 * 511, l4[511]), "update/L4, a slot as it is");
    printf("update/L4, flags: %lx\n", l4[511] & FLAGS);
    answer(update(base + 8 * 100, at(&page, PTE_RAM_RW)),
           "update/L4, of a page");
    answer(update(base + 8 * 100, base | PTE_P), "update/L4, of itself");
    answer(update(base + 8 * 100, base | PTE_P | PTE_RW),
           "update/L4, of itself, writable");
    update(base + 8 * 100, 0);
}

static void lists(void)
{
    struct mmu_update u[3] = {
        {.ptr = slot(2)}, {.ptr = NO_MFN << PAGE_SHIFT}, {.ptr = slot(3)}};
    unsigned int done = 77;

#define LIST(p, n, d, dom)                                                     \
    hypercall(__HYPERVISOR_mmu_update, (unsigned long)(p), n,                  \
              (unsigned long)(d), dom, 0)
    answer(LIST(u, 3, &done, DOMID_SELF), "update/the second is wrong");
    answer(done, "update/the second is wrong, done");
    answer(LIST(u, 0, &done, DOMID_SELF), "update/none");
    answer(done, "update/none, done");
    answer(LIST(u, 1, &done, DOMID_SELF), "update/one");
    answer(done, "update/one, done");
    answer(LIST(u, 1, NOWHERE, DOMID_SELF), "update/done at nowhere");
    answer(LIST(NOWHERE, 1, NULL, DOMID_SELF), "update/from nowhere");
    answer(LIST(XENS, 1, NULL, DOMID_SELF), "update/from Xen's");
    answer(LIST(u, 1, NULL, 0), "update/for domain 0");
    answer(LIST(u, 1, NULL, NO_DOMAIN), "update/for none");
    answer(LIST(u, 1, NULL, DOMID_IO), "update/for DOMID_IO");
    answer(LIST(u, 1, NULL, DOMID_XEN), "update/for DOMID_XEN");
#undef LIST
}

static void va(const char *name, void *where, uint64_t val, unsigned long flags)
{
    answer(hypervisor_update_va_mapping((unsigned long)where, val, flags),
           "va/%s", name);
}

static void vas(void)
{
    uint64_t same = at(&page, PTE_RAM_RW), mask = 1;

    va("same", page.va, same, UVMF_NONE);
    va("flush", page.va, same, UVMF_TLB_FLUSH);
    va("invalidate", page.va, same, UVMF_INVLPG);
    va("invalidate everywhere", page.va, same, UVMF_INVLPG | UVMF_ALL);
    va("flush everywhere", page.va, same, UVMF_TLB_FLUSH | UVMF_ALL);
    va("flush type 3", page.va, same, 3);
    va("flush for a mask", page.va, same,
       UVMF_TLB_FLUSH | (unsigned long)&mask);
    va("flush for a mask at nowhere", page.va, same,
       UVMF_TLB_FLUSH | (unsigned long)NOWHERE);
    va("within a page", (char *)page.va + 5, same, UVMF_NONE);
    va("where no table is", NOWHERE, same, UVMF_NONE);
    va("nothing where no table is", NOWHERE, 0, UVMF_NONE);
    va("Xen's", XENS, same, UVMF_NONE);
    va("not canonical", (void *)BENT, same, UVMF_NONE);
    va("of a frame of none", page.va, (NO_MFN << PAGE_SHIFT) | PTE_P,
       UVMF_NONE);
    va("of a table, writable", page.va, at(&l1, PTE_RAM_RW), UVMF_NONE);
    va("of a table, read-only", page.va, at(&l1, PTE_RAM_RO), UVMF_INVLPG);
    va("back", page.va, same, UVMF_INVLPG);
#define OTHER(dom)                                                             \
    hypercall(__HYPERVISOR_update_va_mapping_otherdomain,                      \
              (unsigned long)page.va, same, 0, dom, 0)
    answer(OTHER(0), "va/of domain 0's");
    answer(OTHER(NO_DOMAIN), "va/of none's");
    answer(OTHER(DOMID_SELF), "va/of our own as another's");
#undef OTHER
}

static void store(void *arg)
{
    *(volatile uint64_t *)arg = at(&page, PTE_P);
}

static void store_bad(void *arg)
{
    *(volatile uint64_t *)arg = (NO_MFN << PAGE_SHIFT) | PTE_P;
}

static void store_byte(void *arg)
{
    *(volatile uint8_t *)arg = 0;
}

static void exchange(void *arg)
{
    __atomic_exchange_n((uint64_t *)arg, at(&page, PTE_P | PTE_RW),
                        __ATOMIC_SEQ_CST);
}

/* Stores straight into a table. */
static void stores(void)
{
    volatile uint64_t *e = (volatile uint64_t *)l1.va + 4;

    hypercall(__HYPERVISOR_vm_assist, VMASST_CMD_disable,
              VMASST_TYPE_writable_pagetables, 0, 0, 0);
    answer_probe("store/without the assist", store, (void *)e);
    hypercall(__HYPERVISOR_vm_assist, VMASST_CMD_enable,
              VMASST_TYPE_writable_pagetables, 0, 0, 0);
    answer_probe("store/with the assist, table not in use", store, (void *)e);
    printf("store/flags: %lx\n", *e & FLAGS);
    answer_probe("store/of a frame of none", store_bad, (void *)e);
    answer_probe("store/an exchange", exchange, (void *)e);
    printf("store/exchange, flags: %lx\n", *e & FLAGS);
    answer_probe("store/a byte", store_byte, (void *)e);
    update(slot(4), 0);
    frame_remap(&page, PTE_RAM_RO);
    answer_probe("store/into a read-only page, which is no table", store_byte,
                 page.va);
    frame_remap(&page, PTE_RAM_RW);
}

void answers_updates(void)
{
    struct mmuext_op pin = {.cmd = MMUEXT_PIN_L1_TABLE};

    page = frame_alloc();
    l1 = frame_alloc();
    pin.arg1.mfn = l1.mfn;
    frame_remap(&l1, PTE_RAM_RO);
    answer(hypercall(__HYPERVISOR_mmuext_op, (unsigned long)&pin, 1, 0,
                     DOMID_SELF, 0),
           "update/pin an L1");
    entries();
    preserve();
    pointers();
    top();
    lists();
    vas();
    stores();
}
