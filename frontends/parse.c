/* SPDX-License-Identifier: MIT */
#include "frontends/include/lib.h"

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

int parse_u64(const char **s, unsigned int base, uint64_t *out)
{
    const char *p = *s;
    uint64_t v = 0, next;
    int n = 0;

    if ((base == 0 || base == 16) && p[0] == '0' &&
        (p[1] == 'x' || p[1] == 'X')) {
        base = 16;
        p += 2;
    } else if (base == 0) {
        base = 10;
    }
    for (; digit_value(*p) < (int)base; p++, n++) {
        if (__builtin_mul_overflow(v, (uint64_t)base, &next) ||
            __builtin_add_overflow(next, (uint64_t)digit_value(*p), &v))
            return -EINVAL;
    }
    if (n == 0)
        return -EINVAL;
    *s = p;
    *out = v;
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

bool cmdline_get(const char *line, const char *key, unsigned int n, char *buf,
                 size_t size)
{
    size_t klen = strlen(key), len;
    const char *value;

    while (*line) {
        while (is_blank(*line))
            line++;
        for (len = 0; line[len] && !is_blank(line[len]); len++)
            ;
        if (len >= klen && strncmp(line, key, klen) == 0 &&
            (len == klen || line[klen] == '=') && len > 0 && n-- == 0) {
            value = len == klen ? "1" : line + klen + 1;
            len = len == klen ? 1 : len - klen - 1;
            format_snprintf(buf, size, "%.*s", (int)len, value);
            return true;
        }
        line += len;
    }
    return false;
}

uint64_t cmdline_u64(const char *line, const char *key, uint64_t dflt)
{
    char buf[32];
    const char *p = buf;
    uint64_t v;

    if (!cmdline_get(line, key, 0, buf, sizeof(buf)) || parse_u64(&p, 0, &v))
        return dflt;
    switch (*p) {
    case 'k':
    case 'K':
        return v << 10;
    case 'm':
    case 'M':
        return v << 20;
    case 'g':
    case 'G':
        return v << 30;
    }
    return v;
}
