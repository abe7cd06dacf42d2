/* SPDX-License-Identifier: MIT */
#include "tools/kxl/kxl.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static void print_row(const json_t *dom)
{
    printf("%-40s %5lld %5lld %5lld     %s %10.1f\n", kxl_str(dom, "name"),
           kxl_int(dom, "domid"), kxl_int(dom, "memory_kib") / 1024,
           kxl_int(dom, "vcpus"), kxl_str(dom, "state"),
           json_real_value(json_object_get(dom, "cpu_seconds")));
}

/* Keeps what the arguments name; complains of those that are not there. */
static int pick(json_t *all, int nr, char **names, json_t *out)
{
    int i, status = KXL_OK;

    for (i = 0; i < nr; i++) {
        bool found = false;
        char id[24];
        json_t *dom;
        size_t j;

        json_array_foreach (all, j, dom) {
            snprintf(id, sizeof(id), "%lld", kxl_int(dom, "domid"));
            if (strcmp(names[i], id) && strcmp(names[i], kxl_str(dom, "name")))
                continue;
            json_array_append(out, dom);
            found = true;
        }
        if (!found) {
            kxl_error(NULL, "no domain is called \"%s\"", names[i]);
            status = KXL_ERROR;
        }
    }
    return status;
}

static int list_run(const struct kxl_command *self, int argc, char **argv)
{
    static const struct option longs[] = {
        {"long", no_argument, NULL, 'l'},
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    json_t *reply, *all, *out, *dom;
    bool json = false;
    int c, status = KXL_OK;
    size_t i;

    while ((c = getopt_long(argc, argv, "lj", longs, NULL)) != -1) {
        if (c != 'l' && c != 'j')
            return kxl_usage(self);
        json = true;
    }
    reply = client_once(client_request("list", NULL));
    if (!reply)
        return KXL_ERROR;
    all = json_object_get(reply, "domains");
    out = optind < argc ? json_array() : json_incref(all);
    if (optind < argc)
        status = pick(all, argc - optind, argv + optind, out);
    if (json) {
        kxl_print_json(json_incref(out));
    } else if (status == KXL_OK || json_array_size(out)) {
        printf("%-40s %5s %5s %5s\t%s\t%s\n", "Name", "ID", "Mem", "VCPUs",
               "State", "Time(s)");
        json_array_foreach (out, i, dom)
            print_row(dom);
    }
    json_decref(out);
    json_decref(reply);
    return status;
}

static const struct kxl_command list_command = {
    .name = "list",
    .args = "[-l | --json] [DOMAIN]...",
    .brief = "the domains there are",
    .help = "Memory in MiB. State: r runs, b blocked, p paused, s shut down,\n"
            "c crashed, d dying.\n"
            "\n"
            "  -l, --long, -j, --json  all that is known, as JSON\n"
            "\n"
            "example: kxl list --json | jq '.[].name'\n",
    .run = list_run,
};
KXL_COMMAND(list_command);
