/* SPDX-License-Identifier: MIT */
/* dom0: the toolstack and the backends of one Kxen host. */
#include "dom0/dom0.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dom0/devices.h"
#include "dom0/dom0_log.h"
#include "dom0/dump.h"

#define SCAN_MS       1000  /* the store tells sooner, unless it is away */
#define HV_WAIT_MS    10000 /* for hv to come up at the start */
#define HV_RETRY_US   20000
#define RELEASE_TOKEN "release"

static void usage(FILE *to)
{
    fputs(
        "usage: dom0 [--run-dir DIR] [--poll-us N]\n"
        "\n"
        "The toolstack and the backends of a Kxen host. Needs a running hv;\n"
        "waits for kxenstored. Stays in the foreground and logs to stderr.\n"
        "Usually started by kxl. May be killed and restarted at any time:\n"
        "running domains are taken over.\n"
        "\n"
        "  --run-dir DIR  sockets, logs and records (default: $KXEN_RUN_DIR,\n"
        "                 else $XDG_RUNTIME_DIR/kxen, else /run/kxen)\n"
        "  --poll-us N    how long backends spin on a ring before they\n"
        "                 sleep, in microseconds; -1: they never sleep\n"
        "  --help         this text\n"
        "\n"
        "example: dom0 --run-dir /run/kxen 2>>/run/kxen/dom0.log &\n",
        to);
}

static void store_event(void *owner, const char *path, const char *token)
{
    struct dom0 *d0 = owner;
    struct dom *dom;

    (void)path;
    if (!strcmp(token, RELEASE_TOKEN)) {
        if (d0->adopted)
            dom_scan(d0);
    } else if (!strncmp(token, "dev/", 4)) {
        dom = dom_by_id(d0, strtoul(token + 4, NULL, 10));
        if (dom)
            devwait_event(dom);
    }
}

static void store_ready(void *owner)
{
    struct dom0 *d0 = owner;
    struct plan plan = {0};

    plan_dom0(&plan);
    if (tstore_apply(d0->store, &plan))
        dom0_warn("cannot write domain 0's own nodes to the store");
    plan_free(&plan);
    tstore_watch(d0->store, "@releaseDomain", RELEASE_TOKEN);
    if (d0->adopted)
        adopt_reintroduce(d0);
    loop_arm(d0->loop, &d0->scan, 0);
}

/* Losing hv is losing all domains: nothing is left to serve. */
static bool hv_alive(struct dom0 *d0)
{
    struct xen_domctl_getdomaininfo info;

    if (kxctrl_domain_getinfolist(d0->hv, 0, 1, &info) >= 0)
        return true;
    dom0_error("hv is gone, and all domains with it");
    d0->hv_lost = true;
    d0->failed = -EPIPE;
    loop_stop(d0->loop);
    return false;
}

/* Not before the records are read: no domain is denied that there is. */
static void control_open(struct dom0 *d0)
{
    char path[512];
    int rc;

    snprintf(path, sizeof(path), "%s/dom0.sock", d0->run_dir);
    rc = control_create(&d0->control, d0->loop, path, dom0_commands, d0);
    if (!rc) {
        dom0_info("serving %s", d0->run_dir);
        return;
    }
    dom0_error("%s: cannot listen: %s", path, strerror(-rc));
    d0->failed = rc;
    loop_stop(d0->loop);
}

static void scan_timer(void *arg)
{
    struct dom0 *d0 = arg;

    loop_arm(d0->loop, &d0->scan, SCAN_MS);
    if (!hv_alive(d0))
        return;
    if (!d0->adopted && tstore_up(d0->store)) {
        d0->adopted = true;
        adopt_all(d0);
        control_open(d0);
    } else if (d0->adopted) {
        dom_scan(d0);
    }
    deferred_run(d0);
}

static void signal_event(void *arg, uint32_t events)
{
    struct dom0 *d0 = arg;

    (void)events;
    dom0_info("asked to stop; domains keep running");
    loop_stop(d0->loop);
}

static void backends_line(void *arg, const char *line)
{
    (void)arg;
    dom0_info("%s", line);
}

static int folder_make(const char *run_dir, const char *leaf)
{
    char path[512];

    snprintf(path, sizeof(path), "%s%s%s", run_dir, *leaf ? "/" : "", leaf);
    if (!mkdir(path, 0700) || errno == EEXIST)
        return 0;
    dom0_error("%s: cannot make the folder: %s; give another by --run-dir",
               path, strerror(errno));
    return -errno;
}

/* One dom0 a host: the lock goes when we do, however that is. */
static int lock_host(struct dom0 *d0)
{
    char path[512];
    int fd;

    snprintf(path, sizeof(path), "%s/dom0.lock", d0->run_dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
        return 0;
    dom0_error("%s: %s", path,
               fd >= 0 ? "another dom0 serves this host" : strerror(errno));
    return -EBUSY;
}

static int hv_connect(struct dom0 *d0)
{
    uint64_t until = loop_now_ms() + HV_WAIT_MS;

    for (;;) {
        d0->hv = kxctrl_open();
        if (d0->hv)
            return 0;
        if (loop_now_ms() > until)
            break;
        usleep(HV_RETRY_US);
    }
    dom0_error("cannot reach hv in %s: %s; start it first (kxl does)",
               d0->run_dir, strerror(errno));
    return -errno;
}

static int signals_open(struct dom0 *d0)
{
    sigset_t set;
    int fd;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    /* Before any thread is made: all inherit it. */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    return loop_add_fd(d0->loop, fd, EPOLLIN, signal_event, d0);
}

static void files_raise(void)
{
    struct rlimit lim;

    if (getrlimit(RLIMIT_NOFILE, &lim))
        return;
    lim.rlim_cur = lim.rlim_max;
    setrlimit(RLIMIT_NOFILE, &lim);
}

static int dom0_start(struct dom0 *d0, int poll_us)
{
    struct backends_opts opts = {
        .run_dir = d0->run_dir, .poll_us = poll_us, .log = backends_line};
    int rc;

    rc = hv_connect(d0);
    if (rc)
        return rc;
    ended_load(d0);
    d0->scan = (struct loop_timer){.fn = scan_timer, .arg = d0};
    rc = tstore_create(&d0->store, d0->loop, store_event, store_ready, d0);
    if (rc)
        return rc;
    loop_arm(d0->loop, &d0->scan, 0);
    d0->backends = backends_start(&opts);
    if (!d0->backends) {
        dom0_error("cannot start the backends: %s", strerror(errno));
        return -errno;
    }
    return 0;
}

static void dom0_stop(struct dom0 *d0)
{
    dumps_stop(d0);
    deferred_drop(d0);
    control_destroy(d0->control);
    if (d0->backends)
        backends_stop(d0->backends);
    while (d0->doms)
        dom_free(d0->doms);
    tstore_destroy(d0->store);
    if (d0->hv)
        kxctrl_close(d0->hv);
    json_decref(d0->ended);
    loop_destroy(d0->loop);
}

static int dom0_run(struct dom0 *d0, int poll_us)
{
    char rundir[512];
    int rc;

    snprintf(d0->run_dir, sizeof(d0->run_dir), "%s", kxen_run_dir());
    snprintf(rundir, sizeof(rundir), "%s/xenstored", d0->run_dir);
    setenv("XENSTORED_RUNDIR", rundir, 1);
    unsetenv("XENSTORED_PATH");
    files_raise();
    rc = folder_make(d0->run_dir, "");
    if (!rc)
        rc = folder_make(d0->run_dir, "domains");
    if (!rc)
        rc = folder_make(d0->run_dir, "console");
    if (!rc)
        rc = lock_host(d0);
    if (!rc)
        rc = loop_create(&d0->loop);
    if (rc)
        return rc;
    rc = signals_open(d0);
    if (!rc)
        rc = dom0_start(d0, poll_us);
    if (!rc)
        rc = loop_run(d0->loop);
    if (!rc)
        rc = d0->failed;
    dom0_stop(d0);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"run-dir", required_argument, NULL, 'R'},
        {"poll-us", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct dom0 d0 = {0};
    int c, poll_us = 0;

    while ((c = getopt_long(argc, argv, "R:h", longs, NULL)) != -1) {
        switch (c) {
        case 'R':
            if (kxen_set_run_dir(optarg)) {
                dom0_error("--run-dir %s: name too long", optarg);
                return 1;
            }
            break;
        case 'p':
            poll_us = atoi(optarg);
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 1;
        }
    }
    if (optind < argc) {
        usage(stderr);
        return 1;
    }
    return dom0_run(&d0, poll_us) ? 1 : 0;
}
