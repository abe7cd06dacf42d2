/* SPDX-License-Identifier: MIT */
/*
 * What a guest's page tables map, as runs of pages, for a memory dump.  The
 * tables are hostile: any table may be reached from any other, any number of
 * times, so work and result are bounded, and each table is copied, then read.
 */
#ifndef DOM0_CORE_WALK_H
#define DOM0_CORE_WALK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CORE_PAGE     4096u
#define CORE_RUNS_MAX 60000 /* below what e_phnum can count */

/* A guest's memory: frame n lies at n * CORE_PAGE of fd. */
struct core_mem {
    int fd;
    uint64_t nr_frames;       /* in fd */
    uint64_t nr_pages;        /* of those, the guest's: the first */
    const atomic_bool *abort; /* set by another thread; may be NULL */
};

/* nr pages at va are the frames from gfn on, and pfn on for the guest. */
struct core_run {
    uint64_t va, gfn, pfn, nr;
};

struct core_map {
    struct core_run *runs; /* by ascending va */
    size_t nr, size;
    uint64_t left_out; /* runs beyond CORE_RUNS_MAX */
    uint64_t aliases;  /* further mappings of pages shown often already */
    bool cut;          /* more tables or mappings than can be: not all seen */
};

/*
 * Fills map (zeroed by the caller, for core_map_free()) with what the tables
 * at cr3 map of the guest's own pages, the kernel's half first if it gets too
 * much, and without Xen's reserved slots.  m2p is of nr_pages entries, or NULL
 * for the identity.  0, -ENOMEM, -ECANCELED or -errno of fd.
 */
int core_walk(struct core_map *map, const struct core_mem *mem, uint64_t cr3,
              const uint64_t *m2p);
void core_map_free(struct core_map *map);

/*
 * The machine-to-phys table (nr_pages entries, for free()) as the guest sees
 * it at va; entries that make no sense become the identity.  NULL when out of
 * memory.
 */
uint64_t *core_read_m2p(const struct core_mem *mem, uint64_t cr3, uint64_t va);

/* The machine address of va, or UINT64_MAX. */
uint64_t core_translate(const struct core_mem *mem, uint64_t cr3, uint64_t va);

#endif
