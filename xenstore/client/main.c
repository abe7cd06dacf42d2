/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xenstore/client/client.h"

static const struct {
    const char *name;
    int (*fn)(struct client *c, int argc, char **argv);
    int min_args;
    const char *args, *help;
} commands[] = {
    {"ls", cmd_ls, 0, "[-f] [-p] [--json] [PATH]", "show the tree below PATH"},
    {"read", cmd_read, 1, "PATH...", "print values"},
    {"write", cmd_write, 2, "PATH VALUE...", "set values, all or none"},
    {"list", cmd_list, 1, "PATH...", "print the names of children"},
    {"rm", cmd_rm, 1, "PATH...", "remove nodes and all below"},
    {"exists", cmd_exists, 1, "PATH...", "exit status 0 if all exist"},
    {"chmod", cmd_chmod, 2, "[-r] PATH PERM...",
     "set permissions: owner first, as n0 r3 b5"},
    {"watch", cmd_watch, 1, "[-n COUNT] PATH...", "print changed paths"},
    {"control", cmd_control, 1, "COMMAND [ARG...]", "command the daemon"},
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *f)
{
    fputs("Usage: kxenstore [--run-dir DIR] COMMAND ...\n\n", f);
    for (size_t i = 0; i < NR_COMMANDS; i++)
        fprintf(f, "  %-8s %-26s %s\n", commands[i].name, commands[i].args,
                commands[i].help);
    fputs(
        "\n"
        "The store is the one of DIR or $KXEN_RUN_DIR; $XENSTORED_PATH names\n"
        "a socket; otherwise that of this host.\n"
        "\n"
        "Examples:\n"
        "  kxenstore ls /local/domain\n"
        "  kxenstore write /local/domain/1/control/shutdown poweroff\n"
        "  kxenstore watch -n 2 @releaseDomain\n",
        f);
}

int client_fail(const char *what, const char *path)
{
    fprintf(stderr, "kxenstore: cannot %s %s: %s\n", what, path,
            strerror(errno));
    return 1;
}

void client_print_value(const char *value, unsigned int len)
{
    for (unsigned int i = 0; i < len; i++) {
        unsigned char ch = value[i];

        if (ch == '\\')
            fputs("\\\\", stdout);
        else if (ch >= 0x20 && ch < 0x7f)
            putchar(ch);
        else
            printf("\\x%02x", ch);
    }
}

static int set_run_dir(const char *dir)
{
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/xenstored/socket", dir) >=
        (int)sizeof(path))
        return -1;
    return setenv("XENSTORED_PATH", path, 1);
}

/*
 * Options up to the next word: those before the command, then, unless it is
 * control, those behind it.  0, 1 for help, -1 for a usage error.
 */
static int parse(int argc, char **argv, struct client *c)
{
    static const struct option longs[] = {
        {"run-dir", required_argument, NULL, 'D'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int ch;

    while ((ch = getopt_long(argc, argv, "+fhprn:", longs, NULL)) != -1) {
        c->json |= ch == 'j';
        c->full |= ch == 'f';
        c->perms |= ch == 'p';
        c->recursive |= ch == 'r';
        if (ch == 'n')
            c->count = strtol(optarg, NULL, 10);
        if (ch == 'D' && set_run_dir(optarg))
            return -1;
        if (ch == 'h')
            return 1;
        if (ch == '?')
            return -1;
    }
    return 0;
}

static int open_store(struct client *c)
{
    c->xs = xs_open(0);
    if (c->xs)
        return 0;
    fprintf(stderr,
            "kxenstore: cannot reach the store at %s: %s; is kxenstored "
            "running there? --run-dir and $KXEN_RUN_DIR choose another\n",
            xs_daemon_socket(), strerror(errno));
    return 1;
}

static int run(struct client *c, const char *name, int argc, char **argv)
{
    int rc;

    for (size_t i = 0; i < NR_COMMANDS; i++) {
        if (strcmp(commands[i].name, name))
            continue;
        if (argc < commands[i].min_args) {
            fprintf(stderr, "Usage: kxenstore %s %s\n", name, commands[i].args);
            return 1;
        }
        rc = open_store(c);
        if (!rc)
            rc = commands[i].fn(c, argc, argv);
        xs_close(c->xs);
        return rc;
    }
    fprintf(stderr, "kxenstore: there is no command '%s'\n", name);
    print_usage(stderr);
    return 1;
}

int main(int argc, char **argv)
{
    struct client c = {.count = -1};
    const char *name;
    int rc = parse(argc, argv, &c);

    name = argv[optind];
    if (!rc && name && strcmp(name, "control")) {
        optind++;
        rc = parse(argc, argv, &c);
    } else {
        optind++;
    }
    if (rc > 0) {
        print_usage(stdout);
        return 0;
    }
    if (rc < 0 || !name) {
        print_usage(stderr);
        return 1;
    }
    return run(&c, name, argc - optind, argv + optind);
}
