/* SPDX-License-Identifier: MIT */
/*
 * What `kxbench linux` runs wherever it measures: as init of a Linux guest, or
 * as a program on the host.  Static; prints to its standard output
 *
 *   BENCH-INIT                      it runs
 *   BENCH {"name": ..., "unit": "ns", "ops": N, "ns": ALL, "samples": [...]}
 *   BENCH-NONE NAME WHY             it cannot measure that
 *   BENCH-END NS                    what its own clock says it took
 *
 * each sample the mean of a batch.  lb_ms (in init's environment, from the
 * kernel's command line; on the host too) is how long a row takes, lb_only a
 * comma-separated list of rows, lb_disk the disk, lb_khz the rate of the TSC:
 * time is read from that, since not every guest has a clock that fine.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define BATCHES_MAX  64
#define BATCH_NS     1000000 /* a batch is not shorter, if it can be helped */
#define ROW_MS       200
#define FAULT_PAGES  256
#define PAGE         4096
#define BIG          (1 << 20)
#define QUEUE        32
#define WARM         4 /* exchanges with a new child that are not counted */
#define SETTLE_NS    10000000   /* between rows: who counts exits looks then */
#define DISK_WAIT_NS 2000000000 /* for the disk to appear */
#define MODULES_MAX  16

/* TSC ticks to ns, as a fraction of 2^32; 0: by the kernel's clock. */
static uint64_t tsc_scale;

struct bench {
    uint64_t row_ns;
    const char *only;
    int disk; /* -1: none */
    uint64_t disk_size;
    void *buffer; /* QUEUE pages or BIG, aligned */
    const char *self;
    uint64_t random;
};

struct row {
    const char *name;
    /* n operations; what they took, in ns; 0 for a failure, errno says why. */
    uint64_t (*run)(struct bench *b, unsigned n);
    bool on_disk;
};

static uint64_t now(void)
{
    struct timespec ts;

    if (tsc_scale)
        return (uint64_t)((unsigned __int128)__rdtsc() * tsc_scale >> 32);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void pause_ns(long ns)
{
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* ---- the rows ---- */

/* Dependent multiplications, shifts and loads from 32 KiB. */
static uint64_t run_cpu(struct bench *b, unsigned n)
{
    const uint64_t *table = b->buffer;
    uint64_t t = now(), x = b->random | 1;

    for (uint64_t i = 0; i < n * 10000ull; i++)
        x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u + table[x >> 52];
    b->random = x;
    return now() - t;
}

static uint64_t run_getppid(struct bench *b, unsigned n)
{
    uint64_t t = now();

    (void)b;
    for (unsigned i = 0; i < n; i++)
        syscall(SYS_getppid);
    return now() - t;
}

/* First touches of fresh pages; mapping and unmapping are not counted. */
static uint64_t run_fault(struct bench *b, unsigned n)
{
    uint64_t t, took = 0;

    (void)b;
    for (unsigned done = 0; done < n;) {
        unsigned k = n - done < FAULT_PAGES ? n - done : FAULT_PAGES;
        char *p = mmap(NULL, k * PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            return 0;
        madvise(p, k * PAGE, MADV_NOHUGEPAGE);
        t = now();
        for (unsigned i = 0; i < k; i++)
            *(volatile char *)(p + i * PAGE) = 1;
        took += now() - t;
        munmap(p, k * PAGE);
        done += k;
    }
    return took;
}

/* n children, one after another; exec: each becomes this program again. */
static uint64_t run_children(const struct bench *b, unsigned n, bool exec)
{
    char *const argv[] = {(char *)b->self, (char *)"--exit", NULL};
    uint64_t t = now();
    int status;

    for (unsigned i = 0; i < n; i++) {
        pid_t pid = fork();

        if (!pid && exec)
            execv(b->self, argv);
        if (!pid)
            _exit(exec);
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
            return 0;
        if (status) {
            errno = ECHILD;
            return 0;
        }
    }
    return now() - t;
}

static uint64_t run_fork_exit(struct bench *b, unsigned n)
{
    return run_children(b, n, false);
}

static uint64_t run_fork_exec(struct bench *b, unsigned n)
{
    return run_children(b, n, true);
}

static void pipe_echo(int in, int out)
{
    char c;

    while (read(in, &c, 1) == 1)
        if (write(out, &c, 1) != 1)
            break;
    _exit(0);
}

/* A byte to another process and back. */
static uint64_t run_pipe(struct bench *b, unsigned n)
{
    int to[2], from[2];
    uint64_t t = 0, took = 0;
    char c = 0;
    pid_t pid;

    (void)b;
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
        return 0;
    pid = fork();
    if (!pid) {
        close(to[1]);
        close(from[0]);
        pipe_echo(to[0], from[1]);
    }
    for (unsigned i = 0; i < n + WARM; i++) {
        if (i == WARM)
            t = now();
        if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
            goto out;
    }
    took = now() - t;
out:
    close(to[0]);
    close(to[1]);
    close(from[0]);
    close(from[1]);
    waitpid(pid, NULL, 0);
    return took;
}

static void futex(volatile uint32_t *word, int op, uint32_t val)
{
    syscall(SYS_futex, word, op, val, NULL, NULL, 0);
}

/* Hands the turn over n times: from me to 1 - me. */
static void take_turns(volatile uint32_t *turn, uint32_t me, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        while (*turn != me)
            futex(turn, FUTEX_WAIT, 1 - me);
        *turn = 1 - me;
        futex(turn, FUTEX_WAKE, 1);
    }
}

/* Two processes take turns on one CPU: an operation is one switch. */
static uint64_t run_switch(struct bench *b, unsigned n)
{
    volatile uint32_t *turn;
    unsigned turns = n / 2 + 1;
    uint64_t t;
    pid_t pid;

    (void)b;
    turn = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    if (turn == MAP_FAILED)
        return 0;
    *turn = 0;
    pid = fork();
    if (!pid) {
        take_turns(turn, 1, turns + WARM);
        _exit(0);
    }
    take_turns(turn, 0, WARM);
    t = now();
    take_turns(turn, 0, turns);
    while (*turn)
        futex(turn, FUTEX_WAIT, 1);
    t = now() - t;
    waitpid(pid, NULL, 0);
    munmap((void *)turn, PAGE);
    return t * n / (2 * turns);
}

static uint64_t random_at(struct bench *b, uint64_t size)
{
    b->random = b->random * 6364136223846793005u + 1442695040888963407u;
    return (b->random >> 20) % (b->disk_size / size) * size;
}

static uint64_t run_io(struct bench *b, unsigned n, size_t size, bool write)
{
    uint64_t t = now();

    for (unsigned i = 0; i < n; i++) {
        off_t at = (off_t)random_at(b, size);
        ssize_t got = write ? pwrite(b->disk, b->buffer, size, at)
                            : pread(b->disk, b->buffer, size, at);

        if (got != (ssize_t)size)
            return 0;
    }
    return now() - t;
}

static uint64_t run_read4k(struct bench *b, unsigned n)
{
    return run_io(b, n, PAGE, false);
}

static uint64_t run_write4k(struct bench *b, unsigned n)
{
    return run_io(b, n, PAGE, true);
}

static uint64_t run_read1m(struct bench *b, unsigned n)
{
    return run_io(b, n, BIG, false);
}

static uint64_t run_write1m(struct bench *b, unsigned n)
{
    return run_io(b, n, BIG, true);
}

/* QUEUE reads of 4 KiB at once, then the next ones. */
static uint64_t run_read4k_q32(struct bench *b, unsigned n)
{
    struct iocb cb[QUEUE], *list[QUEUE];
    struct io_event done[QUEUE];
    aio_context_t ctx = 0;
    uint64_t t, took = 0;

    if (syscall(SYS_io_setup, QUEUE, &ctx))
        return 0;
    t = now();
    for (unsigned left = n; left;) {
        unsigned k = left < QUEUE ? left : QUEUE;

        for (unsigned i = 0; i < k; i++) {
            cb[i] = (struct iocb){
                .aio_lio_opcode = IOCB_CMD_PREAD,
                .aio_fildes = (uint32_t)b->disk,
                .aio_buf = (uintptr_t)b->buffer + i * PAGE,
                .aio_nbytes = PAGE,
                .aio_offset = (int64_t)random_at(b, PAGE),
            };
            list[i] = &cb[i];
        }
        if (syscall(SYS_io_submit, ctx, k, list) != k ||
            syscall(SYS_io_getevents, ctx, k, k, done, NULL) != k)
            goto out;
        left -= k;
    }
    took = now() - t;
out:
    syscall(SYS_io_destroy, ctx);
    return took;
}

static const struct row rows[] = {
    {"cpu", run_cpu, false},
    {"getppid", run_getppid, false},
    {"fault", run_fault, false},
    {"fork_exit", run_fork_exit, false},
    {"fork_exec", run_fork_exec, false},
    {"pipe", run_pipe, false},
    {"switch", run_switch, false},
    {"disk_read4k", run_read4k, true},
    {"disk_write4k", run_write4k, true},
    {"disk_read4k_q32", run_read4k_q32, true},
    {"disk_read1m", run_read1m, true},
    {"disk_write1m", run_write1m, true},
};
#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

/* ---- measuring ---- */

/* So many operations that a batch is worth timing; 0: the row fails. */
static unsigned calibrate(struct bench *b, const struct row *row)
{
    uint64_t want = b->row_ns / 20 < BATCH_NS ? b->row_ns / 20 : BATCH_NS;
    unsigned n = 1;

    for (;;) {
        uint64_t ns = row->run(b, n);

        if (!ns || ns >= want || n > 1u << 24)
            return ns ? n : 0;
        n *= ns * 2 > want ? 2 : 4;
    }
}

static void measure(struct bench *b, const struct row *row)
{
    double sample[BATCHES_MAX];
    uint64_t all = 0;
    unsigned n, nr = 0;

    errno = 0;
    n = calibrate(b, row);
    pause_ns(SETTLE_NS);
    printf("BENCH-ROW %s\n", row->name);
    pause_ns(SETTLE_NS);
    while (n && nr < BATCHES_MAX && (nr < 2 || all < b->row_ns)) {
        uint64_t ns = row->run(b, n);

        if (!ns) {
            n = 0;
            break;
        }
        sample[nr++] = (double)ns / n;
        all += ns;
    }
    if (!n) {
        printf("BENCH-NONE %s %s\n", row->name, strerror(errno));
        return;
    }
    printf("BENCH {\"name\": \"%s\", \"unit\": \"ns\", \"ops\": %u, "
           "\"ns\": %llu, \"samples\": [",
           row->name, n * nr, (unsigned long long)all);
    for (unsigned i = 0; i < nr; i++)
        printf("%s%.1f", i ? ", " : "", sample[i]);
    puts("]}");
}

static bool wanted(const struct bench *b, const char *name)
{
    size_t len = strlen(name);

    if (!b->only)
        return true;
    for (const char *s = b->only; s; s = strchr(s, ',')) {
        s += *s == ',';
        if (!strncmp(s, name, len) && (!s[len] || s[len] == ','))
            return true;
    }
    return false;
}

static void measure_all(struct bench *b)
{
    for (size_t i = 0; i < NR_ROWS; i++) {
        if (!wanted(b, rows[i].name))
            continue;
        if (rows[i].on_disk && b->disk < 0)
            printf("BENCH-NONE %s no disk\n", rows[i].name);
        else
            measure(b, &rows[i]);
    }
}

/* ---- as init ---- */

static void load_modules(void)
{
    char path[32];

    for (int i = 0; i < MODULES_MAX; i++) {
        int fd;

        snprintf(path, sizeof(path), "/modules/%d", i);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        /* Another machine's drivers have nothing to do here. */
        syscall(SYS_finit_module, fd, "", 0);
        close(fd);
    }
}

static const char *find_disk(void)
{
    static const char *const names[] = {"/dev/xvda", "/dev/vda"};
    uint64_t since = now();

    do {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (!access(names[i], F_OK))
                return names[i];
        pause_ns(SETTLE_NS);
    } while (now() - since < DISK_WAIT_NS);
    return NULL;
}

static void open_disk(struct bench *b, const char *path)
{
    off_t size;

    b->disk = path ? open(path, O_RDWR | O_DIRECT | O_CLOEXEC) : -1;
    size = b->disk < 0 ? 0 : lseek(b->disk, 0, SEEK_END);
    b->disk_size = size > 0 ? (uint64_t)size : 0;
    if (b->disk_size >= BIG || b->disk < 0)
        return;
    close(b->disk);
    b->disk = -1;
}

static void be_init(struct bench *b)
{
    mkdir("/dev", 0755);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    if (!getenv("lb_disk"))
        return;
    load_modules();
    open_disk(b, find_disk());
}

static void be_program(struct bench *b)
{
    cpu_set_t one;

    /* One CPU, as the guests have. */
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one);
    open_disk(b, getenv("lb_disk"));
}

int main(int argc, char **argv)
{
    bool init = getpid() == 1;
    struct bench b = {
        .row_ns =
            (getenv("lb_ms") ? strtoul(getenv("lb_ms"), NULL, 10) : ROW_MS) *
            1000000,
        .only = getenv("lb_only"),
        .disk = -1,
        .self = init ? "/init" : "/proc/self/exe",
        .random = 12345,
    };
    uint64_t t,
        khz = getenv("lb_khz") ? strtoul(getenv("lb_khz"), NULL, 10) : 0;

    if (argc > 1 && !strcmp(argv[1], "--exit"))
        return 0;
    tsc_scale = khz ? (1000000ull << 32) / khz : 0;
    t = now();
    setvbuf(stdout, NULL, _IOLBF, 16384);
    puts("BENCH-INIT");
    b.buffer = mmap(NULL, BIG, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (b.buffer == MAP_FAILED)
        return 1;
    memset(b.buffer, 0xa5, BIG);
    if (init)
        be_init(&b);
    else
        be_program(&b);
    measure_all(&b);
    printf("BENCH-END %llu\n", (unsigned long long)(now() - t));
    fflush(stdout);
    while (init) {
        sync();
        reboot(RB_POWER_OFF);
        pause();
    }
    return 0;
}
