/* SPDX-License-Identifier: MIT */
/* One packet with at most one descriptor beside it. */
#ifndef HV_FDPASS_H
#define HV_FDPASS_H

#include <stddef.h>
#include <sys/types.h>

/* Sends len bytes and, unless negative, fd. 0 or -errno. */
int fdpass_send(int sock, const void *buf, size_t len, int fd);

/*
 * Receives one packet of up to len bytes; *fd is -1 or the caller's. The
 * packet's length (0: the peer has gone), or -errno.
 */
ssize_t fdpass_recv(int sock, void *buf, size_t len, int *fd);

#endif
