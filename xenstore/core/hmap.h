/* SPDX-License-Identifier: MIT */
/*
 * A small intrusive hash map: entries embed a struct hlink, the caller
 * compares keys.  No locks of its own; whoever owns the map says which lock.
 */
#ifndef XENSTORE_CORE_HMAP_H
#define XENSTORE_CORE_HMAP_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct hlink {
    struct hlink *next;
    uint64_t hash;
};

struct hmap {
    struct hlink **slots;
    size_t size; /* power of two, 0 before the first insert */
    size_t count;
};

#define hmap_entry(link, type, member)                                         \
    ((type *)((char *)(link)-offsetof(type, member)))

#define HMAP_HASH_START 0xcbf29ce484222325ull

/* One step of the running hash: hashing a path yields every prefix's hash. */
static inline uint64_t hmap_hash_byte(uint64_t hash, unsigned char c)
{
    return (hash ^ c) * 0x100000001b3ull;
}

static inline uint64_t hmap_hash(const char *s, size_t len)
{
    uint64_t hash = HMAP_HASH_START;

    while (len--)
        hash = hmap_hash_byte(hash, *s++);
    return hash;
}

/* The slot index; the mixing makes the low bits depend on all others. */
static inline size_t hmap_slot(const struct hmap *m, uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= 0x9e3779b97f4a7c15ull;
    return (hash >> 20) & (m->size - 1);
}

/* The first entry of the hash's chain; walk on by ->next, check ->hash. */
static inline struct hlink *hmap_first(const struct hmap *m, uint64_t hash)
{
    return m->size ? m->slots[hmap_slot(m, hash)] : NULL;
}

static inline void hmap_link(struct hmap *m, struct hlink *link)
{
    struct hlink **slot = &m->slots[hmap_slot(m, link->hash)];

    link->next = *slot;
    *slot = link;
}

/* Doubles the table; on lack of memory chains just grow longer. */
static inline void hmap_grow(struct hmap *m)
{
    struct hmap n = {.size = m->size ? m->size * 2 : 16};

    n.slots = calloc(n.size, sizeof(*n.slots));
    if (!n.slots)
        return;
    for (size_t i = 0; i < m->size; i++) {
        for (struct hlink *l = m->slots[i], *next; l; l = next) {
            next = l->next;
            hmap_link(&n, l);
        }
    }
    free(m->slots);
    m->slots = n.slots;
    m->size = n.size;
}

/* Adds an entry whose key is not in the map.  -1 when out of memory. */
static inline int hmap_insert(struct hmap *m, struct hlink *link, uint64_t hash)
{
    if (m->count >= m->size)
        hmap_grow(m);
    if (!m->size)
        return -1;
    link->hash = hash;
    hmap_link(m, link);
    m->count++;
    return 0;
}

static inline void hmap_remove(struct hmap *m, struct hlink *link)
{
    struct hlink **p = &m->slots[hmap_slot(m, link->hash)];

    while (*p != link)
        p = &(*p)->next;
    *p = link->next;
    m->count--;
}

/* Visits all; the entry in hand may be removed or freed by the body. */
#define hmap_for_each(m, link, tmp, i)                                         \
    for ((i) = 0; (i) < (m)->size; (i)++)                                      \
        for ((link) = (m)->slots[i]; (link) && ((tmp) = (link)->next, 1);      \
             (link) = (tmp))

static inline void hmap_free(struct hmap *m)
{
    free(m->slots);
    memset(m, 0, sizeof(*m));
}

#endif
