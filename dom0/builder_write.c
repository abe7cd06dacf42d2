/* SPDX-License-Identifier: MIT */
/* Writes a laid out domain into its memory. */
#include "dom0/builder.h"
#include "dom0/ahead.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGE_SHIFT 12
#define PAGE_BYTES ((size_t)1 << PAGE_SHIFT)

#define PTE_PRESENT  0x001ull
#define PTE_RW       0x002ull
#define PTE_USER     0x004ull
#define PTE_ACCESSED 0x020ull
#define PTE_DIRTY    0x040ull
#define PTE_TABLE    (PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define PTE_ADDR     0x000ffffffffff000ull

#define EFLAGS_IF 0x200

/* A domain's memory while it is filled. */
struct writer {
    const struct builder_layout *l;
    uint8_t *mem;
    const xen_pfn_t *p2m;
    struct builder_range pool; /* tables not yet in use */
};

static xen_pfn_t to_mfn(const xen_pfn_t *p2m, uint64_t pfn)
{
    return p2m ? p2m[pfn] : pfn;
}

static void *page(const struct writer *w, uint64_t pfn)
{
    return w->mem + (to_mfn(w->p2m, pfn) << PAGE_SHIFT);
}

/* len bytes to a byte offset in pseudo-physical memory. */
static void put(const struct writer *w, uint64_t at, const void *from,
                size_t len)
{
    const uint8_t *src = from;

    while (len) {
        size_t in_page = at & (PAGE_BYTES - 1);
        size_t n = PAGE_BYTES - in_page < len ? PAGE_BYTES - in_page : len;

        memcpy((uint8_t *)page(w, at >> PAGE_SHIFT) + in_page, src, n);
        at += n;
        src += n;
        len -= n;
    }
}

/* The frames of pseudo-physical memory, where one comes behind the other. */
static void frames_ahead(const struct writer *w, uint64_t at, size_t len)
{
    uint64_t first = at >> PAGE_SHIFT, last;

    if (!len)
        return;
    last = (at + len - 1) >> PAGE_SHIFT;
    if (to_mfn(w->p2m, last) - to_mfn(w->p2m, first) == last - first)
        pages_ahead(page(w, first), len);
}

static void write_kernel(const struct writer *w, const struct builder_input *in)
{
    for (unsigned i = 0; i < in->elf->nr_segments; i++) {
        const struct elf_segment *s = &in->elf->segments[i];

        frames_ahead(w, s->vaddr - w->l->virt_base, s->filesz);
        put(w, s->vaddr - w->l->virt_base, in->kernel->data + s->offset,
            s->filesz);
    }
}

static void write_p2m(const struct writer *w, uint64_t nr_pages)
{
    const uint64_t per_page = PAGE_BYTES / sizeof(xen_pfn_t);

    for (uint64_t pfn = 0; pfn < nr_pages; pfn++) {
        xen_pfn_t *list = page(w, w->l->p2m.pfn + pfn / per_page);

        list[pfn % per_page] = to_mfn(w->p2m, pfn);
    }
}

/* The table an entry points to, a new one from the pool if to none. */
static uint64_t *next_table(struct writer *w, uint64_t *entry)
{
    if (!(*entry & PTE_PRESENT)) {
        if (!w->pool.nr)
            return NULL;
        *entry = to_mfn(w->p2m, w->pool.pfn) << PAGE_SHIFT | PTE_TABLE;
        memset(page(w, w->pool.pfn), 0, PAGE_BYTES);
        w->pool.pfn++;
        w->pool.nr--;
    }
    return (uint64_t *)(w->mem + (*entry & PTE_ADDR));
}

static bool is_main_table(const struct writer *w, uint64_t pfn)
{
    return pfn >= w->l->tables.pfn && pfn - w->l->tables.pfn < w->l->tables.nr;
}

/* Xen lets no guest write its tables: those are mapped read-only. */
static int map_page(struct writer *w, uint64_t va, uint64_t pfn)
{
    uint64_t *table = page(w, w->l->tables.pfn);
    uint64_t flags = is_main_table(w, pfn) ? PTE_TABLE & ~PTE_RW : PTE_TABLE;

    for (unsigned shift = 39; shift > PAGE_SHIFT; shift -= 9) {
        table = next_table(w, &table[va >> shift & 511]);
        if (!table)
            return -EFAULT;
    }
    table[va >> PAGE_SHIFT & 511] = to_mfn(w->p2m, pfn) << PAGE_SHIFT | flags;
    return 0;
}

static int map_range(struct writer *w, const struct builder_range *range)
{
    int rc = 0;

    for (uint64_t i = 0; !rc && i < range->nr; i++)
        rc = map_page(w, range->vaddr + (i << PAGE_SHIFT), range->pfn + i);
    return rc;
}

/* Root and pool first, then the main map, then the p2m's own. */
static int write_tables(struct writer *w)
{
    const struct builder_layout *l = w->l;
    struct builder_range all = {
        .pfn = 0,
        .nr = (l->virt_end - l->virt_base) >> PAGE_SHIFT,
        .vaddr = l->virt_base,
    };
    int rc;

    memset(page(w, l->tables.pfn), 0, PAGE_BYTES);
    w->pool = (struct builder_range){l->tables.pfn + 1, l->tables.nr - 1, 0};
    rc = map_range(w, &all);
    if (rc || !l->p2m_tables.nr)
        return rc;
    w->pool = l->p2m_tables;
    return map_range(w, &l->p2m);
}

static void fill_ramdisk(const struct builder_input *in,
                         const struct builder_layout *l, struct start_info *si)
{
    if (!l->ramdisk.nr)
        return;
    si->mod_len = in->ramdisk->len;
    si->mod_start = l->ramdisk.vaddr;
    if (in->elf->mod_start_pfn) {
        si->mod_start = l->ramdisk.pfn;
        si->flags |= SIF_MOD_START_PFN;
    }
}

static void write_start_info(const struct writer *w,
                             const struct builder_input *in,
                             const struct builder_ids *ids)
{
    const struct builder_layout *l = w->l;
    struct start_info *si = page(w, l->start_info.pfn);

    memset(si, 0, PAGE_BYTES);
    memcpy(si->magic, "xen-3.0-x86_64", sizeof("xen-3.0-x86_64"));
    si->nr_pages = in->nr_pages;
    si->shared_info = ids->shared_info;
    si->flags = SIF_VIRT_P2M_4TOOLS;
    si->store_mfn = to_mfn(w->p2m, l->store.pfn);
    si->store_evtchn = ids->store_port;
    si->console.domU.mfn = to_mfn(w->p2m, l->console.pfn);
    si->console.domU.evtchn = ids->console_port;
    si->pt_base = l->tables.vaddr;
    si->nr_pt_frames = l->tables.nr;
    si->mfn_list = l->p2m.vaddr;
    if (l->p2m_tables.nr) {
        si->first_p2m_pfn = l->p2m.pfn;
        si->nr_p2m_frames = l->p2m.nr + l->p2m_tables.nr;
    }
    fill_ramdisk(in, l, si);
    memcpy(si->cmd_line, in->cmdline, strlen(in->cmdline) + 1);
}

static int check_p2m(const struct builder_input *in, uint64_t mem_frames,
                     const xen_pfn_t *p2m, struct image_error *err)
{
    for (uint64_t pfn = 0; pfn < in->nr_pages; pfn++)
        if (to_mfn(p2m, pfn) >= mem_frames) {
            snprintf(err->text, sizeof(err->text),
                     "cannot build a domain: its page %llu is frame %llu, but "
                     "its memory has %llu; hv and dom0 do not go together",
                     (unsigned long long)pfn,
                     (unsigned long long)to_mfn(p2m, pfn),
                     (unsigned long long)mem_frames);
            return -EFAULT;
        }
    return 0;
}

int builder_write(const struct builder_input *in,
                  const struct builder_layout *layout,
                  const struct builder_ids *ids, void *mem, uint64_t mem_frames,
                  const xen_pfn_t *p2m, struct image_error *err)
{
    struct writer w = {.l = layout, .mem = mem, .p2m = p2m};
    int rc = check_p2m(in, mem_frames, p2m, err);

    if (rc)
        return rc;
    write_kernel(&w, in);
    if (layout->ramdisk.nr) {
        frames_ahead(&w, layout->ramdisk.pfn << PAGE_SHIFT, in->ramdisk->len);
        put(&w, layout->ramdisk.pfn << PAGE_SHIFT, in->ramdisk->data,
            in->ramdisk->len);
    }
    write_p2m(&w, in->nr_pages);
    memset(page(&w, layout->store.pfn), 0, PAGE_BYTES);
    memset(page(&w, layout->console.pfn), 0, PAGE_BYTES);
    write_start_info(&w, in, ids);
    rc = write_tables(&w);
    if (rc)
        snprintf(err->text, sizeof(err->text),
                 "cannot build a domain: the layout counts too few page "
                 "tables; please report this with the kernel %.512s",
                 in->kernel->path);
    return rc;
}

void builder_context(const struct builder_input *in,
                     const struct builder_layout *layout, const xen_pfn_t *p2m,
                     struct vcpu_guest_context *ctx)
{
    struct cpu_user_regs *regs = &ctx->user_regs;

    memset(ctx, 0, sizeof(*ctx));
    regs->rip = in->elf->virt_entry;
    regs->rsp = layout->stack.vaddr + PAGE_BYTES;
    regs->rsi = layout->start_info.vaddr;
    regs->rflags = EFLAGS_IF;
    regs->cs = FLAT_KERNEL_CS;
    regs->ss = FLAT_KERNEL_SS;
    ctx->kernel_ss = FLAT_KERNEL_SS;
    ctx->kernel_sp = regs->rsp;
    ctx->ctrlreg[3] = xen_pfn_to_cr3(to_mfn(p2m, layout->tables.pfn));
    ctx->debugreg[6] = 0xffff0ff0;
    ctx->debugreg[7] = 0x400;
    ctx->flags = VGCF_in_kernel | VGCF_online;
}
