/* SPDX-License-Identifier: MIT */
/* Where everything goes in a new domain.  Source: xen/xen.h. */
#include "dom0/builder.h"
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PAGE_SHIFT 12
#define PAGE_BYTES (1ull << PAGE_SHIFT)
/* Behind the boot stack the map goes on for this much, to the next 4 MiB. */
#define PAD_PAGES (512 * 1024 / PAGE_BYTES)
#define MAP_ALIGN (4ull << 20)
#define P2M_ENTRY sizeof(xen_pfn_t)

#define CANONICAL_LOW_END 0x0000800000000000ull
#define XEN_START         0xffff800000000000ull
#define XEN_END           0xffff880000000000ull

static int fail(const struct builder_input *in, struct image_error *err, int rc,
                const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int fail(const struct builder_input *in, struct image_error *err, int rc,
                const char *fmt, ...)
{
    size_t n = snprintf(err->text, sizeof(err->text),
                        "cannot boot %.512s: ", in->kernel->path);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err->text + n, sizeof(err->text) - n, fmt, ap);
    va_end(ap);
    return rc;
}

static int too_small(const struct builder_input *in, uint64_t pages,
                     struct image_error *err)
{
    return fail(in, err, -ENOMEM,
                "%llu MiB of memory are too small for it%s; set memory to at "
                "least %llu",
                (unsigned long long)(in->nr_pages >> 8),
                in->ramdisk ? " and its ramdisk" : "",
                (unsigned long long)((pages + 255) >> 8));
}

static uint64_t pages_of(uint64_t bytes)
{
    return (bytes + PAGE_BYTES - 1) >> PAGE_SHIFT;
}

/* Addresses a guest may map: canonical and not Xen's own. */
static bool is_mappable(uint64_t start, uint64_t end)
{
    return start < end && (end <= CANONICAL_LOW_END || start >= XEN_END);
}

/* How many tables of 2^shift bytes each it takes to map [start, end). */
static uint64_t spans(uint64_t start, uint64_t end, unsigned shift)
{
    return ((end - 1) >> shift) - (start >> shift) + 1;
}

/* L3s, L2s and L1s for [start, end); the L4 counts apart. */
static uint64_t count_tables(uint64_t start, uint64_t end)
{
    return spans(start, end, 39) + spans(start, end, 30) +
           spans(start, end, 21);
}

/* How many of b's tables at a level are a's as well. */
static uint64_t shared_spans(const uint64_t a[2], const uint64_t b[2],
                             unsigned shift)
{
    uint64_t first = (a[0] > b[0] ? a[0] : b[0]) >> shift;
    uint64_t a_last = (a[1] - 1) >> shift, b_last = (b[1] - 1) >> shift;
    uint64_t last = a_last < b_last ? a_last : b_last;

    return last >= first ? last - first + 1 : 0;
}

/* Gives out the next nr pages of the main map. */
static struct builder_range claim(struct builder_layout *l, uint64_t nr)
{
    struct builder_range r = {
        .pfn = l->pages_used,
        .nr = nr,
        .vaddr = l->virt_base + (l->pages_used << PAGE_SHIFT),
    };

    l->pages_used += nr;
    return r;
}

static struct builder_range claim_unmapped(struct builder_layout *l,
                                           uint64_t nr)
{
    struct builder_range r = claim(l, nr);

    r.vaddr = 0;
    return r;
}

static int place_kernel(const struct builder_input *in,
                        struct builder_layout *l, struct image_error *err)
{
    const struct elf_kernel *elf = in->elf;
    uint64_t start = (elf->virt_start - elf->virt_base) >> PAGE_SHIFT;
    uint64_t bytes = elf->virt_end - elf->virt_base;

    if (elf->virt_base & (PAGE_BYTES - 1))
        return fail(in, err, -EINVAL,
                    "its VIRT_BASE 0x%llx is not a page boundary; its notes "
                    "are wrong",
                    (unsigned long long)elf->virt_base);
    /* Bounds everything that is added later: no sum can wrap. */
    if (bytes >> PAGE_SHIFT >= in->nr_pages)
        return too_small(in, (bytes >> PAGE_SHIFT) + PAD_PAGES, err);
    l->virt_base = elf->virt_base;
    l->pages_used = start;
    l->kernel = claim(l, pages_of(bytes) - start);
    return 0;
}

/* The end of the map if it is to hold `pages`; false when there is no room. */
static bool map_end(uint64_t base, uint64_t pages, uint64_t *end)
{
    return !__builtin_add_overflow(base, pages << PAGE_SHIFT, end) &&
           !__builtin_add_overflow(*end, MAP_ALIGN - 1, end) &&
           is_mappable(base, *end &= -MAP_ALIGN);
}

/* Page tables map themselves: their number is found by going round. */
static int place_tables(const struct builder_input *in,
                        struct builder_layout *l, struct image_error *err)
{
    uint64_t nr = 0, want = 4, end = 0;

    while (nr != want) {
        nr = want;
        if (!map_end(l->virt_base, l->pages_used + nr + 1 + PAD_PAGES, &end))
            return fail(in, err, -EINVAL,
                        "there is no room for its first map above VIRT_BASE "
                        "0x%llx; a smaller ramdisk or memory may do",
                        (unsigned long long)l->virt_base);
        want = 1 + count_tables(l->virt_base, end);
    }
    l->virt_end = end;
    l->tables = claim(l, nr);
    l->stack = claim(l, 1);
    l->pages_used = (end - l->virt_base) >> PAGE_SHIFT;
    return 0;
}

/* The p2m at the address the kernel asked for, by tables of its own. */
static int place_p2m_apart(const struct builder_input *in,
                           struct builder_layout *l, struct image_error *err)
{
    uint64_t nr = pages_of(in->nr_pages * P2M_ENTRY), tables;
    uint64_t map[2] = {l->virt_base, l->virt_end};
    uint64_t list[2] = {in->elf->init_p2m, 0};

    if ((list[0] & (PAGE_BYTES - 1)) ||
        __builtin_add_overflow(list[0], nr << PAGE_SHIFT, &list[1]) ||
        !is_mappable(list[0], list[1]) ||
        (list[0] < map[1] && map[0] < list[1]))
        return fail(in, err, -EINVAL,
                    "its p2m cannot be put at INIT_P2M 0x%llx; its notes are "
                    "wrong",
                    (unsigned long long)list[0]);
    tables = count_tables(list[0], list[1]) - shared_spans(map, list, 39) -
             shared_spans(map, list, 30) - shared_spans(map, list, 21);
    l->p2m = claim(l, nr);
    l->p2m.vaddr = list[0];
    l->p2m_tables = claim_unmapped(l, tables);
    return 0;
}

static int place_all(const struct builder_input *in, struct builder_layout *l,
                     struct image_error *err)
{
    uint64_t ramdisk = in->ramdisk ? pages_of(in->ramdisk->len) : 0;
    bool own_p2m = in->elf->init_p2m != ELF_ADDR_UNSET;
    int rc = place_kernel(in, l, err);

    if (rc)
        return rc;
    if (ramdisk && !in->elf->mod_start_pfn)
        l->ramdisk = claim(l, ramdisk);
    if (!own_p2m)
        l->p2m = claim(l, pages_of(in->nr_pages * P2M_ENTRY));
    l->start_info = claim(l, 1);
    l->store = claim(l, 1);
    l->console = claim(l, 1);
    rc = place_tables(in, l, err);
    if (rc)
        return rc;
    if (ramdisk && in->elf->mod_start_pfn)
        l->ramdisk = claim_unmapped(l, ramdisk);
    return own_p2m ? place_p2m_apart(in, l, err) : 0;
}

int builder_layout(const struct builder_input *in, struct builder_layout *out,
                   struct image_error *err)
{
    int rc;

    *out = (struct builder_layout){0};
    if (strlen(in->cmdline) >= MAX_GUEST_CMDLINE)
        return fail(in, err, -EINVAL,
                    "its command line of %zu bytes is longer than %d; shorten "
                    "extra or cmdline",
                    strlen(in->cmdline), MAX_GUEST_CMDLINE - 1);
    rc = place_all(in, out, err);
    if (!rc && out->pages_used > in->nr_pages)
        rc = too_small(in, out->pages_used, err);
    return rc;
}
