/* SPDX-License-Identifier: MIT */
/* What the store's fuzz targets share. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore/core/conn.h"
#include "xenstore/core/domain.h"
#include "xenstore/core/node.h"

/* libFuzzer's entry, and that of replay.c. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run with a message that names what does not hold. */
#define fuzz_check(what)                                                       \
    do {                                                                       \
        if (!(what)) {                                                         \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,  \
                    #what);                                                    \
            abort();                                                           \
        }                                                                      \
    } while (0)

static inline void fuzz_quiet(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

/* Writes, or with len -1 makes, a node as domain 0, owned by `owner`. */
static inline void fuzz_plant(struct store *s, const char *path, uint32_t owner)
{
    struct caller who = {.id = 0};
    struct view v = {.store = s, .who = &who};
    struct store_perm p = {.id = owner, .perms = XS_PERM_NONE};

    fuzz_check(!node_write(&v, path, "value", 5));
    fuzz_check(!node_set_perms(&v, path, &p, 1));
}

/* A store with a home for domain 3; s is one kept from an earlier input. */
static inline struct store *fuzz_store(struct store *s)
{
    if (!s) {
        store_thread_enter();
        s = store_create();
        fuzz_check(s);
        s->log = fuzz_quiet;
    }
    fuzz_plant(s, "/local/domain/3/data", 3);
    fuzz_plant(s, "/other/open", 3);
    return s;
}

struct fuzz_count {
    long nodes[4];
};

static inline int fuzz_count_one(const struct tnode *n, const char *path,
                                 void *arg)
{
    struct fuzz_count *c = arg;

    fuzz_check(n->data->nr_perms > 0 && strlen(path) < STORE_PATH_BYTES);
    if (n->data->perms[0].id < 4)
        c->nodes[n->data->perms[0].id]++;
    return 0;
}

/* What is booked on a domain is what the tree holds of it. */
static inline void fuzz_check_store(struct store *s)
{
    struct fuzz_count c = {0};

    store_lock(s);
    tree_walk(s->root, "/", fuzz_count_one, &c);
    for (uint32_t id = 1; id < 4; id++) {
        struct sdom *d = sdom_find(s, id);

        fuzz_check((d ? d->nodes : 0) == c.nodes[id]);
        fuzz_check(!d || d->memory >= 0);
        fuzz_check(!d || d->watches >= 0);
    }
    store_unlock(s);
}

#endif
