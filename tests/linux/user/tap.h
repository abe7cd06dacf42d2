/* SPDX-License-Identifier: MIT */
/*
 * Results of a program that runs in a Linux guest, as TAP lines.  Each program
 * is one process that counts; what it forks only tells by exit status.
 */
#ifndef TESTS_LINUX_USER_TAP_H
#define TESTS_LINUX_USER_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int tap_count, tap_failed;

/* One case; what it is follows as for printf. Returns cond. */
__attribute__((format(printf, 2, 3))) static inline bool
ok(bool cond, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    printf("%sok %d - ", cond ? "" : "not ", ++tap_count);
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    fflush(stdout);
    tap_failed += !cond;
    return cond;
}

/* A case that cannot be told here, and why. */
static inline void skip(const char *name, const char *why)
{
    printf("skip: %s\nok %d - %s # SKIP\n", why, ++tap_count, name);
    fflush(stdout);
}

/* Runs f in a child: true if it returned true. */
static inline bool in_child(bool (*f)(void))
{
    int status;
    pid_t pid = fork();

    if (!pid)
        _exit(f() ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* For the end of main(). */
static inline int tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed != 0;
}

#endif
