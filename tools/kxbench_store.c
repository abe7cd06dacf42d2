/* SPDX-License-Identifier: MIT */
/*
 * The store, with 1, 4 and 16 clients that each wait for an answer before
 * they ask again.  Every row stands beside the same traffic with an echo
 * server on the same kind of socket, and, where it is installed, beside
 * Debian's C xenstored (rows <op>_c<n>_xenstored, held against ours: how many
 * times longer it takes).
 */
#include "tools/kxbench_store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_NS       150000000ull /* how long one row is measured in one run */
#define CELL_QUICK_NS 20000000ull
#define KEEP          8192 /* latencies kept of one row in one run */
#define MAX_CLIENTS   16
#define CHILDREN      20 /* in the directory that is listed */

struct job;

struct op {
    const char *name;
    const char *floor; /* an op of the echo server */
    bool echo;         /* measured there */
    bool fan_out;      /* one does it, all others hear of it */
    int (*once)(struct kxs_client *c, unsigned me);
};

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

/* Floors first, then what is held against them. */
static const struct op ops[] = {
    {"echo", NULL, true, false, once_read},
    {"read", "echo", false, false, once_read},
    {"directory", "echo", false, false, once_directory},
    {"write", "echo", false, false, once_write},
    {"echo4", NULL, true, false, once_echo4},
    {"transaction", "echo4", false, false, once_transaction},
    {"echo_fanout", NULL, true, true, once_echo_fan_out},
    {"fanout", "echo_fanout", false, true, once_fan_out},
};
#define NR_OPS (sizeof(ops) / sizeof(ops[0]))

/* One client at its work. */
struct job {
    const struct op *op;
    struct kxs_client client;
    unsigned me;
    pthread_barrier_t *start;
    uint64_t span; /* ns to work */
    size_t keep;   /* room in ns[], used in turn */
    double *ns;
    size_t done;
    int rc;
    struct kxs_client *hearers; /* of a fan-out */
    unsigned nr_hearers;
};

static int once(struct job *j)
{
    int rc = j->op->once(&j->client, j->me);

    for (unsigned i = 0; i < j->nr_hearers && rc >= 0; i++)
        rc = kxs_event(&j->hearers[i]);
    return rc;
}

static void work(struct job *j)
{
    uint64_t now = kxb_now(), end = now + j->span, next;

    while (now < end && j->rc >= 0) {
        j->rc = once(j);
        next = kxb_now();
        j->ns[j->done++ % j->keep] = (double)(next - now);
        now = next;
    }
}

static void *job_thread(void *arg)
{
    struct job *j = arg;

    pthread_barrier_wait(j->start);
    work(j);
    return NULL;
}

static void row_name(char *buf, const struct op *op, unsigned n,
                     enum kxs_kind kind, const char *what)
{
    snprintf(buf, KXB_NAME_MAX, "%s_c%u%s%s", op->name, n, what,
             kind == KXS_XENSTORED ? "_xenstored" : "");
}

/* The row this one is held against, or "". */
static void floor_name(char *buf, const struct op *op, unsigned n,
                       enum kxs_kind kind, const char *what)
{
    buf[0] = '\0';
    if (kind == KXS_XENSTORED)
        row_name(buf, op, n, KXS_OURS, what);
    else if (op->floor)
        snprintf(buf, KXB_NAME_MAX, "%s_c%u%s", op->floor, n, what);
}

static int add_rows(struct kxb *b, const struct job *jobs, unsigned n,
                    unsigned clients, enum kxs_kind kind)
{
    const struct op *op = jobs[0].op;
    char name[KXB_NAME_MAX], floor[KXB_NAME_MAX];
    double all[KEEP], rate = 0;
    size_t nr = 0;
    int rc;

    for (unsigned i = 0; i < n; i++) {
        size_t got = jobs[i].done < jobs[i].keep ? jobs[i].done : jobs[i].keep;

        memcpy(all + nr, jobs[i].ns, got * sizeof(*all));
        nr += got;
        rate += jobs[i].done * 1e9 / jobs[i].span;
    }
    row_name(name, op, clients, kind, "");
    floor_name(floor, op, clients, kind, "");
    rc = kxb_add(b, KXS_SUITE, name, "ns", floor, all, nr);
    row_name(name, op, clients, kind, "_ops");
    floor_name(floor, op, clients, kind, "_ops");
    return rc ? rc : kxb_add(b, KXS_SUITE, name, "1/s", floor, &rate, 1);
}

/* Closed loops of n clients at once. */
static int run_loops(struct job *jobs, unsigned n)
{
    pthread_barrier_t start;
    pthread_t threads[MAX_CLIENTS];
    unsigned made;
    int rc = 0;

    pthread_barrier_init(&start, NULL, n);
    for (made = 1; made < n; made++) {
        jobs[made].start = &start;
        if (pthread_create(&threads[made], NULL, job_thread, &jobs[made]))
            abort(); /* the others would wait for it for ever */
    }
    jobs[0].start = &start;
    job_thread(&jobs[0]);
    for (made = 1; made < n; made++)
        pthread_join(threads[made], NULL);
    for (unsigned i = 0; i < n && !rc; i++)
        rc = jobs[i].rc < 0 ? jobs[i].rc : 0;
    pthread_barrier_destroy(&start);
    return rc;
}

/* An answer, so that the server has taken it in; of a store, a watch. */
static int listen_for(struct kxs_client *c, const struct kxs_server *s)
{
    static const char payload[] = "/bench/watched\0token";
    bool echo = s->kind == KXS_ECHO;
    int rc = kxs_open(c, s);

    if (!rc)
        rc =
            kxs_talk(c, echo ? XS_READ : XS_WATCH, 0, payload, sizeof(payload));
    return rc < 0 ? rc : 0;
}

/* One who writes, n who hear of it. */
static int run_fan_out(struct job *j, const struct kxs_server *s, unsigned n)
{
    struct kxs_client hearers[MAX_CLIENTS];
    unsigned made;
    int rc = 0;

    for (made = 0; made < n && !rc; made++)
        rc = listen_for(&hearers[made], s);
    if (!rc && s->kind != KXS_ECHO)
        for (unsigned i = 0; i < n && !rc; i++)
            rc = kxs_event(&hearers[i]);
    if (!rc) {
        j->hearers = hearers;
        j->nr_hearers = n;
        work(j);
        rc = j->rc < 0 ? j->rc : 0;
    }
    while (made--)
        kxs_close(&hearers[made]);
    return rc;
}

static void jobs_free(struct job *jobs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        kxs_close(&jobs[i].client);
        free(jobs[i].ns);
    }
    free(jobs);
}

static struct job *jobs_create(const struct kxb *b, const struct op *op,
                               const struct kxs_server *s, unsigned n)
{
    struct job *jobs = calloc(n, sizeof(*jobs));
    int rc = 0;

    for (unsigned i = 0; jobs && i < n; i++)
        jobs[i].client.fd = -1;
    for (unsigned i = 0; jobs && i < n && !rc; i++) {
        jobs[i].op = op;
        jobs[i].me = i;
        jobs[i].span = b->quick ? CELL_QUICK_NS : CELL_NS;
        jobs[i].keep = KEEP / n;
        jobs[i].ns = calloc(jobs[i].keep, sizeof(double));
        rc = jobs[i].ns ? kxs_open(&jobs[i].client, s) : -ENOMEM;
    }
    if (jobs && rc) {
        jobs_free(jobs, n);
        return NULL;
    }
    return jobs;
}

static int run_cell(struct kxb *b, const struct op *op,
                    const struct kxs_server *s, unsigned clients)
{
    unsigned n = op->fan_out ? 1 : clients;
    struct job *jobs = jobs_create(b, op, s, n);
    int rc;

    if (!jobs)
        return -ENOMEM;
    rc = op->fan_out ? run_fan_out(jobs, s, clients) : run_loops(jobs, n);
    if (!rc)
        rc = add_rows(b, jobs, n, clients, s->kind);
    if (rc)
        kxb_say("%s with %u clients: %s", op->name, clients, strerror(-rc));
    jobs_free(jobs, n);
    return rc;
}

/* What the ops find in a store. */
static int furnish(const struct kxs_server *s)
{
    struct kxs_client c;
    char path[64];
    int rc = kxs_open(&c, s);

    if (rc)
        return rc;
    for (unsigned i = 0; i < MAX_CLIENTS && rc >= 0; i++)
        rc = once_write(&c, i);
    for (unsigned i = 0; i < CHILDREN && rc >= 0; i++) {
        sprintf(path, "/bench/directory/child-%u", i);
        rc = kxs_write(&c, 0, path);
    }
    kxs_close(&c);
    return rc < 0 ? rc : 0;
}

/* --only read,echo leaves out the other ops, and the curves. */
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

/* Servers in turn for every row, so that all meet the same machine. */
static int run_cells(struct kxb *b, struct kxs_server *servers)
{
    static const unsigned clients[] = {1, 4, 16};
    int rc = 0;

    for (size_t o = 0; o < NR_OPS; o++) {
        for (int n = 0; n < 3 && wanted(b, ops[o].name); n++) {
            for (int k = 0; k < KXS_NR_KINDS && !rc; k++)
                if (servers[k].pid && ops[o].echo == (k == KXS_ECHO))
                    rc = run_cell(b, &ops[o], &servers[k], clients[n]);
        }
    }
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
