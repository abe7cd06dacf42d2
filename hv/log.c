/* SPDX-License-Identifier: MIT */
#include "hv/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hv/domain.h"
#include "hv/vcpu.h"

struct log_ring {
    size_t size, prod, cons;
    char data[];
};

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_ring *the_ring;

struct log_ring *log_ring_new(size_t size)
{
    struct log_ring *r = calloc(1, sizeof(*r) + size);

    if (r)
        r->size = size;
    return r;
}

void log_ring_free(struct log_ring *r)
{
    free(r);
}

void log_set_ring(struct log_ring *r)
{
    pthread_mutex_lock(&log_lock);
    the_ring = r;
    pthread_mutex_unlock(&log_lock);
}

static void log_line(const char *line, size_t len)
{
    pthread_mutex_lock(&log_lock);
    if (the_ring) {
        for (size_t i = 0; i < len; i++)
            the_ring->data[the_ring->prod++ % the_ring->size] = line[i];
        if (the_ring->prod - the_ring->cons > the_ring->size)
            the_ring->cons = the_ring->prod - the_ring->size;
    }
    pthread_mutex_unlock(&log_lock);
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nobody listens: the ring still has it */
}

static void log_v(const char *prefix, const char *fmt, va_list ap)
{
    char line[512];
    int n = snprintf(line, sizeof(line), "(hv) %s", prefix);
    int m = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);

    n += m < (int)sizeof(line) - n - 1 ? m : (int)sizeof(line) - n - 2;
    /* Guests choose part of the text: keep it printable. */
    for (int i = 0; i < n; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '.';
    line[n++] = '\n';
    log_line(line, n);
}

void hv_log(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_v("", fmt, ap);
    va_end(ap);
}

/* A boot's worth of lines at once, and then so many a second. */
#define LOG_BURST     1000
#define LOG_PER_S     50
#define LOG_NS_A_LINE (1000000000ull / LOG_PER_S)

/* Counts a line against d's allowance; how many were dropped before it. */
static bool log_allowed(struct domain *d, unsigned int *dropped)
{
    uint64_t now = hv_system_time(d->hv);
    bool ok;

    pthread_mutex_lock(&log_lock);
    *dropped = 0;
    if (d->log_paid_ns < now)
        d->log_paid_ns = now;
    ok = d->log_paid_ns - now <= (LOG_BURST - 1) * LOG_NS_A_LINE;
    if (ok) {
        d->log_paid_ns += LOG_NS_A_LINE;
        *dropped = d->log_dropped;
        d->log_dropped = 0;
    } else {
        d->log_dropped++;
    }
    pthread_mutex_unlock(&log_lock);
    return ok;
}

void domain_log(struct domain *d, const char *fmt, ...)
{
    unsigned int dropped;
    char prefix[32];
    va_list ap;

    if (!log_allowed(d, &dropped))
        return;
    if (dropped)
        hv_log("d%u: %u lines more were not shown", d->domid, dropped);
    snprintf(prefix, sizeof(prefix), "d%u: ", d->domid);
    va_start(ap, fmt);
    log_v(prefix, fmt, ap);
    va_end(ap);
}

size_t log_read(char *buf, size_t size, int clear)
{
    size_t n = 0;

    pthread_mutex_lock(&log_lock);
    if (the_ring) {
        size_t c = the_ring->cons;

        if (the_ring->prod - c > size)
            c = the_ring->prod - size;
        for (; c < the_ring->prod; c++)
            buf[n++] = the_ring->data[c % the_ring->size];
        if (clear)
            the_ring->cons = the_ring->prod;
    }
    pthread_mutex_unlock(&log_lock);
    return n;
}
