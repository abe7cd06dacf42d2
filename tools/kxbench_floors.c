/* SPDX-License-Identifier: MIT */
/*
 * The paths between guest and host, each beside the least the machine could
 * do: a polled ring beside two threads bouncing a cache line, a send beside a
 * bare ioeventfd, hypercalls beside a bare port exit.
 */
#include "tools/kxbench.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

#define SUITE         "floors"
#define BOUNCE_ROUNDS 2000u /* round trips in one sample */
#define BOUNCE_COUNT  200u  /* samples in one run */
#define CACHE_LINE    64

/* What each row is held against. */
static const struct {
    const char *name, *floor;
} floor_of[] = {
    {"ring_polled_rtt", "cacheline_rtt"},
    {"evtchn_send", "ioeventfd_out"},
    {"hypercall_exit", "pio_exit"},
    {"hypercall_noexit", "pio_exit"},
};

static const char *floor_name(const char *name)
{
    for (size_t i = 0; i < sizeof(floor_of) / sizeof(floor_of[0]); i++)
        if (!strcmp(floor_of[i].name, name))
            return floor_of[i].floor;
    return NULL;
}

struct bounce {
    _Alignas(CACHE_LINE) uint64_t word;
    _Alignas(CACHE_LINE) uint64_t rounds;
    int cpu[2];
};

static int pin_to(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return -pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* The first two CPUs this process may use; -ENODEV with only one. */
static int two_cpus(int cpu[2])
{
    cpu_set_t set;
    int nr = 0;

    if (sched_getaffinity(0, sizeof(set), &set))
        return -errno;
    for (int i = 0; i < CPU_SETSIZE && nr < 2; i++)
        if (CPU_ISSET(i, &set))
            cpu[nr++] = i;
    return nr == 2 ? 0 : -ENODEV;
}

/* Waits for the word to become `value`: acquire pairs with the release. */
static inline void bounce_wait(struct bounce *t, uint64_t value)
{
    while (__atomic_load_n(&t->word, __ATOMIC_ACQUIRE) != value)
        __builtin_ia32_pause();
}

static void *bounce_echo(void *arg)
{
    struct bounce *t = arg;

    pin_to(t->cpu[1]);
    for (uint64_t i = 0; i < t->rounds; i++) {
        bounce_wait(t, 2 * i + 1);
        __atomic_store_n(&t->word, 2 * i + 2, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void bounce_measure(struct bounce *t, double *samples, unsigned nr)
{
    uint64_t i = 0, start = 0;

    /* One batch more, thrown away: the first finds nobody on the line. */
    for (unsigned s = 0; s <= nr; s++) {
        start = kxb_now();
        for (unsigned n = 0; n < BOUNCE_ROUNDS; n++, i++) {
            __atomic_store_n(&t->word, 2 * i + 1, __ATOMIC_RELEASE);
            bounce_wait(t, 2 * i + 2);
        }
        if (s)
            samples[s - 1] = (double)(kxb_now() - start) / BOUNCE_ROUNDS;
    }
}

/* Fills samples[nr]. */
static int bounce_run(double *samples, unsigned nr)
{
    struct bounce t = {.rounds = (uint64_t)(nr + 1) * BOUNCE_ROUNDS};
    cpu_set_t before;
    pthread_t echo;
    int rc = two_cpus(t.cpu);

    if (rc) {
        kxb_say("cacheline_rtt needs two CPUs");
        return rc;
    }
    sched_getaffinity(0, sizeof(before), &before);
    rc = -pthread_create(&echo, NULL, bounce_echo, &t);
    if (rc)
        return rc;
    pin_to(t.cpu[0]);
    bounce_measure(&t, samples, nr);
    pthread_join(echo, NULL);
    sched_setaffinity(0, sizeof(before), &before);
    return 0;
}

/* {"pio_exit": {"unit": "ns", "samples": [...]}, ...} */
static int bare_rows(struct kxb *b, json_t *all)
{
    const char *name;
    json_t *row;
    int rc = 0;

    json_object_foreach (all, name, row) {
        rc = kxb_add_json(b, SUITE, name, "ns", floor_name(name), row);
        if (rc)
            break;
    }
    return rc;
}

/* hv measures the bare exits itself: only it opens /dev/kvm. */
static int bare_run(struct kxb *b)
{
    char command[9000], hv[4200];
    json_error_t err;
    json_t *all;
    FILE *f;
    int rc = -EPROTO;

    /* Where make install puts it, else beside us. */
    snprintf(hv, sizeof(hv), "%s/../libexec/kxen/hv", b->bin_dir);
    if (access(hv, X_OK))
        snprintf(hv, sizeof(hv), "%s/hv", b->bin_dir);
    snprintf(command, sizeof(command), "'%s' --bench-floors --json%s", hv,
             b->quick ? " --quick" : "");
    f = popen(command, "re");
    if (!f)
        return -errno;
    all = json_loadf(f, 0, &err);
    if (!all)
        kxb_say("`%s` printed no JSON: %s", command, err.text);
    else
        rc = bare_rows(b, all);
    if (pclose(f) && !rc)
        rc = -EIO;
    json_decref(all);
    return rc;
}

static int guest_run(struct kxb *b)
{
    const struct kxb_guest guest = {
        .extra = b->quick ? "bench=floors quick=1" : "bench=floors",
        .devices = "",
        .poll_us = -1,
        .echo = true,
    };
    struct kxb_result res;
    size_t i;
    json_t *line;
    int rc = kxb_guest_run(b, &guest, &res);

    json_array_foreach (res.lines, i, line) {
        const char *name = json_string_value(json_object_get(line, "name"));

        if (!rc && name)
            rc = kxb_add_json(b, SUITE, name, "ns", floor_name(name), line);
    }
    json_decref(res.lines);
    return rc;
}

/*
 * The cache line before and after the guest's ring: where the two CPUs are
 * virtual themselves, they may be near each other now and far a minute later.
 */
static int rings_run(struct kxb *b)
{
    unsigned half = (b->quick ? BOUNCE_COUNT / 10 : BOUNCE_COUNT) / 2;
    double samples[BOUNCE_COUNT];
    int rc = bounce_run(samples, half), one = guest_run(b);

    if (!rc)
        rc = bounce_run(samples + half, half);
    if (!rc)
        rc = kxb_add(b, SUITE, "cacheline_rtt", "ns", NULL, samples, 2 * half);
    return rc ? rc : one;
}

static int floors_run(struct kxb *b, unsigned run)
{
    int rc = rings_run(b), one = bare_run(b);

    (void)run;
    return rc ? rc : one;
}

KXB_SUITE(floors, .name = SUITE,
          .help = "exits, sends and rings, each "
                  "beside the machine's least",
          .run = floors_run)
