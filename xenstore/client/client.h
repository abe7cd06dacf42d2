/* SPDX-License-Identifier: MIT */
/*
 * kxenstore's commands.  A new one is a function and a row in main.c's table.
 */
#ifndef XENSTORE_CLIENT_CLIENT_H
#define XENSTORE_CLIENT_CLIENT_H

#include <stdbool.h>
#include <xenstore.h>

struct client {
    struct xs_handle *xs;
    bool json;      /* --json */
    bool perms;     /* -p: show permissions */
    bool full;      /* -f: full paths */
    bool recursive; /* -r: with all below */
    long count;     /* -n: watch ends after so many events; -1: never */
};

/* All return an exit status: 0, or 1 after saying why. */
int cmd_ls(struct client *c, int argc, char **argv);
int cmd_read(struct client *c, int argc, char **argv);
int cmd_write(struct client *c, int argc, char **argv);
int cmd_list(struct client *c, int argc, char **argv);
int cmd_rm(struct client *c, int argc, char **argv);
int cmd_exists(struct client *c, int argc, char **argv);
int cmd_chmod(struct client *c, int argc, char **argv);
int cmd_watch(struct client *c, int argc, char **argv);
int cmd_control(struct client *c, int argc, char **argv);

/* Says on stderr what failed on path, by errno; returns 1. */
int client_fail(const char *what, const char *path);

/* Prints a value, what is not printable as \xNN. */
void client_print_value(const char *value, unsigned int len);

#endif
