/* SPDX-License-Identifier: MIT */
/*
 * One program, the same kernel and initramfs: under Kxen, under QEMU without
 * and with KVM, and on the host itself.  Rows are <machine>_<what>, in ns for
 * one operation; Kxen's are held against the host's, QEMU's against Kxen's.
 * Beside Kxen's: how often an operation made it leave what it was doing.
 */
#include "tools/kxbench_linux.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "hv/client/kxen.h"

#define SUITE      "linux"
#define GUEST_MEM  256
#define ROW_MS     250
#define ROW_QUICK  20
#define BOOT_S     60 /* a guest that is not at its init by then never is */
#define KVM_S      10
#define KVM_QUICK  3
#define REST_S     60
#define ERR_SHOWN  300
#define KHZ_NS     20000000
#define CLOCK_LIES 0.2 /* of a guest's clock, compared with ours */
#define LATE_NS    2e9
#define GUEST_ARGS "quiet panic=-1 lb_disk=1"

struct machine {
    const char *name, *title;
    const char *floor; /* the machine it is held against */
    bool optional;     /* it may not come up: an empty column */
};

enum { KXEN, TCG, KVM, HOST, NR_MACHINES };

static const struct machine machines[NR_MACHINES] = {
    [KXEN] = {"kxen", "Kxen", "host", false},
    [TCG] = {"tcg", "QEMU TCG", "kxen", true},
    [KVM] = {"kvm", "QEMU KVM", "kxen", true},
    [HOST] = {"host", "the host", NULL, false},
};

static const char *const what[] = {
    "boot",
    "cpu",
    "getppid",
    "fault",
    "fork_exit",
    "fork_exec",
    "pipe",
    "switch",
    "disk_read4k",
    "disk_write4k",
    "disk_read4k_q32",
    "disk_read1m",
    "disk_write1m",
};
#define NR_WHAT (sizeof(what) / sizeof(what[0]))

/* What is shown of what hv, the monitor and KVM count. */
static const struct counter {
    const char *group, *name, *title;
} counters[] = {
    {"hv", "hypercall", "hypercall"},   {"hv", "trap", "trap"},
    {"hv", "signal", "signal"},         {"hv", "upcalls", "upcall"},
    {"monitor", "syscalls", "syscall"}, {"monitor", "page_faults", "fault"},
    {"monitor", "gp_faults", "#GP"},    {"monitor", "hypercalls", "mon.call"},
    {"monitor", "pte_writes", "pte"},   {"monitor", "cr3_loads", "cr3"},
    {"kvm", "exits", "KVM exit"},       {"kvm", "insn_emulation", "KVM insn"},
};
#define NR_COUNTERS (sizeof(counters) / sizeof(counters[0]))

/* One run of one machine. */
struct trial {
    struct kxb *b;
    const struct machine *m;
    const char *dir; /* of Kxen's host */
    kxctrl *ctrl;
    json_t *before; /* counters at the start of a row */
    uint64_t init_at;
    int rc;
};

/* ---- counters ---- */

static json_t *counters_now(struct trial *t)
{
    char *text = NULL;
    json_t *all = NULL;

    if (!t->ctrl) {
        kxen_set_run_dir(t->dir);
        t->ctrl = kxctrl_open();
    }
    if (t->ctrl && !kxctrl_counters(t->ctrl, 1, &text))
        all = json_loads(text, 0, NULL);
    free(text);
    return all;
}

static double counter_of(const json_t *all, const struct counter *c)
{
    return json_number_value(
        json_object_get(json_object_get(all, c->group), c->name));
}

/* From `before` till now, for each of so many operations and each second. */
static int add_counters(struct trial *t, const char *name, double ops,
                        double ns)
{
    json_t *after = counters_now(t);
    int rc = after && t->before && ops > 0 && ns > 0 ? 0 : -EPROTO;

    for (size_t i = 0; i < NR_COUNTERS && !rc; i++) {
        const struct counter *c = &counters[i];
        double n = counter_of(after, c) - counter_of(t->before, c);
        double per_op = n / ops, per_s = n * 1e9 / ns;
        char row[200];

        snprintf(row, sizeof(row), "kxen_%.40s_%s_%s", name, c->group, c->name);
        rc = kxb_add(t->b, SUITE, row, "per op", NULL, &per_op, 1);
        strcat(row, "_s");
        if (!rc)
            rc = kxb_add(t->b, SUITE, row, "per s", NULL, &per_s, 1);
    }
    json_decref(after);
    json_decref(t->before);
    t->before = NULL;
    return rc;
}

/* ---- a machine's output ---- */

static int add_row(struct trial *t, const char *name, const json_t *line)
{
    char row[KXB_NAME_MAX], floor[KXB_NAME_MAX] = "";

    snprintf(row, sizeof(row), "%s_%.40s", t->m->name, name);
    /* The host boots nothing. */
    if (t->m->floor && (strcmp(name, "boot") || t->m != &machines[KXEN]))
        snprintf(floor, sizeof(floor), "%s_%.40s", t->m->floor, name);
    return kxb_add_json(t->b, SUITE, row, "ns", floor, line);
}

static void init_line(struct trial *t, uint64_t at)
{
    json_t *boot = json_pack("{s:[f]}", "samples", (double)at);

    t->init_at = at;
    if (t->m != &machines[HOST])
        t->rc = add_row(t, "boot", boot);
    if (t->m == &machines[KXEN] && !t->rc) {
        t->before = json_pack("{}");
        t->rc = add_counters(t, "boot", 1, (double)at);
    }
    json_decref(boot);
}

static void result_line(struct trial *t, const char *text)
{
    json_t *line = json_loads(text, 0, NULL);
    const char *name = json_string_value(json_object_get(line, "name"));

    if (!name) {
        /* The kernel's messages go the same way. */
        kxb_say("linux: %s: a figure was garbled: %.60s", t->m->title, text);
        t->rc = -EPROTO;
    } else {
        t->rc = add_row(t, name, line);
    }
    if (!t->rc && t->m == &machines[KXEN])
        t->rc = add_counters(t, name,
                             json_number_value(json_object_get(line, "ops")),
                             json_number_value(json_object_get(line, "ns")));
    json_decref(line);
}

/* The guest's own time for all of it, and ours. */
static void end_line(struct trial *t, double ns, uint64_t at)
{
    double ours = (double)(at - t->init_at);

    /* On a busy machine its lines come to us late. */
    if (fabs(ns - ours) < CLOCK_LIES * ours + LATE_NS)
        return;
    kxb_say("linux: %s says that it took %.2f s for what took %.2f s: its "
            "figures are wrong",
            t->m->title, ns / 1e9, ours / 1e9);
    t->rc = -EPROTO;
}

static int on_line(void *arg, const char *line, uint64_t at)
{
    struct trial *t = arg;
    const char *mark = strstr(line, "BENCH");
    char name[KXB_NAME_MAX], why[128] = "";

    if (!mark)
        return 0;
    if (!strncmp(mark, "BENCH-INIT", 10)) {
        init_line(t, at);
        return t->rc ? 1 : 2;
    }
    if (!strncmp(mark, "BENCH {", 7))
        result_line(t, mark + 6);
    else if (sscanf(mark, "BENCH-NONE %63s %127[^\n]", name, why) == 2)
        kxb_say("linux: %s: no %s: %s", t->m->title, name, why);
    else if (!strncmp(mark, "BENCH-ROW ", 10) && t->m == &machines[KXEN])
        t->before = counters_now(t);
    else if (!strncmp(mark, "BENCH-END ", 10))
        end_line(t, strtod(mark + 10, NULL), at);
    return t->rc || !strncmp(mark, "BENCH-END", 9);
}

/* ---- the machines ---- */

/* The TSC's rate in kHz: the guests have the host's. */
static unsigned tsc_khz(void)
{
    uint64_t ns = kxb_now(), ticks = __rdtsc();

    nanosleep(&(struct timespec){.tv_nsec = KHZ_NS}, NULL);
    ticks = __rdtsc() - ticks;
    ns = kxb_now() - ns;
    return (unsigned)((double)ticks * 1e6 / (double)ns);
}

struct words {
    char lb_ms[32], lb_khz[32], lb_disk[4300], lb_only[300];
    char append[1000], drive[4400], mem[16];
};

static void make_words(const struct kxb *b, const struct kxb_linux_files *files,
                       const char *console, struct words *w)
{
    unsigned khz = tsc_khz();

    snprintf(w->lb_ms, sizeof(w->lb_ms), "lb_ms=%d",
             b->quick ? ROW_QUICK : ROW_MS);
    snprintf(w->lb_khz, sizeof(w->lb_khz), "lb_khz=%u", khz);
    snprintf(w->lb_disk, sizeof(w->lb_disk), "lb_disk=%s", files->disk);
    snprintf(w->lb_only, sizeof(w->lb_only), "lb_only=%.280s",
             b->only ? b->only : "");
    /* TCG's kernel fails at times to find the TSC's rate by itself. */
    snprintf(w->append, sizeof(w->append),
             "console=%s %s tsc_early_khz=%u %s %s %s", console, GUEST_ARGS,
             khz, w->lb_ms, w->lb_khz, b->only ? w->lb_only : "");
    snprintf(w->drive, sizeof(w->drive), "id=disk,format=raw,if=none,file=%s",
             files->disk);
    snprintf(w->mem, sizeof(w->mem), "%d", GUEST_MEM);
}

/* err: what the program had to say. */
static int trial_watch(struct trial *t, char *const *argv, char *const *env,
                       unsigned limit_s, char *err, size_t err_size)
{
    const struct kxb_watch w = {
        .argv = argv,
        .env = env,
        .limit_s = limit_s,
        .rest_s = REST_S,
        .line = on_line,
        .arg = t,
    };
    int rc = kxb_watch(&w, err, err_size);

    err[strcspn(err, "\n")] = '\0';
    return t->rc ? t->rc : rc;
}

static int run_host(struct trial *t, const struct kxb_linux_files *files,
                    char *err, size_t err_size)
{
    struct words w;
    char *argv[] = {(char *)files->program, NULL};
    char *env[] = {w.lb_ms, w.lb_khz, w.lb_disk, NULL, NULL};

    make_words(t->b, files, "", &w);
    env[3] = t->b->only ? w.lb_only : NULL;
    return trial_watch(t, argv, env, BOOT_S, err, err_size);
}

static int run_qemu(struct trial *t, const struct kxb_linux_files *files,
                    char *err, size_t err_size)
{
    bool kvm = t->m == &machines[KVM];
    unsigned limit = !kvm ? BOOT_S : t->b->quick ? KVM_QUICK : KVM_S;
    struct words w;
    char *argv[] = {
        "qemu-system-x86_64",
        "-nodefaults",
        "-no-user-config",
        "-nographic",
        "-no-reboot",
        "-M",
        "microvm",
        "-accel",
        kvm ? "kvm" : "tcg",
        "-cpu",
        kvm ? "max,arch-capabilities=off" : "max",
        "-smp",
        "1",
        "-m",
        w.mem,
        "-serial",
        "stdio",
        "-kernel",
        (char *)files->kernel,
        "-initrd",
        (char *)files->initramfs,
        "-append",
        w.append,
        "-drive",
        w.drive,
        "-device",
        "virtio-blk-device,drive=disk",
        NULL,
    };
    int rc;

    make_words(t->b, files, "ttyS0", &w);
    rc = trial_watch(t, argv, NULL, limit, err, err_size);
    if (rc == -ENOENT)
        snprintf(err, err_size,
                 "qemu-system-x86_64 is missing: apt-get install "
                 "qemu-system-x86");
    else if (kvm && rc == -ETIMEDOUT && !t->init_at)
        snprintf(err, err_size,
                 "the kernel is not at its init after %u s: software KVM "
                 "interprets ring 0",
                 limit);
    return rc;
}

static int write_config(const struct kxb_linux_files *files, const char *path,
                        const char *append)
{
    FILE *f = fopen(path, "we");

    if (!f)
        return -errno;
    fprintf(f,
            "name = \"linux\"\nkernel = \"%s\"\nramdisk = \"%s\"\n"
            "memory = %d\nvcpus = 1\nextra = \"%s\"\n"
            "disk = [ \"%s,raw,xvda,w\" ]\non_crash = \"destroy\"\n",
            files->kernel, files->initramfs, GUEST_MEM, append, files->disk);
    return fclose(f) ? -errno : 0;
}

static int run_kxen(struct trial *t, const struct kxb_linux_files *files,
                    char *err, size_t err_size)
{
    char kxl[4200], cfg[4200], dir[4200];
    char *argv[] = {kxl, "-R", dir, "run", cfg, NULL};
    struct words w;
    int rc;

    snprintf(kxl, sizeof(kxl), "%s/kxl", t->b->bin_dir);
    snprintf(cfg, sizeof(cfg), "%s/linux.cfg", t->b->work_dir);
    snprintf(dir, sizeof(dir), "%s/linux", t->b->work_dir);
    make_words(t->b, files, "hvc0", &w);
    t->dir = dir;
    rc = write_config(files, cfg, w.append);
    if (!rc)
        rc = trial_watch(t, argv, NULL, BOOT_S, err, err_size);
    if (t->ctrl)
        kxctrl_close(t->ctrl);
    json_decref(t->before);
    unlink(cfg);
    kxb_remove(dir);
    /* Other suites' guests live on another host. */
    snprintf(dir, sizeof(dir), "%s/host", t->b->work_dir);
    if (t->b->host_runs)
        kxen_set_run_dir(dir);
    return rc;
}

static bool has_row(const struct kxb *b, const char *machine)
{
    char name[KXB_NAME_MAX];

    snprintf(name, sizeof(name), "%s_boot", machine);
    return kxb_row_find(b, SUITE, name) != NULL;
}

static int run_machine(struct kxb *b, const struct kxb_linux_files *files,
                       const struct machine *m, unsigned run)
{
    struct trial t = {.b = b, .m = m};
    char err[1000] = "";
    int rc;

    /* What did not come up once is not waited for again. */
    if (m->optional && run && !has_row(b, m->name))
        return 0;
    kxb_say("linux: %s", m->title);
    if (m == &machines[HOST])
        rc = run_host(&t, files, err, sizeof(err));
    else if (m == &machines[KXEN])
        rc = run_kxen(&t, files, err, sizeof(err));
    else
        rc = run_qemu(&t, files, err, sizeof(err));
    if (!rc)
        return 0;
    kxb_say("linux: %s%s: %.*s", m->title,
            m->optional && !t.init_at ? " stays empty" : "", ERR_SHOWN,
            *err               ? err
            : rc == -ETIMEDOUT ? "it takes too long"
            : rc == -EPIPE     ? "it ended too early"
                               : strerror(-rc));
    return m->optional ? 0 : rc;
}

static int linux_run(struct kxb *b, unsigned run)
{
    struct kxb_linux_files files = {0};
    int rc = kxb_linux_setup(b, &files), one;

    for (unsigned i = 0; i < NR_MACHINES && !rc; i++) {
        one = run_machine(b, &files, &machines[(i + run) % NR_MACHINES], run);
        rc = rc ? rc : one;
    }
    kxb_linux_cleanup(&files);
    return rc;
}

/* ---- for people ---- */

static double median_of(const struct kxb *b, const char *machine,
                        const char *name)
{
    char row[300];
    const struct kxb_row *r;

    snprintf(row, sizeof(row), "%s_%s", machine, name);
    r = kxb_row_find(b, SUITE, row);
    return r && kxb_row_has_data(r) ? r->all.median : NAN;
}

static void print_time(double ns)
{
    char text[32];

    if (isnan(ns))
        snprintf(text, sizeof(text), "-");
    else if (ns < 1e3)
        snprintf(text, sizeof(text), "%.0f ns", ns);
    else if (ns < 1e6)
        snprintf(text, sizeof(text), "%.*f us", ns < 1e5 ? 1 : 0, ns / 1e3);
    else
        snprintf(text, sizeof(text), "%.*f ms", ns < 1e8 ? 2 : 0, ns / 1e6);
    printf(" %11s", text);
}

static void print_ratio(double x, double y)
{
    double ratio = x / y;

    if (isnan(ratio))
        printf(" %10s", "-");
    else
        printf(" %10.*f", ratio < 100 ? 2 : 0, ratio);
}

static void print_times(const struct kxb *b)
{
    printf("\n%-16s", SUITE);
    for (size_t m = 0; m < NR_MACHINES; m++)
        printf(" %11s", machines[m].title);
    printf(" %10s %10s\n", "Kxen/TCG", "Kxen/host");
    for (size_t i = 0; i < NR_WHAT; i++) {
        double kxen = median_of(b, "kxen", what[i]);

        if (isnan(kxen) && isnan(median_of(b, "host", what[i])))
            continue;
        printf("%-16s", what[i]);
        for (size_t m = 0; m < NR_MACHINES; m++)
            print_time(median_of(b, machines[m].name, what[i]));
        print_ratio(kxen, median_of(b, "tcg", what[i]));
        print_ratio(kxen, median_of(b, "host", what[i]));
        putchar('\n');
    }
}

/* suffix "": for one operation; "_s": in a second. */
static void print_counters(const struct kxb *b, const char *title,
                           const char *suffix)
{
    printf("\n%-16s", title);
    for (size_t c = 0; c < NR_COUNTERS; c++)
        printf(" %9s", counters[c].title);
    putchar('\n');
    for (size_t i = 0; i < NR_WHAT; i++) {
        if (isnan(median_of(b, "kxen", what[i])))
            continue;
        printf("%-16s", what[i]);
        for (size_t c = 0; c < NR_COUNTERS; c++) {
            char name[200];
            double n;

            snprintf(name, sizeof(name), "%s_%s_%s%s", what[i],
                     counters[c].group, counters[c].name, suffix);
            n = median_of(b, "kxen", name);
            if (isnan(n))
                printf(" %9s", "-");
            else
                printf(" %9.*f", n && n < 1000 ? n < 10 ? 2 : 1 : 0, n);
        }
        putchar('\n');
    }
}

static void linux_print(const struct kxb *b)
{
    print_times(b);
    print_counters(b, "exits per op", "");
    print_counters(b, "exits per s", "_s");
}

KXB_SUITE(linux, .name = SUITE,
          .help = "Debian's Linux: under Kxen, QEMU TCG, QEMU KVM, the host",
          .run = linux_run, .print = linux_print)
