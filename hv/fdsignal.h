/* SPDX-License-Identifier: MIT */
/*
 * Signalling an eventfd that others have too.  They share the open file, so
 * they can make it blocking and fill its counter: write(2) would then hold us
 * up for as long as they like.  The kernel's own way of counting an eventfd up
 * never waits, and asynchronous I/O that is complete at once leads there.
 */
#ifndef HV_FDSIGNAL_H
#define HV_FDSIGNAL_H

#include <linux/aio_abi.h>

struct fdsignal {
    aio_context_t ctx; /* 0: none, plain writes must do */
    int ready_fd;      /* always readable: what the I/O waits for */
};

/* 0, or -errno where the kernel has no such I/O (plain writes then). */
int fdsignal_init(struct fdsignal *s);
void fdsignal_free(struct fdsignal *s);

/* Any thread. 0 (also when the counter is full: it is readable), or -errno. */
int fdsignal_send(const struct fdsignal *s, int eventfd);

#endif
