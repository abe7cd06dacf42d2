/* SPDX-License-Identifier: MIT */
#include "tools/kxl/kxl.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "hv/client/kxen.h"

/* Counters and the like, one a line. */
static void print_scalars(const char *indent, const json_t *obj)
{
    const char *key;
    json_t *value;
    char *text;

    json_object_foreach ((json_t *)obj, key, value) {
        if (json_is_string(value)) {
            printf("%s%-18s: %s\n", indent, key, json_string_value(value));
        } else if (json_is_number(value) || json_is_boolean(value)) {
            text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
            printf("%s%-18s: %s\n", indent, key, text ? text : "?");
            free(text);
        }
    }
}

static void print_list(const json_t *list, const char *a, const char *b)
{
    const json_t *one;
    size_t i;

    json_array_foreach (list, i, one) {
        printf("\n%s %s\n", kxl_str(one, a),
               json_is_string(json_object_get(one, b)) ? kxl_str(one, b) : "");
        print_scalars("  ", one);
    }
}

static void print_domain(const json_t *r)
{
    time_t started = kxl_int(r, "started");
    const json_t *cfg = json_object_get(r, "config");
    char when[32];

    strftime(when, sizeof(when), "%F %T", localtime(&started));
    printf("%-20s: %s\n", "name", kxl_str(r, "name"));
    printf("%-20s: %lld\n", "id", kxl_int(r, "domid"));
    printf("%-20s: %s\n", "uuid", kxl_str(r, "uuid"));
    printf("%-20s: %s (%s)\n", "state", kxl_str(r, "state"),
           kxl_str(r, "managed"));
    if (*kxl_str(r, "reason"))
        printf("%-20s: %s\n", "down, because of", kxl_str(r, "reason"));
    if (*kxl_str(r, "story"))
        printf("%-20s: %s\n", "story", kxl_str(r, "story"));
    if (*kxl_str(r, "core"))
        printf("%-20s: %s\n", "memory dump", kxl_str(r, "core"));
    printf("%-20s: %s\n", "started", when);
    printf("%-20s: %.1f s\n", "cpu time",
           json_real_value(json_object_get(r, "cpu_seconds")));
    printf("%-20s: %lld KiB of %lld KiB\n", "memory", kxl_int(r, "memory_kib"),
           kxl_int(r, "maxmem_kib"));
    printf("%-20s: %lld of %lld\n", "vcpus", kxl_int(r, "vcpus"),
           kxl_int(r, "max_vcpus"));
    printf("%-20s: %s\n", "kernel", kxl_str(cfg, "kernel"));
    printf("%-20s: %s\n", "command line", kxl_str(cfg, "cmdline"));
    print_list(json_object_get(r, "devices"), "type", "devid");
    print_list(json_object_get(r, "consoles"), "stream", "");
    printf("\nexits to hv\n");
    print_scalars("  ", json_object_get(json_object_get(r, "counters"), "hv"));
    printf("\nserved by the monitor\n");
    print_scalars("  ",
                  json_object_get(json_object_get(r, "counters"), "monitor"));
}

static void print_host(const json_t *r)
{
    int pid = host_supervisor();

    printf("%-20s: %s\n", "run directory", kxl_str(r, "run_dir"));
    if (pid)
        printf("%-20s: %d\n", "supervisor", pid);
    else
        printf("%-20s: none: what dies stays dead; kxl host-start starts one\n",
               "supervisor");
    printf("%-20s: %s\n", "interface", "Xen 4.17, 64-bit PV guests");
    printf("%-20s: %lld\n", "processors", kxl_int(r, "nr_cpus"));
    printf("%-20s: %lld MiB, %lld MiB free\n", "memory",
           kxl_int(r, "total_memory_kib") / 1024,
           kxl_int(r, "free_memory_kib") / 1024);
    printf("%-20s: %s\n", "xenstore",
           json_is_true(json_object_get(r, "store_up")) ? "answers"
                                                        : "does not answer");
}

static int info_run(const struct kxl_command *self, int argc, char **argv)
{
    static const struct option longs[] = {
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    bool json = false;
    json_t *reply;
    int c;

    while ((c = getopt_long(argc, argv, "j", longs, NULL)) != -1) {
        if (c != 'j')
            return kxl_usage(self);
        json = true;
    }
    if (argc - optind > 1)
        return kxl_usage(self);
    reply = client_once(client_request("info", argv[optind]));
    if (!reply)
        return KXL_ERROR;
    if (json)
        kxl_print_json(json_incref(reply));
    else if (optind < argc)
        print_domain(reply);
    else
        print_host(reply);
    json_decref(reply);
    return KXL_OK;
}

static const struct kxl_command info_command = {
    .name = "info",
    .args = "[--json] [DOMAIN]",
    .brief = "all about a domain and its devices, or about the host",
    .help = "  -j, --json  as JSON\n"
            "\n"
            "example: kxl info web\n",
    .run = info_run,
};
KXL_COMMAND(info_command);
