/* SPDX-License-Identifier: MIT */
/*
 * Characters per second from the guest to its console: the trapped UART, an
 * exit for each, beside Xen's console ring.
 */
#include "tools/kxbench.h"

#include <errno.h>
#include <stdio.h>

#define SUITE "console"

struct variant {
    const char *name, *device, *driver;
    unsigned chars; /* at one exit each they take their time */
};

static const struct variant variants[] = {
    {"uart", "trapped = [ \"uart\" ]", "uart", 20000},
    {"xen", "", "xen", 256 << 10},
};
#define NR_VARIANTS (sizeof(variants) / sizeof(variants[0]))

/* {"name": "chars", "ops": characters, "ns": in how long} */
static int add_line(struct kxb *b, const struct variant *v, const json_t *line)
{
    const char *op = json_string_value(json_object_get(line, "name"));
    double chars = json_number_value(json_object_get(line, "ops"));
    double ns = json_number_value(json_object_get(line, "ns"));
    char name[2 * KXB_NAME_MAX], floor[KXB_NAME_MAX];
    double rate = chars * 1e9 / ns;

    if (!op || ns <= 0)
        return -EPROTO;
    snprintf(name, sizeof(name), "%s_%.50s", v->name, op);
    snprintf(floor, sizeof(floor), "uart_%.50s", op);
    return kxb_add(b, SUITE, name, "chars/s", v == variants ? NULL : floor,
                   &rate, 1);
}

static int variant_run(struct kxb *b, const struct variant *v)
{
    char extra[256];
    const struct kxb_guest guest = {.extra = extra, .devices = v->device};
    struct kxb_result res;
    size_t i;
    json_t *line;
    int rc;

    kxb_say("console: %s", v->name);
    snprintf(extra, sizeof(extra), "bench=console driver=%s count=%u",
             v->driver, b->quick ? v->chars / 10 : v->chars);
    rc = kxb_guest_run(b, &guest, &res);
    json_array_foreach (res.lines, i, line) {
        rc = rc ? rc : add_line(b, v, line);
    }
    json_decref(res.lines);
    return rc;
}

static int console_run(struct kxb *b, unsigned run)
{
    int rc = 0, one;

    for (size_t i = 0; i < NR_VARIANTS; i++) {
        one = variant_run(b, &variants[(i + run) % NR_VARIANTS]);
        rc = rc ? rc : one;
    }
    return rc;
}

KXB_SUITE(console, .name = SUITE,
          .help = "characters per second, trapped UART and Xen's ring",
          .run = console_run)
