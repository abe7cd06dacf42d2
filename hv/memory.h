/* SPDX-License-Identifier: MIT */
/* A domain's memory: the sealed memfd, its frames, XENMEM_* calls. */
#ifndef HV_MEMORY_H
#define HV_MEMORY_H

#include "hv/domain.h"

/*
 * Sizes and maps d's memfd for at most kib of RAM and makes its vCPUs.  Later
 * calls move the limit, also below what d has now; -ENOMEM above the first.
 * -EEXIST after a failure or for domain 0, -EINVAL if 0 or over 1 TiB, -ENOMEM
 * if it is more than the host has, -ESRCH if d is dying, or -errno.
 */
int domain_set_max_mem(struct domain *d, uint64_t kib);

/*
 * Gives d nr more frames, their numbers (ascending) to gfns unless NULL.
 * -ENOMEM, and none given, if that exceeds the limit.
 */
int domain_populate(struct domain *d, uint64_t nr, uint64_t *gfns);

/* True once domain_set_max_mem() has succeeded. */
bool domain_has_memory(struct domain *d);

/* Lets go of everything above; nothing may use the memory any more. */
void memory_free(struct domain *d);

#endif
