/* SPDX-License-Identifier: MIT */
#include "dom0/spec_param.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int spec_fail(struct spec_error *err, size_t offset, const char *fmt, ...)
{
    va_list ap;

    err->offset = offset;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return -EINVAL;
}

/* Narrows [*from, *to) of text to what is not white space at its ends. */
static void trim(const char *text, size_t *from, size_t *to)
{
    while (*from < *to && isspace((unsigned char)text[*from]))
        (*from)++;
    while (*to > *from && isspace((unsigned char)text[*to - 1]))
        (*to)--;
}

static int split_key(const char *text, struct spec_param *param, size_t equals,
                     struct spec_error *err)
{
    size_t from = param->offset, to = equals;

    trim(text, &from, &to);
    if (from == to)
        return spec_fail(err, from, "expected a parameter's name before '='");
    if (to - from >= sizeof(param->key))
        return spec_fail(err, from, "expected a parameter, found '%.60s'",
                         text + from);
    memcpy(param->key, text + from, to - from);
    return 1;
}

int spec_next(struct spec_cursor *cursor, struct spec_param *param,
              struct spec_error *err)
{
    const char *text = cursor->text;
    size_t from = cursor->at, to = from + strcspn(text + from, ",");
    const char *equals = memchr(text + from, '=', to - from);
    int rc = 1;

    if (cursor->done)
        return 0;
    *param = (struct spec_param){.end = to};
    cursor->done = text[to] == '\0';
    cursor->at = cursor->done ? to : to + 1;
    trim(text, &from, &to);
    param->offset = from;
    if (equals) {
        rc = split_key(text, param, equals - text, err);
        from = equals + 1 - text;
        trim(text, &from, &to);
    }
    param->value = text + from;
    param->value_offset = from;
    param->len = to - from;
    return rc;
}

bool spec_is(const struct spec_param *param, const char *word)
{
    return param->len == strlen(word) &&
           !memcmp(param->value, word, param->len);
}

int spec_string(const struct spec_param *param, char **to,
                struct spec_error *err)
{
    if (*to)
        return spec_fail(err, param->offset,
                         "expected '%s' only once, found it again",
                         param->key[0] ? param->key : "this parameter");
    if (!param->len)
        return 0;
    *to = strndup(param->value, param->len);
    return *to ? 0 : -ENOMEM;
}

int spec_number(const struct spec_param *param, unsigned long min,
                unsigned long max, unsigned long *to, struct spec_error *err)
{
    unsigned long value = 0;
    size_t i = 0;

    for (; i < param->len && isdigit((unsigned char)param->value[i]); i++) {
        value = value * 10 + param->value[i] - '0';
        if (value > max)
            break;
    }
    if (!param->len || i < param->len || value < min)
        return spec_fail(err, param->value_offset,
                         "expected %s to be a number from %lu to %lu, found "
                         "'%.*s'",
                         param->key, min, max, (int)param->len, param->value);
    *to = value;
    return 0;
}
