/* SPDX-License-Identifier: MIT */
/* rename, sysrq, uptime. */
#include "tools/kxl/kxl.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int rename_run(const struct kxl_command *self, int argc, char **argv)
{
    json_t *req, *reply;

    if (getopt(argc, argv, "") != -1 || argc - optind != 2)
        return kxl_usage(self);
    req = client_request("rename", argv[optind]);
    if (json_object_set_new(req, "name", json_string(argv[optind + 1]))) {
        kxl_error(NULL, "the name has bytes that are no text");
        json_decref(req);
        return KXL_ERROR;
    }
    reply = client_once(req);
    json_decref(reply);
    return reply ? KXL_OK : KXL_ERROR;
}

static const struct kxl_command rename_command = {
    .name = "rename",
    .args = "DOMAIN NAME",
    .brief = "call a domain by another name",
    .help = "example: kxl rename web old-web\n",
    .run = rename_run,
};
KXL_COMMAND(rename_command);

static int sysrq_run(const struct kxl_command *self, int argc, char **argv)
{
    json_t *req, *reply;

    if (getopt(argc, argv, "") != -1 || argc - optind != 2)
        return kxl_usage(self);
    req = client_request("sysrq", argv[optind]);
    json_object_set_new(req, "letter", json_string(argv[optind + 1]));
    reply = client_once(req);
    json_decref(reply);
    return reply ? KXL_OK : KXL_ERROR;
}

static const struct kxl_command sysrq_command = {
    .name = "sysrq",
    .args = "DOMAIN LETTER",
    .brief = "a Magic SysRq request, through control/sysrq",
    .help =
        "Linux answers on its console, as far as its kernel.sysrq allows: h\n"
        "lists them, w and t show tasks, m memory, s syncs disks, c\n"
        "crashes it (for a dump).\n"
        "\n"
        "example: kxl sysrq web w\n",
    .run = sysrq_run,
};
KXL_COMMAND(sysrq_command);

static bool is_named(const json_t *dom, int nr, char **names)
{
    char id[24];
    int i;

    snprintf(id, sizeof(id), "%lld", kxl_int(dom, "domid"));
    for (i = 0; i < nr; i++)
        if (!strcmp(names[i], kxl_str(dom, "name")) || !strcmp(names[i], id))
            return true;
    return !nr;
}

static void print_uptime(const json_t *dom)
{
    long long s = time(NULL) - kxl_int(dom, "started");

    s = s > 0 ? s : 0;
    printf("%-32s %5lld ", kxl_str(dom, "name"), kxl_int(dom, "domid"));
    if (s >= 86400)
        printf("%lld day%s, ", s / 86400, s >= 2 * 86400 ? "s" : "");
    printf("%2lld:%02lld:%02lld\n", s / 3600 % 24, s / 60 % 60, s % 60);
}

static int uptime_run(const struct kxl_command *self, int argc, char **argv)
{
    json_t *reply, *dom;
    int nr, found = 0;
    size_t i;

    if (getopt(argc, argv, "") != -1)
        return kxl_usage(self);
    nr = argc - optind;
    reply = client_once(client_request("list", NULL));
    if (!reply)
        return KXL_ERROR;
    printf("%-32s %5s %s\n", "Name", "ID", "Uptime");
    json_array_foreach (json_object_get(reply, "domains"), i, dom) {
        if (!json_object_get(dom, "started") ||
            !is_named(dom, nr, argv + optind))
            continue;
        print_uptime(dom);
        found++;
    }
    json_decref(reply);
    if (found >= nr)
        return KXL_OK;
    kxl_error("kxl list shows those there are",
              "not all of these domains are there");
    return KXL_ERROR;
}

static const struct kxl_command uptime_command = {
    .name = "uptime",
    .args = "[DOMAIN]...",
    .brief = "how long domains have been there",
    .help = "kxl list --json has when each was \"started\".\n"
            "\n"
            "example: kxl uptime web\n",
    .run = uptime_run,
};
KXL_COMMAND(uptime_command);
