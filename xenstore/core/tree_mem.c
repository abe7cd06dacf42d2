/* SPDX-License-Identifier: MIT */
#include "xenstore/core/tree_mem.h"

#include <stdlib.h>
#include <urcu.h>

#define GRAVE_SIZE 500 /* objects that are worth a grace period */
#define GRAVE_BIG  32  /* the same, of those that may be large */
#define FETCH      8   /* objects ahead */

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ /* gcc defines it by itself */
#endif
#endif

/*
 * Objects kept for use: what a busy store drops between two grace periods,
 * 10 ms.  A sanitizer is to see each one freed.
 */
#ifdef __SANITIZE_ADDRESS__
#define SPARE_NODES 0
#define SPARE_DATA  0
#else
#define SPARE_NODES 32768
#define SPARE_DATA  4096
#endif

/* The kinds of memory: nodes, data of up to so many bytes, larger data. */
enum { NODE, DATA, BIG = TREE_KINDS - 1 };
static const uint16_t sizes[BIG] = {sizeof(struct tnode), 64, 96, 128, 192};

/* What one grace period sets free. */
struct grave {
    struct rcu_head rcu;
    struct tree_store *store;
    struct grave *next;
    unsigned int nr, max; /* objects; what the store may keep of them */
    void *object[GRAVE_SIZE];
};

static void grave_free(struct grave *g)
{
    while (g && g->nr)
        free(g->object[--g->nr]);
    free(g);
}

/* In liburcu's thread: back to the tree, or to malloc if it has plenty. */
static void grave_open(struct rcu_head *head)
{
    struct grave *g = caa_container_of(head, struct grave, rcu);
    struct tree_store *st = g->store;

    if (__atomic_load_n(&st->nr_back, __ATOMIC_RELAXED) + g->nr > g->max) {
        grave_free(g);
        return;
    }
    __atomic_fetch_add(&st->nr_back, g->nr, __ATOMIC_RELAXED);
    g->next = __atomic_load_n(&st->back, __ATOMIC_RELAXED);
    /* Pairs with the exchange in take_back(). */
    while (!__atomic_compare_exchange_n(&st->back, &g->next, g, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

/* Opens another grave for use, in place of the empty one. */
static bool take_back(struct tree_store *st)
{
    struct grave *g = st->open ? st->open->next : NULL;

    free(st->open);
    if (!g)
        g = __atomic_exchange_n(&st->back, NULL, __ATOMIC_ACQUIRE);
    st->open = g;
    if (g)
        __atomic_fetch_sub(&st->nr_back, g->nr, __ATOMIC_RELAXED);
    return g;
}

/* What was dead for a while has left the caches: it is fetched in advance. */
static void *alloc(struct tree *t, int kind)
{
    struct tree_store *st = &t->mem[kind];
    struct grave *g = st->open;

    if ((!g || !g->nr) && !take_back(st))
        return malloc(sizes[kind]);
    g = st->open;
    g->nr--;
    if (g->nr >= FETCH)
        __builtin_prefetch(g->object[g->nr - FETCH], 1);
    return g->object[g->nr];
}

static struct grave *grave_create(struct tree_store *st, int kind)
{
    struct grave *g = malloc(sizeof(*g));

    if (!g)
        return NULL;
    g->store = st;
    g->nr = 0;
    g->max = kind == NODE ? SPARE_NODES : kind == BIG ? 0 : SPARE_DATA;
    return g;
}

static void dead(struct tree *t, int kind, struct tree_dead *d)
{
    struct tree_store *st = &t->mem[kind];
    struct grave *g = st->filling;

    if (!g)
        g = st->filling = grave_create(st, kind);
    if (!g) {
        d->next = st->stray;
        st->stray = d;
        return;
    }
    g->object[g->nr++] = d;
    if (g->nr < (kind == BIG ? GRAVE_BIG : GRAVE_SIZE))
        return;
    st->filling = NULL;
    t->buried = true;
    call_rcu(&g->rcu, grave_open);
}

struct tnode *tree_node_alloc(struct tree *t)
{
    return alloc(t, NODE);
}

struct ndata *tree_data_alloc(struct tree *t, size_t size)
{
    struct ndata *d;
    int kind = DATA;

    while (kind < BIG && size > sizes[kind])
        kind++;
#ifdef __SANITIZE_ADDRESS__
    kind = BIG; /* just as large as asked for */
#endif
    d = kind < BIG ? alloc(t, kind) : malloc(size);
    if (d)
        d->kind = kind;
    return d;
}

void tree_node_dead(struct tree *t, struct tnode *n)
{
    dead(t, NODE, &n->dead);
}

void tree_data_dead(struct tree *t, struct ndata *d)
{
    dead(t, d->kind, &d->dead);
}

size_t tree_mem_spare(const struct tree *t)
{
    size_t bytes = 0;

    for (int kind = 0; kind < BIG; kind++) {
        const struct tree_store *st = &t->mem[kind];
        size_t n = __atomic_load_n(&st->nr_back, __ATOMIC_RELAXED);

        bytes += (n + (st->open ? st->open->nr : 0)) * sizes[kind];
    }
    return bytes;
}

static void free_strays(struct tree_dead *d)
{
    while (d) {
        struct tree_dead *next = d->next;

        free(d);
        d = next;
    }
}

void tree_mem_free(struct tree *t)
{
    synchronize_rcu();
    if (t->buried)
        rcu_barrier();
    for (int kind = 0; kind < TREE_KINDS; kind++) {
        struct tree_store *st = &t->mem[kind];

        do {
            while (st->open && st->open->nr)
                free(st->open->object[--st->open->nr]);
        } while (take_back(st));
        grave_free(st->filling);
        free_strays(st->stray);
        *st = (struct tree_store){0};
    }
}
