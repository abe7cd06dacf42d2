/* SPDX-License-Identifier: MIT */
/*
 * What is measured: our store as it is shipped (with its journal), Debian's C
 * xenstored (its tree in memory, its default), and the floor: an echo.
 */
#include "tools/kxbench_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ECHO_CLIENTS 1024
#define ECHO_THREADS 4
#define START_MS     10000

/* fds of an echo's clients, for its broadcast; -1 where none. */
struct echo {
    pthread_mutex_t lock;
    int clients[ECHO_CLIENTS];
    int epfd[ECHO_THREADS];
};

struct echo_thread {
    struct echo *echo;
    int epfd;
};

static void echo_note(struct echo *e, int old, int new)
{
    pthread_mutex_lock(&e->lock);
    for (int i = 0; i < ECHO_CLIENTS; i++) {
        if (e->clients[i] == old) {
            e->clients[i] = new;
            break;
        }
    }
    pthread_mutex_unlock(&e->lock);
}

static void echo_broadcast(struct echo *e, int from, const char *buf, size_t n)
{
    pthread_mutex_lock(&e->lock);
    for (int i = 0; i < ECHO_CLIENTS; i++)
        if (e->clients[i] >= 0 && e->clients[i] != from &&
            send(e->clients[i], buf, n, MSG_NOSIGNAL) < 0)
            break;
    pthread_mutex_unlock(&e->lock);
}

static void echo_once(struct echo *e, int epfd, int fd)
{
    char buf[8192];
    ssize_t n = recv(fd, buf, sizeof(buf), 0);
    struct xsd_sockmsg hdr = {0};

    if (n > 0) {
        memcpy(&hdr, buf, sizeof(hdr));
        if (hdr.type == XS_WATCH_EVENT)
            echo_broadcast(e, fd, buf, n);
        if (hdr.type == XS_WATCH_EVENT) {
            hdr.type = XS_WRITE;
            memcpy(buf, &hdr, sizeof(hdr));
        }
        if (send(fd, buf, n, MSG_NOSIGNAL) == n)
            return;
    }
    echo_note(e, fd, -1);
    epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
    close(fd);
}

static void *echo_thread(void *arg)
{
    struct echo_thread *t = arg;
    struct epoll_event ev[64];

    for (;;) {
        int n = epoll_wait(t->epfd, ev, 64, -1);

        for (int i = 0; i < n; i++)
            echo_once(t->echo, t->epfd, ev[i].data.fd);
    }
    return NULL;
}

/* As many threads as kxenstored has by default. */
static int echo_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > ECHO_THREADS ? ECHO_THREADS : n;
}

void kxs_echo_serve(int listener)
{
    static struct echo e = {.lock = PTHREAD_MUTEX_INITIALIZER};
    static struct echo_thread t[ECHO_THREADS];
    int nr = echo_threads();
    pthread_t id;

    memset(e.clients, 0xff, sizeof(e.clients));
    for (int i = 0; i < nr; i++) {
        t[i] = (struct echo_thread){&e, epoll_create1(EPOLL_CLOEXEC)};
        if (pthread_create(&id, NULL, echo_thread, &t[i]))
            return;
    }
    for (unsigned next = 0;; next++) {
        struct epoll_event ev = {.events = EPOLLIN};

        ev.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (ev.data.fd < 0)
            return;
        echo_note(&e, -1, ev.data.fd);
        epoll_ctl(t[next % nr].epfd, EPOLL_CTL_ADD, ev.data.fd, &ev);
    }
}

/* Xen's daemon of whatever version is installed. */
static int find_xenstored(char *path, size_t size)
{
    glob_t found;
    int rc = -ENOENT;

    if (!glob("/usr/lib/xen-*/bin/xenstored", 0, NULL, &found)) {
        snprintf(path, size, "%s", found.gl_pathv[found.gl_pathc - 1]);
        rc = 0;
    }
    globfree(&found);
    return rc;
}

static void quiet(const char *dir)
{
    char path[4300];
    int fd;

    snprintf(path, sizeof(path), "%s/log", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd >= 0) {
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        close(fd);
    }
}

static void become_ours(struct kxb *b, struct kxs_server *s)
{
    char path[4300];

    unsetenv("XENSTORED_RUNDIR");
    setenv("XENSTORED_PATH", s->socket, 1);
    snprintf(path, sizeof(path), "%s/kxenstored", b->bin_dir);
    execl(path, path, "--run-dir", s->dir, NULL);
}

static void become_xenstored(struct kxb *b, struct kxs_server *s)
{
    char path[4300], preload[4300];

    if (find_xenstored(path, sizeof(path)))
        return;
    snprintf(preload, sizeof(preload), "%s/../lib/bench/xenstored-alone.so",
             b->bin_dir);
    unsetenv("XENSTORED_PATH");
    setenv("LD_PRELOAD", preload, 1);
    setenv("XENSTORED_RUNDIR", s->dir, 1);
    setenv("XENSTORED_ROOTDIR", s->dir, 1);
    execl(path, path, "-N", NULL);
}

static void become_echo(struct kxs_server *s)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(sa.sun_path, s->socket);
    if (fd >= 0 && !bind(fd, (struct sockaddr *)&sa, sizeof(sa)) &&
        !listen(fd, 64))
        kxs_echo_serve(fd);
}

static void become(struct kxb *b, struct kxs_server *s)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    quiet(s->dir);
    switch (s->kind) {
    case KXS_ECHO:
        become_echo(s);
        break;
    case KXS_OURS:
        become_ours(b, s);
        break;
    default:
        become_xenstored(b, s);
    }
    perror("kxbench: cannot start it");
    _exit(1);
}

static int wait_ready(struct kxs_server *s)
{
    struct kxs_client c;

    for (int ms = 0; ms < START_MS; ms += 5) {
        if (!kxs_open(&c, s)) {
            kxs_close(&c);
            return 0;
        }
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            return -ECHILD;
        }
        usleep(5000);
    }
    return -ETIMEDOUT;
}

int kxs_server_start(struct kxb *b, enum kxs_kind kind, struct kxs_server *s)
{
    static const char *const names[] = {"echo", "ours", "xenstored"};
    int rc;

    memset(s, 0, sizeof(*s));
    s->kind = kind;
    snprintf(s->dir, sizeof(s->dir), "%s/%s", b->work_dir, names[kind]);
    if (snprintf(s->socket, sizeof(s->socket), "%s/socket", s->dir) >=
        (int)sizeof(s->socket))
        return -ENAMETOOLONG;
    if (kind == KXS_XENSTORED && find_xenstored((char[4300]){0}, 4300))
        return -ENOENT;
    if (mkdir(s->dir, 0700) && errno != EEXIST)
        return -errno;
    s->pid = fork();
    if (!s->pid)
        become(b, s);
    rc = s->pid < 0 ? -errno : wait_ready(s);
    if (rc) {
        kxb_say("the %s server did not start: %s; see %s/log", names[kind],
                strerror(-rc), s->dir);
        kxs_server_stop(s);
    }
    return rc;
}

static void set_cpus(pid_t pid, const cpu_set_t *cpus)
{
    char path[64];
    struct dirent *e;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    dir = opendir(path);
    while (dir && (e = readdir(dir)))
        if (atoi(e->d_name))
            sched_setaffinity(atoi(e->d_name), sizeof(*cpus), cpus);
    if (dir)
        closedir(dir);
}

void kxs_set_cpus(const struct kxs_server *servers, const cpu_set_t *cpus)
{
    sched_setaffinity(0, sizeof(*cpus), cpus);
    for (int k = 0; k < KXS_NR_KINDS; k++)
        if (servers[k].pid)
            set_cpus(servers[k].pid, cpus);
}

static void remove_all(const char *dir)
{
    static const char *const leaves[] = {"socket", "socket.journal", "log",
                                         "xenstored.pid", "tdb"};
    char path[4300];

    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, leaves[i]);
        unlink(path);
    }
    rmdir(dir);
}

void kxs_server_stop(struct kxs_server *s)
{
    bool ran = s->pid > 0;

    if (ran) {
        kill(s->pid, s->kind == KXS_OURS ? SIGTERM : SIGKILL);
        waitpid(s->pid, NULL, 0);
    }
    s->pid = 0;
    if (ran && s->dir[0])
        remove_all(s->dir);
}
