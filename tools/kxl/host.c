/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: starts hv, kxenstored and dom0, and restarts the latter two
 * whenever they die.  It may itself die: the next one takes over the daemons
 * that it finds (their sockets tell who they are).
 */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hv/client/kxen.h"

#define NR_DAEMONS   HOST_DAEMONS
#define START_MS     15000 /* for a daemon's socket to answer */
#define STOP_MS      5000  /* between SIGTERM and SIGKILL */
#define STEP_MS      5
#define CALM_MS      1000 /* a daemon that lived so long is restarted at once */
#define DELAY_MAX_MS 2000

/* What goes to ready_fd, unless it is words for the user. */
#define READY_OK   "ok"
#define READY_BUSY "busy"

enum { HV, STORED, DOM0 };

struct daemon {
    const char *name;
    const char *socket;
    pid_t pid; /* 0: does not run */
    int pidfd;
    uint64_t started_ms;
    uint64_t restart_ms; /* when to start it again */
    unsigned delay_ms;
    char error[512]; /* why its program could not be run */
};

static const struct {
    const char *name, *socket;
} daemon_names[NR_DAEMONS] = {
    [HV] = {"hv", "hv.sock"},
    [STORED] = {"kxenstored", "xenstored/socket"},
    [DOM0] = {"dom0", "dom0.sock"},
};

struct host {
    const char *run_dir;
    bool private;
    int ready_fd; /* -1 once told */
    int signal_fd;
    struct daemon daemons[NR_DAEMONS];
};

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000) + ts.tv_nsec / 1000000;
}

static void path_of(const struct host *host, char *buf, size_t size,
                    const char *leaf)
{
    snprintf(buf, size, "%s/%s", host->run_dir, leaf);
}

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *fmt, ...)
{
    time_t t = time(NULL);
    char stamp[16], *line;
    struct tm tm;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&line, fmt, ap) < 0)
        line = NULL;
    va_end(ap);
    strftime(stamp, sizeof(stamp), "%H:%M:%S", localtime_r(&t, &tm));
    dprintf(STDERR_FILENO, "%s host: %s\n", stamp, line ? line : fmt);
    free(line);
}

/* Tells who waits for us, once: "ok" or what is wrong. */
static void ready(struct host *host, const char *text)
{
    if (host->ready_fd < 0)
        return;
    if (write(host->ready_fd, text, strlen(text)) < 0)
        note("nobody waits for: %s", text);
    close(host->ready_fd);
    host->ready_fd = -1;
}

/* The process behind a daemon's socket, or 0 when none answers. */
static pid_t socket_owner(const struct host *host, const struct daemon *d)
{
    struct ucred cred = {0};
    socklen_t len = sizeof(cred);
    char path[512];
    int fd;

    path_of(host, path, sizeof(path), d->socket);
    fd = kxl_connect_unix(path);
    if (fd < 0)
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
        cred.pid = 0;
    close(fd);
    return cred.pid;
}

static int daemon_watch(struct daemon *d, pid_t pid)
{
    int fd = syscall(SYS_pidfd_open, pid, 0);

    if (fd < 0)
        return -errno;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    d->pid = pid;
    d->pidfd = fd;
    d->started_ms = now_ms();
    return 0;
}

static void pid_path(const struct host *host, const struct daemon *d, char *buf,
                     size_t size)
{
    char leaf[64];

    snprintf(leaf, sizeof(leaf), "%s.pid", d->name);
    path_of(host, buf, size, leaf);
}

static void pid_file(const struct host *host, const struct daemon *d)
{
    char path[512];
    int fd;

    pid_path(host, d, path, sizeof(path));
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0 && dprintf(fd, "%d\n", (int)d->pid) > 0) {
        close(fd);
        return;
    }
    note("%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    unlink(path);
}

/* What one that was killed could not take away itself. */
static void remains_remove(const struct host *host, const struct daemon *d)
{
    char path[512];
    int fd;

    pid_path(host, d, path, sizeof(path));
    if (!unlink(path) && d->pid == 0)
        note("%s: removed; no %s runs", path, d->name);
    path_of(host, path, sizeof(path), d->socket);
    fd = kxl_connect_unix(path);
    if (fd >= 0)
        close(fd);
    else if (fd == -ECONNREFUSED && !unlink(path))
        note("%s: removed; nobody answers there", path);
}

/* In the child of daemon_start(), for its parent. */
static void exec_failed(int err, const char *what, const char *path)
{
    dprintf(err, "cannot %s %s: %s", what, path, strerror(errno));
    _exit(127);
}

/* In the child: never returns. */
static void daemon_exec(const struct host *host, const struct daemon *d,
                        pid_t parent, const char *program, int err)
{
    int null = open("/dev/null", O_RDONLY), out;
    char log[512], leaf[64];
    sigset_t none;

    if (host->private) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) /* dead before we asked to be told */
            _exit(127);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    snprintf(leaf, sizeof(leaf), "%s.log", d->name);
    path_of(host, log, sizeof(log), leaf);
    if (null < 0)
        exec_failed(err, "open", "/dev/null");
    out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (out < 0)
        exec_failed(err, "open its log,", log);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execl(program, d->name, "--run-dir", host->run_dir, (char *)NULL);
    exec_failed(err, "run", program);
}

/* What exec_failed() says, until the program runs or is given up. */
static void exec_await(struct daemon *d, int fd)
{
    size_t len = 0;
    ssize_t n;

    while (len < sizeof(d->error) - 1 &&
           (n = read(fd, d->error + len, sizeof(d->error) - 1 - len)) > 0)
        len += n;
    d->error[len] = 0;
    if (len)
        note("%s: %s", d->name, d->error);
}

static int daemon_start(struct host *host, struct daemon *d)
{
    pid_t parent = getpid(), pid;
    char program[4096];
    int err[2];
    int rc = kxl_program_path(program, sizeof(program), d->name);

    if (rc) {
        snprintf(d->error, sizeof(d->error),
                 "%.300s: %s; build or install all of Kxen", program,
                 strerror(-rc));
        note("%s", d->error);
        return rc;
    }
    if (pipe2(err, O_CLOEXEC))
        return -errno;
    pid = fork();
    if (!pid)
        daemon_exec(host, d, parent, program, err[1]);
    rc = pid < 0 ? -errno : daemon_watch(d, pid);
    close(err[1]);
    if (pid > 0)
        exec_await(d, err[0]);
    close(err[0]);
    if (rc) {
        if (pid > 0)
            kill(pid, SIGKILL);
        return rc;
    }
    pid_file(host, d);
    return 0;
}

static bool pidfd_dead(const struct daemon *d, int timeout_ms)
{
    struct pollfd p = {.fd = d->pidfd, .events = POLLIN};

    return poll(&p, 1, timeout_ms) > 0;
}

static void daemon_reap(struct daemon *d)
{
    int status = 0;

    if (waitpid(d->pid, &status, WNOHANG) == d->pid)
        note("%s (%d) %s %d", d->name, (int)d->pid,
             WIFSIGNALED(status) ? "was killed by signal" : "ended with status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    else
        note("%s (%d) is gone", d->name, (int)d->pid);
    close(d->pidfd);
    d->pidfd = -1;
    d->pid = 0;
}

static bool asked_to_stop(const struct host *host, int timeout_ms)
{
    struct pollfd p = {.fd = host->signal_fd, .events = POLLIN};

    return poll(&p, 1, timeout_ms) > 0;
}

/* Waits until the daemon's socket answers. 0, -ECHILD, -ETIMEDOUT, -EINTR. */
static int daemon_await(struct host *host, struct daemon *d)
{
    uint64_t until = now_ms() + START_MS;

    while (now_ms() < until) {
        if (socket_owner(host, d))
            return 0;
        if (pidfd_dead(d, 0))
            return -ECHILD;
        if (asked_to_stop(host, STEP_MS))
            return -EINTR;
    }
    return -ETIMEDOUT;
}

/* The end of a daemon's log, for an error message. */
static void log_tail(const struct host *host, const struct daemon *d, char *buf,
                     size_t size)
{
    char path[512], leaf[64];
    ssize_t n;
    int fd;

    buf[0] = 0;
    snprintf(leaf, sizeof(leaf), "%s.log", d->name);
    path_of(host, path, sizeof(path), leaf);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (lseek(fd, -(off_t)(size - 1), SEEK_END) < 0)
        lseek(fd, 0, SEEK_SET);
    n = read(fd, buf, size - 1);
    close(fd);
    while (n > 0 && buf[n - 1] == '\n')
        n--;
    buf[n > 0 ? n : 0] = 0;
}

static void start_failed(struct host *host, const struct daemon *d, int rc)
{
    char tail[1024], text[2048];

    log_tail(host, d, tail, sizeof(tail));
    if (*d->error)
        snprintf(text, sizeof(text), "%s does not start: %s", d->name,
                 d->error);
    else
        snprintf(text, sizeof(text), "%s does not start: %s. Its log ends:\n%s",
                 d->name,
                 rc == -ECHILD      ? "it ended at once"
                 : rc == -ETIMEDOUT ? "its socket does not answer"
                                    : strerror(-rc),
                 *tail ? tail : "(empty; is its disk full?)");
    note("%s", text);
    ready(host, text);
}

/* One that an earlier supervisor left is taken over. */
static int daemon_ensure(struct host *host, struct daemon *d)
{
    pid_t pid = socket_owner(host, d);
    int rc;

    if (pid > 0 && !daemon_watch(d, pid)) {
        note("%s (%d) runs already: taken over", d->name, (int)pid);
        pid_file(host, d);
        return 0;
    }
    remains_remove(host, d);
    rc = daemon_start(host, d);
    if (!rc)
        rc = daemon_await(host, d);
    if (rc && rc != -EINTR)
        start_failed(host, d, rc);
    return rc;
}

static void daemon_stop(struct host *host, struct daemon *d)
{
    if (!d->pid) {
        remains_remove(host, d);
        return;
    }
    syscall(SYS_pidfd_send_signal, d->pidfd, SIGTERM, NULL, 0);
    if (!pidfd_dead(d, STOP_MS)) {
        note("%s (%d) does not stop: killed", d->name, (int)d->pid);
        syscall(SYS_pidfd_send_signal, d->pidfd, SIGKILL, NULL, 0);
        pidfd_dead(d, STOP_MS);
    }
    remains_remove(host, d);
    daemon_reap(d);
}

static void daemon_died(struct daemon *d)
{
    uint64_t lived = now_ms() - d->started_ms;

    daemon_reap(d);
    if (lived >= CALM_MS)
        d->delay_ms = 0;
    else
        d->delay_ms = d->delay_ms ? d->delay_ms * 2 : 50;
    if (d->delay_ms > DELAY_MAX_MS)
        d->delay_ms = DELAY_MAX_MS;
    d->restart_ms = now_ms() + d->delay_ms;
}

/* How long poll may sleep until a daemon is due; starts those that are. */
static int restart_due(struct host *host)
{
    int i, timeout = -1;

    for (i = STORED; i < NR_DAEMONS; i++) {
        struct daemon *d = &host->daemons[i];
        uint64_t now = now_ms();

        if (!d->pid && d->restart_ms <= now) {
            note("starting %s again", d->name);
            if (daemon_start(host, d))
                d->restart_ms = now + DELAY_MAX_MS;
        }
        if (!d->pid && (timeout < 0 || d->restart_ms - now < (uint64_t)timeout))
            timeout = d->restart_ms - now;
    }
    return timeout;
}

/* Until a signal (0) or hv's end (-EPIPE). */
static int watch_over(struct host *host)
{
    struct pollfd fds[NR_DAEMONS + 1];
    int i;

    for (;;) {
        int timeout = restart_due(host);

        for (i = 0; i < NR_DAEMONS; i++)
            fds[i] = (struct pollfd){
                .fd = host->daemons[i].pid ? host->daemons[i].pidfd : -1,
                .events = POLLIN};
        fds[NR_DAEMONS] =
            (struct pollfd){.fd = host->signal_fd, .events = POLLIN};
        if (poll(fds, NR_DAEMONS + 1, timeout) < 0 && errno != EINTR)
            return -errno;
        if (fds[NR_DAEMONS].revents)
            return 0;
        if (fds[HV].revents)
            return -EPIPE;
        for (i = STORED; i < NR_DAEMONS; i++)
            if (host->daemons[i].pid && pidfd_dead(&host->daemons[i], 0))
                daemon_died(&host->daemons[i]);
    }
}

/* The lock, which holds our process id; it goes with us. */
static int supervisor_lock(const struct host *host)
{
    char path[512];
    int fd, rc;

    path_of(host, path, sizeof(path), "host.lock");
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        rc = -errno;
        close(fd);
        return rc;
    }
    if (!ftruncate(fd, 0) && dprintf(fd, "%d\n", (int)getpid()) > 0)
        return fd;
    rc = -errno; /* who we are is how others find us */
    close(fd);
    return rc;
}

int host_supervisor(void)
{
    char path[512], text[16] = "";
    int fd, pid = 0;

    if (kxen_path(path, sizeof(path), "host.lock"))
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (flock(fd, LOCK_SH | LOCK_NB) && read(fd, text, sizeof(text) - 1) > 0)
        pid = atoi(text);
    close(fd);
    return pid;
}

static int folders_make(struct host *host)
{
    char path[512];

    if ((mkdir(host->run_dir, 0700) && errno != EEXIST))
        return -errno;
    path_of(host, path, sizeof(path), "xenstored");
    return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

static int host_run(struct host *host)
{
    int i, rc = 0;

    for (i = 0; i < NR_DAEMONS && !rc; i++)
        rc = daemon_ensure(host, &host->daemons[i]);
    if (!rc) {
        note("all answer in %s", host->run_dir);
        ready(host, READY_OK);
        rc = watch_over(host);
    }
    if (rc == -EPIPE)
        note("hv has died, and all domains with it: stopping");
    for (i = NR_DAEMONS - 1; i >= 0; i--)
        daemon_stop(host, &host->daemons[i]);
    return rc == -EINTR ? 0 : rc;
}

static void daemons_name(struct host *host)
{
    for (int i = 0; i < NR_DAEMONS; i++) {
        host->daemons[i].name = daemon_names[i].name;
        host->daemons[i].socket = daemon_names[i].socket;
    }
}

void host_look(struct host_daemon info[HOST_DAEMONS])
{
    struct host host = {.run_dir = kxen_run_dir()};
    char path[512];

    daemons_name(&host);
    for (int i = 0; i < NR_DAEMONS; i++) {
        const struct daemon *d = &host.daemons[i];

        info[i].name = d->name;
        info[i].pid = socket_owner(&host, d);
        pid_path(&host, d, path, sizeof(path));
        info[i].remains = !info[i].pid && !access(path, F_OK);
        path_of(&host, path, sizeof(path), d->socket);
        info[i].remains |= !info[i].pid && !access(path, F_OK);
    }
}

int host_supervise(const char *run_dir, bool private, int ready_fd)
{
    struct host host = {
        .run_dir = run_dir,
        .private = private,
        .ready_fd = ready_fd,
    };
    char text[1024];
    int rc, lock;

    daemons_name(&host);
    rc = folders_make(&host);
    lock = rc ? rc : supervisor_lock(&host);
    if (lock < 0) {
        snprintf(text, sizeof(text),
                 "cannot make what a host needs in its run directory %s: %s",
                 run_dir, strerror(-lock));
        if (ready_fd < 0)
            note("%s",
                 lock == -EWOULDBLOCK ? "another one watches over it" : text);
        if (lock == -EWOULDBLOCK)
            strcpy(text, READY_BUSY);
        ready(&host, text);
        return KXL_ERROR;
    }
    host.signal_fd = kxl_signals();
    rc = host_run(&host);
    close(host.signal_fd);
    close(lock);
    return rc ? KXL_ERROR : KXL_OK;
}

/* The parents of the folder, as far as they are missing. */
static void parents_make(const char *run_dir)
{
    char path[512];
    char *slash = path;

    snprintf(path, sizeof(path), "%s", run_dir);
    while ((slash = strchr(slash + 1, '/'))) {
        *slash = 0;
        mkdir(path, 0755);
        *slash = '/';
    }
}

/* In the background process: never returns. */
static void supervisor_main(const char *run_dir, int ready_fd)
{
    int null = open("/dev/null", O_RDWR);
    char path[512];
    int log;

    setsid();
    if (fork() != 0) /* so that the leader's end cannot take our terminal */
        _exit(0);
    snprintf(path, sizeof(path), "%s/host.log", run_dir);
    log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(null, STDIN_FILENO);
    dup2(log >= 0 ? log : null, STDOUT_FILENO);
    dup2(log >= 0 ? log : null, STDERR_FILENO);
    if (chdir("/"))
        note("cannot leave the working directory");
    _exit(host_supervise(run_dir, false, ready_fd));
}

int host_start(void)
{
    const char *run_dir = kxen_run_dir();
    char text[4096];
    size_t len = 0;
    ssize_t n;
    int fds[2];
    pid_t pid;

    if (*run_dir != '/') {
        kxl_error(NULL, "%s: the run directory must be an absolute path",
                  run_dir);
        return -EINVAL;
    }
    parents_make(run_dir);
    if ((mkdir(run_dir, 0700) && errno != EEXIST) ||
        access(run_dir, W_OK | X_OK)) {
        int rc = -errno;

        kxl_error("choose a folder of your own: kxl -R DIR, or "
                  "KXEN_RUN_DIR=DIR",
                  "%s: cannot make the run directory, or write to it: %s",
                  run_dir, strerror(-rc));
        return rc;
    }
    if (pipe2(fds, O_CLOEXEC))
        return -errno;
    pid = fork();
    if (pid == 0)
        supervisor_main(run_dir, fds[1]);
    close(fds[1]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    while (len < sizeof(text) - 1 &&
           (n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
        len += n;
    text[len] = 0;
    close(fds[0]);
    /* Somebody else was a moment faster: that host will do. */
    if (!strcmp(text, READY_OK) || !strcmp(text, READY_BUSY))
        return 0;
    kxl_error("kxl check tells what this machine can do", "%s",
              len ? text
                  : "the host does not start; see host.log in the run "
                    "directory");
    return -EIO;
}
