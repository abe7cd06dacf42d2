/* SPDX-License-Identifier: MIT */
/* What the two formats of a memory dump share. */
#ifndef DOM0_CORE_PRIVATE_H
#define DOM0_CORE_PRIVATE_H

#include "dom0/core_file.h"

#include <stddef.h>
#include <sys/types.h>

/* All of it at that offset. 0 or -errno. */
int core_write_all(int fd, const void *buf, size_t len, off_t at);
/* The guest's pages from offset data on, as core_write() has them. */
int core_write_memory(int fd, const struct core_mem *mem, off_t data,
                      atomic_ullong *done);

#endif
