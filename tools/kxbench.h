/* SPDX-License-Identifier: MIT */
/*
 * kxbench: measures, and says against what.
 *
 * A suite is one file, tools/kxbench_<suite>.c, that ends in KXB_SUITE().
 * main() calls its run() once per run, all suites in turn, so that a slow
 * minute of the machine falls on every row alike; run() adds its samples to
 * rows, which are summed up at the end.
 */
#ifndef TOOLS_KXBENCH_H
#define TOOLS_KXBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

#define KXB_NAME_MAX 64

struct kxb_summary {
    double median, q1, q3, p99;
};

/*
 * One figure: what was measured, and once finished, its summary.  Samples of
 * all runs are pooled; of runs that came as summaries (a guest's, without
 * floating point or much of a console) each figure is the median over runs.
 */
struct kxb_row {
    char suite[KXB_NAME_MAX];
    char name[KXB_NAME_MAX];
    char unit[KXB_NAME_MAX];
    char floor[KXB_NAME_MAX]; /* name of another row of the suite, or "" */
    double *samples;
    size_t nr_samples, max_samples;
    struct kxb_summary *parts;
    unsigned runs;  /* that added something; of parts, if there are */
    double *ratios; /* measured side by side with the floor, or NULL */
    size_t nr_ratios;
    struct kxb_summary all; /* by kxb_finish() */
    /* The ratios' median, else that of the medians; NAN without a floor. */
    double ratio;
};

struct kxb {
    bool quick;
    unsigned runs;
    const char *only;    /* variants to measure, comma separated; NULL: all */
    char bin_dir[4096];  /* where kxl and hv stand */
    char work_dir[4096]; /* scratch, on a disk */
    bool host_runs;
    struct kxb_row *rows;
    size_t nr_rows;
};

struct kxb_suite {
    const char *name;
    const char *help;
    /* One run: adds samples.  0 or -Exxx after saying why on stderr. */
    int (*run)(struct kxb *b, unsigned run);
    /* Optional: a table of its own for people, in place of the common one. */
    void (*print)(const struct kxb *b);
    struct kxb_suite *next;
};

/* Called by KXB_SUITE before main(). */
void kxb_suite_register(struct kxb_suite *suite);

#define KXB_SUITE(ident, ...)                                                  \
    static struct kxb_suite ident##_suite = {__VA_ARGS__};                     \
    static void __attribute__((constructor)) ident##_register(void)            \
    {                                                                          \
        kxb_suite_register(&ident##_suite);                                    \
    }

/* kxbench_stats.c */

/*
 * The row of that suite and name, made at its first mention.  floor may be
 * NULL.  The pointer holds until the next kxb_row() call; NULL: no memory.
 */
struct kxb_row *kxb_row(struct kxb *b, const char *suite, const char *name,
                        const char *unit, const char *floor);
/* The row, or NULL when nothing made it. */
const struct kxb_row *kxb_row_find(const struct kxb *b, const char *suite,
                                   const char *name);
/* Adds one run's samples.  0, -EINVAL (none, or not finite), -ENOMEM. */
int kxb_row_add(struct kxb_row *row, const double *samples, size_t nr);
/* Makes or finds a row and adds to it, in one step. */
int kxb_add(struct kxb *b, const char *suite, const char *name,
            const char *unit, const char *floor, const double *samples,
            size_t nr);
/* Adds how often it is its floor at one moment; the row must be there. */
int kxb_add_ratio(struct kxb *b, const char *suite, const char *name,
                  double ratio);
/* Adds one run's summary.  0, -EINVAL (the row has samples), -ENOMEM. */
int kxb_row_add_summary(struct kxb_row *row, const struct kxb_summary *part);
/*
 * Adds what a JSON object tells: "samples", an array of numbers, else
 * "median" with "q1", "q3", "p99" (or none of the three); "unit" if it has
 * one stands in place of unit.  Also -EINVAL when it holds neither.
 */
int kxb_add_json(struct kxb *b, const char *suite, const char *name,
                 const char *unit, const char *floor, const json_t *line);
/* Was anything measured? */
bool kxb_row_has_data(const struct kxb_row *row);
/* Sums every row up: quantiles, then ratios. */
void kxb_finish(struct kxb *b);
void kxb_free_rows(struct kxb *b);
/*
 * The q-quantile (0..1) of sorted[nr], nr > 0, interpolated linearly between
 * neighbours.
 */
double kxb_quantile(const double *sorted, size_t nr, double q);
/* Sorts samples[nr], nr > 0, too. */
double kxb_median(double *samples, size_t nr);

/* kxbench_report.c */

/* A suite's rows as an aligned table for people, on stdout. */
void kxb_print_table(const struct kxb *b, const char *suite);
/* {"host": {...}, "rows": [...]}; a new reference, NULL without memory. */
json_t *kxb_json(const struct kxb *b);

/* kxbench_host.c */

/*
 * A host of our own (hv, kxenstored, dom0) in work_dir, started at the first
 * call.  0, or -Exxx after saying why.
 */
int kxb_host_start(struct kxb *b);
/* Stops it, if it runs, and removes what it left. */
void kxb_host_stop(struct kxb *b);
/* Removes a folder with all that is in it. */
void kxb_remove(const char *dir);
/*
 * Runs kxl with these arguments (NULL ends them; "kxl" is put in front).
 * 0 and, if out is not NULL, its standard output as a string for the caller
 * to free; else -Exxx after saying why on stderr.
 */
int kxb_kxl(struct kxb *b, char **out, ...) __attribute__((sentinel));

/* kxbench_guest.c */

struct kxb_guest {
    const char *extra;   /* command line */
    const char *devices; /* further lines of xl.cfg */
    int poll_us;         /* how long backends spin; -1: they never sleep */
    bool echo;           /* give it the echo device */
};

/* What a run of the guest left. */
struct kxb_result {
    json_t *lines; /* an array of its "BENCH {...}" lines' objects; ours */
    double exits;  /* of its vCPUs to hv, over its whole life */
};

/*
 * Boots the bench guest to its end.  0 and *res, whose lines the caller
 * releases; or -Exxx after saying why on stderr.
 */
int kxb_guest_run(struct kxb *b, const struct kxb_guest *guest,
                  struct kxb_result *res);
/* A file of `size` bytes, filled, under work_dir.  0 or -Exxx. */
int kxb_make_image(struct kxb *b, char *path, size_t path_size, uint64_t size);

/* CLOCK_MONOTONIC in ns. */
uint64_t kxb_now(void);
/* Progress, on stderr, one line. */
void kxb_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
