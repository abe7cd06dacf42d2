/* SPDX-License-Identifier: MIT */
/* JSON files that are either the old or the new, whatever happens. */
#ifndef DOM0_RECORD_H
#define DOM0_RECORD_H

#include <jansson.h>
#include <stdint.h>

/* Writes path by way of a synced temporary file. 0 or -errno. */
int record_write(const char *path, const json_t *json);
/* The file's object, or NULL with errno (EBADMSG: damaged). */
json_t *record_read(const char *path);

/*
 * Calls fn for each <dir>/<number>.json that holds an object; the record is
 * borrowed.  A damaged one is set aside as .bad, and leftovers of writes are
 * removed.  0 or -errno.
 */
int record_each(const char *dir,
                void (*fn)(void *arg, uint32_t domid, json_t *rec), void *arg);

#endif
