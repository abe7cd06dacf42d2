/* SPDX-License-Identifier: MIT */
/* hv's message ring and standard error. */
#ifndef HV_LOG_H
#define HV_LOG_H

#include <stddef.h>
#include <stdint.h>

struct domain;
struct log_ring;

/* size bytes are kept, the newest win.  NULL when out of memory. */
struct log_ring *log_ring_new(size_t size);
void log_ring_free(struct log_ring *r);

/* The ring that hv_log() fills; standard error gets a copy of each line. */
void log_set_ring(struct log_ring *r);

/* One line (a newline is added), for the host's administrator. */
void hv_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * One line about a domain, "d3: ...".  Rate limited per domain (a guest can
 * cause them): past the limit they are counted and the count is logged.
 */
void domain_log(struct domain *d, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Copies out the oldest-first contents; returns the bytes copied. */
size_t log_read(char *buf, size_t size, int clear);

#endif
