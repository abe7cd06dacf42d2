/* SPDX-License-Identifier: MIT */
#include "tools/kxbench.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BENCH_MARK  "BENCH "
#define LINES_KEPT  12
#define FILL_CHUNK  (1u << 20)
#define GUEST_MEM   64
#define GUEST_LIMIT "120" /* seconds a run may take, at most */

extern char **environ;

/* The last console lines, shown when the guest fails. */
struct tail {
    char line[LINES_KEPT][256];
    unsigned next;
};

static void tail_add(struct tail *t, const char *line)
{
    snprintf(t->line[t->next++ % LINES_KEPT], sizeof(t->line[0]), "%s", line);
}

static void tail_show(const struct tail *t)
{
    unsigned from = t->next > LINES_KEPT ? t->next - LINES_KEPT : 0;

    for (unsigned i = from; i < t->next; i++)
        fprintf(stderr, "  | %s\n", t->line[i % LINES_KEPT]);
}

/* The image as built beside us, else as installed. */
static int find_image(const struct kxb *b, char *path, size_t size)
{
    static const char *const places[] = {"../lib/guests", "../lib/kxen/guests"};

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path, size, "%s/%s/bench.elf", b->bin_dir, places[i]);
        if (!access(path, R_OK))
            return 0;
    }
    kxb_say("the bench guest (bench.elf) is not where it should be, in "
            "%s/../lib; build or install it with make",
            b->bin_dir);
    return -ENOENT;
}

static int write_config(const struct kxb *b, const char *path,
                        const struct kxb_guest *guest)
{
    char image[5000];
    FILE *f;
    int rc = find_image(b, image, sizeof(image));

    if (rc)
        return rc;
    f = fopen(path, "we");
    if (!f) {
        rc = -errno;
        kxb_say("cannot write %s: %s", path, strerror(errno));
        return rc;
    }
    fprintf(f,
            "name = \"kxbench\"\nkernel = \"%s\"\nmemory = %d\n"
            "extra = \"%s\"\non_poweroff = \"destroy\"\n"
            "on_crash = \"destroy\"\n%s",
            image, GUEST_MEM, guest->extra, guest->devices);
    return fclose(f) ? -EIO : 0;
}

/* Starts `kxl run cfg`; its standard output is *out. */
static int spawn_kxl(const struct kxb *b, const char *cfg, pid_t *pid, int *out)
{
    char kxl[5000];
    char *argv[] = {"timeout", "-k",  "5",         GUEST_LIMIT,
                    kxl,       "run", (char *)cfg, NULL};
    posix_spawn_file_actions_t acts;
    int fds[2], rc;

    snprintf(kxl, sizeof(kxl), "%s/kxl", b->bin_dir);
    if (pipe2(fds, O_CLOEXEC))
        return -errno;
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_addopen(&acts, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&acts, fds[1], 1);
    rc = posix_spawnp(pid, "timeout", &acts, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&acts);
    close(fds[1]);
    if (rc) {
        kxb_say("cannot start %s: %s", kxl, strerror(rc));
        close(fds[0]);
        return -rc;
    }
    *out = fds[0];
    return 0;
}

static int bench_line(struct kxb *b, const char *text, kxb_bench_fn fn,
                      void *arg)
{
    json_error_t err;
    json_t *line = json_loads(text, 0, &err);
    int rc;

    if (!line) {
        kxb_say("the guest's line is not JSON: %s: %.60s", err.text, text);
        return -EPROTO;
    }
    rc = fn(b, line, arg);
    json_decref(line);
    return rc;
}

static int read_lines(struct kxb *b, int fd, struct tail *tail, kxb_bench_fn fn,
                      void *arg)
{
    FILE *f = fdopen(fd, "r");
    char *line = NULL;
    size_t size = 0;
    int rc = 0, one;

    if (!f) {
        close(fd);
        return -ENOMEM;
    }
    while (getline(&line, &size, f) > 0) {
        char *mark = strstr(line, BENCH_MARK);

        line[strcspn(line, "\r\n")] = '\0';
        tail_add(tail, line);
        if (!mark)
            continue;
        one = bench_line(b, mark + strlen(BENCH_MARK), fn, arg);
        rc = rc ? rc : one;
    }
    free(line);
    fclose(f);
    return rc;
}

/* How the guest ended, in words unless well. */
static int guest_end(pid_t pid, const struct tail *tail)
{
    int status;

    if (waitpid(pid, &status, 0) < 0)
        return -errno;
    if (WIFEXITED(status) && !WEXITSTATUS(status))
        return 0;
    kxb_say("the bench guest did not end well (status %d)",
            WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    tail_show(tail);
    return -EIO;
}

int kxb_guest_run(struct kxb *b, const struct kxb_guest *guest, kxb_bench_fn fn,
                  void *arg)
{
    struct tail tail = {0};
    char cfg[5000], poll_us[16];
    pid_t pid = -1;
    int out = -1, rc, end;

    snprintf(cfg, sizeof(cfg), "%s/bench.cfg", b->work_dir);
    rc = write_config(b, cfg, guest);
    if (rc)
        return rc;
    snprintf(poll_us, sizeof(poll_us), "%d", guest->poll_us);
    setenv("KXEN_POLL_US", poll_us, 1);
    rc = spawn_kxl(b, cfg, &pid, &out);
    if (rc)
        goto out_cfg;
    rc = read_lines(b, out, &tail, fn, arg);
    end = guest_end(pid, &tail);
    rc = rc ? rc : end;
out_cfg:
    unlink(cfg);
    return rc;
}

int kxb_make_image(struct kxb *b, char *path, size_t path_size, uint64_t size)
{
    char *chunk = malloc(FILL_CHUNK);
    int fd = -1, rc = -ENOMEM;

    if (!chunk)
        return rc;
    memset(chunk, 0xa5, FILL_CHUNK);
    snprintf(path, path_size, "%s/disk.img", b->work_dir);
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    for (uint64_t at = 0; fd >= 0 && at < size; at += FILL_CHUNK)
        if (write(fd, chunk, FILL_CHUNK) != FILL_CHUNK)
            goto fail;
    if (fd < 0 || fsync(fd))
        goto fail;
    rc = 0;
    goto out;
fail:
    rc = errno ? -errno : -ENOSPC;
    kxb_say("cannot fill %s: %s; set TMPDIR to a folder with room", path,
            strerror(-rc));
out:
    if (fd >= 0)
        close(fd);
    free(chunk);
    return rc;
}
