/* SPDX-License-Identifier: MIT */
/* The Unix-socket wire: local clients, who speak for domain 0. */
#ifndef XENSTORE_DAEMON_SOCKET_H
#define XENSTORE_DAEMON_SOCKET_H

#include "xenstore/daemon/loop.h"

struct slistener;

/*
 * Listens at path (mode 0600) in worker[0]'s loop; connections are spread over
 * the workers.  *out is closed by slistener_close().  -EADDRINUSE: another
 * store answers there; other -errno of socket calls.
 */
int slistener_open(struct sworker *workers, unsigned int nr_workers,
                   const char *path, struct slistener **out);
/* As slistener_open(), with a listening descriptor got by a live update. */
int slistener_resume(struct sworker *workers, unsigned int nr_workers,
                     const char *path, int fd, struct slistener **out);

/*
 * Live update, old side: writes all its connections to the journal and lets
 * their descriptors and its own, which is returned, pass through exec().  The
 * workers have ended.  -errno.
 */
int slistener_hand_on(struct slistener *l);

/* New side: serves s->parked_sockets, which the journal brought. */
void slistener_adopt(struct slistener *l);

void slistener_close(struct slistener *l);

#endif
