/* SPDX-License-Identifier: MIT */
#ifndef DOM0_AHEAD_H
#define DOM0_AHEAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Has the kernel make the pages of at[len], which is about to be written, in
 * one go: a fault for each costs more than half of unpacking a kernel.  Where
 * that cannot be had, they come as they are touched.
 */
static inline void pages_ahead(void *at, size_t len)
{
    uintptr_t page = sysconf(_SC_PAGESIZE), from = (uintptr_t)at & -page;

#ifdef MADV_POPULATE_WRITE
    (void)madvise((void *)from, (uintptr_t)at + len - from,
                  MADV_POPULATE_WRITE);
#else
    (void)from;
    (void)len;
#endif
}

#endif
