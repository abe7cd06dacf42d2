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
    void *addr;
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
 * Maps a page to keep. Always writable, whatever it is wanted for now: that
 * is the protocol's promise. NULL when the frontend does not hold it (or all
 * of the cache is in use); the page is then mapped for this request only.
 */
static struct vbd_gpage *keep(struct vbd_grants *g, uint32_t ref)
{
    struct vbd_gpage *p;

    if (g->nr_kept >= MAX_KEPT && TAILQ_EMPTY(&g->idle))
        return NULL;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->ref = ref;
    if (g->ops->map(g->arg, &ref, 1, true, &p->addr, &p->handle)) {
        free(p);
        return NULL;
    }
    if (g->nr_kept >= MAX_KEPT)
        drop(g, TAILQ_FIRST(&g->idle));
    g->nr_kept++;
    LIST_INSERT_HEAD(&g->bucket[ref % NR_BUCKETS], p, hash);
    TAILQ_INSERT_TAIL(&g->idle, p, lru);
    return p;
}

static struct vbd_gpage *get_kept(struct vbd_grants *g, uint32_t ref)
{
    struct vbd_gpage *p = find(g, ref);

    if (!p)
        p = keep(g, ref);
    if (p && p->users++ == 0)
        TAILQ_REMOVE(&g->idle, p, lru);
    return p;
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
    ret = g->ops->map(g->arg, rest, n, write, addr, map->handle);
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
    unsigned int i;
    int ret;

    map->nr_own = 0;
    map->nr = n;
    for (i = 0; i < n; i++) {
        map->page[i] = g->persistent ? get_kept(g, refs[i]) : NULL;
        if (map->page[i])
            map->addr[i] = map->page[i]->addr;
    }
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
