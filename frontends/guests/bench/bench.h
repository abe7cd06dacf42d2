/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_BENCH_H
#define FRONTENDS_BENCH_H

#include "frontends/include/kernel.h"

/*
 * Samples are time-stamp counter differences of `batch` operations each.
 * bench_report sorts them and prints one BENCH line of nanoseconds for one
 * operation; ns is how long all ops took, 0 if that is the samples' sum.
 */
struct bench {
    const char *name;
    uint64_t *sample;
    size_t nr, batch;
    uint64_t ops, ns, events;
    char extra[160]; /* more JSON members, each ending in a comma */
};

/* 0 or -ENOMEM. */
int bench_alloc(struct bench *b, const char *name, size_t nr, size_t batch);
void bench_report(struct bench *b);
void bench_free(struct bench *b);
/* count= on the command line, else dflt, a tenth of it with quick=1. */
size_t bench_count(size_t dflt);

int bench_disk(void);
int bench_console(void);
int bench_floors(void);

#endif
