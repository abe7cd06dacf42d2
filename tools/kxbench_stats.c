/* SPDX-License-Identifier: MIT */
#include "tools/kxbench.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct kxb_row *row_lookup(const struct kxb *b, const char *suite,
                                  const char *name)
{
    for (size_t i = 0; i < b->nr_rows; i++)
        if (!strcmp(b->rows[i].suite, suite) && !strcmp(b->rows[i].name, name))
            return &b->rows[i];
    return NULL;
}

struct kxb_row *kxb_row(struct kxb *b, const char *suite, const char *name,
                        const char *unit, const char *floor)
{
    struct kxb_row *row = row_lookup(b, suite, name);
    struct kxb_row *rows;

    if (row)
        return row;
    rows = realloc(b->rows, (b->nr_rows + 1) * sizeof(*rows));
    if (!rows)
        return NULL;
    b->rows = rows;
    row = &rows[b->nr_rows++];
    *row = (struct kxb_row){.ratio = NAN};
    snprintf(row->suite, sizeof(row->suite), "%s", suite);
    snprintf(row->name, sizeof(row->name), "%s", name);
    snprintf(row->unit, sizeof(row->unit), "%s", unit);
    snprintf(row->floor, sizeof(row->floor), "%s", floor ? floor : "");
    return row;
}

const struct kxb_row *kxb_row_find(const struct kxb *b, const char *suite,
                                   const char *name)
{
    return row_lookup(b, suite, name);
}

static int row_grow(struct kxb_row *row, size_t nr)
{
    size_t max = row->nr_samples + nr;
    double *samples;

    if (max <= row->max_samples)
        return 0;
    if (max < 2 * row->max_samples)
        max = 2 * row->max_samples;
    samples = realloc(row->samples, max * sizeof(*samples));
    if (!samples)
        return -ENOMEM;
    row->samples = samples;
    row->max_samples = max;
    return 0;
}

int kxb_row_add(struct kxb_row *row, const double *samples, size_t nr)
{
    int rc;

    if (!nr || row->parts)
        return -EINVAL;
    for (size_t i = 0; i < nr; i++)
        if (!isfinite(samples[i]))
            return -EINVAL;
    rc = row_grow(row, nr);
    if (rc)
        return rc;
    memcpy(row->samples + row->nr_samples, samples, nr * sizeof(*samples));
    row->nr_samples += nr;
    row->runs++;
    return 0;
}

int kxb_add(struct kxb *b, const char *suite, const char *name,
            const char *unit, const char *floor, const double *samples,
            size_t nr)
{
    struct kxb_row *row = kxb_row(b, suite, name, unit, floor);

    return row ? kxb_row_add(row, samples, nr) : -ENOMEM;
}

int kxb_add_ratio(struct kxb *b, const char *suite, const char *name,
                  double ratio)
{
    struct kxb_row *row = row_lookup(b, suite, name);
    double *ratios;

    if (!row || !isfinite(ratio))
        return -EINVAL;
    ratios = realloc(row->ratios, (row->nr_ratios + 1) * sizeof(*ratios));
    if (!ratios)
        return -ENOMEM;
    row->ratios = ratios;
    ratios[row->nr_ratios++] = ratio;
    return 0;
}

int kxb_row_add_summary(struct kxb_row *row, const struct kxb_summary *part)
{
    struct kxb_summary *parts;

    if (row->nr_samples || !isfinite(part->median) || !isfinite(part->q1) ||
        !isfinite(part->q3) || !isfinite(part->p99))
        return -EINVAL;
    parts = realloc(row->parts, (row->runs + 1) * sizeof(*parts));
    if (!parts)
        return -ENOMEM;
    row->parts = parts;
    parts[row->runs++] = *part;
    return 0;
}

/* 0, or -EINVAL when an element is no number. */
static int numbers_of(const json_t *array, double *list)
{
    size_t i;
    json_t *n;

    json_array_foreach (array, i, n) {
        if (!json_is_number(n))
            return -EINVAL;
        list[i] = json_number_value(n);
    }
    return 0;
}

static int add_samples(struct kxb_row *row, const json_t *samples)
{
    size_t nr = json_array_size(samples);
    double *list = calloc(nr ? nr : 1, sizeof(*list));
    int rc = list ? numbers_of(samples, list) : -ENOMEM;

    if (!rc)
        rc = kxb_row_add(row, list, nr);
    free(list);
    return rc;
}

static int add_summary(struct kxb_row *row, const json_t *line)
{
    const json_t *median = json_object_get(line, "median");
    struct kxb_summary part;
    const struct {
        const char *key;
        double *to;
    } rest[] = {{"q1", &part.q1}, {"q3", &part.q3}, {"p99", &part.p99}};

    if (!json_is_number(median))
        return -EINVAL;
    part.median = json_number_value(median);
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
        const json_t *n = json_object_get(line, rest[i].key);

        *rest[i].to = json_is_number(n) ? json_number_value(n) : part.median;
    }
    return kxb_row_add_summary(row, &part);
}

int kxb_add_json(struct kxb *b, const char *suite, const char *name,
                 const char *unit, const char *floor, const json_t *line)
{
    const char *told = json_string_value(json_object_get(line, "unit"));
    const json_t *samples = json_object_get(line, "samples");
    struct kxb_row *row = kxb_row(b, suite, name, told ? told : unit, floor);

    if (!row)
        return -ENOMEM;
    return samples ? add_samples(row, samples) : add_summary(row, line);
}

bool kxb_row_has_data(const struct kxb_row *row)
{
    return row->nr_samples || row->parts;
}

double kxb_quantile(const double *sorted, size_t nr, double q)
{
    double at = q * (double)(nr - 1);
    size_t low = (size_t)at;

    if (low + 1 >= nr)
        return sorted[nr - 1];
    return sorted[low] + (at - (double)low) * (sorted[low + 1] - sorted[low]);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double kxb_median(double *samples, size_t nr)
{
    qsort(samples, nr, sizeof(*samples), compare_doubles);
    return kxb_quantile(samples, nr, 0.5);
}

static struct kxb_summary summarise(double *samples, size_t nr)
{
    qsort(samples, nr, sizeof(*samples), compare_doubles);
    return (struct kxb_summary){
        .median = kxb_quantile(samples, nr, 0.5),
        .q1 = kxb_quantile(samples, nr, 0.25),
        .q3 = kxb_quantile(samples, nr, 0.75),
        .p99 = kxb_quantile(samples, nr, 0.99),
    };
}

/* The figures, as an array does them: indices into struct kxb_summary. */
enum { MEDIAN, Q1, Q3, P99, NR_FIGURES };

static double *figure_of(struct kxb_summary *part, int which)
{
    double *const figures[NR_FIGURES] = {
        [MEDIAN] = &part->median,
        [Q1] = &part->q1,
        [Q3] = &part->q3,
        [P99] = &part->p99,
    };

    return figures[which];
}

/* The median over the parts of one figure. */
static double median_of_parts(const struct kxb_row *row, int which)
{
    double *list = calloc(row->runs, sizeof(*list));
    double median = NAN;

    if (!list)
        return median;
    for (unsigned i = 0; i < row->runs; i++)
        list[i] = *figure_of(&row->parts[i], which);
    median = summarise(list, row->runs).median;
    free(list);
    return median;
}

static void row_finish(struct kxb_row *row)
{
    if (!row->parts && row->nr_samples)
        row->all = summarise(row->samples, row->nr_samples);
    for (int i = 0; row->parts && i < NR_FIGURES; i++)
        *figure_of(&row->all, i) = median_of_parts(row, i);
}

void kxb_finish(struct kxb *b)
{
    for (size_t i = 0; i < b->nr_rows; i++)
        row_finish(&b->rows[i]);
    for (size_t i = 0; i < b->nr_rows; i++) {
        struct kxb_row *row = &b->rows[i];
        const struct kxb_row *floor = row_lookup(b, row->suite, row->floor);

        row->ratio = NAN;
        if (!floor || !kxb_row_has_data(floor) || !kxb_row_has_data(row))
            continue;
        if (row->nr_ratios)
            row->ratio = kxb_median(row->ratios, row->nr_ratios);
        else if (floor->all.median != 0)
            row->ratio = row->all.median / floor->all.median;
    }
}

static void free_row(struct kxb_row *row)
{
    free(row->samples);
    free(row->parts);
    free(row->ratios);
}

void kxb_free_rows(struct kxb *b)
{
    for (size_t i = 0; i < b->nr_rows; i++)
        free_row(&b->rows[i]);
    free(b->rows);
    b->rows = NULL;
    b->nr_rows = 0;
}
