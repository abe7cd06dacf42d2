/* SPDX-License-Identifier: MIT */
/* What the files behind dom0/config.h share. */
#ifndef DOM0_CONFIG_PRIVATE_H
#define DOM0_CONFIG_PRIVATE_H

#include "dom0/config.h"

#define DOMAIN_MEMORY_MAX_MIB (1u << 20)

/*
 * Checks a configuration as a whole, whatever it came from.  0, or -EINVAL
 * with what is wrong in message (size bytes).
 */
int domain_config_check(const struct domain_config *cfg, char *message,
                        size_t size);

/* A configuration of defaults; NULL when out of memory. */
struct domain_config *domain_config_new(void);

/*
 * Zeroed room for one more element of a list: the array, maybe moved, or
 * NULL.  The caller counts it once it is filled.
 */
void *domain_config_grow(void *list, size_t nr, size_t size);

/* Whether text is 8-4-4-4-12 hexadecimal digits; the case is free. */
int domain_uuid_check(const char *text);

#endif
