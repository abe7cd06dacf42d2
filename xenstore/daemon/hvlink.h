/* SPDX-License-Identifier: MIT */
/*
 * The store's tie to the hypervisor: maps the rings of introduced domains,
 * binds their ports, and learns by VIRQ_DOM_EXC that a domain went down.
 * Works through Xen's own libraries; without an hv it keeps trying.
 */
#ifndef XENSTORE_DAEMON_HVLINK_H
#define XENSTORE_DAEMON_HVLINK_H

#include "xenstore/daemon/loop.h"

struct shvlink;

/*
 * Starts the link in worker's loop and gives the store its host.  *out is
 * freed by shvlink_close(), after the workers ended.  -errno.
 */
int shvlink_open(struct sworker *worker, struct shvlink **out);
void shvlink_close(struct shvlink *l);

#endif
