/* SPDX-License-Identifier: MIT */
#include "xenstore/daemon/update.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Those that argv has but for the last --resume; how many. */
static size_t copy_old(char **list, char *const *argv)
{
    size_t n = 0;

    for (; argv[n]; n++)
        list[n] = argv[n];
    if (n >= 3 && !strcmp(argv[n - 2], "--resume"))
        n -= 2;
    return n;
}

static size_t split_new(char **list, char *const *argv, char *text)
{
    size_t n = 0;
    char *save;

    list[n++] = argv[0];
    for (char *w = strtok_r(text, " ", &save); w;
         w = strtok_r(NULL, " ", &save))
        list[n++] = w;
    return n;
}

int update_args_make(struct update_args *a, char *const *argv,
                     const char *arguments, const char *option,
                     const char *value)
{
    size_t n = 0, room;

    while (argv[n])
        n++;
    room = n + (arguments ? strlen(arguments) : 0) + 4;
    a->text = strdup(arguments ? arguments : "");
    a->list = calloc(room, sizeof(*a->list));
    if (!a->text || !a->list)
        return -ENOMEM;
    n = arguments ? split_new(a->list, argv, a->text) : copy_old(a->list, argv);
    a->list[n++] = (char *)option;
    a->list[n] = (char *)value;
    return 0;
}

void update_args_free(struct update_args *a)
{
    free(a->list);
    free(a->text);
    a->list = NULL;
    a->text = NULL;
}

static int run(const char *binary, char *const *args)
{
    int status, rc;
    pid_t pid;

    rc = posix_spawn(&pid, binary, NULL, NULL, args, environ);
    if (rc)
        return -rc;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EINVAL;
}

int update_try(const char *binary, char *const *argv, const char *arguments)
{
    struct update_args a;
    int rc = update_args_make(&a, argv, arguments, "--try", NULL);

    if (!rc)
        rc = run(binary, a.list);
    update_args_free(&a);
    return rc;
}
