/* SPDX-License-Identifier: MIT */
#include "tools/kxbench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Copies the first "key : value" of /proc/cpuinfo; "" if there is none. */
static void cpuinfo_value(const char *key, char *value, size_t size)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[8192];

    value[0] = '\0';
    while (f && fgets(line, sizeof(line), f)) {
        char *colon = strchr(line, ':');

        if (!colon || strncmp(line, key, strlen(key)))
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(value, size, "%s", colon);
        break;
    }
    if (f)
        fclose(f);
}

static const char *kvm_kind(void)
{
    char flags[8192], padded[8196];

    if (access("/dev/kvm", R_OK | W_OK))
        return "none";
    cpuinfo_value("flags", flags, sizeof(flags));
    snprintf(padded, sizeof(padded), " %s ", flags);
    if (strstr(padded, " vmx ") || strstr(padded, " svm "))
        return "hardware";
    return "software";
}

static json_t *host_json(const struct kxb *b)
{
    struct utsname uts = {0};
    char model[256];

    uname(&uts);
    cpuinfo_value("model name", model, sizeof(model));
    return json_pack("{s:s, s:i, s:s, s:s, s:i, s:b}", "cpu", model, "cpus",
                     (int)sysconf(_SC_NPROCESSORS_ONLN), "kernel", uts.release,
                     "kvm", kvm_kind(), "runs", (int)b->runs, "quick",
                     (int)b->quick);
}

static json_t *row_json(const struct kxb_row *row)
{
    return json_pack(
        "{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:i, s:o, s:o}", "suite",
        row->suite, "name", row->name, "unit", row->unit, "median",
        row->all.median, "q1", row->all.q1, "q3", row->all.q3, "p99",
        row->all.p99, "runs", (int)row->runs, "floor",
        row->floor[0] ? json_string(row->floor) : json_null(), "ratio",
        isnan(row->ratio) ? json_null() : json_real(row->ratio));
}

json_t *kxb_json(const struct kxb *b)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < b->nr_rows; i++)
        if (kxb_row_has_data(&b->rows[i]))
            json_array_append_new(rows, row_json(&b->rows[i]));
    return json_pack("{s:o, s:o}", "host", host_json(b), "rows", rows);
}

/* Enough digits to tell rows apart, no more. */
static void format_number(char *buf, size_t size, double x)
{
    double size_of_x = fabs(x);

    if (isnan(x))
        snprintf(buf, size, "-");
    else if (size_of_x >= 1000 || x == 0)
        snprintf(buf, size, "%.0f", x);
    else if (size_of_x >= 10)
        snprintf(buf, size, "%.1f", x);
    else
        snprintf(buf, size, size_of_x >= 0.01 ? "%.3f" : "%.5f", x);
}

static void print_row(const struct kxb_row *row, int width)
{
    double figures[] = {row->all.median, row->all.q1, row->all.q3,
                        row->all.p99};
    char text[64];

    printf("%-*s  %-8s", width, row->name, row->unit);
    for (size_t i = 0; i < 4; i++) {
        format_number(text, sizeof(text), figures[i]);
        printf(" %10s", text);
    }
    format_number(text, sizeof(text), row->ratio);
    printf(" %8s  %s\n", text, row->floor[0] ? row->floor : "-");
}

/* Is this a row to print; if so, is its name the widest so far? */
static bool row_shows(const struct kxb_row *row, const char *suite, int *width)
{
    int len = (int)strlen(row->name);

    if (strcmp(row->suite, suite) || !kxb_row_has_data(row))
        return false;
    if (len > *width)
        *width = len;
    return true;
}

void kxb_print_table(const struct kxb *b, const char *suite)
{
    int width = 8;
    bool any = false;

    for (size_t i = 0; i < b->nr_rows; i++)
        any |= row_shows(&b->rows[i], suite, &width);
    if (!any)
        return;
    printf("\n%-*s  %-8s %10s %10s %10s %10s %8s  %s\n", width, suite, "unit",
           "median", "q1", "q3", "p99", "ratio", "against");
    for (size_t i = 0; i < b->nr_rows; i++)
        if (row_shows(&b->rows[i], suite, &width))
            print_row(&b->rows[i], width);
}
