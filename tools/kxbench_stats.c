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

    if (!nr)
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

int kxb_add_json(struct kxb *b, const char *suite, const char *name,
                 const char *unit, const char *floor, const json_t *samples)
{
    size_t nr = json_array_size(samples);
    double *list;
    int rc = -EINVAL;

    if (!nr)
        return -EINVAL;
    list = calloc(nr, sizeof(*list));
    if (!list)
        return -ENOMEM;
    for (size_t i = 0; i < nr; i++) {
        const json_t *n = json_array_get(samples, i);

        if (!json_is_number(n))
            goto out;
        list[i] = json_number_value(n);
    }
    rc = kxb_add(b, suite, name, unit, floor, list, nr);
out:
    free(list);
    return rc;
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

static void row_finish(struct kxb_row *row)
{
    size_t nr = row->nr_samples;

    if (!nr)
        return;
    qsort(row->samples, nr, sizeof(*row->samples), compare_doubles);
    row->q1 = kxb_quantile(row->samples, nr, 0.25);
    row->median = kxb_quantile(row->samples, nr, 0.5);
    row->q3 = kxb_quantile(row->samples, nr, 0.75);
    row->p99 = kxb_quantile(row->samples, nr, 0.99);
}

void kxb_finish(struct kxb *b)
{
    for (size_t i = 0; i < b->nr_rows; i++)
        row_finish(&b->rows[i]);
    for (size_t i = 0; i < b->nr_rows; i++) {
        struct kxb_row *row = &b->rows[i];
        const struct kxb_row *floor = row_lookup(b, row->suite, row->floor);

        row->ratio = NAN;
        if (floor && floor->nr_samples && floor->median != 0)
            row->ratio = row->median / floor->median;
    }
}

void kxb_free_rows(struct kxb *b)
{
    for (size_t i = 0; i < b->nr_rows; i++)
        free(b->rows[i].samples);
    free(b->rows);
    b->rows = NULL;
    b->nr_rows = 0;
}
