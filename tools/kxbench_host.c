/* SPDX-License-Identifier: MIT */
/* kxl as a subprocess, and a host for the benchmarks alone. */
#include "tools/kxbench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hv/client/kxen.h"

#define ARGS_MAX  16
#define OPEN_DIRS 16

extern char **environ;

static int spawn(char **argv, pid_t *pid, int *out)
{
    posix_spawn_file_actions_t acts;
    int fds[2], rc;

    if (pipe2(fds, O_CLOEXEC))
        return -errno;
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_addopen(&acts, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&acts, fds[1], 1);
    rc = posix_spawn(pid, argv[0], &acts, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&acts);
    close(fds[1]);
    if (rc)
        close(fds[0]);
    else
        *out = fds[0];
    return -rc;
}

/* All of fd as a string, NULL without memory; closes fd. */
static char *read_all(int fd)
{
    char *text = NULL, chunk[4096];
    size_t len = 0;
    ssize_t n;
    FILE *f = open_memstream(&text, &len);

    while (f && (n = read(fd, chunk, sizeof(chunk))) > 0)
        fwrite(chunk, 1, (size_t)n, f);
    if (f)
        fclose(f);
    close(fd);
    return text;
}

static int run(char **argv, char **out)
{
    int fd = -1, status, rc;
    char *text;
    pid_t pid;

    rc = spawn(argv, &pid, &fd);
    if (rc) {
        kxb_say("cannot start %s: %s", argv[0], strerror(-rc));
        return rc;
    }
    text = read_all(fd);
    if (waitpid(pid, &status, 0) < 0 || status || !text) {
        kxb_say("`kxl %s` failed: %s", argv[1], text ? text : "no memory");
        free(text);
        return -EIO;
    }
    if (out)
        *out = text;
    else
        free(text);
    return 0;
}

int kxb_kxl(struct kxb *b, char **out, ...)
{
    char path[5000], *argv[ARGS_MAX] = {path};
    va_list ap;

    snprintf(path, sizeof(path), "%s/kxl", b->bin_dir);
    va_start(ap, out);
    for (int i = 1; i < ARGS_MAX - 1; i++) {
        argv[i] = va_arg(ap, char *);
        if (!argv[i])
            break;
    }
    va_end(ap);
    return run(argv, out);
}

int kxb_host_start(struct kxb *b)
{
    char dir[5000];
    int rc;

    if (b->host_runs)
        return 0;
    snprintf(dir, sizeof(dir), "%s/host", b->work_dir);
    setenv("KXEN_RUN_DIR", dir, 1);
    unsetenv("KXL_RUN_DIR");
    unsetenv("XENSTORED_PATH");
    unsetenv("XENSTORED_RUNDIR");
    rc = kxen_set_run_dir(dir);
    if (!rc)
        rc = kxb_kxl(b, NULL, "host-start", "-q", NULL);
    b->host_runs = !rc;
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void kxb_remove(const char *dir)
{
    nftw(dir, remove_one, OPEN_DIRS, FTW_DEPTH | FTW_PHYS);
}

void kxb_host_stop(struct kxb *b)
{
    char dir[5000];

    snprintf(dir, sizeof(dir), "%s/host", b->work_dir);
    if (b->host_runs)
        kxb_kxl(b, NULL, "host-stop", "-f", NULL);
    b->host_runs = false;
    kxb_remove(dir);
}
