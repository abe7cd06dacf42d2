/* SPDX-License-Identifier: MIT */
/*
 * One operation with so many clients, at all servers.  They take turns of a
 * few milliseconds, so that a busy moment of the machine falls on all of them,
 * and what is told is the median of the turns' ratios.
 *
 * Where there is one client thread, it and the servers share a CPU: either is
 * idle while the other works, and if that were two CPUs, the row would be the
 * time it takes to wake one, as often as the scheduler happened to spread them.
 */
#include "tools/kxbench_store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS         12
#define TURN_NS       15000000ull
#define TURN_QUICK_NS 2000000ull
#define KEEP          800 /* latencies of one turn */

/* One client at its work. */
struct job {
    const struct kxs_op *op;
    struct kxs_client client;
    unsigned me;
    pthread_barrier_t *start;
    uint64_t span; /* ns to work */
    size_t keep;   /* room in ns[], used in turn */
    size_t done;
    int rc;
    struct kxs_client *hearers; /* of a fan-out */
    unsigned nr_hearers;
    double ns[KEEP];
};

/* What one server does in the cell. */
struct side {
    const struct kxs_op *op; /* NULL: nothing */
    const struct kxs_server *server;
    unsigned clients;
    unsigned nr; /* of jobs */
    struct job *jobs;
    struct kxs_client hearers[KXS_CLIENTS];
    unsigned nr_hearers;
    double median[TURNS], rate[TURNS]; /* of each turn */
    double all[TURNS * KEEP];
    size_t nr_all;
};

static int once(struct job *j)
{
    int rc = j->op->once(&j->client, j->me);

    for (unsigned i = 0; i < j->nr_hearers && rc >= 0; i++)
        rc = kxs_event(&j->hearers[i]);
    return rc;
}

static void *work(void *arg)
{
    struct job *j = arg;
    uint64_t now, end, next;

    pthread_barrier_wait(j->start);
    now = kxb_now();
    end = now + j->span;
    for (j->done = 0; now < end && j->rc >= 0; now = next) {
        j->rc = once(j);
        next = kxb_now();
        j->ns[j->done++ % j->keep] = (double)(next - now);
    }
    return NULL;
}

/* All clients of a side at once. */
static int work_all(struct side *s)
{
    pthread_barrier_t start;
    pthread_t threads[KXS_CLIENTS];
    int rc = 0;

    pthread_barrier_init(&start, NULL, s->nr);
    for (unsigned i = 0; i < s->nr; i++)
        s->jobs[i].start = &start;
    for (unsigned i = 1; i < s->nr; i++)
        if (pthread_create(&threads[i], NULL, work, &s->jobs[i]))
            abort(); /* the others would wait for it for ever */
    work(&s->jobs[0]);
    for (unsigned i = 1; i < s->nr; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < s->nr && !rc; i++)
        rc = s->jobs[i].rc < 0 ? s->jobs[i].rc : 0;
    pthread_barrier_destroy(&start);
    return rc;
}

static int turn(struct side *s, int i)
{
    double ns[KEEP];
    size_t nr = 0;
    int rc = work_all(s);

    if (rc)
        return rc;
    s->rate[i] = 0;
    for (unsigned k = 0; k < s->nr; k++) {
        const struct job *j = &s->jobs[k];
        size_t got = j->done < j->keep ? j->done : j->keep;

        memcpy(ns + nr, j->ns, got * sizeof(*ns));
        nr += got;
        s->rate[i] += j->done * 1e9 / j->span;
    }
    memcpy(s->all + s->nr_all, ns, nr * sizeof(*ns));
    s->nr_all += nr;
    s->median[i] = kxb_median(ns, nr);
    return 0;
}

static int take_turns(struct side *sides)
{
    int rc = 0;

    for (int i = 0; i < TURNS; i++) {
        for (int k = 0; k < KXS_NR_KINDS && !rc; k++) {
            struct side *s = &sides[(i + k) % KXS_NR_KINDS];

            if (s->op)
                rc = turn(s, i);
        }
    }
    return rc;
}

static void row_name(char *buf, const struct side *s, const char *what)
{
    snprintf(buf, KXB_NAME_MAX, "%s_c%u%s%s", s->op->name, s->clients, what,
             s->server->kind == KXS_XENSTORED ? "_xenstored" : "");
}

/* One row: its samples, and its turns beside those of its floor. */
static int add_row(struct kxb *b, const struct side *s,
                   const struct side *floor, const char *what,
                   const double *samples, size_t nr)
{
    bool rate = *what;
    char name[KXB_NAME_MAX], under[KXB_NAME_MAX] = "";
    int rc;

    row_name(name, s, what);
    if (floor)
        row_name(under, floor, what);
    rc = kxb_add(b, KXS_SUITE, name, rate ? "1/s" : "ns", under, samples, nr);
    for (int i = 0; i < TURNS && floor && !rc; i++)
        rc = kxb_add_ratio(b, KXS_SUITE, name,
                           rate ? s->rate[i] / floor->rate[i]
                                : s->median[i] / floor->median[i]);
    return rc;
}

static int add_rows(struct kxb *b, const struct side *sides)
{
    int rc = 0;

    for (int k = 0; k < KXS_NR_KINDS && !rc; k++) {
        const struct side *s = &sides[k], *floor = NULL;

        if (!s->op)
            continue;
        if (k != KXS_ECHO)
            floor = &sides[k == KXS_OURS ? KXS_ECHO : KXS_OURS];
        rc = add_row(b, s, floor, "", s->all, s->nr_all);
        if (!rc)
            rc = add_row(b, s, floor, "_ops", s->rate, TURNS);
    }
    return rc;
}

/* An answer, so that the server has taken it in; of a store, a watch. */
static int listen_for(struct kxs_client *c, const struct kxs_server *s)
{
    static const char payload[] = "/bench/watched\0token";
    bool echo = s->kind == KXS_ECHO;
    int rc = kxs_open(c, s);

    if (rc)
        return rc;
    rc = kxs_talk(c, echo ? XS_READ : XS_WATCH, 0, payload, sizeof(payload));
    if (rc >= 0 && !echo)
        rc = kxs_event(c);
    return rc < 0 ? rc : 0;
}

static int open_jobs(struct kxb *b, struct side *s)
{
    int rc = 0;

    s->jobs = calloc(s->nr, sizeof(*s->jobs));
    if (!s->jobs)
        return -ENOMEM;
    for (unsigned i = 0; i < s->nr; i++)
        s->jobs[i].client.fd = -1;
    for (unsigned i = 0; i < s->nr && !rc; i++) {
        struct job *j = &s->jobs[i];

        j->op = s->op;
        j->me = i;
        j->span = b->quick ? TURN_QUICK_NS : TURN_NS;
        j->keep = KEEP / s->nr;
        rc = kxs_open(&j->client, s->server);
    }
    while (!rc && s->op->fan_out && s->nr_hearers < s->clients)
        rc = listen_for(&s->hearers[s->nr_hearers++], s->server);
    s->jobs[0].hearers = s->hearers;
    s->jobs[0].nr_hearers = s->nr_hearers;
    return rc;
}

static void close_side(struct side *s)
{
    while (s->nr_hearers)
        kxs_close(&s->hearers[--s->nr_hearers]);
    for (unsigned i = 0; s->jobs && i < s->nr; i++)
        kxs_close(&s->jobs[i].client);
    free(s->jobs);
}

/* The first of those given. */
static cpu_set_t one_of(const cpu_set_t *cpus)
{
    cpu_set_t one;
    int cpu = 0;

    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, cpus))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return one;
}

/* As take_turns(), on the CPUs that befit the number of client threads. */
static int take_turns_at(struct side *sides, const struct kxs_server *servers,
                         bool one_thread)
{
    cpu_set_t all, one;
    int rc;

    if (!one_thread || sched_getaffinity(0, sizeof(all), &all))
        return take_turns(sides);
    one = one_of(&all);
    kxs_set_cpus(servers, &one);
    rc = take_turns(sides);
    kxs_set_cpus(servers, &all);
    return rc;
}

int kxs_cell_run(struct kxb *b, const struct kxs_op *op,
                 const struct kxs_op *floor, const struct kxs_server *servers,
                 unsigned clients)
{
    struct side *sides = calloc(KXS_NR_KINDS, sizeof(*sides));
    int rc = sides ? 0 : -ENOMEM;

    for (int k = 0; k < KXS_NR_KINDS && !rc; k++) {
        struct side *s = &sides[k];

        if (!servers[k].pid)
            continue;
        s->op = k == KXS_ECHO ? floor : op;
        s->server = &servers[k];
        s->clients = clients;
        s->nr = op->fan_out ? 1 : clients;
        rc = open_jobs(b, s);
    }
    if (!rc)
        rc = take_turns_at(sides, servers, op->fan_out || clients == 1);
    if (!rc)
        rc = add_rows(b, sides);
    if (rc)
        kxb_say("%s with %u clients: %s", op->name, clients, strerror(-rc));
    for (int k = 0; sides && k < KXS_NR_KINDS; k++)
        close_side(&sides[k]);
    free(sides);
    return rc;
}
