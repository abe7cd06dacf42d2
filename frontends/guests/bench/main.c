/* SPDX-License-Identifier: MIT */
/*
 * The benchmark guest: bench=disk|console|floors (one or more). Prints raw
 * figures, one JSON object a line after "BENCH ", all times in nanoseconds.
 */
#include "frontends/guests/bench/bench.h"

#define QUICK_DIVISOR 10

size_t bench_count(size_t dflt)
{
    if (cmdline_u64(cmdline(), "quick", 0))
        dflt /= QUICK_DIVISOR;
    return (size_t)cmdline_u64(cmdline(), "count", dflt);
}

int bench_alloc(struct bench *b, const char *name, size_t nr, size_t batch)
{
    *b = (struct bench){.name = name, .nr = nr, .batch = batch};
    b->ops = nr * batch;
    b->sample = nr ? heap_alloc(nr * sizeof(*b->sample)) : NULL;
    return b->sample ? 0 : -ENOMEM;
}

void bench_free(struct bench *b)
{
    heap_free(b->sample);
}

/* Tenths of a nanosecond matter for what takes a few. */
static void print_figure(const char *key, uint64_t cycles, size_t batch)
{
    uint64_t tenths = tsc_to_ns(cycles * 10) / batch;

    printf("\"%s\":%lu.%lu,", key, tenths / 10, tenths % 10);
}

void bench_report(struct bench *b)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < b->nr; i++)
        sum += b->sample[i];
    stats_sort(b->sample, b->nr);
    printf("BENCH {\"name\":\"%s\",\"unit\":\"ns\",%s", b->name, b->extra);
    print_figure("median", stats_quantile(b->sample, b->nr, 500), b->batch);
    print_figure("q1", stats_quantile(b->sample, b->nr, 250), b->batch);
    print_figure("q3", stats_quantile(b->sample, b->nr, 750), b->batch);
    print_figure("p99", stats_quantile(b->sample, b->nr, 990), b->batch);
    print_figure("min", b->sample[0], b->batch);
    print_figure("max", b->sample[b->nr - 1], b->batch);
    printf("\"count\":%lu,\"ops\":%lu,\"ns\":%lu,\"events\":%lu}\n", b->nr,
           b->ops, b->ns ? b->ns : tsc_to_ns(sum), b->events);
}

static const struct {
    const char *name;
    int (*run)(void);
} suites[] = {
    {"disk", bench_disk},
    {"console", bench_console},
    {"floors", bench_floors},
};

static int run_suite(const char *name)
{
    size_t i;
    int rc;

    for (i = 0; i < ARRAY_SIZE(suites); i++) {
        if (strcmp(suites[i].name, name) != 0)
            continue;
        rc = suites[i].run();
        if (rc)
            printf("bench: %s: error %d\n", name, rc);
        return rc;
    }
    printf("bench: there is no suite '%s', only disk, console and floors\n",
           name);
    return -EINVAL;
}

int guest_main(void)
{
    unsigned int n;
    char name[16];
    int rc = 0, one;

    for (n = 0; cmdline_get(cmdline(), "bench", n, name, sizeof(name)); n++) {
        one = run_suite(name);
        rc = rc ? rc : one;
    }
    if (n == 0)
        rc = run_suite("(none)");
    return rc ? SHUTDOWN_crash : SHUTDOWN_poweroff;
}
