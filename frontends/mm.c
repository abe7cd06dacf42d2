/* SPDX-License-Identifier: MIT */
/*
 * Pages. Xen's boot map covers the image, what Xen put behind it and at least
 * 512 KiB to spare. The rest of the memory is added to the linear map, 2 MiB
 * at a time, when it is asked for.
 */
#include "frontends/include/cpu.h"
#include "frontends/include/hypercall.h"

#define PTE_PRESENT  0x001ul
#define PTE_WRITE    0x002ul
#define PTE_USER     0x004ul
#define PTE_UNCACHED 0x018ul /* PCD and PWT */
#define PTE_ACCESSED 0x020ul
#define PTE_DIRTY    0x040ul
#define PTE_RAM      (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define PTE_TABLE    PTE_RAM
#define PTE_RAM_RO   (PTE_RAM & ~PTE_WRITE)
#define PTE_FRAME(e) (((e)&0x000ffffffffff000ul) >> PAGE_SHIFT)

#define TABLE_ENTRIES  512ul
#define MAX_PFN        (TABLE_ENTRIES * TABLE_ENTRIES) /* one L2: 1 GiB */
#define WINDOW_PAGES   64
#define FLUSH_ALL_CPUS (UVMF_INVLPG | UVMF_ALL)

static struct {
    const unsigned long *p2m;
    unsigned long nr_pages;
    unsigned long mapped;     /* pfns below are in the linear map */
    unsigned long first_free; /* pfns below are never free */
    unsigned long nr_free;
    unsigned long hint;
    unsigned long spare; /* a page for the next page table, 0: none */
    uint64_t l2_machine; /* of the table that maps the linear map */
} mm;

static uint64_t used[MAX_PFN / 64];

static char window[WINDOW_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static unsigned int window_used;

static void *pfn_to_virt(unsigned long pfn)
{
    return (void *)(VIRT_BASE + (pfn << PAGE_SHIFT));
}

unsigned long virt_to_pfn(const void *va)
{
    return ((unsigned long)va - VIRT_BASE) >> PAGE_SHIFT;
}

unsigned long pfn_to_mfn(unsigned long pfn)
{
    if (pfn >= mm.nr_pages)
        panic("frame %lx is past the end of memory (%lx)", pfn, mm.nr_pages);
    return mm.p2m[pfn];
}

unsigned long virt_to_mfn(const void *va)
{
    return pfn_to_mfn(virt_to_pfn(va));
}

uint64_t virt_to_machine(const void *va)
{
    return (virt_to_mfn(va) << PAGE_SHIFT) | ((unsigned long)va & ~PAGE_MASK);
}

/* By search: the M2P is elsewhere on every hypervisor, this is at hand. */
void *mfn_to_virt(unsigned long mfn)
{
    unsigned long pfn;

    for (pfn = 0; pfn < mm.mapped; pfn++)
        if (mm.p2m[pfn] == mfn)
            return pfn_to_virt(pfn);
    return NULL;
}

static bool is_used(unsigned long pfn)
{
    return used[pfn / 64] >> (pfn % 64) & 1;
}

static void set_used(unsigned long pfn, size_t n, bool on)
{
    for (; n--; pfn++) {
        if (on)
            used[pfn / 64] |= 1ul << (pfn % 64);
        else
            used[pfn / 64] &= ~(1ul << (pfn % 64));
    }
}

/* The boot tables lie together at pt_base, so a frame of theirs is found. */
static const uint64_t *boot_table(unsigned long mfn)
{
    const struct start_info *si = start_info();
    unsigned long pfn = virt_to_pfn((void *)si->pt_base), i;

    for (i = 0; i < si->nr_pt_frames; i++)
        if (mm.p2m[pfn + i] == mfn)
            return pfn_to_virt(pfn + i);
    return NULL;
}

static const uint64_t *boot_table_next(const uint64_t *table, unsigned long i)
{
    if (!table || !(table[i] & PTE_PRESENT))
        return NULL;
    return boot_table(PTE_FRAME(table[i]));
}

static unsigned long boot_map_end(const uint64_t *l2, unsigned long from)
{
    const uint64_t *l1 = NULL;
    unsigned long pfn;

    for (pfn = from; pfn < MIN(mm.nr_pages, MAX_PFN); pfn++) {
        if (!l1 || pfn % TABLE_ENTRIES == 0)
            l1 = boot_table_next(l2, pfn / TABLE_ENTRIES);
        if (!l1 || !(l1[pfn % TABLE_ENTRIES] & PTE_PRESENT))
            break;
    }
    return pfn;
}

void mm_init(void)
{
    const struct start_info *si = start_info();
    const uint64_t *l4 = (const uint64_t *)si->pt_base, *l3, *l2;

    mm.p2m = (const unsigned long *)si->mfn_list;
    mm.nr_pages = si->nr_pages;
    l3 = boot_table_next(l4, TABLE_ENTRIES - 1);
    l2 = boot_table_next(l3, TABLE_ENTRIES - 2);
    if (!l2)
        panic("cannot find the boot page tables at %lx", si->pt_base);
    mm.l2_machine = virt_to_machine(l2);
    /* Last in Xen's order of things is one page of boot stack. */
    mm.first_free = virt_to_pfn(l4) + si->nr_pt_frames + 1;
    mm.mapped = boot_map_end(l2, mm.first_free);
    mm.hint = mm.first_free;
    mm.nr_free = mm.mapped - mm.first_free;
    set_used(0, mm.first_free, true);
}

static int map_into_existing_table(unsigned long pfn)
{
    return (int)hypervisor_update_va_mapping(
        (unsigned long)pfn_to_virt(pfn), (mm.p2m[pfn] << PAGE_SHIFT) | PTE_RAM,
        UVMF_NONE);
}

/*
 * A table page must not be writable by its owner: fill it, make its mapping
 * read-only, and only then hook it in.
 */
static int map_with_new_table(unsigned long pfn, unsigned long count)
{
    uint64_t *l1 = pfn_to_virt(mm.spare);
    struct mmu_update u;
    unsigned long i;
    long rc;

    if (!mm.spare)
        return -ENOMEM;
    mm.spare = 0;
    memset(l1, 0, PAGE_SIZE);
    for (i = 0; i < count; i++)
        l1[i] = (mm.p2m[pfn + i] << PAGE_SHIFT) | PTE_RAM;
    rc = hypervisor_update_va_mapping(
        (unsigned long)l1, virt_to_machine(l1) | PTE_RAM_RO, FLUSH_ALL_CPUS);
    if (rc)
        return (int)rc;
    u.ptr = (mm.l2_machine + pfn / TABLE_ENTRIES * sizeof(uint64_t)) |
            MMU_NORMAL_PT_UPDATE;
    u.val = virt_to_machine(l1) | PTE_TABLE;
    return (int)hypervisor_mmu_update(&u, 1);
}

/* Adds the next stretch of memory, up to 2 MiB; -ENOMEM at the end. */
static int map_more(void)
{
    unsigned long from = mm.mapped, end, pfn;
    int rc = 0;

    end = MIN((from / TABLE_ENTRIES + 1) * TABLE_ENTRIES,
              MIN(mm.nr_pages, MAX_PFN));
    if (from >= end)
        return -ENOMEM;
    if (from % TABLE_ENTRIES == 0)
        rc = map_with_new_table(from, end - from);
    else
        for (pfn = from; pfn < end && !rc; pfn++)
            rc = map_into_existing_table(pfn);
    if (rc)
        return rc;
    mm.mapped = end;
    mm.nr_free += end - from;
    return 0;
}

static unsigned long find_run(unsigned long from, size_t n)
{
    unsigned long pfn;
    size_t run = 0;

    for (pfn = from; pfn < mm.mapped; pfn++) {
        run = is_used(pfn) ? 0 : run + 1;
        if (run == n)
            return pfn + 1 - n;
    }
    return 0;
}

/* Takes a run out of what is mapped; 0 if there is none. */
static unsigned long take_run(size_t n)
{
    unsigned long pfn = find_run(mm.hint, n);

    if (!pfn && mm.hint > mm.first_free)
        pfn = find_run(mm.first_free, n);
    if (!pfn)
        return 0;
    set_used(pfn, n, true);
    mm.nr_free -= n;
    mm.hint = pfn + n;
    return pfn;
}

/*
 * Mapping more costs a table page: one is set aside while there still is one,
 * so that the last mapped page cannot be given away with memory left.
 */
static bool spare_ready(void)
{
    if (!mm.spare)
        mm.spare = take_run(1);
    return mm.spare;
}

void *page_alloc(size_t npages)
{
    unsigned long pfn = 0;

    if (npages == 0 || npages >= MAX_PFN)
        return NULL;
    while (spare_ready() || mm.mapped >= mm.nr_pages) {
        pfn = take_run(npages);
        if (pfn || map_more())
            break;
    }
    if (!pfn)
        return NULL;
    return memset(pfn_to_virt(pfn), 0, npages * PAGE_SIZE);
}

void page_free(void *va, size_t npages)
{
    unsigned long pfn = virt_to_pfn(va);

    if (!va)
        return;
    if (pfn < mm.first_free || pfn + npages > mm.mapped || !is_used(pfn))
        panic("page_free of %p, which is not allocated", va);
    set_used(pfn, npages, false);
    mm.nr_free += npages;
    mm.hint = MIN(mm.hint, pfn);
}

size_t page_free_count(void)
{
    return mm.nr_free + (MIN(mm.nr_pages, MAX_PFN) - mm.mapped);
}

void *map_machine(uint64_t machine, size_t len, bool uncached)
{
    unsigned long offset = machine & ~PAGE_MASK;
    size_t pages = (offset + len + PAGE_SIZE - 1) >> PAGE_SHIFT, i;
    uint64_t flags = PTE_RAM | (uncached ? PTE_UNCACHED : 0);
    char *va = window[window_used];

    if (len == 0 || pages > WINDOW_PAGES - window_used)
        return NULL;
    for (i = 0; i < pages; i++)
        if (hypervisor_update_va_mapping(
                (unsigned long)va + i * PAGE_SIZE,
                ((machine & PAGE_MASK) + i * PAGE_SIZE) | flags,
                FLUSH_ALL_CPUS))
            return NULL;
    window_used += (unsigned int)pages;
    return va + offset;
}
