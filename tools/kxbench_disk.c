/* SPDX-License-Identifier: MIT */
/*
 * One disk image, one guest, one workload; five ways to reach the disk, and
 * the host's own io_uring as the floor.
 */
#include "tools/kxbench_disk.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SUITE        KXB_DISK_SUITE
#define IMAGE_SIZE   (64u << 20)
#define FLOOR_PREFIX "host_uring"
#define HOST_OPS     2000u

struct variant {
    const char *name;
    const char *title;
    const char *device; /* a line of xl.cfg, %s is the image */
    const char *driver; /* what the guest calls it */
    bool polled;
};

/* In the order of the table; the first is what the ratios are against. */
static const struct variant variants[] = {
    {"ata", "ATA PIO, trapped", "trapped = [ \"ata,target=%s\" ]", "ata",
     false},
    {"virtio", "virtio-mmio, inline", "trapped = [ \"virtio,target=%s\" ]",
     "virtio", false},
    {"virtio_ioeventfd", "virtio-mmio, ioeventfd",
     "trapped = [ \"virtio,target=%s,ioeventfd\" ]", "virtio", false},
    {"xen_event", "Xen ring, events",
     "disk = [ \"format=raw, vdev=xvda, access=rw, target=%s\" ]", "xen",
     false},
    {"xen_polled", "Xen ring, polled",
     "disk = [ \"format=raw, vdev=xvda, access=rw, target=%s\" ]", "xen", true},
};
#define NR_VARIANTS (sizeof(variants) / sizeof(variants[0]))

/* Is the variant in the comma-separated --only list? */
static bool variant_wanted(const struct kxb *b, const struct variant *v)
{
    size_t len = strlen(v->name);
    const char *at = b->only;

    if (!at)
        return true;
    while (*at) {
        size_t word = strcspn(at, ",");

        if (word == len && !strncmp(at, v->name, len))
            return true;
        at += word + (at[word] == ',');
    }
    return false;
}

/* A plain number of the line becomes one sample of row variant_op_key. */
static int add_scalar(struct kxb *b, const char *base, const char *key,
                      const char *unit, const char *floor, double value)
{
    char name[3 * KXB_NAME_MAX];

    snprintf(name, sizeof(name), "%s_%s", base, key);
    return kxb_add(b, SUITE, name, unit, floor, &value, 1);
}

/* Counts over the whole workload, turned into counts per operation. */
static int add_counts(struct kxb *b, const char *base, const json_t *line)
{
    static const char *const keys[] = {"exits", "events"};
    double ops = json_number_value(json_object_get(line, "ops"));
    double ns = json_number_value(json_object_get(line, "ns"));
    int rc = 0;

    if (ops <= 0)
        return 0;
    if (ns > 0)
        rc = add_scalar(b, base, "ops", "ops/s", NULL, ops * 1e9 / ns);
    for (size_t i = 0; i < 2 && !rc; i++) {
        const json_t *n = json_object_get(line, keys[i]);
        char unit[16];

        snprintf(unit, sizeof(unit), "%s/op", keys[i]);
        if (json_is_number(n))
            rc = add_scalar(b, base, keys[i], unit, NULL,
                            json_number_value(n) / ops);
    }
    return rc;
}

static int disk_line(struct kxb *b, const json_t *line, void *arg)
{
    const struct variant *v = arg;
    const char *op = json_string_value(json_object_get(line, "name"));
    char base[2 * KXB_NAME_MAX], floor[KXB_NAME_MAX];
    int rc;

    if (!op)
        return 0;
    snprintf(base, sizeof(base), "%s_%.60s", v->name, op);
    snprintf(floor, sizeof(floor), FLOOR_PREFIX "_%.48s", op);
    rc = kxb_add_json(b, SUITE, base, "ns", floor, line);
    return rc ? rc : add_counts(b, base, line);
}

static int variant_run(struct kxb *b, const struct variant *v,
                       const char *image)
{
    char device[6000], extra[256];
    const struct kxb_guest guest = {
        .extra = extra,
        .devices = device,
        .poll_us = v->polled ? -1 : 0,
    };

    kxb_say("disk: %s", v->title);
    snprintf(device, sizeof(device), v->device, image);
    snprintf(extra, sizeof(extra), "bench=disk driver=%s polled=%d%s",
             v->driver, v->polled, b->quick ? " quick=1" : "");
    return kxb_guest_run(b, &guest, disk_line, (void *)v);
}

static int floor_run(struct kxb *b, const char *image)
{
    unsigned nr = b->quick ? HOST_OPS / 10 : HOST_OPS;
    int rc;

    kxb_say("disk: io_uring on the host");
    rc = kxb_uring_run(b, image, false, FLOOR_PREFIX "_read4k", nr);
    return rc ? rc : kxb_uring_run(b, image, true, FLOOR_PREFIX "_write4k", nr);
}

/* Every variant once, beginning with another one in each run. */
static int disk_run(struct kxb *b, unsigned run)
{
    char image[5000];
    int rc = kxb_make_image(b, image, sizeof(image), IMAGE_SIZE), one;

    if (rc)
        return rc;
    rc = floor_run(b, image);
    for (size_t i = 0; i < NR_VARIANTS; i++) {
        const struct variant *v = &variants[(i + run) % NR_VARIANTS];

        if (!variant_wanted(b, v))
            continue;
        one = variant_run(b, v, image);
        rc = rc ? rc : one;
    }
    unlink(image);
    return rc;
}

static double figure(const struct kxb *b, const struct variant *v,
                     const char *op, const char *key, double *p99)
{
    char name[2 * KXB_NAME_MAX];
    const struct kxb_row *row;

    snprintf(name, sizeof(name), "%s_%s%s", v->name, op, key);
    row = kxb_row_find(b, SUITE, name);
    if (p99)
        *p99 = row ? row->all.p99 : NAN;
    return row && kxb_row_has_data(row) ? row->all.median : NAN;
}

static void print_cell(int width, int digits, double x)
{
    if (isnan(x))
        printf(" %*s", width, "-");
    else
        printf(" %*.*f", width, digits, x);
}

static void print_variant(const struct kxb *b, const struct variant *v,
                          const char *op, double first)
{
    double p99, median = figure(b, v, op, "", &p99);
    double ops = figure(b, v, op, "_ops", NULL);

    printf("%-24s", v->title);
    print_cell(10, 0, ops);
    print_cell(10, 2, median / 1000);
    print_cell(10, 2, p99 / 1000);
    print_cell(9, 3, figure(b, v, op, "_exits", NULL));
    print_cell(10, 3, figure(b, v, op, "_events", NULL));
    print_cell(8, 1, ops / first);
    putchar('\n');
}

static void print_op(const struct kxb *b, const char *op, const char *title)
{
    double first = figure(b, &variants[0], op, "_ops", NULL);
    bool any = false;

    for (size_t i = 0; i < NR_VARIANTS; i++)
        any = any || !isnan(figure(b, &variants[i], op, "", NULL));
    if (!any)
        return;
    printf("\n%-24s %10s %10s %10s %9s %10s %8s\n", title, "ops/s", "median us",
           "p99 us", "exits/op", "events/op", "x first");
    for (size_t i = 0; i < NR_VARIANTS; i++)
        if (!isnan(figure(b, &variants[i], op, "", NULL)))
            print_variant(b, &variants[i], op, first);
}

static void disk_print(const struct kxb *b)
{
    print_op(b, "read4k", "4 KiB random reads");
    print_op(b, "write4k", "4 KiB random writes");
}

KXB_SUITE(disk, .name = SUITE,
          .help = "one image over trapped and split drivers, and io_uring",
          .run = disk_run, .print = disk_print)
