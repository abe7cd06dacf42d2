/* SPDX-License-Identifier: MIT */
/*
 * Run in a PV Linux: processes and threads.  A storm of forks and execs loses
 * none and mixes up none; threads have their own registers and variables, meet
 * at locks, and move between processors.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tap.h"

extern char **environ;

/* ---- processes ---- */

static bool storm_of_forks(void)
{
    int status, good = 0;

    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 5; k++)
            if (!fork())
                _exit((i * 5 + k) % 200);
        for (int k = 0; k < 5; k++)
            if (waitpid(-1, &status, 0) > 0 && WIFEXITED(status) &&
                WEXITSTATUS(status) / 5 * 5 == i * 5 % 200)
                good++;
    }
    return good == 200;
}

/* This program again, told by its argument what to answer. */
static bool storm_of_execs(void)
{
    char arg[16], *argv[] = {"/proc/self/exe", "exec", arg, NULL};
    int status, good = 0;
    pid_t pid;

    for (int i = 0; i < 100; i++) {
        snprintf(arg, sizeof(arg), "%d", i);
        if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ))
            continue;
        waitpid(pid, &status, 0);
        good += WIFEXITED(status) && WEXITSTATUS(status) == i;
    }
    return good == 100;
}

static bool pipes(void)
{
    int there[2], here[2];
    uint64_t v = 1, got;

    if (pipe(there) || pipe(here))
        return false;
    if (!fork()) {
        while (read(there[0], &v, sizeof(v)) == sizeof(v) && v) {
            v *= 3;
            if (write(here[1], &v, sizeof(v)) != sizeof(v))
                break;
        }
        _exit(0);
    }
    for (int i = 0; i < 2000; i++) {
        if (write(there[1], &v, sizeof(v)) != sizeof(v) ||
            read(here[0], &got, sizeof(got)) != sizeof(got) || got != v * 3)
            return false;
        v = got | 1;
    }
    v = 0;
    return write(there[1], &v, sizeof(v)) == sizeof(v) && wait(NULL) > 0;
}

/* ---- threads ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long counter, turn;
static __thread long mine;

static void *count(void *arg)
{
    long errors = 0, id = (long)arg;

    mine = id;
    for (int i = 0; i < 3000; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
        if (i % 500 == 0)
            sched_yield();
        errors += mine != id + i;
        mine++;
    }
    pthread_barrier_wait(&barrier);
    return (void *)errors;
}

static bool threads_count(void)
{
    pthread_t t[8];
    void *errors;
    long bad = 0;

    pthread_barrier_init(&barrier, NULL, 8);
    for (long i = 0; i < 8; i++)
        if (pthread_create(&t[i], NULL, count, (void *)(i * 100000)))
            return false;
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], &errors);
        bad += (long)errors;
    }
    return !bad && counter == 8 * 3000;
}

static void *take_turns(void *arg)
{
    long me = (long)arg;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < 1000; i++) {
        while (turn % 2 != me)
            pthread_cond_wait(&turned, &lock);
        turn++;
        pthread_cond_broadcast(&turned);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static bool threads_turns(void)
{
    pthread_t t[2];

    for (long i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, take_turns, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    return turn == 2000;
}

static void *sleep_long(void *arg)
{
    if (arg)
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (volatile unsigned long i = 0; arg || i < 1; i++)
        if (!arg)
            sleep(1000);
    return NULL;
}

static bool threads_cancelled(void)
{
    int good = 0;

    for (long i = 0; i < 40; i++) {
        pthread_t t;
        void *how;

        pthread_create(&t, NULL, sleep_long, (void *)(i % 2));
        usleep(500);
        pthread_cancel(t);
        pthread_join(t, &how);
        good += how == PTHREAD_CANCELED;
    }
    return good == 40;
}

static void *nothing(void *arg)
{
    return arg;
}

static bool threads_come_and_go(void)
{
    for (long i = 0; i < 400; i++) {
        pthread_t t;
        void *r;

        if (pthread_create(&t, NULL, nothing, (void *)i))
            return false;
        pthread_join(t, &r);
        if (r != (void *)i)
            return false;
    }
    return true;
}

/* ---- processors ---- */

/* What the vDSO's getcpu() reads: a limit in the GDT, one for each CPU. */
static int cpu_by_gdt(void)
{
    unsigned int limit;

    asm volatile("lsl %1, %0" : "=r"(limit) : "r"(0x7b));
    return (int)(limit & 0xfff);
}

static bool move_to(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return !sched_setaffinity(0, sizeof(set), &set);
}

static void processors(void)
{
    int n = (int)sysconf(_SC_NPROCESSORS_ONLN), bad = 0;
    cpu_set_t all;

    sched_getaffinity(0, sizeof(all), &all);
    for (int i = 0; i < 50 * n; i++)
        bad +=
            !move_to(i % n) || sched_getcpu() != i % n || cpu_by_gdt() != i % n;
    ok(!bad,
       "moved 50 times to each of %d CPUs, each knows its number (%d "
       "do not)",
       n, bad);
    sched_setaffinity(0, sizeof(all), &all);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return atoi(argv[2]);
    ok(in_child(storm_of_forks), "200 forks, five at a time");
    ok(in_child(storm_of_execs), "100 execs, each with its argument");
    ok(in_child(pipes), "2000 words through two pipes");
    ok(in_child(threads_count), "8 threads count under a lock, each by its "
                                "own variable");
    ok(in_child(threads_turns), "2 threads take 1000 turns each");
    ok(in_child(threads_cancelled), "40 threads cancelled, asleep and busy");
    ok(in_child(threads_come_and_go), "400 threads come and go");
    processors();
    return tap_done();
}
