/* SPDX-License-Identifier: MIT */
#include "dom0/core_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PTE_P    0x001ull
#define PTE_PS   0x080ull
#define PTE_ADDR 0x000ffffffffff000ull
#define ENTRIES  512u
#define TOP      3 /* an L4's level, leaves being at 0 */
/*
 * How often one page is shown.  Linux maps its p2m's "missing" page, its espfix
 * stacks and its zero page by the thousand.
 */
#define ALIASES_MAX 16
/* How many mappings are looked at, for each page there is. */
#define PAGE_TIMES 64
/* Xen's part of every L4. */
#define XEN_FIRST 256u
#define XEN_LAST  271u

struct walk {
    struct core_map *map;
    const struct core_mem *mem;
    const uint64_t *m2p;
    uint8_t *seen;   /* of each page: how often */
    uint64_t tables; /* read so far */
    uint64_t pages;  /* found so far */
    /* The last run that was left out, to count each once. */
    struct core_run lost;
};

typedef uint64_t table_t[ENTRIES];

static int table_read(const struct core_mem *mem, uint64_t gfn, table_t t)
{
    ssize_t n;

    if (mem->abort && atomic_load(mem->abort))
        return -ECANCELED;
    n = pread(mem->fd, t, sizeof(table_t), gfn * CORE_PAGE);
    if (n == (ssize_t)sizeof(table_t))
        return 0;
    return n < 0 ? -errno : -EIO;
}

/* Does (va, gfn, pfn) go on where run ends? */
static bool follows(const struct core_run *run, uint64_t va, uint64_t gfn,
                    uint64_t pfn)
{
    return run->nr && run->va + run->nr * CORE_PAGE == va &&
           run->gfn + run->nr == gfn && run->pfn + run->nr == pfn;
}

static int map_grow(struct core_map *map)
{
    size_t size = map->size ? map->size * 2 : 256;
    struct core_run *runs;

    if (map->nr < map->size)
        return 0;
    runs = reallocarray(map->runs, size, sizeof(*runs));
    if (!runs)
        return -ENOMEM;
    map->runs = runs;
    map->size = size;
    return 0;
}

static int add_page(struct walk *w, uint64_t va, uint64_t gfn)
{
    uint64_t pfn = w->m2p ? w->m2p[gfn] : gfn;
    struct core_map *map = w->map;

    if (w->seen[gfn] == ALIASES_MAX) {
        map->aliases++;
        return 0;
    }
    w->seen[gfn]++;
    if (map->nr && follows(&map->runs[map->nr - 1], va, gfn, pfn)) {
        map->runs[map->nr - 1].nr++;
        return 0;
    }
    if (map->nr == CORE_RUNS_MAX) {
        map->left_out += !follows(&w->lost, va, gfn, pfn);
        w->lost = (struct core_run){va, gfn, pfn, 1};
        return 0;
    }
    if (map_grow(map))
        return -ENOMEM;
    map->runs[map->nr++] = (struct core_run){va, gfn, pfn, 1};
    return 0;
}

/* A leaf: 1, 512 or 512 * 512 pages, of which the guest's own count. */
static int add_leaf(struct walk *w, uint64_t va, uint64_t entry, int level)
{
    uint64_t nr = 1ull << (9 * level), i;
    uint64_t gfn = (entry & PTE_ADDR) / CORE_PAGE & ~(nr - 1);
    int rc = 0;

    for (i = 0; i < nr && !rc && gfn + i < w->mem->nr_pages; i++) {
        if (w->pages++ > PAGE_TIMES * w->mem->nr_pages) {
            w->map->cut = true;
            break;
        }
        rc = add_page(w, va + i * CORE_PAGE, gfn + i);
    }
    return rc;
}

static bool is_leaf(uint64_t entry, int level)
{
    return !level || (level < TOP && (entry & PTE_PS));
}

static int walk_table(struct walk *w, uint64_t gfn, int level, uint64_t base,
                      unsigned from, unsigned to);

static int walk_entry(struct walk *w, uint64_t entry, int level, uint64_t va)
{
    uint64_t gfn = (entry & PTE_ADDR) / CORE_PAGE;

    if (!(entry & PTE_P) || gfn >= w->mem->nr_frames)
        return 0;
    if (is_leaf(entry, level))
        return add_leaf(w, va, entry, level);
    return walk_table(w, gfn, level - 1, va, 0, ENTRIES - 1);
}

/* Recursion is at most four deep. */
static int walk_table(struct walk *w, uint64_t gfn, int level, uint64_t base,
                      unsigned from, unsigned to)
{
    table_t t;
    unsigned i;
    int rc;

    if (w->tables > w->mem->nr_pages) {
        w->map->cut = true;
        return 0;
    }
    w->tables++;
    rc = table_read(w->mem, gfn, t);
    for (i = from; i <= to && !rc; i++)
        rc = walk_entry(w, t[i], level,
                        base + ((uint64_t)i << (12 + 9 * level)));
    return rc;
}

static int run_order(const void *a, const void *b)
{
    uint64_t x = ((const struct core_run *)a)->va;
    uint64_t y = ((const struct core_run *)b)->va;

    return x < y ? -1 : x > y;
}

int core_walk(struct core_map *map, const struct core_mem *mem, uint64_t cr3,
              const uint64_t *m2p)
{
    struct walk w = {.map = map, .mem = mem, .m2p = m2p};
    uint64_t top = (cr3 & PTE_ADDR) / CORE_PAGE;
    int rc = 0;

    if (top >= mem->nr_frames)
        return 0;
    w.seen = calloc(mem->nr_pages ? mem->nr_pages : 1, 1);
    if (!w.seen)
        return -ENOMEM;
    /* The upper half's addresses are sign-extended. */
    rc = walk_table(&w, top, TOP, 0xffffull << 48, XEN_LAST + 1, ENTRIES - 1);
    if (!rc)
        rc = walk_table(&w, top, TOP, 0, 0, XEN_FIRST - 1);
    if (map->nr)
        qsort(map->runs, map->nr, sizeof(*map->runs), run_order);
    free(w.seen);
    return rc;
}

void core_map_free(struct core_map *map)
{
    free(map->runs);
    *map = (struct core_map){0};
}

uint64_t core_translate(const struct core_mem *mem, uint64_t cr3, uint64_t va)
{
    uint64_t entry = cr3 & PTE_ADDR, mask;
    int level;

    for (level = TOP;; level--) {
        uint64_t gfn = (entry & PTE_ADDR) / CORE_PAGE;
        uint64_t at = 8 * (va >> (12 + 9 * level) & (ENTRIES - 1));

        if (gfn >= mem->nr_frames ||
            pread(mem->fd, &entry, sizeof(entry), gfn * CORE_PAGE + at) !=
                sizeof(entry) ||
            !(entry & PTE_P))
            return UINT64_MAX;
        if (is_leaf(entry, level))
            break;
    }
    mask = (1ull << (12 + 9 * level)) - 1;
    return (entry & PTE_ADDR & ~mask) | (va & mask);
}

uint64_t *core_read_m2p(const struct core_mem *mem, uint64_t cr3, uint64_t va)
{
    uint64_t *m2p = calloc(mem->nr_pages ? mem->nr_pages : 1, sizeof(*m2p));
    uint64_t i, j;

    for (i = 0; m2p && i < mem->nr_pages; i += ENTRIES) {
        uint64_t nr = mem->nr_pages - i < ENTRIES ? mem->nr_pages - i : ENTRIES;
        uint64_t at = core_translate(mem, cr3, va + i * sizeof(*m2p));
        bool got = at / CORE_PAGE < mem->nr_frames &&
                   pread(mem->fd, &m2p[i], nr * sizeof(*m2p), at) ==
                       (ssize_t)(nr * sizeof(*m2p));

        for (j = i; j < i + nr; j++)
            if (!got || m2p[j] >= mem->nr_frames)
                m2p[j] = j;
    }
    return m2p;
}
