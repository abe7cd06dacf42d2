/* SPDX-License-Identifier: MIT */
/* A program's output, a line at a time, with the time of each. */
#include "tools/kxbench_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S  1000000000ull
#define LINE_SIZE 8192
#define END_STEPS 100 /* of STEP_NS each, before it is killed */
#define STEP_NS   50000000

extern char **environ;

struct reader {
    const struct kxb_watch *w;
    uint64_t started;
    char line[LINE_SIZE];
    size_t len;
    bool somewhere, over;
};

/* The watch's variables, then ours. NULL: no memory. */
static char **merge_env(char *const *first)
{
    size_t n = 0, at = 0;
    char **all;

    for (size_t i = 0; first && first[i]; i++)
        n++;
    for (size_t i = 0; environ[i]; i++)
        n++;
    all = calloc(n + 1, sizeof(*all));
    for (size_t i = 0; all && first && first[i]; i++)
        all[at++] = first[i];
    for (size_t i = 0; all && environ[i]; i++)
        all[at++] = environ[i];
    return all;
}

/* stdin from nowhere, stdout to *out, stderr to err_fd; a group of its own. */
static int start(const struct kxb_watch *w, int err_fd, pid_t *pid, int *out)
{
    char **env = merge_env(w->env);
    posix_spawn_file_actions_t acts;
    posix_spawnattr_t attr;
    int fds[2], rc = env ? 0 : -ENOMEM;

    if (rc || pipe2(fds, O_CLOEXEC)) {
        free(env);
        return rc ? rc : -errno;
    }
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_addopen(&acts, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&acts, fds[1], 1);
    posix_spawn_file_actions_adddup2(&acts, err_fd, 2);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    rc = posix_spawnp(pid, w->argv[0], &acts, &attr, w->argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&acts);
    free(env);
    close(fds[1]);
    if (rc)
        close(fds[0]);
    else
        *out = fds[0];
    return -rc;
}

static void line_done(struct reader *r)
{
    r->line[r->len] = '\0';
    r->len = 0;
    switch (r->w->line(r->w->arg, r->line, kxb_now() - r->started)) {
    case 1:
        r->over = true;
        break;
    case 2:
        r->somewhere = true;
        break;
    }
}

static void take_bytes(struct reader *r, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && !r->over; i++) {
        if (bytes[i] == '\n')
            line_done(r);
        else if (bytes[i] != '\r' && r->len < LINE_SIZE - 1)
            r->line[r->len++] = bytes[i];
    }
}

static int read_lines(struct reader *r, int fd)
{
    while (!r->over) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        unsigned limit = r->w->limit_s + (r->somewhere ? r->w->rest_s : 0);
        uint64_t spent = kxb_now() - r->started;
        char bytes[4096];
        ssize_t n;

        if (spent > limit * NS_PER_S)
            return -ETIMEDOUT;
        if (poll(&p, 1, 100) <= 0)
            continue;
        n = read(fd, bytes, sizeof(bytes));
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        take_bytes(r, bytes, (size_t)n);
    }
    return 0;
}

/* A word first: kxl run takes its host down, QEMU its terminal. */
static void end(pid_t pid)
{
    const struct timespec step = {.tv_nsec = STEP_NS};
    int sig = SIGTERM;

    for (int i = 0; i < END_STEPS; i++) {
        if (sig)
            kill(-pid, sig);
        sig = 0;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return;
        nanosleep(&step, NULL);
    }
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

int kxb_watch(const struct kxb_watch *w, char *err, size_t err_size)
{
    struct reader r = {.w = w, .started = kxb_now()};
    int err_fd = memfd_create("kxbench-stderr", MFD_CLOEXEC);
    int out = -1, rc = err_fd < 0 ? -errno : 0;
    ssize_t n = 0;
    pid_t pid;

    err[0] = '\0';
    if (rc)
        return rc;
    rc = start(w, err_fd, &pid, &out);
    if (!rc) {
        rc = read_lines(&r, out);
        end(pid);
        close(out);
        n = pread(err_fd, err, err_size - 1, 0);
    }
    err[n > 0 ? n : 0] = '\0';
    close(err_fd);
    return rc;
}
