/* SPDX-License-Identifier: MIT */
/* Page tables made such, and mmuext_op. Source: xen/xen.h */
#include "frontends/guests/answers/answers.h"

#define NO_MFN (1ul << 39)

static long mmuext(unsigned int cmd, unsigned long mfn)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = mfn};

    return hypercall(__HYPERVISOR_mmuext_op, (unsigned long)&op, 1, 0,
                     DOMID_SELF, 0);
}

static void pin(const char *name, unsigned int level, unsigned long mfn)
{
    answer(mmuext(MMUEXT_PIN_L1_TABLE + level - 1, mfn), "pin/%s", name);
}

static void unpin(const char *name, unsigned long mfn)
{
    answer(mmuext(MMUEXT_UNPIN_TABLE, mfn), "unpin/%s", name);
}

/* A fresh page with one entry, not writable any more. */
static struct frame table(unsigned int slot, uint64_t entry)
{
    struct frame f = frame_alloc();

    ((uint64_t *)f.va)[slot] = entry;
    if (frame_remap(&f, PTE_RAM_RO))
        panic("answers: a page cannot be made read-only");
    return f;
}

static void table_free(struct frame *f)
{
    mmuext(MMUEXT_UNPIN_TABLE, f->mfn);
    answer(frame_remap(f, PTE_RAM_RW) ? 1 : 0, "pin/(a table becomes a page)");
    page_free(f->va, 1);
}

static uint64_t entry_to(const struct frame *f, uint64_t flags)
{
    return (f->mfn << PAGE_SHIFT) | flags;
}

/* A table of that level with that one entry: will it be pinned, and how is it
 * afterwards? */
static void try(const char *name, unsigned int level, uint64_t entry)
{
    struct frame f = table(7, entry);
    long rc = mmuext(MMUEXT_PIN_L1_TABLE + level - 1, f.mfn);
    uint64_t now = ((volatile uint64_t *)f.va)[7];

    answer(rc, "pin/L%u, %s", level, name);
    if (!rc)
        printf("pin/L%u, %s, flags: %lx\n", level, name,
               now & ~0x000ffffffffff000ul);
    mmuext(MMUEXT_UNPIN_TABLE, f.mfn);
    if (frame_remap(&f, PTE_RAM_RW))
        printf("pin/L%u, %s: stays a table\n", level, name);
    page_free(f.va, 1);
}

static void entries(void)
{
    static const struct {
        const char *name;
        uint64_t flags;
    } kinds[] = {
        {"present", PTE_P},
        {"writable", PTE_P | PTE_RW},
        {"user", PTE_P | PTE_U},
        {"all", PTE_RAM_RW},
        {"global", PTE_P | PTE_G},
        {"uncached", PTE_P | 0x10},
        {"write-through", PTE_P | 0x08},
        {"bit 7", PTE_P | PTE_PS},
        {"bit 9", PTE_P | 0x200},
        {"bit 11", PTE_P | 0x800},
        {"bit 52", PTE_P | 1ul << 52},
        {"bit 58", PTE_P | 1ul << 58},
        {"bit 62", PTE_P | 1ul << 62},
        {"no execution", PTE_P | 1ul << 63},
        {"not present, all else", 0xffe},
    };
    struct frame page = frame_alloc(), child;
    unsigned int level;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(kinds); i++)
        try(kinds[i].name, 1, entry_to(&page, kinds[i].flags));
    for (level = 2; level <= 4; level++) {
        child = table(0, 0);
        for (i = 0; i < ARRAY_SIZE(kinds); i++)
            try(kinds[i].name, level, entry_to(&child, kinds[i].flags));
        frame_remap(&child, PTE_RAM_RW);
        page_free(child.va, 1);
    }
    page_free(page.va, 1);
}

static void wrong_entries(void)
{
    struct frame page = frame_alloc(), f;

    try("of a frame of none", 1, (NO_MFN << PAGE_SHIFT) | PTE_P);
    try("of a frame of none", 2, (NO_MFN << PAGE_SHIFT) | PTE_P);
    try("of a writable page", 2, entry_to(&page, PTE_RAM_RW));
    try("of a writable page", 3, entry_to(&page, PTE_RAM_RW));
    try("of a writable page", 4, entry_to(&page, PTE_RAM_RW));
    f = table(0, 0);
    try("of an empty read-only page", 2, entry_to(&f, PTE_RAM_RW));
    try("of an empty read-only page", 3, entry_to(&f, PTE_RAM_RW));
    try("of an empty read-only page", 4, entry_to(&f, PTE_RAM_RW));
    pin("an empty L1", 1, f.mfn);
    try("of an L1, read-only", 1, entry_to(&f, PTE_RAM_RO));
    try("of an L1, writable", 1, entry_to(&f, PTE_RAM_RW));
    try("of an L1", 2, entry_to(&f, PTE_RAM_RW));
    try("of an L1", 3, entry_to(&f, PTE_RAM_RW));
    try("of an L1", 4, entry_to(&f, PTE_RAM_RW));
    table_free(&f);
    page_free(page.va, 1);
}

static void self_maps(void)
{
    static const uint64_t flags[] = {PTE_P, PTE_P | PTE_RW};
    unsigned int level, i;
    struct frame f;

    for (level = 1; level <= 4; level++)
        for (i = 0; i < ARRAY_SIZE(flags); i++) {
            f = frame_alloc();
            ((uint64_t *)f.va)[3] = entry_to(&f, flags[i]);
            frame_remap(&f, PTE_RAM_RO);
            answer(mmuext(MMUEXT_PIN_L1_TABLE + level - 1, f.mfn),
                   "pin/L%u of itself, %s", level,
                   i ? "writable" : "read-only");
            table_free(&f);
        }
}

static void types(void)
{
    struct frame f = frame_alloc(), alias;
    const struct start_info *si = start_info();

    pin("a page mapped writable", 1, f.mfn);
    frame_remap(&f, PTE_RAM_RO);
    pin("it mapped read-only", 1, f.mfn);
    pin("again", 1, f.mfn);
    pin("as L2 as well", 2, f.mfn);
    answer(frame_remap(&f, PTE_RAM_RW), "pin/map it writable");
    answer(frame_remap(&f, PTE_RAM_RO), "pin/map it read-only");
    answer(mmuext(MMUEXT_CLEAR_PAGE, f.mfn), "pin/clear it");
    unpin("it", f.mfn);
    unpin("it again", f.mfn);
    answer(frame_remap(&f, PTE_RAM_RW), "pin/map it writable now");
    answer(mmuext(MMUEXT_CLEAR_PAGE, f.mfn), "pin/clear it now");
    unpin("a page", f.mfn);
    unpin("a frame of none", NO_MFN);
    pin("a frame of none", 1, NO_MFN);
    pin("frame -1", 1, ~0ul);
    pin("shared_info", 1, si->shared_info >> PAGE_SHIFT);
    unpin("the boot's L4", virt_to_mfn((void *)si->pt_base));
    pin("the boot's L4 again", 4, virt_to_mfn((void *)si->pt_base));
    pin("the boot's L4 twice", 4, virt_to_mfn((void *)si->pt_base));
    alias.va = f.va;
    alias.mfn = virt_to_mfn((void *)si->pt_base);
    answer(frame_remap(&alias, PTE_RAM_RW), "pin/map the L4 writable");
    answer(frame_remap(&alias, PTE_RAM_RO), "pin/map the L4 read-only");
    frame_remap(&f, PTE_RAM_RW);
    page_free(f.va, 1);
}

/* A tree of four tables: what each may be while it hangs in it. */
static void tree(void)
{
    struct frame page = frame_alloc();
    struct frame l1 = table(5, entry_to(&page, PTE_P | PTE_RW));
    struct frame l2 = table(5, entry_to(&l1, PTE_P | PTE_RW));
    struct frame l3 = table(5, entry_to(&l2, PTE_P | PTE_RW));
    struct frame l4 = table(5, entry_to(&l3, PTE_P | PTE_RW));

    pin("a tree", 4, l4.mfn);
    answer(frame_remap(&l1, PTE_RAM_RW), "pin/its L1 writable");
    answer(frame_remap(&l3, PTE_RAM_RW), "pin/its L3 writable");
    pin("its L2 as L2", 2, l2.mfn);
    pin("its L2 as L3", 3, l2.mfn);
    unpin("its L2", l2.mfn);
    unpin("its L3, not pinned", l3.mfn);
    answer(mmuext(MMUEXT_NEW_USER_BASEPTR, l4.mfn), "pin/user base pointer");
    answer(mmuext(MMUEXT_NEW_USER_BASEPTR, l1.mfn),
           "pin/user base pointer at an L1");
    answer(mmuext(MMUEXT_NEW_USER_BASEPTR, page.mfn),
           "pin/user base pointer at a page");
    answer(mmuext(MMUEXT_NEW_USER_BASEPTR, NO_MFN),
           "pin/user base pointer at none");
    answer(mmuext(MMUEXT_NEW_USER_BASEPTR, 0), "pin/no user base pointer");
    answer(mmuext(MMUEXT_NEW_BASEPTR, l1.mfn), "pin/base pointer at an L1");
    answer(mmuext(MMUEXT_NEW_BASEPTR, page.mfn), "pin/base pointer at a page");
    answer(mmuext(MMUEXT_NEW_BASEPTR, NO_MFN), "pin/base pointer at none");
    answer(
        mmuext(MMUEXT_NEW_BASEPTR, virt_to_mfn((void *)start_info()->pt_base)),
        "pin/base pointer as it is");
    unpin("the tree", l4.mfn);
    answer(frame_remap(&l1, PTE_RAM_RW), "pin/its L1 writable after that");
    answer(frame_remap(&l4, PTE_RAM_RW), "pin/its L4 writable after that");
    frame_remap(&l2, PTE_RAM_RW);
    frame_remap(&l3, PTE_RAM_RW);
    page_free(page.va, 1);
    page_free(l1.va, 1);
    page_free(l2.va, 1);
    page_free(l3.va, 1);
    page_free(l4.va, 1);
}

static void linear(const char *name, unsigned int cmd, uint64_t a, void *b)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.linear_addr = a};

    set_xen_guest_handle(op.arg2.vcpumask, b);
    answer(hypercall(__HYPERVISOR_mmuext_op, (unsigned long)&op, 1, 0,
                     DOMID_SELF, 0),
           "mmuext/%s", name);
}

static void flushes(void)
{
    uint64_t mask = 1, va = (uint64_t)&mask;

    linear("TLB_FLUSH_LOCAL", MMUEXT_TLB_FLUSH_LOCAL, 0, NULL);
    linear("TLB_FLUSH_ALL", MMUEXT_TLB_FLUSH_ALL, 0, NULL);
    linear("TLB_FLUSH_MULTI", MMUEXT_TLB_FLUSH_MULTI, 0, &mask);
    linear("TLB_FLUSH_MULTI, mask at nowhere", MMUEXT_TLB_FLUSH_MULTI, 0,
           NOWHERE);
    linear("INVLPG_LOCAL", MMUEXT_INVLPG_LOCAL, va, NULL);
    linear("INVLPG_LOCAL, not canonical", MMUEXT_INVLPG_LOCAL, BENT, NULL);
    linear("INVLPG_LOCAL, Xen's", MMUEXT_INVLPG_LOCAL, (uint64_t)XENS, NULL);
    linear("INVLPG_ALL", MMUEXT_INVLPG_ALL, va, NULL);
    linear("INVLPG_MULTI", MMUEXT_INVLPG_MULTI, va, &mask);
    linear("INVLPG_MULTI, mask at nowhere", MMUEXT_INVLPG_MULTI, va, NOWHERE);
    mask = ~0ul;
    linear("INVLPG_MULTI, vCPUs beyond", MMUEXT_INVLPG_MULTI, va, &mask);
    linear("FLUSH_CACHE", MMUEXT_FLUSH_CACHE, 0, NULL);
    linear("FLUSH_CACHE_GLOBAL", MMUEXT_FLUSH_CACHE_GLOBAL, 0, NULL);
    linear("MARK_SUPER", MMUEXT_MARK_SUPER, 0, NULL);
    linear("UNMARK_SUPER", MMUEXT_UNMARK_SUPER, 0, NULL);
    linear("14", 14, 0, NULL);
    linear("99", 99, 0, NULL);
}

static void ldt(const char *name, uint64_t va, unsigned long entries)
{
    struct mmuext_op op = {.cmd = MMUEXT_SET_LDT,
                           .arg1.linear_addr = va,
                           .arg2.nr_ents = (unsigned int)entries};

    answer(hypercall(__HYPERVISOR_mmuext_op, (unsigned long)&op, 1, 0,
                     DOMID_SELF, 0),
           "mmuext/SET_LDT, %s", name);
}

static void ldts(void)
{
    struct frame f = table(0, 0);

    ldt("none", 0, 0);
    ldt("ours", (uint64_t)f.va, 16);
    ldt("unaligned", (uint64_t)f.va + 8, 16);
    ldt("too many", (uint64_t)f.va, 8193);
    ldt("not canonical", BENT, 16);
    ldt("Xen's", (uint64_t)XENS & PAGE_MASK, 16);
    ldt("nowhere", (uint64_t)NOWHERE, 16);
    ldt("none again", 0, 0);
    table_free(&f);
}

static void copy(const char *name, unsigned long to, unsigned long from)
{
    struct mmuext_op op = {
        .cmd = MMUEXT_COPY_PAGE, .arg1.mfn = to, .arg2.src_mfn = from};

    answer(hypercall(__HYPERVISOR_mmuext_op, (unsigned long)&op, 1, 0,
                     DOMID_SELF, 0),
           "mmuext/COPY_PAGE, %s", name);
}

static void copies(void)
{
    struct frame f = frame_alloc(), g = frame_alloc(), t = table(0, 0);

    mmuext(MMUEXT_PIN_L1_TABLE, t.mfn);
    *(uint64_t *)f.va = 0x77;
    copy("of ours", g.mfn, f.mfn);
    answer_yes(*(volatile uint64_t *)g.va == 0x77, "mmuext/COPY_PAGE, done");
    copy("of none", g.mfn, NO_MFN);
    copy("to none", NO_MFN, f.mfn);
    copy("to a table", t.mfn, f.mfn);
    copy("of a table", g.mfn, t.mfn);
    answer(mmuext(MMUEXT_CLEAR_PAGE, g.mfn), "mmuext/CLEAR_PAGE");
    answer_yes(*(volatile uint64_t *)g.va == 0, "mmuext/CLEAR_PAGE, done");
    answer(mmuext(MMUEXT_CLEAR_PAGE, NO_MFN), "mmuext/CLEAR_PAGE of none");
    table_free(&t);
    page_free(f.va, 1);
    page_free(g.va, 1);
}

static void list(const char *name, void *ops, unsigned long n, void *done,
                 unsigned long dom)
{
    answer(hypercall(__HYPERVISOR_mmuext_op, (unsigned long)ops, n,
                     (unsigned long)done, dom, 0),
           "mmuext/%s", name);
}

static void lists(void)
{
    struct mmuext_op ops[3] = {{.cmd = MMUEXT_TLB_FLUSH_LOCAL},
                               {.cmd = MMUEXT_UNPIN_TABLE},
                               {.cmd = MMUEXT_TLB_FLUSH_LOCAL}};
    unsigned int done = 77;

    ops[1].arg1.mfn = NO_MFN;
    list("the second is wrong", ops, 3, &done, DOMID_SELF);
    answer(done, "mmuext/the second is wrong, done");
    list("none", ops, 0, &done, DOMID_SELF);
    answer(done, "mmuext/none, done");
    list("two right ones", ops, 1, &done, DOMID_SELF);
    answer(done, "mmuext/two right ones, done");
    list("done at nowhere", ops, 1, NOWHERE, DOMID_SELF);
    list("from nowhere", NOWHERE, 1, NULL, DOMID_SELF);
    list("from Xen's", XENS, 1, NULL, DOMID_SELF);
    list("for domain 0", ops, 1, NULL, 0);
    list("for none", ops, 1, NULL, NO_DOMAIN);
    list("for DOMID_IO", ops, 1, NULL, DOMID_IO);
    list("for DOMID_XEN", ops, 1, NULL, DOMID_XEN);
}

/*
 * Pins in lists with something that takes a hypervisor another way: what is
 * done is done once.
 */
static void pins_in_lists(void)
{
    struct frame t = table(7, 0);
    struct mmuext_op ops[4] = {{.cmd = MMUEXT_PIN_L1_TABLE},
                               {.cmd = MMUEXT_UNPIN_TABLE},
                               {.cmd = MMUEXT_PIN_L1_TABLE},
                               {.cmd = MMUEXT_MARK_SUPER}};
    char extra[XEN_EXTRAVERSION_LEN];
    struct multicall_entry calls[2] = {
        {.op = __HYPERVISOR_mmuext_op,
         .args = {(unsigned long)ops, 3, 0, DOMID_SELF}},
        {.op = __HYPERVISOR_xen_version,
         .args = {XENVER_extraversion, (unsigned long)extra}}};

    for (unsigned int i = 0; i < 3; i++)
        ops[i].arg1.mfn = t.mfn;
    list("pin, unpin, pin, no such operation", ops, 4, NULL, DOMID_SELF);
    unpin("pinned before what went wrong", t.mfn);
    answer(hypercall(__HYPERVISOR_multicall, (unsigned long)calls, 2, 0, 0, 0),
           "multicall/a pin and more");
    for (unsigned int i = 0; i < 2; i++)
        answer((long)calls[i].result, "multicall/a pin and more, result %u", i);
    unpin("pinned by a multicall", t.mfn);
    table_free(&t);
}

void answers_pins(void)
{
    entries();
    wrong_entries();
    self_maps();
    types();
    tree();
    flushes();
    ldts();
    copies();
    lists();
    pins_in_lists();
}
