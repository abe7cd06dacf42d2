/* SPDX-License-Identifier: MIT */
/* Small pieces of pages: powers of two, each size with its own free list. */
#include "frontends/include/kernel.h"

#define MIN_SHIFT 5
#define MAX_SHIFT 11 /* above half a page, whole pages */
#define MAGIC     0x68656170

struct piece {
    uint32_t magic;
    uint32_t shift; /* MAX_SHIFT + 1: whole pages */
    union {
        struct piece *next; /* while free */
        size_t pages;
    };
};

_Static_assert(sizeof(struct piece) == 16, "pieces stay 16-byte aligned");

static struct piece *free_list[MAX_SHIFT + 1];

static int refill(unsigned int shift)
{
    char *page = page_alloc(1);
    struct piece *p;
    size_t at;

    if (!page)
        return -ENOMEM;
    for (at = 0; at < PAGE_SIZE; at += 1ul << shift) {
        p = (struct piece *)(page + at);
        p->shift = shift;
        p->next = free_list[shift];
        free_list[shift] = p;
    }
    return 0;
}

static struct piece *alloc_pages_piece(size_t size)
{
    size_t pages = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    struct piece *p = page_alloc(pages);

    if (p) {
        p->shift = MAX_SHIFT + 1;
        p->pages = pages;
    }
    return p;
}

static struct piece *alloc_small_piece(unsigned int shift)
{
    struct piece *p;

    if (!free_list[shift] && refill(shift))
        return NULL;
    p = free_list[shift];
    free_list[shift] = p->next;
    memset(p + 1, 0, (1ul << shift) - sizeof(*p));
    return p;
}

void *heap_alloc(size_t size)
{
    unsigned int shift = MIN_SHIFT;
    struct piece *p;

    if (size > (size_t)-1 - PAGE_SIZE)
        return NULL;
    size += sizeof(*p);
    while (shift <= MAX_SHIFT && size > 1ul << shift)
        shift++;
    p = shift > MAX_SHIFT ? alloc_pages_piece(size) : alloc_small_piece(shift);
    if (!p)
        return NULL;
    p->magic = MAGIC;
    return p + 1;
}

void heap_free(void *mem)
{
    struct piece *p;

    if (!mem)
        return;
    p = (struct piece *)mem - 1;
    if (p->magic != MAGIC)
        panic("heap_free of %p, which is not allocated", mem);
    p->magic = 0;
    if (p->shift > MAX_SHIFT) {
        page_free(p, p->pages);
        return;
    }
    p->next = free_list[p->shift];
    free_list[p->shift] = p;
}

char *heap_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = heap_alloc(n);

    return copy ? memcpy(copy, s, n) : NULL;
}
