/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_SHELL_H
#define FRONTENDS_SHELL_H

#include "frontends/include/kernel.h"

#define MAX_WORDS 8

struct command {
    const char *name, *args, *help;
    int min_words, max_words; /* the name included */
    /* 0, -Exxx (printed by the shell), or -EINVAL for bad usage. */
    int (*run)(int argc, char **argv);
};

/* store.c and disk.c; each ends in an entry without a name. */
extern const struct command store_commands[], disk_commands[];

/* True when ^C came or the domain is to end; takes the input up to it. */
bool shell_interrupted(void);
int shell_number(const char *text, uint64_t *n);

#endif
