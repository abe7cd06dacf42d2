/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/client/kxen.h"
#include "xenstore/core/conn.h"
#include "xenstore/core/domain.h"
#include "xenstore/core/journal.h"
#include "xenstore/daemon/hvlink.h"
#include "xenstore/daemon/loop.h"
#include "xenstore/daemon/socket.h"
#include "xenstore/daemon/update.h"

#define MAX_THREADS 16

static const char usage[] =
    "Usage: kxenstored [--run-dir DIR] [--threads N] [--trace]\n"
    "                  [--no-journal]\n"
    "\n"
    "Serves a xenstore: to local programs on DIR/xenstored/socket, and to the\n"
    "domains that are introduced to it when a Kxen hypervisor runs in DIR.\n"
    "Stays in the foreground and logs to stderr.\n"
    "\n"
    "  --run-dir DIR  where the host's sockets are (default: $KXEN_RUN_DIR,\n"
    "                 else $XDG_RUNTIME_DIR/kxen, else /run/kxen).\n"
    "                 $XENSTORED_RUNDIR and $XENSTORED_PATH move the socket\n"
    "  --threads N    I/O threads (default: one per CPU, at most 4)\n"
    "  --trace        log every request\n"
    "  --no-journal   keep nothing for a store that comes after this one;\n"
    "                 else DIR/xenstored/socket.journal has what it needs to\n"
    "                 go on after a crash of this one\n"
    "  --help         this text\n"
    "\n"
    "Example: a store of its own, used by Xen's client tools\n"
    "  kxenstored --run-dir /tmp/store &\n"
    "  XENSTORED_PATH=/tmp/store/xenstored/socket xenstore-ls\n";

struct options {
    unsigned int threads;
    bool trace;
    bool no_journal;
    bool only_try; /* whether these are options */
    int listener;  /* got by a live update, or -1 */
    char **argv;
    char *binary;    /* to go on with; NULL: stop */
    char *arguments; /* of that; NULL: as before */
    char self[4096]; /* where this program was; it may be a newer one now */
};

/* Stops the workers on SIGTERM or SIGINT. */
struct stopper {
    struct stask task;
    struct sworker *workers;
    unsigned int nr_workers;
    int fd;
    struct options *options;
};

static bool stopper_turn(struct stask *t, uint32_t events)
{
    struct stopper *st = (struct stopper *)t;

    (void)events;
    for (unsigned int i = 0; i < st->nr_workers; i++)
        sworker_stop(&st->workers[i]);
    return false;
}

static sigset_t stop_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

static int stopper_open(struct stopper *st, struct sworker *w, unsigned int nr)
{
    sigset_t set = stop_signals();

    st->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    st->workers = w;
    st->nr_workers = nr;
    st->task.worker = w;
    st->task.turn = stopper_turn;
    return st->fd < 0 ? -errno : stask_watch_fd(&st->task, st->fd, EPOLLIN);
}

static unsigned int default_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > 4 ? 4 : n;
}

/* 0, 1 to exit with success, -1 for a usage error. */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"run-dir", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"trace", no_argument, NULL, 'v'},
        {"no-journal", no_argument, NULL, 'j'},
        {"resume", required_argument, NULL, 'R'},
        {"try", no_argument, NULL, 'T'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int c;

    o->threads = default_threads();
    o->listener = -1;
    o->argv = argv;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'r' && kxen_set_run_dir(optarg))
            return -1;
        if (c == 't')
            o->threads = strtoul(optarg, NULL, 10);
        if (c == 'v')
            o->trace = true;
        if (c == 'R')
            o->listener = atoi(optarg);
        if (c == 'j')
            o->no_journal = true;
        if (c == 'T')
            o->only_try = true;
        if (c == 'h') {
            fputs(usage, stdout);
            return 1;
        }
        if (c == '?')
            return -1;
    }
    if (optind == argc && o->threads >= 1 && o->threads <= MAX_THREADS)
        return o->only_try;
    fprintf(stderr, "kxenstored: %s\n",
            optind < argc ? "takes no arguments" : "--threads must be 1 to 16");
    return -1;
}

/* Makes the folders above path.  0 or -errno. */
static int make_folders(const char *path)
{
    char buf[4096];

    if (snprintf(buf, sizeof(buf), "%s", path) >= (int)sizeof(buf))
        return -ENAMETOOLONG;
    for (char *p = strchr(buf + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(buf, 0755) && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    return 0;
}

static int socket_path(char *buf, size_t size)
{
    const char *path = getenv("XENSTORED_PATH");
    const char *dir = getenv("XENSTORED_RUNDIR");
    int n;

    if (path)
        n = snprintf(buf, size, "%s", path);
    else if (dir)
        n = snprintf(buf, size, "%s/socket", dir);
    else
        return kxen_path(buf, size, "xenstored/socket");
    return n >= (int)size ? -ENAMETOOLONG : 0;
}

static void *worker_main(void *arg)
{
    sworker_run(arg);
    return NULL;
}

/* Runs all workers, the first in this thread, until they are stopped. */
static int run_workers(struct sworker *w, unsigned int nr)
{
    pthread_t threads[MAX_THREADS];
    unsigned int started;
    int rc = 0;

    for (started = 1; started < nr && !rc; started++)
        rc = -pthread_create(&threads[started], NULL, worker_main, &w[started]);
    if (rc)
        fprintf(stderr, "kxenstored: cannot start a thread: %s\n",
                strerror(-rc));
    else
        sworker_run(&w[0]);
    for (unsigned int i = 1; i < started; i++) {
        sworker_stop(&w[i]);
        pthread_join(threads[i], NULL);
    }
    return rc;
}

static void raise_file_limit(void)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl))
        return;
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
}

static int listen_at(const struct options *o, struct sworker *w,
                     struct slistener **l)
{
    char path[4096];
    unsigned int nr = o->threads;
    int rc = socket_path(path, sizeof(path));

    if (!rc && o->listener >= 0)
        return slistener_resume(w, nr, path, o->listener, l);
    if (!rc)
        rc = make_folders(path);
    if (!rc)
        rc = slistener_open(w, nr, path, l);
    if (rc == -EADDRINUSE)
        fprintf(stderr,
                "kxenstored: another store already answers on %s; use it, stop "
                "it, or choose another --run-dir\n",
                path);
    else if (rc)
        fprintf(stderr, "kxenstored: cannot listen on %s: %s\n", path,
                strerror(-rc));
    else
        fprintf(stderr, "kxenstored: listening on %s\n", path);
    return rc;
}

/* Takes up what an earlier store left, and keeps what the next will need. */
static int keep_journal(struct store *s)
{
    char path[4096];
    size_t len;
    int rc = socket_path(path, sizeof(path) - sizeof(".journal"));

    if (rc)
        return rc;
    rc = make_folders(path);
    len = strlen(path);
    strcpy(path + len, ".journal");
    if (!rc)
        rc = journal_open(s, path);
    if (rc == -EBUSY)
        fprintf(stderr,
                "kxenstored: another store uses %s; stop it, or choose another "
                "--run-dir\n",
                path);
    else if (rc == -EINVAL)
        fprintf(stderr,
                "kxenstored: %s is not a journal that this version can read; "
                "move it away to start with an empty store\n",
                path);
    else if (rc)
        fprintf(stderr, "kxenstored: cannot keep a journal in %s: %s\n", path,
                strerror(-rc));
    return rc;
}

static int note_update(struct options *o, const char *binary,
                       const char *arguments)
{
    o->binary = strdup(binary);
    o->arguments = arguments ? strdup(arguments) : NULL;
    if (o->binary && (o->arguments || !arguments))
        return 0;
    free(o->binary);
    o->binary = NULL;
    return -ENOMEM;
}

/* CONTROL live-update: the workers end, then hand_on() goes on. */
static int start_live_update(void *ctx, const char *binary,
                             const char *arguments)
{
    struct stopper *st = ctx;
    struct options *o = st->options;
    int rc = 0;

    if (!st->task.worker->store->journal)
        return -ENOSYS; /* there is nothing to hand the state on in */
    if (o->binary)
        return -EBUSY;
    if (!binary)
        binary = o->self;
    /* Once it is run there is no way back. */
    if (arguments)
        rc = update_try(binary, o->argv, arguments);
    if (!rc)
        rc = note_update(o, binary, arguments);
    if (!rc)
        stopper_turn(&st->task, 0);
    return rc;
}

/*
 * Makes this process a new one that has all connections.  Returns only if it
 * could not: then the store ends, and clients see it go.
 */
static void hand_on(const struct options *o, struct store *s,
                    struct slistener *l)
{
    struct update_args args;
    char number[16];
    sigset_t none;
    int fd, rc;

    store_thread_enter();
    fd = slistener_hand_on(l);
    store_thread_leave();
    snprintf(number, sizeof(number), "%d", fd);
    rc = update_args_make(&args, o->argv, o->arguments, "--resume", number);
    if (fd < 0 || rc)
        return;
    store_log(s, "live update: going on as %s", o->binary);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(o->binary, args.list);
    store_log(s, "live update: cannot run %s: %s; stopping", o->binary,
              strerror(errno));
}

/*
 * The end of a store that was asked to stop.  The journal stays if there are
 * guests whose rings the next store has to go on with.
 */
static void finish(struct store *s, struct sworker *w, unsigned int nr,
                   struct shvlink *hv)
{
    uint32_t id;

    store_thread_enter();
    journal_close(s, !sdom_list(s, &id, 1));
    for (unsigned int i = 0; i < nr; i++)
        sworker_fini(&w[i]);
    shvlink_close(hv);
    store_destroy(s);
    store_thread_leave();
}

static int serve(struct options *o, struct store *s)
{
    struct sworker workers[MAX_THREADS];
    struct slistener *listener = NULL;
    struct shvlink *hv = NULL;
    struct stopper stopper = {.fd = -1};
    int rc = 0;

    for (unsigned int i = 0; i < o->threads && !rc; i++)
        rc = sworker_init(&workers[i], s);
    if (!rc)
        rc = stopper_open(&stopper, workers, o->threads);
    if (!rc)
        rc = shvlink_open(&workers[0], &hv);
    if (rc)
        fprintf(stderr, "kxenstored: cannot start: %s\n", strerror(-rc));
    else
        rc = listen_at(o, workers, &listener);
    if (!rc) {
        if (o->listener >= 0)
            slistener_adopt(listener);
        sconn_unpark_sockets(s);
        stopper.options = o;
        s->live_update = start_live_update;
        s->live_update_ctx = &stopper;
        rc = run_workers(workers, o->threads);
        s->live_update = NULL;
        s->live_update_ctx = NULL;
    }
    if (!listener)
        return rc;
    if (o->binary)
        hand_on(o, s, listener);
    slistener_close(listener);
    close(stopper.fd);
    finish(s, workers, o->threads, hv);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    sigset_t set = stop_signals();
    struct store *s;
    int rc = parse(argc, argv, &o);

    if (rc < 0)
        fputs("Try 'kxenstored --help'.\n", stderr);
    if (rc)
        return rc > 0 ? 0 : 1;
    setvbuf(stderr, NULL, _IOLBF, 0);
    raise_file_limit();
    if (readlink("/proc/self/exe", o.self, sizeof(o.self) - 1) < 0)
        strcpy(o.self, "/proc/self/exe");
    /* Before there is any thread (liburcu makes one) to take them instead. */
    sigprocmask(SIG_BLOCK, &set, NULL);
    store_thread_enter();
    s = store_create();
    if (!s) {
        fputs("kxenstored: out of memory\n", stderr);
        return 1;
    }
    s->trace = o.trace;
    rc = o.no_journal ? 0 : keep_journal(s);
    store_thread_leave();
    if (rc)
        return 1;
    return serve(&o, s) ? 1 : 0;
}
