/* SPDX-License-Identifier: MIT */
/* kxl: finds the command and runs it. */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/client/kxen.h"

extern const struct kxl_command *const __start_kxl_command_set[];
extern const struct kxl_command *const __stop_kxl_command_set[];

/* The order in the list of commands: what is needed first comes first. */
static const char *const order[] = {
    "run",       "create",   "list",     "info",    "console", "shutdown",
    "reboot",    "destroy",  "pause",    "unpause", "sysrq",   "dump-core",
    "vcpu-list", "vcpu-set", "vcpu-pin", "mem-set", "mem-max", "rename",
    "uptime",    "domid",    "domname",  "dmesg",   "check",   "host-start",
    "host-stop", "help"};

static const struct kxl_command *command_find(const char *name)
{
    const struct kxl_command *const *cmd;

    for (cmd = __start_kxl_command_set; cmd < __stop_kxl_command_set; cmd++)
        if (!strcmp((*cmd)->name, name))
            return *cmd;
    return NULL;
}

static void brief(FILE *to, const struct kxl_command *cmd)
{
    if (cmd)
        fprintf(to, "  %-11s %s\n", cmd->name, cmd->brief);
}

static bool ordered(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (!strcmp(order[i], name))
            return true;
    return false;
}

static void usage(FILE *to)
{
    const struct kxl_command *const *cmd;
    size_t i;

    fputs("usage: kxl [-R DIR] COMMAND [ARGUMENT]...\n\nCommands:\n", to);
    for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        brief(to, command_find(order[i]));
    for (cmd = __start_kxl_command_set; cmd < __stop_kxl_command_set; cmd++)
        if (!ordered((*cmd)->name))
            brief(to, *cmd);
    fputs("\n"
          "  -R, --run-dir DIR  which host: the folder of its sockets and\n"
          "                     logs (default: $KXL_RUN_DIR,\n"
          "                     else $KXEN_RUN_DIR, else\n"
          "                     $XDG_RUNTIME_DIR/kxen, else /run/kxen)\n"
          "\n"
          "kxl help COMMAND tells more of one. A first try:\n"
          "  kxl run hello.cfg\n",
          to);
}

static int help_run(const struct kxl_command *self, int argc, char **argv)
{
    const struct kxl_command *cmd;

    if (argc < 2) {
        usage(stdout);
        return KXL_OK;
    }
    cmd = command_find(argv[1]);
    if (cmd) {
        kxl_help(cmd);
        return KXL_OK;
    }
    kxl_error("kxl help lists them all", "there is no command \"%s\"", argv[1]);
    return kxl_usage(self);
}

static const struct kxl_command help_command = {
    .name = "help",
    .args = "[COMMAND]",
    .brief = "what there is, and how to use it",
    .help = "example: kxl help create\n",
    .run = help_run,
};
KXL_COMMAND(help_command);

static bool wants_help(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

static int command_run(int argc, char **argv)
{
    const struct kxl_command *cmd = command_find(argv[0]);

    if (!cmd) {
        kxl_error(NULL, "there is no command \"%s\"", argv[0]);
        usage(stderr);
        return KXL_ERROR;
    }
    if (wants_help(argc, argv)) {
        kxl_help(cmd);
        return KXL_OK;
    }
    optind = 0; /* the command's own options, from its first argument on */
    return cmd->run(cmd, argc, argv);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"run-dir", required_argument, NULL, 'R'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;

    signal(SIGPIPE, SIG_IGN);
    if (getenv("KXL_RUN_DIR"))
        kxen_set_run_dir(getenv("KXL_RUN_DIR"));
    while ((c = getopt_long(argc, argv, "+R:h", longs, NULL)) != -1) {
        switch (c) {
        case 'R':
            if (kxen_set_run_dir(optarg)) {
                kxl_error(NULL, "--run-dir: too long a name");
                return KXL_ERROR;
            }
            /* For kxl run, which makes one of its own unless told. */
            setenv("KXL_RUN_DIR", optarg, 1);
            break;
        case 'h':
            usage(stdout);
            return KXL_OK;
        default:
            usage(stderr);
            return KXL_ERROR;
        }
    }
    if (optind >= argc) {
        usage(stderr);
        return KXL_ERROR;
    }
    return command_run(argc - optind, argv + optind);
}
