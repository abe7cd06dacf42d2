/* SPDX-License-Identifier: MIT */
#include "frontends/include/lib.h"

static void sift(uint64_t *v, size_t root, size_t n)
{
    size_t child;
    uint64_t tmp;

    while ((child = 2 * root + 1) < n) {
        if (child + 1 < n && v[child + 1] > v[child])
            child++;
        if (v[root] >= v[child])
            return;
        tmp = v[root];
        v[root] = v[child];
        v[child] = tmp;
        root = child;
    }
}

/* Heap sort: no recursion on a small stack, no bad case. */
void stats_sort(uint64_t *v, size_t n)
{
    size_t i;
    uint64_t tmp;

    for (i = n / 2; i-- > 0;)
        sift(v, i, n);
    for (i = n; i-- > 1;) {
        tmp = v[0];
        v[0] = v[i];
        v[i] = tmp;
        sift(v, 0, i);
    }
}

uint64_t stats_quantile(const uint64_t *sorted, size_t n, unsigned int q)
{
    size_t at = (n - 1) * q;

    /* Nearest rank, rounded. */
    return sorted[(at + 500) / 1000];
}
