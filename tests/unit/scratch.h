/* SPDX-License-Identifier: MIT */
/* Where a test's files go: what a killed one leaves there, the runner removes.
 */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>

/* A template for mkdtemp() and mkstemp(), in the runner's $TMPDIR. */
static inline char *scratch_name(char *buf, size_t size)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(buf, size, "%s/kxen-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    return buf;
}

#endif
