/* SPDX-License-Identifier: MIT */
/*
 * Inside a Linux guest: what only several vCPUs can get wrong.  Each part
 * prints "ok PART ..." or "BAD ..."; "smp: done" is last.
 *   smp SECONDS [hotplug]    hotplug: the vCPUs go and come back, too
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_CPUS 64

static int nr_cpus;
static atomic_bool over;
static int bad;

static void complain(const char *what, long a, long b)
{
    printf("BAD %s: %ld, %ld\n", what, a, b);
    bad = 1;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void pin_to(int cpu)
{
    cpu_set_t s;

    CPU_ZERO(&s);
    CPU_SET(cpu, &s);
    sched_setaffinity(0, sizeof(s), &s);
}

/* ---- translations: a page taken away is gone on every vCPU ---- */

static volatile long *shared;
static __thread sigjmp_buf *on_fault;
static atomic_long faults;

static void on_segv(int sig)
{
    (void)sig;
    faults++;
    siglongjmp(*on_fault, 1);
}

/* Counts up its own word of the page as long as it may. */
static void *writer(void *arg)
{
    long me = (long)arg;
    sigjmp_buf here;

    pin_to(me % nr_cpus);
    on_fault = &here;
    while (!over) {
        if (sigsetjmp(here, 1)) {
            sched_yield();
            continue;
        }
        for (int i = 0; i < 1000; i++)
            shared[me * 8]++;
    }
    return NULL;
}

static void flushes(double seconds)
{
    pthread_t t[MAX_CPUS];
    double end = now() + seconds;
    long rounds = 0;

    signal(SIGSEGV, on_segv);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    over = false;
    for (long i = 0; i < nr_cpus; i++)
        pthread_create(&t[i], NULL, writer, (void *)i);
    for (; now() < end; rounds++) {
        /* A vCPU that lost its processor may come late: some looks are long. */
        double until = now() + (rounds % 16 ? 0.0001 : 0.03);
        long seen[MAX_CPUS];

        mprotect((void *)shared, 4096, PROT_READ);
        for (int i = 0; i < nr_cpus; i++)
            seen[i] = shared[i * 8];
        do
            for (int i = 0; i < nr_cpus; i++)
                if (shared[i * 8] != seen[i]) {
                    complain("a write to a read-only page", i, rounds);
                    seen[i] = shared[i * 8];
                }
        while (now() < until);
        mprotect((void *)shared, 4096, PROT_READ | PROT_WRITE);
        usleep(500);
    }
    over = true;
    for (int i = 0; i < nr_cpus; i++)
        pthread_join(t[i], NULL);
    signal(SIGSEGV, SIG_DFL);
    printf("ok flushes: %ld rounds, %ld faults\n", rounds, (long)faults);
}

/*
 * ---- the same from another address space: soft-dirty bits are taken from a
 * process on another vCPU, whose next store must be noticed ----
 */

#define SOFT_DIRTY (1ull << 55)

static void dirty_for_ever(volatile long *mine, atomic_long *turns)
{
    pin_to(1 % nr_cpus);
    for (;;) {
        ++*mine;
        ++*turns;
    }
}

static int open_of(pid_t pid, const char *file, int flags)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    return open(path, flags);
}

static bool is_dirty(int pagemap, volatile long *page)
{
    uint64_t e = 0;

    if (pread(pagemap, &e, 8, (uintptr_t)page / 4096 * 8) != 8)
        complain("pagemap", errno, 0);
    return e & SOFT_DIRTY;
}

static void remote(double seconds)
{
    volatile long *mine = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    atomic_long *turns = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();
    int clear, pagemap;
    double end = now() + seconds;
    long rounds = 0;

    if (!pid)
        dirty_for_ever(mine, turns);
    pin_to(0);
    clear = open_of(pid, "clear_refs", O_WRONLY);
    pagemap = open_of(pid, "pagemap", O_RDONLY);
    for (; now() < end; rounds++) {
        long t;

        if (write(clear, "4", 1) != 1)
            complain("clear_refs", errno, clear);
        t = *turns;
        while (*turns < t + 2)
            sched_yield();
        if (!is_dirty(pagemap, mine))
            complain("a store was not noticed", rounds, t);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(clear);
    close(pagemap);
    printf("ok remote: %ld rounds\n", rounds);
}

/* ---- one address space, grown and shrunk and forked from everywhere ---- */

static atomic_long work;

static void *mapper(void *arg)
{
    unsigned int seed = (long)arg;

    while (!over) {
        size_t pages = 1 + rand_r(&seed) % 64;
        long *p = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED) {
            complain("mmap", errno, pages);
            break;
        }
        for (size_t i = 0; i < pages; i++)
            p[i * 512] = (long)p + i;
        pin_to(rand_r(&seed) % nr_cpus);
        for (size_t i = 0; i < pages; i++)
            if (p[i * 512] != (long)p + (long)i)
                complain("a page lost its word", i, p[i * 512]);
        munmap(p, pages * 4096);
        work++;
    }
    return NULL;
}

static int child(long expect, volatile long *word)
{
    pin_to(expect % nr_cpus);
    if (*word != expect)
        return 1;
    *word = -1;
    return *word == -1 ? 0 : 2;
}

static void mappings(double seconds)
{
    pthread_t t[MAX_CPUS];
    volatile long word = 0;
    double end = now() + seconds;
    long forks = 0;

    over = false;
    work = 0;
    for (long i = 0; i < nr_cpus; i++)
        pthread_create(&t[i], NULL, mapper, (void *)(i + 1));
    for (; now() < end; forks++) {
        pid_t pid;
        int status;

        word = forks;
        pid = fork();
        if (!pid)
            _exit(child(forks, &word));
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
            complain("a child", pid, status);
        if (word != forks)
            complain("the parent's word", word, forks);
    }
    over = true;
    for (int i = 0; i < nr_cpus; i++)
        pthread_join(t[i], NULL);
    printf("ok mappings: %ld by threads, %ld forks\n", (long)work, forks);
}

/* ---- wake-ups: a token goes round all vCPUs ---- */

static int ring[MAX_CPUS][2];
static long laps;

static void *runner(void *arg)
{
    long me = (long)arg, v;

    pin_to(me);
    while (read(ring[me][0], &v, sizeof(v)) == sizeof(v)) {
        bool last = v < 0;

        v += !last;
        if (!me && !last) {
            laps++;
            v = over ? -1 : v;
        }
        if (write(ring[(me + 1) % nr_cpus][1], &v, sizeof(v)) != sizeof(v))
            complain("write to a pipe", errno, me);
        if (last)
            break;
    }
    return NULL;
}

static void wakeups(double seconds)
{
    pthread_t t[MAX_CPUS];
    long v = 1;

    over = false;
    for (int i = 0; i < nr_cpus; i++)
        if (pipe(ring[i]))
            complain("pipe", errno, i);
    for (long i = 0; i < nr_cpus; i++)
        pthread_create(&t[i], NULL, runner, (void *)i);
    if (write(ring[0][1], &v, sizeof(v)) != sizeof(v))
        complain("write to a pipe", errno, 0);
    usleep(seconds * 1e6);
    over = true;
    for (int i = 0; i < nr_cpus; i++)
        pthread_join(t[i], NULL);
    printf("ok wakeups: %ld laps\n", laps);
}

/* ---- locks, with their holders preempted ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counted;

static void *locker(void *arg)
{
    long mine = 0;

    (void)arg;
    while (!over) {
        pthread_mutex_lock(&mutex);
        counted++;
        pthread_mutex_unlock(&mutex);
        mine++;
        /* The kernel's own locks: file descriptors of one table. */
        if (mine % 64 == 0)
            close(open("/dev/null", O_RDONLY));
    }
    return (void *)mine;
}

static void locks(double seconds)
{
    pthread_t t[4 * MAX_CPUS];
    long sum = 0;
    void *mine;

    over = false;
    for (int i = 0; i < 4 * nr_cpus; i++)
        pthread_create(&t[i], NULL, locker, NULL);
    usleep(seconds * 1e6);
    over = true;
    for (int i = 0; i < 4 * nr_cpus; i++) {
        pthread_join(t[i], &mine);
        sum += (long)mine;
    }
    if (sum != counted)
        complain("a lock let two in", sum, counted);
    printf("ok locks: %ld turns\n", sum);
}

/* ---- vCPUs that go and come back ---- */

static int set_online(int cpu, int on)
{
    char path[80];
    int fd, rc;

    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
    fd = open(path, O_WRONLY);
    if (fd < 0)
        return -errno;
    rc = write(fd, on ? "1" : "0", 1) == 1 ? 0 : -errno;
    close(fd);
    return rc;
}

static void hotplug(double seconds)
{
    double end = now() + seconds;
    long rounds = 0;
    int rc;

    for (; nr_cpus > 1 && (now() < end || rounds < 2); rounds++) {
        int cpu = 1 + rounds % (nr_cpus - 1);

        rc = set_online(cpu, 0);
        if (rc)
            complain("a vCPU does not go", cpu, rc);
        if (sysconf(_SC_NPROCESSORS_ONLN) != nr_cpus - 1)
            complain("vCPUs left", cpu, sysconf(_SC_NPROCESSORS_ONLN));
        rc = set_online(cpu, 1);
        if (rc)
            complain("a vCPU does not come back", cpu, rc);
        pin_to(cpu);
        if (sched_getcpu() != cpu)
            complain("not on the vCPU that came back", cpu, sched_getcpu());
    }
    pin_to(0);
    printf("ok hotplug: %ld times\n", rounds);
}

int main(int argc, char **argv)
{
    double s = argc > 1 ? atof(argv[1]) : 1;

    setvbuf(stdout, NULL, _IOLBF, 0);
    nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    printf("smp: %d vCPUs\n", nr_cpus);
    if (nr_cpus > MAX_CPUS)
        nr_cpus = MAX_CPUS;
    flushes(s);
    remote(s);
    mappings(s);
    wakeups(s);
    locks(s);
    if (argc > 2 && !strcmp(argv[2], "hotplug"))
        hotplug(s);
    printf("smp: %s\n", bad ? "BAD" : "done, all right");
    return bad;
}
