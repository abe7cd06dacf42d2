/* SPDX-License-Identifier: MIT */
/* Paths and permissions as they are written on the wire. */
#ifndef XENSTORE_CORE_NAMES_H
#define XENSTORE_CORE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xenstore/core/tree.h"

#define STORE_PATH_BYTES (3072 + 1) /* XENSTORE_ABS_PATH_MAX and the end */

/*
 * Whether an absolute path (or, with special, an "@name") is well formed.
 * max_len counts behind "/local/domain/<id>/".
 */
bool path_valid(const char *path, bool special, size_t max_len);

/*
 * Makes path absolute (relative to /local/domain/<domid>) in buf and checks
 * it.  -EINVAL: malformed or too long.
 */
int path_canonical(char buf[STORE_PATH_BYTES], const char *path, uint32_t domid,
                   bool special, size_t max_len);

/* The length of "/local/domain/<domid>/", which a relative path hides. */
size_t path_home_len(uint32_t domid);

/* Parses "b12" into *perm.  -EINVAL. */
int perm_parse(struct store_perm *perm, const char *s);

/* Writes "b12" and its end into buf; the length without the end. */
int perm_format(char *buf, size_t size, const struct store_perm *perm);

/*
 * Parses a decimal number up to max, with nothing behind it.  -EINVAL.
 */
int number_parse(const char *s, uint64_t max, uint64_t *value);

#endif
