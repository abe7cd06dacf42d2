/* SPDX-License-Identifier: MIT */
#include "dom0/config_syntax.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A line longer than this is shown from near the column on. */
#define LINE_SHOWN 100

static void append(struct config_error *err, const char *s, size_t len)
{
    size_t have = strlen(err->text);

    snprintf(err->text + have, sizeof(err->text) - have, "%.*s", (int)len, s);
}

/* Control bytes would upset the terminal: shown as '?'. */
static void append_shown(struct config_error *err, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = s[i];

        append(err, (c < ' ' && c != '\t') || c == 0x7f ? "?" : s + i, 1);
    }
}

/* Spaces as wide as s, tabs kept so that the caret lines up. */
static void append_indent(struct config_error *err, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        append(err, s[i] == '\t' ? "\t" : " ", 1);
}

static void append_line(struct config_error *err, const struct config_pos *pos)
{
    const struct config_source *src = pos->source;
    size_t at = pos->offset < src->len ? pos->offset : src->len;
    size_t start = at, end = at;

    while (start > 0 && src->text[start - 1] != '\n')
        start--;
    while (end < src->len && src->text[end] != '\n')
        end++;
    if (at - start > LINE_SHOWN)
        start = at - LINE_SHOWN / 2;
    if (end - start > LINE_SHOWN)
        end = start + LINE_SHOWN;
    append(err, "\n    ", 5);
    append_shown(err, src->text + start, end - start);
    append(err, "\n    ", 5);
    append_indent(err, src->text + start, at - start);
    append(err, "^", 1);
}

int config_fail(struct config_error *err, const struct config_pos *pos,
                const char *fmt, ...)
{
    char message[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    snprintf(err->file, sizeof(err->file), "%s", pos->source->name);
    err->line = pos->line;
    err->column = pos->column;
    snprintf(err->text, sizeof(err->text), "%s:%u:%u: ", err->file, err->line,
             err->column);
    append_shown(err, message, strlen(message));
    append_line(err, pos);
    return -EINVAL;
}
