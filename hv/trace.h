/* SPDX-License-Identifier: MIT */
/*
 * Hypercall tracing: one line a call, of those that come to hv (what the
 * monitor answers in guest context is not among them).  Text, since people
 * and awk read it.
 */
#ifndef HV_TRACE_H
#define HV_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include "hv/guest_access.h"

struct domain;

/*
 * From now on d's hypercalls are written to fd, a pipe whose other end a
 * reader holds; fd is duplicated and made non-blocking.  -EBUSY while another
 * reader has it, -EINVAL: no pipe, -errno.  Ends by itself when the reader
 * goes.
 */
int trace_start(struct domain *d, int fd);

/* No more of it; for a domain that goes. */
void trace_stop(struct domain *d);

/* True if someone reads d's trace: cheap, for every call. */
bool trace_wanted(const struct domain *d);

/* One call, that began at start_ns of system time, with its result. */
void trace_hypercall(struct caller *c, const char *name, uint64_t nr,
                     const uint64_t args[6], long rc, uint64_t start_ns);

#endif
