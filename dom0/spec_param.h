/* SPDX-License-Identifier: MIT */
/*
 * "a,b=c,d": the parameters of a device specification, one by one.  Private
 * to dom0/{disk,vif,trapped}_spec.c.
 */
#ifndef DOM0_SPEC_PARAM_H
#define DOM0_SPEC_PARAM_H

#include <stdbool.h>
#include <stddef.h>
#include "dom0/disk_spec.h"

struct spec_cursor {
    const char *text;
    size_t at;
    bool done;
};

/* One parameter: white space around key and value is already gone. */
struct spec_param {
    size_t offset;       /* of the parameter in the specification */
    char key[32];        /* "" when it holds no '=' */
    const char *value;   /* behind the '=', or all of it */
    size_t value_offset; /* of value in the specification */
    size_t len;          /* of value */
    size_t end;          /* offset of the ',' or of the end */
};

/*
 * The next parameter into *param: 1, 0 when there is none, -EINVAL with *err
 * filled when its key is too long.
 */
int spec_next(struct spec_cursor *cursor, struct spec_param *param,
              struct spec_error *err);

/* Whether the parameter's value is `word`. */
bool spec_is(const struct spec_param *param, const char *word);

/*
 * Copies the value into *to: 0, -EEXIST if *to is set already, -ENOMEM; an
 * empty value leaves NULL.
 */
int spec_string(const struct spec_param *param, char **to,
                struct spec_error *err);

/* A decimal number from min to max: 0 or -EINVAL with *err filled. */
int spec_number(const struct spec_param *param, unsigned long min,
                unsigned long max, unsigned long *to, struct spec_error *err);

/* Fills *err and returns -EINVAL. */
int spec_fail(struct spec_error *err, size_t offset, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
