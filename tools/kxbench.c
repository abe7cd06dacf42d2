/* SPDX-License-Identifier: MIT */
#include "tools/kxbench.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RUNS_DEFAULT 5
#define RUNS_QUICK   1
#define RUNS_MAX     1000

/* Filled by constructors, before main(); read-only from then on. */
static struct kxb_suite *suites;

void kxb_suite_register(struct kxb_suite *suite)
{
    struct kxb_suite **at = &suites;

    while (*at && strcmp((*at)->name, suite->name) < 0)
        at = &(*at)->next;
    suite->next = *at;
    *at = suite;
}

uint64_t kxb_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void kxb_say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("kxbench: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

static void usage(FILE *to)
{
    fprintf(to,
            "usage: kxbench SUITE... [--json FILE] [--runs N] [--quick]\n"
            "               [--only VARIANT,...]\n\n"
            "Measures on this machine, each figure against its floor in the "
            "same runs.\n\nsuites:\n");
    for (const struct kxb_suite *s = suites; s; s = s->next)
        fprintf(to, "  %-10s %s\n", s->name, s->help);
    fprintf(to,
            "  %-10s every one of them\n\noptions:\n"
            "  --json FILE  write host and rows as JSON too (- is stdout,\n"
            "               without the table)\n"
            "  --runs N     interleaved runs, default %d\n"
            "  --quick      one short run: shows that it works, not how fast\n"
            "  --only LIST  only these variants (disk) or operations (store)\n",
            "all", RUNS_DEFAULT);
}

static struct kxb_suite *suite_find(const char *name)
{
    for (struct kxb_suite *s = suites; s; s = s->next)
        if (!strcmp(s->name, name))
            return s;
    return NULL;
}

struct args {
    const char *json;
    char **names;
    int nr_names;
};

static bool wanted(const struct args *args, const struct kxb_suite *s)
{
    for (int i = 0; i < args->nr_names; i++)
        if (!strcmp(args->names[i], "all") || !strcmp(args->names[i], s->name))
            return true;
    return false;
}

static int parse_runs(const char *text, unsigned *runs)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*end || !n || n > RUNS_MAX) {
        kxb_say("--runs takes a number from 1 to %d, not '%s'", RUNS_MAX, text);
        return -EINVAL;
    }
    *runs = (unsigned)n;
    return 0;
}

/* 0, 1 when help was asked for and given, or -EINVAL after saying why. */
static int parse_args(struct kxb *b, struct args *args, int argc, char **argv)
{
    static const struct option longs[] = {
        {"json", required_argument, NULL, 'j'},
        {"runs", required_argument, NULL, 'r'},
        {"quick", no_argument, NULL, 'q'},
        {"only", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        switch (c) {
        case 'j':
            args->json = optarg;
            break;
        case 'r':
            if (parse_runs(optarg, &b->runs))
                return -EINVAL;
            break;
        case 'q':
            b->quick = true;
            break;
        case 'o':
            b->only = optarg;
            break;
        case 'h':
            usage(stdout);
            return 1;
        default:
            usage(stderr);
            return -EINVAL;
        }
    }
    if (!b->runs)
        b->runs = b->quick ? RUNS_QUICK : RUNS_DEFAULT;
    args->names = argv + optind;
    args->nr_names = argc - optind;
    return 0;
}

static int check_names(const struct args *args)
{
    if (!args->nr_names) {
        usage(stderr);
        return -EINVAL;
    }
    for (int i = 0; i < args->nr_names; i++) {
        const char *name = args->names[i];

        if (strcmp(name, "all") && !suite_find(name)) {
            kxb_say("there is no suite '%s'; `kxbench --help` lists them",
                    name);
            return -EINVAL;
        }
    }
    return 0;
}

static int find_bin_dir(struct kxb *b)
{
    ssize_t n = readlink("/proc/self/exe", b->bin_dir, sizeof(b->bin_dir) - 1);
    char *slash;

    if (n < 0)
        return -errno;
    b->bin_dir[n] = '\0';
    slash = strrchr(b->bin_dir, '/');
    if (slash)
        *slash = '\0';
    return 0;
}

static int make_work_dir(struct kxb *b)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(b->work_dir, sizeof(b->work_dir), "%s/kxbench-XXXXXX",
             tmp && *tmp ? tmp : "/tmp");
    if (mkdtemp(b->work_dir))
        return 0;
    kxb_say("cannot make a scratch folder %s: %s; set TMPDIR to a writable "
            "one",
            b->work_dir, strerror(errno));
    b->work_dir[0] = '\0';
    return -EIO;
}

static int run_suites(struct kxb *b, const struct args *args)
{
    int failed = 0;

    for (unsigned run = 0; run < b->runs; run++) {
        for (struct kxb_suite *s = suites; s; s = s->next) {
            if (!wanted(args, s))
                continue;
            kxb_say("run %u of %u: %s", run + 1, b->runs, s->name);
            if (s->run(b, run))
                failed = -EIO;
        }
    }
    return failed;
}

static int write_json(const struct kxb *b, const char *path)
{
    json_t *all = kxb_json(b);
    int rc = -ENOMEM;

    if (!all)
        goto out;
    if (!strcmp(path, "-")) {
        rc = json_dumpf(all, stdout, JSON_INDENT(1)) ? -EIO : 0;
        putchar('\n');
    } else {
        rc = json_dump_file(all, path, JSON_INDENT(1)) ? -EIO : 0;
    }
out:
    if (rc)
        kxb_say("cannot write %s: %s", path, strerror(errno));
    json_decref(all);
    return rc;
}

static void print_tables(const struct kxb *b, const struct args *args)
{
    for (struct kxb_suite *s = suites; s; s = s->next) {
        if (!wanted(args, s))
            continue;
        if (s->print)
            s->print(b);
        else
            kxb_print_table(b, s->name);
    }
}

static int report(struct kxb *b, const struct args *args)
{
    kxb_finish(b);
    if (!args->json || strcmp(args->json, "-"))
        print_tables(b, args);
    return args->json ? write_json(b, args->json) : 0;
}

int main(int argc, char **argv)
{
    struct kxb b = {0};
    struct args args = {0};
    int rc = parse_args(&b, &args, argc, argv);

    if (rc)
        return rc < 0;
    if (check_names(&args) || find_bin_dir(&b) || make_work_dir(&b))
        return 1;
    rc = run_suites(&b, &args);
    if (report(&b, &args))
        rc = -EIO;
    kxb_host_stop(&b);
    if (rmdir(b.work_dir))
        kxb_say("scratch left in %s: %s", b.work_dir, strerror(errno));
    kxb_free_rows(&b);
    return rc ? 1 : 0;
}
