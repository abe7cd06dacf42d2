/* SPDX-License-Identifier: MIT */
#include "dom0/dom0_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* One write() a line, so that threads and processes do not mix theirs. */
static void log_line(const char *severity, const char *fmt, va_list ap)
{
    char line[1200];
    struct timeval tv;
    struct tm tm;
    int n;

    gettimeofday(&tv, NULL);
    localtime_r(&tv.tv_sec, &tm);
    n = snprintf(line, sizeof(line), "%02d:%02d:%02d.%03d dom0: %s", tm.tm_hour,
                 tm.tm_min, tm.tm_sec, (int)(tv.tv_usec / 1000), severity);
    n += vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
    if (n > (int)sizeof(line) - 2)
        n = sizeof(line) - 2;
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0)
        return; /* nowhere left to say so */
}

#define LOG_FN(name, severity)                                                 \
    void name(const char *fmt, ...)                                            \
    {                                                                          \
        va_list ap;                                                            \
        va_start(ap, fmt);                                                     \
        log_line(severity, fmt, ap);                                           \
        va_end(ap);                                                            \
    }

LOG_FN(dom0_info, "")
LOG_FN(dom0_warn, "warning: ")
LOG_FN(dom0_error, "error: ")

void dom0_debug(const char *fmt, ...)
{
    va_list ap;

    if (!getenv("KXEN_DEBUG"))
        return;
    va_start(ap, fmt);
    log_line("debug: ", fmt, ap);
    va_end(ap);
}
