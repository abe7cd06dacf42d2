/* SPDX-License-Identifier: MIT */
/* The program that a live update goes on with, and its arguments. */
#ifndef XENSTORE_DAEMON_UPDATE_H
#define XENSTORE_DAEMON_UPDATE_H

struct update_args {
    char **list; /* for execv() */
    char *text;  /* that the list points into */
};

/*
 * The arguments of argv, which ends in NULL, but with those of `arguments`
 * (parted by blanks) in place of its own if that is not NULL; behind them
 * `option` and, if not NULL, its value.  A --resume that stands in argv is
 * left out.  -ENOMEM.  Free with update_args_free(), also on failure.
 */
int update_args_make(struct update_args *a, char *const *argv,
                     const char *arguments, const char *option,
                     const char *value);
void update_args_free(struct update_args *a);

/*
 * Whether binary, run with --try behind these arguments, says that it would
 * take them: 0, -EINVAL if not, else -Exxx.
 */
int update_try(const char *binary, char *const *argv, const char *arguments);

#endif
