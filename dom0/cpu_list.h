/* SPDX-License-Identifier: MIT */
/* Sets of host CPUs in words, as xl has them: "0-3,^1,7", "all". */
#ifndef DOM0_CPU_LIST_H
#define DOM0_CPU_LIST_H

#include <stddef.h>
#include <stdint.h>

#define CPU_LIST_MAX   1024 /* CPUs */
#define CPU_LIST_BYTES (CPU_LIST_MAX / 8)

/*
 * Reads text into map (bit n of map[n / 8]).  Parts are taken in order; ^ takes
 * away.  0; -EINVAL: no such syntax, nothing left, or a CPU too high.
 */
int cpu_list_parse(const char *text, uint8_t map[CPU_LIST_BYTES]);

/*
 * The reverse: "0-3,7", or "all" if the first nr_cpus are in it, cut if it
 * does not fit.
 */
void cpu_list_format(const uint8_t map[CPU_LIST_BYTES], unsigned nr_cpus,
                     char *text, size_t size);

#endif
