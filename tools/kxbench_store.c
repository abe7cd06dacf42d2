/* SPDX-License-Identifier: MIT */
/*
 * The store, with 1, 4 and 16 clients that each wait for an answer before
 * they ask again.  Every row stands beside the same traffic with an echo
 * server on the same kind of socket, and, where it is installed, beside
 * Debian's C xenstored (rows <op>_c<n>_xenstored, held against ours: how many
 * times longer it takes).  kxbench_store_cell.c has how one row is measured.
 */
#include "tools/kxbench_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHILDREN 20 /* in the directory that is listed */

static void key(char *buf, unsigned me)
{
    sprintf(buf, "/bench/client/%u/value", me);
}

static int once_read(struct kxs_client *c, unsigned me)
{
    char path[64];

    key(path, me);
    return kxs_talk(c, XS_READ, 0, path, strlen(path) + 1);
}

static int once_write(struct kxs_client *c, unsigned me)
{
    char path[64];

    key(path, me);
    return kxs_write(c, 0, path);
}

static int once_directory(struct kxs_client *c, unsigned me)
{
    static const char path[] = "/bench/directory";

    (void)me;
    return kxs_talk(c, XS_DIRECTORY, 0, path, sizeof(path));
}

static int once_transaction(struct kxs_client *c, unsigned me)
{
    char path[64];
    uint32_t tx;
    int rc = kxs_talk(c, XS_TRANSACTION_START, 0, "", 1);

    if (rc < 0)
        return rc;
    tx = strtoul(kxs_answer(c), NULL, 10);
    key(path, me);
    rc = kxs_talk(c, XS_READ, tx, path, strlen(path) + 1);
    if (rc >= 0)
        rc = kxs_write(c, tx, path);
    return rc < 0 ? rc : kxs_talk(c, XS_TRANSACTION_END, tx, "T", 2);
}

static int once_echo4(struct kxs_client *c, unsigned me)
{
    int rc = 0;

    for (int i = 0; i < 4 && rc >= 0; i++)
        rc = once_read(c, me);
    return rc;
}

static int once_fan_out(struct kxs_client *c, unsigned me)
{
    (void)me;
    return kxs_write(c, 0, "/bench/watched");
}

static int once_echo_fan_out(struct kxs_client *c, unsigned me)
{
    static const char path[] = "/bench/watched";

    (void)me;
    return kxs_talk(c, XS_WATCH_EVENT, 0, path, sizeof(path));
}

static const struct kxs_op echo = {"echo", false, once_read};
static const struct kxs_op echo4 = {"echo4", false, once_echo4};
static const struct kxs_op echo_fan_out = {"echo_fanout", true,
                                           once_echo_fan_out};

/* What a store does, and the echo that is its floor. */
static const struct {
    struct kxs_op op;
    const struct kxs_op *floor;
} ops[] = {
    {{"read", false, once_read}, &echo},
    {{"directory", false, once_directory}, &echo},
    {{"write", false, once_write}, &echo},
    {{"transaction", false, once_transaction}, &echo4},
    {{"fanout", true, once_fan_out}, &echo_fan_out},
};
#define NR_OPS (sizeof(ops) / sizeof(ops[0]))

/* What the ops find in a store. */
static int furnish(const struct kxs_server *s)
{
    struct kxs_client c;
    char path[64];
    int rc = kxs_open(&c, s);

    if (rc)
        return rc;
    for (unsigned i = 0; i < KXS_CLIENTS && rc >= 0; i++)
        rc = once_write(&c, i);
    for (unsigned i = 0; i < CHILDREN && rc >= 0; i++) {
        sprintf(path, "/bench/directory/child-%u", i);
        rc = kxs_write(&c, 0, path);
    }
    kxs_close(&c);
    return rc < 0 ? rc : 0;
}

/* --only read,write leaves out the other ops, and the curves. */
static bool wanted(const struct kxb *b, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = b->only; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (!strncmp(p, name, len) && (!p[len] || p[len] == ','))
            return true;
    }
    return !b->only;
}

static int run_cells(struct kxb *b, struct kxs_server *servers)
{
    static const unsigned clients[] = {1, 4, KXS_CLIENTS};
    int rc = 0;

    for (size_t o = 0; o < NR_OPS; o++)
        for (int n = 0; n < 3 && !rc && wanted(b, ops[o].op.name); n++)
            rc = kxs_cell_run(b, &ops[o].op, ops[o].floor, servers, clients[n]);
    return rc;
}

static int store_run(struct kxb *b, unsigned run)
{
    struct kxs_server servers[KXS_NR_KINDS] = {0};
    int rc = 0;

    for (int k = 0; k < KXS_NR_KINDS && !rc; k++) {
        rc = kxs_server_start(b, k, &servers[k]);
        if (rc == -ENOENT && k == KXS_XENSTORED) {
            if (!run)
                kxb_say("Debian's xenstored is not installed (package "
                        "xen-utils-4.17): no comparison with it");
            rc = 0;
        }
        if (!rc && servers[k].pid && k != KXS_ECHO)
            rc = furnish(&servers[k]);
    }
    if (!rc)
        rc = run_cells(b, servers);
    for (int k = 0; k < KXS_NR_KINDS; k++)
        kxs_server_stop(&servers[k]);
    return rc || b->only ? rc : kxs_scale_run(b);
}

KXB_SUITE(store, .name = KXS_SUITE,
          .help = "the store, beside an echo server and Xen's xenstored",
          .run = store_run)
