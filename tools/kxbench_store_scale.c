/* SPDX-License-Identifier: MIT */
/*
 * Does it matter how much is in the store?  Reads and writes of one client
 * with 10^2 to 10^6 nodes, writes with 1 to 10^5 watches on other paths, each
 * held against the smallest size.  Xen's daemon is measured to 10^4 only:
 * filling it takes time that grows with the square.
 */
#include "tools/kxbench_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH         50
#define SAMPLES       2000
#define SAMPLES_QUICK 200
#define NODES_MAX     1000000u
#define WATCHES_MAX   100000u
#define QUICK_MAX     10000u
#define OTHER_MAX     10000u /* of Xen's daemon */

/* A hundred in a folder, a hundred folders in one above. */
static int node_path(char *buf, unsigned i)
{
    return sprintf(buf, "/bench/n/%u/%u/%u", i / 10000, i / 100 % 100, i % 100);
}

static size_t fill_node(char *buf, unsigned i, unsigned first)
{
    int n = node_path(buf, first + i) + 1;

    memcpy(buf + n, "0123456789abcdef", 16);
    return n + 16;
}

static size_t fill_watch(char *buf, unsigned i, unsigned first)
{
    int n = node_path(buf, first + i) + 1;

    return n + sprintf(buf + n, "%u", first + i) + 1;
}

struct curve {
    struct kxb *b;
    struct kxs_client *c;
    enum kxs_kind kind;
    unsigned nr; /* nodes or watches now */
    char of;     /* 'n' or 'w' */
    unsigned smallest;
};

static int add(const struct curve *v, const char *what, const double *ns,
               size_t nr)
{
    const char *tail = v->kind == KXS_XENSTORED ? "_xenstored" : "";
    char name[KXB_NAME_MAX], floor[KXB_NAME_MAX] = "";

    snprintf(name, sizeof(name), "%s_%c%u%s", what, v->of, v->nr, tail);
    if (v->nr != v->smallest)
        snprintf(floor, sizeof(floor), "%s_%c%u%s", what, v->of, v->smallest,
                 tail);
    return kxb_add(v->b, KXS_SUITE, name, "ns", floor, ns, nr);
}

static int once(const struct curve *v, bool write)
{
    unsigned range = v->of == 'n' ? v->nr : 100;
    char path[64];
    int len = v->of == 'n' ? node_path(path, random() % range)
                           : sprintf(path, "/bench/unwatched/%lu",
                                     (unsigned long)random() % range);

    return write ? kxs_write(v->c, 0, path)
                 : kxs_talk(v->c, XS_READ, 0, path, len + 1);
}

static int measure(const struct curve *v, bool write)
{
    unsigned nr = v->b->quick ? SAMPLES_QUICK : SAMPLES;
    double ns[SAMPLES];
    int rc = 0;

    for (unsigned i = 0; i < nr && rc >= 0; i++) {
        uint64_t start = kxb_now();

        rc = once(v, write);
        ns[i] = (double)(kxb_now() - start);
    }
    return rc < 0 ? rc : add(v, write ? "write" : "read", ns, nr);
}

/* Fills up to the next size, then measures. */
static int step(struct curve *v, unsigned size)
{
    int rc = 0;

    while (v->nr < size && !rc) {
        unsigned n = size - v->nr < BATCH ? size - v->nr : BATCH;

        if (v->of == 'n')
            rc = kxs_batch(v->c, XS_WRITE, n, fill_node, v->nr);
        else
            rc = kxs_batch(v->c, XS_WATCH, n, fill_watch, v->nr);
        v->nr += n;
    }
    if (!rc && v->of == 'n')
        rc = measure(v, false);
    return rc ? rc : measure(v, true);
}

static unsigned limit(const struct curve *v)
{
    unsigned max = v->of == 'n' ? NODES_MAX : WATCHES_MAX;

    if (v->b->quick && max > QUICK_MAX)
        max = QUICK_MAX;
    if (v->kind == KXS_XENSTORED && max > OTHER_MAX)
        max = OTHER_MAX;
    return max;
}

static int run_curve(struct kxb *b, enum kxs_kind kind, char of)
{
    struct kxs_server s;
    struct kxs_client c = {.fd = -1};
    struct curve v = {.b = b, .c = &c, .kind = kind, .of = of};
    int rc = kxs_server_start(b, kind, &s);

    if (rc)
        return rc == -ENOENT ? 0 : rc;
    v.smallest = of == 'n' ? 100 : 1;
    rc = kxs_open(&c, &s);
    for (unsigned i = 0; i < 100 && rc >= 0 && of == 'w'; i++) {
        char path[64];

        sprintf(path, "/bench/unwatched/%u", i);
        rc = kxs_write(&c, 0, path);
    }
    rc = rc > 0 ? 0 : rc;
    for (unsigned size = v.smallest; size <= limit(&v) && !rc; size *= 10)
        rc = step(&v, size);
    if (rc)
        kxb_say("with %u %s: %s", v.nr, of == 'n' ? "nodes" : "watches",
                strerror(-rc));
    kxs_close(&c);
    kxs_server_stop(&s);
    return rc;
}

int kxs_scale_run(struct kxb *b)
{
    int rc = 0;

    for (int k = KXS_OURS; k < KXS_NR_KINDS && !rc; k++) {
        rc = run_curve(b, k, 'n');
        if (!rc)
            rc = run_curve(b, k, 'w');
    }
    return rc;
}
