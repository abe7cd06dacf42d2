/* SPDX-License-Identifier: MIT */
/* hv: the hypervisor process. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "hv/client/kxen.h"
#include "hv/domain.h"
#include "hv/kvm_host.h"
#include "hv/log.h"
#include "hv/notify.h"
#include "hv/privcmd.h"
#include "hv/pv/pv.h"
#include "hv/vcpu.h"

#define LOG_RING_SIZE (256u << 10)
#define LOCK_TRIES    60
#define LOCK_WAIT_US  50000

static const char usage[] =
    "usage: hv [--run-dir DIR]\n"
    "       hv --check [--json] | --bench-floors [--runs N]\n"
    "\n"
    "The hypervisor: the one process that opens /dev/kvm.  It serves domain\n"
    "0's processes on DIR/hv.sock and ends, with all its domains, on SIGTERM.\n"
    "kxl starts it; alone it is of use with --check.\n"
    "\n"
    "  --run-dir DIR   the host's folder [$KXEN_RUN_DIR, else\n"
    "                  $XDG_RUNTIME_DIR/kxen, else /run/kxen]\n"
    "  --check         say what this machine's KVM can do, and what it means\n"
    "  --bench-floors  time a bare KVM exit and a bare ioeventfd, as JSON\n"
    "  --runs N        samples of --bench-floors [31]\n"
    "  --quick         few samples: --runs 7\n"
    "  --json          --check as JSON\n"
    "  --die-with-parent  end when the process that started it ends\n"
    "\n"
    "example: hv --check\n";

struct options {
    const char *run_dir;
    bool check, json, floors, die_with_parent;
    unsigned int runs;
};

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"run-dir", required_argument, NULL, 'r'},
        {"check", no_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"bench-floors", no_argument, NULL, 'b'},
        {"runs", required_argument, NULL, 'n'},
        {"quick", no_argument, NULL, 'q'},
        {"die-with-parent", no_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        switch (c) {
        case 'r':
            o->run_dir = optarg;
            break;
        case 'c':
            o->check = true;
            break;
        case 'j':
            o->json = true;
            break;
        case 'b':
            o->floors = true;
            break;
        case 'n':
            o->runs = strtoul(optarg, NULL, 10);
            break;
        case 'q':
            o->runs = 7;
            break;
        case 'd':
            o->die_with_parent = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 1;
        }
    }
    if (optind < argc || !o->runs || o->runs > 100000) {
        fputs(usage, stderr);
        return 1;
    }
    return -1;
}

static int make_dom0(struct hv *hv)
{
    struct domain_create_args a = {
        .privileged = true,
        .max_vcpus = 1,
        .max_evtchn_port = EVTCHN_FIFO_NR_CHANNELS - 1, /* as Xen's */
        .max_grant_frames = -1,
        .max_maptrack_frames = 4096,
    };

    return domain_create(hv, &a, &hv->dom0);
}

static void destroy_all(struct hv *hv)
{
    struct domain *d;

    while ((d = domain_get_next(hv, DOMID_HV0 + 1))) {
        domain_destroy(d);
        domain_put(d);
    }
}

static void raise_fd_limit(void)
{
    struct rlimit r;

    if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

/* Before there is any other thread: one that takes them would end us. */
static void block_signals(sigset_t *ends)
{
    sigemptyset(ends);
    sigaddset(ends, SIGTERM);
    sigaddset(ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN); /* until a vCPU takes it for its kicks */
}

/* One hv for one run dir, for as long as the process lives. */
static int lock_run_dir(void)
{
    char path[4096];
    int fd;

    if (kxen_path(path, sizeof(path), "hv.lock")) {
        fprintf(stderr, "hv: the run dir's name is too long\n");
        return -1;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    /* One that was killed is gone once its VMs are taken apart. */
    for (int tries = 0; fd >= 0 && tries < LOCK_TRIES; tries++) {
        if (!flock(fd, LOCK_EX | LOCK_NB))
            return 0;
        usleep(LOCK_WAIT_US);
    }
    if (fd >= 0 && errno == EWOULDBLOCK)
        fprintf(stderr,
                "hv: another hv serves %s; stop it, or choose another "
                "folder by --run-dir\n",
                kxen_run_dir());
    else
        fprintf(stderr, "hv: cannot lock %s: %s\n", path, strerror(errno));
    return -1;
}

/* Runs until a signal asks it to end. */
static int serve(struct hv *hv, const char *path, const sigset_t *ends)
{
    struct privcmd_server *s;
    char err[256];
    int sig;

    s = privcmd_start(hv, path, err, sizeof(err));
    if (!s) {
        fprintf(stderr, "hv: %s\n", err);
        return 1;
    }
    hv_log("ready on %s (TSC %lu kHz, ioeventfd %s, SYSCALL at CPL3 %s)", path,
           hv->host->tsc_khz, hv->host->ioeventfd ? "yes" : "no",
           hv->host->syscall_cpl0 ? "enters CPL0: hardware KVM"
                                  : "stays at CPL3: software KVM");
    sigwait(ends, &sig);
    hv_log("ending on signal %d", sig);
    destroy_all(hv);
    privcmd_stop(s);
    /*
     * Domains are freed by call_rcu: wait for that, so that no VM is being
     * closed while the process ends (LeakSanitizer stops the very KVM thread
     * that such a close waits for).
     */
    rcu_barrier();
    fdsignal_free(&hv->fdsignal);
    return 0;
}

static int run(const struct options *o)
{
    static struct kvm_host host;
    static struct hv hv;
    struct timespec ts;
    char text[4096];
    sigset_t ends;
    int rc;

    if (o->run_dir && kxen_set_run_dir(o->run_dir))
        return 1;
    if (mkdir(kxen_run_dir(), 0700) < 0 && errno != EEXIST) {
        fprintf(stderr, "hv: cannot make the run dir %s: %s\n", kxen_run_dir(),
                strerror(errno));
        return 1;
    }
    if (kxen_path(text, sizeof(text), "hv.sock") || lock_run_dir())
        return 1;
    block_signals(&ends);
    raise_fd_limit();
    log_set_ring(log_ring_new(LOG_RING_SIZE));
    {
        char err[256];

        if (kvm_host_open(&host, err, sizeof(err))) {
            fprintf(stderr, "hv: %s\n", err);
            return 1;
        }
    }
    kvm_host_probe(&host);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    hv.host = &host;
    hv.kvm_fd = host.fd;
    hv.next_domid = 1;
    hv.boot_ns = ts.tv_sec * 1000000000ull + ts.tv_nsec;
    clock_start(&hv);
    CDS_INIT_LIST_HEAD(&hv.domains);
    pthread_mutex_init(&hv.lock, NULL);
    rc = fdsignal_init(&hv.fdsignal);
    if (rc)
        hv_log("no asynchronous I/O here (%s): a process of domain 0 that "
               "means ill could hold hv up",
               strerror(-rc));
    rc = notify_start(&hv);
    if (!rc)
        rc = make_dom0(&hv);
    if (rc) {
        fprintf(stderr, "hv: cannot make domain 0: %s\n", strerror(-rc));
        return 1;
    }
    return serve(&hv, text, &ends);
}

int main(int argc, char **argv)
{
    struct options o = {.runs = 31};
    int rc = parse(argc, argv, &o);

    if (rc >= 0)
        return rc;
    if (o.die_with_parent)
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    pv_prepare();
    rcu_register_thread();
    if (o.check)
        rc = kvm_check(o.json);
    else if (o.floors)
        rc = kvm_bench_floors(o.runs);
    else
        rc = run(&o);
    rcu_unregister_thread();
    return rc;
}
