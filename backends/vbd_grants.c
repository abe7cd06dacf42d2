/* SPDX-License-Identifier: MIT */
#include "backends/vbd_grants.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* A ring of 32 with 32 segments each is Linux's usual; twice that. */
#define MAX_KEPT   2112u
#define NR_BUCKETS 1024u

struct vbd_gpage {
    LIST_ENTRY(vbd_gpage) hash;
    TAILQ_ENTRY(vbd_gpage) lru; /* only while users is 0 */
    uint32_t ref;
    unsigned int users;
    uint32_t handle;
    void *addr; /* NULL: not mapped (yet) */
    bool asked; /* for it to be mapped */
};

LIST_HEAD(gpage_bucket, vbd_gpage);
TAILQ_HEAD(gpage_lru, vbd_gpage);

struct vbd_grants {
    const struct vbd_gnt_ops *ops;
    void *arg;
    bool persistent;
    unsigned int nr_kept;
    struct gpage_bucket bucket[NR_BUCKETS];
    struct gpage_lru idle;            /* least recently used first */
    uint32_t given_up[VBD_GNT_BATCH]; /* handles to unmap */
    unsigned int nr_given_up;
};

struct vbd_grants *vbd_grants_new(const struct vbd_gnt_ops *ops, void *arg,
                                  bool persistent)
{
    struct vbd_grants *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->ops = ops;
    g->arg = arg;
    g->persistent = persistent;
    TAILQ_INIT(&g->idle);
    return g;
}

void vbd_grants_flush(struct vbd_grants *g)
{
    if (g->nr_given_up)
        g->ops->unmap(g->arg, g->given_up, g->nr_given_up);
    g->nr_given_up = 0;
}

static void give_up(struct vbd_grants *g, uint32_t handle)
{
    if (g->nr_given_up == VBD_GNT_BATCH)
        vbd_grants_flush(g);
    g->given_up[g->nr_given_up++] = handle;
}

static void drop(struct vbd_grants *g, struct vbd_gpage *p)
{
    give_up(g, p->handle);
    LIST_REMOVE(p, hash);
    TAILQ_REMOVE(&g->idle, p, lru);
    g->nr_kept--;
    free(p);
}

void vbd_grants_free(struct vbd_grants *g)
{
    struct vbd_gpage *p;

    if (!g)
        return;
    while ((p = TAILQ_FIRST(&g->idle)))
        drop(g, p);
    vbd_grants_flush(g);
    free(g);
}

static struct vbd_gpage *find(struct vbd_grants *g, uint32_t ref)
{
    struct vbd_gpage *p;

    LIST_FOREACH(p, &g->bucket[ref % NR_BUCKETS], hash)
    if (p->ref == ref)
        return p;
    return NULL;
}

/*
 * An entry for a page to keep, still to be mapped.  NULL when all of the cache
 * is in use: the page is then mapped for this request only.
 */
static struct vbd_gpage *add(struct vbd_grants *g, uint32_t ref)
{
    struct vbd_gpage *p;

    if (g->nr_kept >= MAX_KEPT && TAILQ_EMPTY(&g->idle))
        return NULL;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    if (g->nr_kept >= MAX_KEPT)
        drop(g, TAILQ_FIRST(&g->idle));
    p->ref = ref;
    g->nr_kept++;
    LIST_INSERT_HEAD(&g->bucket[ref % NR_BUCKETS], p, hash);
    return p;
}

static struct vbd_gpage *get_kept(struct vbd_grants *g, uint32_t ref)
{
    struct vbd_gpage *p = find(g, ref);

    if (!p)
        p = add(g, ref);
    else if (!p->users)
        TAILQ_REMOVE(&g->idle, p, lru);
    if (p)
        p->users++;
    return p;
}

/* The frontend does not hold it as it should: it is not kept after all. */
static void put_unmapped(struct vbd_grants *g, struct vbd_gpage *p)
{
    if (--p->users)
        return;
    LIST_REMOVE(p, hash);
    g->nr_kept--;
    free(p);
}

/* Maps those of n entries that have no page yet, in one call. */
static void map_kept(struct vbd_grants *g, struct vbd_gpage **page,
                     unsigned int n)
{
    uint32_t refs[VBD_MAX_INDIRECT], handle[VBD_MAX_INDIRECT];
    struct vbd_gpage *fresh[VBD_MAX_INDIRECT];
    void *addr[VBD_MAX_INDIRECT];
    unsigned int i, nr = 0;

    for (i = 0; i < n; i++) {
        /* Once, though a request may name it twice. */
        if (!page[i] || page[i]->addr || page[i]->asked)
            continue;
        page[i]->asked = true;
        refs[nr] = page[i]->ref;
        fresh[nr++] = page[i];
    }
    /* Always writable, whatever for now: that is the protocol's promise. */
    if (!nr || g->ops->map(g->arg, refs, nr, true, addr, handle) < 0)
        return;
    for (i = 0; i < nr; i++) {
        fresh[i]->addr = addr[i];
        fresh[i]->handle = handle[i];
    }
}

/* The kept pages of a request; the others stay NULL. */
static void get_all_kept(struct vbd_grants *g, const uint32_t *refs,
                         struct vbd_map *map)
{
    unsigned int i;

    for (i = 0; i < map->nr; i++)
        map->page[i] = get_kept(g, refs[i]);
    map_kept(g, map->page, map->nr);
    for (i = 0; i < map->nr; i++) {
        struct vbd_gpage *p = map->page[i];

        if (p && p->addr) {
            map->addr[i] = p->addr;
            continue;
        }
        map->page[i] = NULL;
        if (p)
            put_unmapped(g, p);
    }
}

/* All of them, or -EFAULT and none. */
static int map_own(struct vbd_grants *g, const uint32_t *refs, unsigned int n,
                   bool write, void **addr, uint32_t *handle)
{
    unsigned int i;
    int good = g->ops->map(g->arg, refs, n, write, addr, handle);

    if (good == (int)n)
        return 0;
    for (i = 0; good > 0 && i < n; i++)
        if (addr[i])
            give_up(g, handle[i]);
    return good < 0 ? good : -EFAULT;
}

/* The pages that are not kept, in one call. */
static int map_rest(struct vbd_grants *g, const uint32_t *refs,
                    struct vbd_map *map, bool write)
{
    uint32_t rest[VBD_MAX_INDIRECT];
    void *addr[VBD_MAX_INDIRECT];
    unsigned int i, n = 0;
    int ret;

    for (i = 0; i < map->nr; i++)
        if (!map->page[i])
            rest[n++] = refs[i];
    if (!n)
        return 0;
    ret = map_own(g, rest, n, write, addr, map->handle);
    if (ret)
        return ret;
    map->nr_own = n;
    for (i = n = 0; i < map->nr; i++)
        if (!map->page[i])
            map->addr[i] = addr[n++];
    return 0;
}

int vbd_grants_map(struct vbd_grants *g, const uint32_t *refs, unsigned int n,
                   bool write, struct vbd_map *map)
{
    int ret;

    map->nr_own = 0;
    map->nr = n;
    memset(map->page, 0, n * sizeof(map->page[0]));
    if (g->persistent)
        get_all_kept(g, refs, map);
    ret = map_rest(g, refs, map, write);
    if (ret)
        vbd_grants_unmap(g, map);
    return ret;
}

void vbd_grants_unmap(struct vbd_grants *g, struct vbd_map *map)
{
    unsigned int i;

    for (i = 0; i < map->nr; i++) {
        struct vbd_gpage *p = map->page[i];

        if (p && --p->users == 0)
            TAILQ_INSERT_TAIL(&g->idle, p, lru);
    }
    for (i = 0; i < map->nr_own; i++)
        give_up(g, map->handle[i]);
    map->nr_own = map->nr = 0;
}

unsigned int vbd_grants_kept(const struct vbd_grants *g)
{
    return g->nr_kept;
}
