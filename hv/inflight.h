/* SPDX-License-Identifier: MIT */
/* Memory that outlives the backend that uses it, kept per domain by name. */
#ifndef HV_INFLIGHT_H
#define HV_INFLIGHT_H

#include <stddef.h>
#include "hv/domain.h"

#define INFLIGHT_KEY_MAX 64
#define INFLIGHT_MAX     512 /* regions of one domain: one a disk's queue */
#define INFLIGHT_SIZE    (16u << 20)

/*
 * The region `key` of d, made zero filled if new.  A descriptor of the
 * caller's, or -EINVAL (another size, a bad key), -ENOSPC, -errno.
 */
int inflight_get(struct domain *d, const char *key, size_t size);

/* Forgets it; -ENOENT if there is none. */
int inflight_drop(struct domain *d, const char *key);

void inflight_free(struct domain *d);

#endif
