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
#define OPS_FEW      100u
#define OPS_MANY     4000u

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
static const struct variant floor_variant = {.name = FLOOR_PREFIX,
                                             .title = "io_uring, no guest"};
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

/* What the guest is to do; every way, the same. */
struct work {
    const char *name; /* as in the guest's lines */
    const char *title;
    const char *extra;
    bool queued; /* needs a queue, which ATA has not */
};

static const struct work works[] = {
    {"read4k", "4 KiB random reads", "op=read", false},
    {"write4k", "4 KiB random writes", "op=write", false},
    {"read4k_qd32", "4 KiB reads, 32 in flight", "op=read depth=32", true},
};
#define NR_WORKS (sizeof(works) / sizeof(works[0]))

/* One run of the guest, summed up. */
struct figures {
    json_t *line; /* owned */
    double ops, ns, events, exits;
};

static double member(const json_t *line, const char *key)
{
    return json_number_value(json_object_get(line, key));
}

static int work_once(struct kxb *b, const struct variant *v,
                     const struct work *w, const char *image, unsigned count,
                     struct figures *f)
{
    char device[6000], extra[256];
    const struct kxb_guest guest = {
        .extra = extra,
        .devices = device,
        .poll_us = v->polled ? -1 : 0,
    };
    struct kxb_result res;
    int rc;

    snprintf(device, sizeof(device), v->device, image);
    snprintf(extra, sizeof(extra), "bench=disk driver=%s polled=%d %s count=%u",
             v->driver, v->polled, w->extra, count);
    rc = kxb_guest_run(b, &guest, &res);
    if (rc)
        return rc;
    f->line = json_incref(json_array_get(res.lines, 0));
    json_decref(res.lines);
    f->exits = res.exits;
    f->ops = member(f->line, "ops");
    f->ns = member(f->line, "ns");
    f->events = member(f->line, "events");
    return f->ops > 0 ? 0 : -EPROTO;
}

static int add_figure(struct kxb *b, const char *base, const char *key,
                      const char *unit, double value)
{
    char name[3 * KXB_NAME_MAX];

    snprintf(name, sizeof(name), "%s_%s", base, key);
    return kxb_add(b, SUITE, name, unit, NULL, &value, 1);
}

/*
 * Exits are counted over a guest's life: those of a life with few operations,
 * start and end included, are taken off.
 */
static int add_figures(struct kxb *b, const struct variant *v,
                       const struct work *w, const struct figures *few,
                       const struct figures *many)
{
    char base[2 * KXB_NAME_MAX], floor[KXB_NAME_MAX];
    double exits = (many->exits - few->exits) / (many->ops - few->ops);
    int rc;

    snprintf(base, sizeof(base), "%s_%s", v->name, w->name);
    snprintf(floor, sizeof(floor), FLOOR_PREFIX "_%s", w->name);
    rc = kxb_add_json(b, SUITE, base, "ns", w->queued ? NULL : floor,
                      many->line);
    if (!rc)
        rc = add_figure(b, base, "ops", "ops/s", many->ops * 1e9 / many->ns);
    if (!rc)
        rc = add_figure(b, base, "exits", "exits/op", exits > 0 ? exits : 0);
    if (!rc)
        rc = add_figure(b, base, "events", "events/op",
                        many->events / many->ops);
    return rc;
}

static int work_run(struct kxb *b, const struct variant *v,
                    const struct work *w, const char *image)
{
    struct figures few = {0}, many = {0};
    unsigned count = b->quick ? OPS_MANY / 10 : OPS_MANY;
    int rc = work_once(b, v, w, image, OPS_FEW, &few);

    if (!rc)
        rc = work_once(b, v, w, image, count, &many);
    if (!rc)
        rc = add_figures(b, v, w, &few, &many);
    json_decref(few.line);
    json_decref(many.line);
    return rc;
}

static int variant_run(struct kxb *b, const struct variant *v,
                       const char *image)
{
    int rc = 0, one;

    kxb_say("disk: %s", v->title);
    for (size_t i = 0; i < NR_WORKS; i++) {
        if (works[i].queued && v == variants)
            continue;
        one = work_run(b, v, &works[i], image);
        rc = rc ? rc : one;
    }
    return rc;
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

/* NAN when it was not measured. */
static double figure(const struct kxb *b, const struct variant *v,
                     const char *work, const char *key, double *p99)
{
    char name[3 * KXB_NAME_MAX];
    const struct kxb_row *row;

    snprintf(name, sizeof(name), "%s_%s%s", v->name, work, key);
    row = kxb_row_find(b, SUITE, name);
    if (!row || !kxb_row_has_data(row))
        return NAN;
    if (p99)
        *p99 = row->all.p99;
    return row->all.median;
}

static void print_cell(int width, int digits, double x)
{
    if (isnan(x))
        printf(" %*s", width, "-");
    else
        printf(" %*.*f", width, digits, x);
}

static void print_variant(const struct kxb *b, const struct variant *v,
                          const struct work *w, double first)
{
    double p99 = NAN, median = figure(b, v, w->name, "", &p99);
    double ops = figure(b, v, w->name, "_ops", NULL);

    printf("%-26s", v->title);
    print_cell(10, 0, ops);
    print_cell(10, 2, median / 1000);
    print_cell(10, 2, p99 / 1000);
    print_cell(9, 2, figure(b, v, w->name, "_exits", NULL));
    print_cell(10, 2, figure(b, v, w->name, "_events", NULL));
    print_cell(8, 1, ops / first);
    putchar('\n');
}

/* Ratios are of operations per second, to the first way's one at a time. */
static void print_work(const struct kxb *b, const struct work *w)
{
    const char *first = w->queued ? works[0].name : w->name;
    double ops = figure(b, &variants[0], first, "_ops", NULL);

    printf("\n%-26s %10s %10s %10s %9s %10s %8s\n", w->title, "ops/s",
           "median us", "p99 us", "exits/op", "events/op", "ratio");
    for (size_t i = 0; i < NR_VARIANTS; i++)
        if (!isnan(figure(b, &variants[i], w->name, "", NULL)))
            print_variant(b, &variants[i], w, ops);
    if (!isnan(figure(b, &floor_variant, w->name, "", NULL)))
        print_variant(b, &floor_variant, w, ops);
}

static void disk_print(const struct kxb *b)
{
    for (size_t i = 0; i < NR_WORKS; i++)
        print_work(b, &works[i]);
}

KXB_SUITE(disk, .name = SUITE,
          .help = "one image over trapped and split drivers, and io_uring",
          .run = disk_run, .print = disk_print)
