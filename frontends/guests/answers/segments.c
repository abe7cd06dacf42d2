/* SPDX-License-Identifier: MIT */
/* Segment bases and descriptors. Source: xen/xen.h */
#include "frontends/guests/answers/answers.h"

#define NO_MFN   (1ul << 39)
#define DATA     0x00cf92000000fffful /* DPL 0 */
#define DATA_3   0x00cff2000000fffful
#define CODE_3   0x00affa000000fffful
#define CALLGATE 0x00008c0000000000ul
#define TSS      0x0000890000000067ul

static long base(unsigned int which, unsigned long val)
{
    return hypercall(__HYPERVISOR_set_segment_base, which, val, 0, 0, 0);
}

static void bases(void)
{
    static const char *const names[] = {"FS", "GS_USER", "GS_KERNEL",
                                        "GS_USER_SEL", "4"};
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(names); i++) {
        answer(base(i, 0x1000), "segment/base %s", names[i]);
        answer(base(i, BENT), "segment/base %s, not canonical", names[i]);
        answer(base(i, (unsigned long)XENS), "segment/base %s, Xen's",
               names[i]);
        answer(base(i, 0), "segment/base %s, 0", names[i]);
    }
    answer(base(99, 0), "segment/base 99");
    answer(base(SEGBASE_GS_USER_SEL, FLAT_KERNEL_DS | 0xe02b),
           "segment/base GS_USER_SEL, flat data");
    answer(base(SEGBASE_GS_USER_SEL, 0xfff3),
           "segment/base GS_USER_SEL, no descriptor");
}

static long set_gdt(unsigned long *frames, unsigned int entries)
{
    return hypercall(__HYPERVISOR_set_gdt, (unsigned long)frames, entries, 0, 0,
                     0);
}

static long descriptor(uint64_t maddr, uint64_t desc)
{
    return hypercall(__HYPERVISOR_update_descriptor, maddr, desc, 0, 0, 0);
}

static void into_gdt(const struct frame *f, const char *name, uint64_t desc)
{
    volatile uint64_t *gdt = f->va;
    uint64_t was = gdt[4];
    long rc = descriptor((f->mfn << PAGE_SHIFT) + 4 * 8, desc);

    answer(rc, "segment/descriptor in the GDT, %s", name);
    if (!rc)
        printf("segment/descriptor in the GDT, %s: %lx\n", name, gdt[4]);
    descriptor((f->mfn << PAGE_SHIFT) + 4 * 8, was);
}

static void descriptors(const struct frame *gdt)
{
    into_gdt(gdt, "data", DATA);
    into_gdt(gdt, "user data", DATA_3);
    into_gdt(gdt, "user code", CODE_3);
    into_gdt(gdt, "not present", 0);
    into_gdt(gdt, "not present, else all", ~(1ul << 47));
    into_gdt(gdt, "call gate", CALLGATE);
    into_gdt(gdt, "TSS", TSS);
    into_gdt(gdt, "all ones", ~0ul);
    answer(descriptor((gdt->mfn << PAGE_SHIFT) + 4, 0),
           "segment/descriptor, unaligned");
    answer(descriptor(NO_MFN << PAGE_SHIFT, 0), "segment/descriptor in none");
}

static void load_ds(void *arg)
{
    __asm__ volatile("movl %0, %%ds" : : "r"((uint32_t)(uint64_t)arg));
}

static void load_fs(void *arg)
{
    __asm__ volatile("movl %0, %%fs" : : "r"((uint32_t)(uint64_t)arg));
}

static void gdts(void)
{
    struct frame f = frame_alloc(), g = frame_alloc();
    unsigned long list[1];

    answer(set_gdt(NULL, 0), "segment/set_gdt, none");
    answer(set_gdt(NOWHERE, 0), "segment/set_gdt, none at nowhere");
    answer(set_gdt(NOWHERE, 16), "segment/set_gdt at nowhere");
    list[0] = f.mfn;
    answer(set_gdt(list, 16), "segment/set_gdt, a writable page");
    ((uint64_t *)f.va)[2] = DATA_3;
    ((uint64_t *)f.va)[3] = DATA;
    answer(frame_remap(&f, PTE_RAM_RO), "segment/GDT read-only");
    answer(set_gdt(list, 16), "segment/set_gdt, a read-only page");
    printf("segment/in it, DPL 0 became: %lx\n", ((uint64_t *)f.va)[3]);
    answer(frame_remap(&f, PTE_RAM_RW), "segment/GDT writable");
    answer_probe("segment/load its user data", load_ds, (void *)0x13);
    answer_probe("segment/load an empty one", load_ds, (void *)0x33);
    answer_probe("segment/load one beyond", load_ds, (void *)0xfff3);
    answer_probe("segment/load a null one", load_ds, (void *)0);
    answer_probe("segment/load it into FS", load_fs, (void *)0x13);
    answer_probe("segment/load a null one into FS", load_fs, (void *)0);
    descriptors(&f);
    answer(set_gdt(list, 8000), "segment/set_gdt, too many entries");
    list[0] = NO_MFN;
    answer(set_gdt(list, 16), "segment/set_gdt, a frame of none");
    answer(set_gdt(NULL, 0), "segment/set_gdt, none again");
    answer(frame_remap(&f, PTE_RAM_RW), "segment/GDT writable after that");
    answer(descriptor(g.mfn << PAGE_SHIFT, DATA_3),
           "segment/descriptor in a page");
    printf("segment/descriptor in a page, word: %lx\n", *(uint64_t *)g.va);
    page_free(f.va, 1);
    page_free(g.va, 1);
}

/* The page holds a gate, which no GDT may have. */
static void bad_gdt(void)
{
    struct frame f = frame_alloc();
    unsigned long list[1] = {f.mfn};

    ((uint64_t *)f.va)[2] = CALLGATE;
    frame_remap(&f, PTE_RAM_RO);
    answer(set_gdt(list, 16), "segment/set_gdt, with a call gate");
    set_gdt(NULL, 0);
    frame_remap(&f, PTE_RAM_RW);
    page_free(f.va, 1);
}

void answers_segments(void)
{
    bases();
    gdts();
    bad_gdt();
}
