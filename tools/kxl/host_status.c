/* SPDX-License-Identifier: MIT */
#include "tools/kxl/kxl.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "hv/client/kxen.h"

static void print_daemon(const struct host_daemon *d)
{
    if (d->pid)
        printf("%-14s %d\n", d->name, d->pid);
    else
        printf("%-14s does not run%s\n", d->name,
               d->remains ? ": it was killed, the next start clears up after it"
                          : "");
}

static void print_text(const struct host_daemon *info, bool dom0)
{
    int pid = host_supervisor();

    printf("%-14s %s\n", "run directory", kxen_run_dir());
    if (pid)
        printf("%-14s %d\n", "supervisor", pid);
    else
        printf("%-14s does not run\n", "supervisor");
    for (int i = 0; i < HOST_DAEMONS; i++)
        print_daemon(&info[i]);
    if (dom0)
        printf("%-14s %d\n", "domains", host_domains());
}

static void print_json(const struct host_daemon *info, bool dom0)
{
    json_t *all = json_object();

    for (int i = 0; i < HOST_DAEMONS; i++)
        json_object_set_new(all, info[i].name,
                            json_pack("{s:i,s:b}", "pid", info[i].pid,
                                      "remains", info[i].remains));
    kxl_print_json(
        json_pack("{s:s,s:i,s:o,s:o}", "run_dir", kxen_run_dir(), "supervisor",
                  host_supervisor(), "daemons", all, "domains",
                  dom0 ? json_integer(host_domains()) : json_null()));
}

static int status_run(const struct kxl_command *self, int argc, char **argv)
{
    static const struct option longs[] = {
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    struct host_daemon info[HOST_DAEMONS];
    bool json = false, all = true;
    int c;

    while ((c = getopt_long(argc, argv, "j", longs, NULL)) != -1) {
        if (c != 'j')
            return kxl_usage(self);
        json = true;
    }
    if (optind < argc)
        return kxl_usage(self);
    host_look(info);
    for (int i = 0; i < HOST_DAEMONS; i++)
        all = all && info[i].pid;
    if (json)
        print_json(info, info[HOST_DAEMONS - 1].pid);
    else
        print_text(info, info[HOST_DAEMONS - 1].pid);
    return all ? KXL_OK : KXL_ERROR;
}

static const struct kxl_command status_command = {
    .name = "host-status",
    .args = "[--json]",
    .brief = "does a host run here, and which processes are it",
    .help = "The status is 0 if hv, kxenstored and dom0 all answer, else 1.\n"
            "\n"
            "  -j, --json  as JSON: process ids, 0 for what does not run\n"
            "\n"
            "example: kxl -R /run/kxen host-status\n",
    .run = status_run,
};
KXL_COMMAND(status_command);
