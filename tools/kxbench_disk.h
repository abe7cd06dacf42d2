/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_KXBENCH_DISK_H
#define TOOLS_KXBENCH_DISK_H

#include "tools/kxbench.h"

#define KXB_DISK_SUITE "disk"
#define KXB_BLOCK      4096
#define KXB_DEPTH_MAX  32

/*
 * Reads (or writes) nr random blocks of the image by io_uring, one at a time,
 * and adds their latencies to row `name`.  0 or -Exxx after saying why.
 */
int kxb_uring_run(struct kxb *b, const char *image, bool write,
                  const char *name, unsigned nr);

#endif
