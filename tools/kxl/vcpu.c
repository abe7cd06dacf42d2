/* SPDX-License-Identifier: MIT */
/* vcpu-list, vcpu-set, vcpu-pin. */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_vcpus(const json_t *dom)
{
    json_t *v;
    size_t i;

    json_array_foreach (json_object_get(dom, "vcpus"), i, v) {
        printf("%-32s %5lld %5lld ", kxl_str(dom, "name"),
               kxl_int(dom, "domid"), kxl_int(v, "vcpu"));
        if (json_is_true(json_object_get(v, "online")))
            printf("%5lld", kxl_int(v, "cpu"));
        else
            printf("%5s", "-");
        printf("   %s %10.1f  %s\n", kxl_str(v, "state"),
               json_real_value(json_object_get(v, "cpu_seconds")),
               kxl_str(v, "affinity"));
    }
}

/* Of all domains, or those named; a list for the caller. */
static json_t *ask_vcpus(int nr, char **names)
{
    json_t *all = json_array(), *reply;
    int i = 0;

    do {
        reply = client_once(client_request("vcpu-list", nr ? names[i] : NULL));
        if (!reply) {
            json_decref(all);
            return NULL;
        }
        json_array_extend(all, json_object_get(reply, "domains"));
        json_decref(reply);
    } while (++i < nr);
    return all;
}

static int vcpu_list_run(const struct kxl_command *self, int argc, char **argv)
{
    static const struct option longs[] = {
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    json_t *all, *dom;
    bool json = false;
    size_t i;
    int c;

    while ((c = getopt_long(argc, argv, "j", longs, NULL)) != -1) {
        if (c != 'j')
            return kxl_usage(self);
        json = true;
    }
    all = ask_vcpus(argc - optind, argv + optind);
    if (!all)
        return KXL_ERROR;
    if (json) {
        kxl_print_json(all);
        return KXL_OK;
    }
    printf("%-32s %5s %5s %5s %5s %10s  %s\n", "Name", "ID", "VCPU", "CPU",
           "State", "Time(s)", "Affinity");
    json_array_foreach (all, i, dom)
        print_vcpus(dom);
    json_decref(all);
    return KXL_OK;
}

static const struct kxl_command vcpu_list_command = {
    .name = "vcpu-list",
    .args = "[--json] [DOMAIN]...",
    .brief = "the vCPUs of domains, and where they run",
    .help =
        "CPU is the host's that a vCPU ran on last, - for one that is\n"
        "offline. State: r runs, b blocked, p paused. Affinity: the host's\n"
        "CPUs that it may run on.\n"
        "\n"
        "  -j, --json  as JSON\n"
        "\n"
        "example: kxl vcpu-list web\n",
    .run = vcpu_list_run,
};
KXL_COMMAND(vcpu_list_command);

/* A decimal of at most max; 0 or -EINVAL with the error printed. */
static int read_number(const char *text, const char *what, long max, long *n)
{
    char *end;

    errno = 0;
    *n = strtol(text, &end, 10);
    if (!errno && end != text && !*end && *n >= 0 && *n <= max)
        return 0;
    kxl_error(NULL, "\"%s\" is no %s", text, what);
    return -EINVAL;
}

static int vcpu_set_run(const struct kxl_command *self, int argc, char **argv)
{
    json_t *req, *reply;
    long n;

    if (getopt(argc, argv, "") != -1 || argc - optind != 2)
        return kxl_usage(self);
    if (read_number(argv[optind + 1], "number of vCPUs", 4096, &n))
        return KXL_ERROR;
    req = client_request("vcpu-set", argv[optind]);
    json_object_set_new(req, "vcpus", json_integer(n));
    reply = client_once(req);
    json_decref(reply);
    return reply ? KXL_OK : KXL_ERROR;
}

static const struct kxl_command vcpu_set_command = {
    .name = "vcpu-set",
    .args = "DOMAIN N",
    .brief = "ask a domain to use N vCPUs, of those it was started with",
    .help = "Through cpu/<n>/availability in the store; the guest takes them\n"
            "up or down when it sees that, and keeps N over a restart.\n"
            "maxvcpus = in the configuration is the most there can be. kxl\n"
            "vcpu-list shows what the guest has done.\n"
            "\n"
            "example: kxl vcpu-set web 2\n",
    .run = vcpu_set_run,
};
KXL_COMMAND(vcpu_set_command);

static int vcpu_pin_run(const struct kxl_command *self, int argc, char **argv)
{
    json_t *req, *reply;
    long n;

    if (getopt(argc, argv, "") != -1 || argc - optind != 3)
        return kxl_usage(self);
    req = client_request("vcpu-pin", argv[optind]);
    if (strcmp(argv[optind + 1], "all")) {
        if (read_number(argv[optind + 1], "vCPU", 4096, &n)) {
            json_decref(req);
            return KXL_ERROR;
        }
        json_object_set_new(req, "vcpu", json_integer(n));
    }
    json_object_set_new(req, "cpus", json_string(argv[optind + 2]));
    reply = client_once(req);
    json_decref(reply);
    return reply ? KXL_OK : KXL_ERROR;
}

static const struct kxl_command vcpu_pin_command = {
    .name = "vcpu-pin",
    .args = "DOMAIN VCPU|all CPUS",
    .brief = "say which of the host's CPUs a vCPU may run on",
    .help = "CPUS is a list such as 0-3,^1 or all. At once, and until the\n"
            "domain restarts; cpus = \"CPUS\" in the configuration is for all\n"
            "vCPUs and for every start.\n"
            "\n"
            "example: kxl vcpu-pin web all 1\n",
    .run = vcpu_pin_run,
};
KXL_COMMAND(vcpu_pin_command);
