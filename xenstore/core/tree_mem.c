/* SPDX-License-Identifier: MIT */
#include "xenstore/core/tree_mem.h"

#include <stdlib.h>
#include <urcu.h>

#define DEAD_ENOUGH 512 /* objects that are worth a grace period */
#define DEAD_BIG    32  /* the same, of those that may be large */

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
    struct tree_dead *list;
    unsigned int nr, max; /* objects; what the store may keep */
};

static void free_list(struct tree_dead *d)
{
    while (d) {
        struct tree_dead *next = d->next;

        free(d);
        d = next;
    }
}

/* In liburcu's thread: back to the tree, or to malloc if it has plenty. */
static void grave_open(struct rcu_head *head)
{
    struct grave *g = caa_container_of(head, struct grave, rcu);
    struct tree_store *st = g->store;

    if (__atomic_load_n(&st->nr_back, __ATOMIC_RELAXED) + g->nr > g->max) {
        free_list(g->list);
        free(g);
        return;
    }
    __atomic_fetch_add(&st->nr_back, g->nr, __ATOMIC_RELAXED);
    g->next = __atomic_load_n(&st->back, __ATOMIC_RELAXED);
    /* Pairs with the exchange in refill(). */
    while (!__atomic_compare_exchange_n(&st->back, &g->next, g, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

static void bury(struct tree_store *st, int kind)
{
    struct grave *g = malloc(sizeof(*g));

    if (!g)
        return; /* the dead wait on */
    g->store = st;
    g->list = st->dead;
    g->nr = st->nr_dead;
    g->max = kind == NODE ? SPARE_NODES : kind == BIG ? 0 : SPARE_DATA;
    st->dead = NULL;
    st->nr_dead = 0;
    call_rcu(&g->rcu, grave_open);
}

/* Has the objects of one grave for use; whether there was one. */
static bool refill(struct tree_store *st)
{
    struct grave *g = st->opened;

    if (!g)
        g = __atomic_exchange_n(&st->back, NULL, __ATOMIC_ACQUIRE);
    if (!g)
        return false;
    st->opened = g->next;
    st->spare = g->list;
    __atomic_fetch_sub(&st->nr_back, g->nr, __ATOMIC_RELAXED);
    free(g);
    return true;
}

/* It has left the caches while it was dead: fetches the next but one. */
static void *alloc(struct tree *t, int kind)
{
    struct tree_store *st = &t->mem[kind];
    struct tree_dead *d;

    if (!st->spare && !refill(st))
        return malloc(sizes[kind]);
    d = st->spare;
    st->spare = d->next;
    if (d->next)
        __builtin_prefetch(d->next->next, 1);
    return d;
}

static void dead(struct tree *t, int kind, struct tree_dead *d)
{
    struct tree_store *st = &t->mem[kind];

    d->next = st->dead;
    st->dead = d;
    st->nr_dead++;
    if (st->nr_dead >= (kind == BIG ? DEAD_BIG : DEAD_ENOUGH))
        bury(st, kind);
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

static size_t count(const struct tree_dead *d)
{
    size_t n = 0;

    for (; d; d = d->next)
        n++;
    return n;
}

size_t tree_mem_spare(const struct tree *t)
{
    size_t bytes = 0;

    for (int kind = 0; kind < BIG; kind++) {
        const struct tree_store *st = &t->mem[kind];
        size_t n = __atomic_load_n(&st->nr_back, __ATOMIC_RELAXED);

        bytes += (n + count(st->spare)) * sizes[kind];
    }
    return bytes;
}

void tree_mem_free(struct tree *t)
{
    synchronize_rcu();
    rcu_barrier();
    for (int kind = 0; kind < TREE_KINDS; kind++) {
        struct tree_store *st = &t->mem[kind];

        while (refill(st))
            free_list(st->spare);
        free_list(st->dead);
        *st = (struct tree_store){0};
    }
}
