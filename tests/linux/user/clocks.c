/* SPDX-License-Identifier: MIT */
/*
 * Run in a PV Linux: time.  Clocks read by the vDSO never go back, on whatever
 * CPU, agree with the kernel's own, and sleeps and timers end when they should.
 * Lines "REALTIME seconds.ns" are for the host to compare with its own clock.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>

#include "tap.h"

#define MS 1000000ll

static int64_t to_ns(struct timespec ts)
{
    return ts.tv_sec * 1000 * MS + ts.tv_nsec;
}

static int64_t now(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return to_ns(ts);
}

static int64_t kernel_now(clockid_t clock)
{
    struct timespec ts;

    syscall(SYS_clock_gettime, clock, &ts);
    return to_ns(ts);
}

static void tell_host(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    printf("REALTIME %ld.%09ld\n", ts.tv_sec, ts.tv_nsec);
    fflush(stdout);
}

/* ---- monotony ---- */

static int64_t latest;
static int backwards;

/* A time that another thread has published is not later than ours. */
static void *watch_clock(void *arg)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((long)arg, &set);
    sched_setaffinity(0, sizeof(set), &set);
    for (int i = 0; i < 100000; i++) {
        int64_t seen = __atomic_load_n(&latest, __ATOMIC_SEQ_CST);
        int64_t t = now(CLOCK_MONOTONIC);

        if (t < seen)
            __atomic_fetch_add(&backwards, 1, __ATOMIC_RELAXED);
        while (t > seen &&
               !__atomic_compare_exchange_n(&latest, &seen, t, false,
                                            __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            ;
        if (i % 1000 == 0)
            sched_yield();
    }
    return NULL;
}

static void monotony(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t t[64];

    for (long i = 0; i < n && i < 64; i++)
        pthread_create(&t[i], NULL, watch_clock, (void *)i);
    for (long i = 0; i < n && i < 64; i++)
        pthread_join(t[i], NULL);
    ok(!backwards, "%ld CPUs' clocks never go back (%d times)", n, backwards);
}

static void agreement(clockid_t clock, const char *name)
{
    int bad = 0;

    for (int i = 0; i < 2000; i++) {
        int64_t a = now(clock), b = kernel_now(clock), c = now(clock);

        bad += b < a || c < b;
    }
    ok(!bad, "%s of the vDSO and of the kernel are one (%d times not)", name,
       bad);
}

/* By the vDSO it costs no system call. */
static void cost(void)
{
    int64_t begin = now(CLOCK_MONOTONIC), fast, slow;

    for (int i = 0; i < 20000; i++)
        now(CLOCK_MONOTONIC);
    fast = now(CLOCK_MONOTONIC) - begin;
    for (int i = 0; i < 20000; i++)
        kernel_now(CLOCK_MONOTONIC);
    slow = now(CLOCK_MONOTONIC) - begin - fast;
    printf("# clock_gettime: %lld ns, by system call %lld ns\n",
           (long long)fast / 20000, (long long)slow / 20000);
    ok(fast < slow / 4, "the vDSO reads the clock without a system call");
}

/* ---- sleeping ---- */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void sleeps(void)
{
    struct timespec ts = {0, MS};
    int64_t late[200];
    int early = 0;

    for (int i = 0; i < 200; i++) {
        int64_t begin = now(CLOCK_MONOTONIC);

        clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
        late[i] = now(CLOCK_MONOTONIC) - begin - MS;
        early += late[i] < 0;
    }
    qsort(late, 200, sizeof(late[0]), compare);
    printf("# 1 ms sleeps are late by %lld us (median), %lld us (worst)\n",
           (long long)late[100] / 1000, (long long)late[199] / 1000);
    ok(!early, "no sleep is too short (%d are)", early);
    ok(late[100] < 20 * MS, "half of them are not too long");
}

static void absolute(void)
{
    int64_t end = now(CLOCK_REALTIME) + 30 * MS;
    struct timespec ts = {end / (1000 * MS), end % (1000 * MS)};
    int rc = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL);

    ok(!rc && now(CLOCK_REALTIME) >= end, "a sleep until a time of the day");
    ts.tv_sec -= 100;
    ok(!clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL),
       "a sleep until a time that is past ends");
}

static void timers(void)
{
    struct itimerspec its = {{0, 5 * MS}, {0, 5 * MS}};
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    int64_t begin = now(CLOCK_MONOTONIC), ran;
    uint64_t n, sum = 0;

    timerfd_settime(fd, 0, &its, NULL);
    while (sum < 40 && read(fd, &n, sizeof(n)) == sizeof(n))
        sum += n;
    ran = (now(CLOCK_MONOTONIC) - begin) / MS;
    ok((int64_t)sum <= ran / 5 && (int64_t)sum >= ran / 5 - 1 - ran / 20,
       "a timer of 5 ms came %llu times in %lld ms", (unsigned long long)sum,
       (long long)ran);
    close(fd);
}

/* What a process used can not be more than what passed. */
static void cpu_time(void)
{
    int64_t begin = now(CLOCK_MONOTONIC), used = now(CLOCK_PROCESS_CPUTIME_ID);
    int64_t passed;

    while (now(CLOCK_MONOTONIC) - begin < 300 * MS)
        ;
    used = now(CLOCK_PROCESS_CPUTIME_ID) - used;
    passed = now(CLOCK_MONOTONIC) - begin;
    ok(used <= passed + 20 * MS && used > passed / 20,
       "%lld ms of a processor in %lld ms", (long long)(used / MS),
       (long long)(passed / MS));
}

int main(void)
{
    tell_host();
    monotony();
    agreement(CLOCK_MONOTONIC, "CLOCK_MONOTONIC");
    agreement(CLOCK_REALTIME, "CLOCK_REALTIME");
    cost();
    sleeps();
    absolute();
    timers();
    cpu_time();
    tell_host();
    return tap_done();
}
