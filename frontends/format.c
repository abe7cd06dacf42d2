/* SPDX-License-Identifier: MIT */
#include "frontends/include/lib.h"

struct out {
    char *buf;
    size_t size, len;
};

struct spec {
    bool left, zero;
    int width, precision; /* precision -1: none given */
    int size;             /* 0 int, 1 long, 2 long long or size_t */
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void put_padded(struct out *o, const struct spec *sp, const char *sign,
                       const char *text, int len)
{
    int slen = (int)strlen(sign), pad = sp->width - slen - len;

    if (!sp->left && !sp->zero)
        for (; pad > 0; pad--)
            put(o, ' ');
    for (; *sign; sign++)
        put(o, *sign);
    if (!sp->left && sp->zero)
        for (; pad > 0; pad--)
            put(o, '0');
    for (; len > 0; len--)
        put(o, *text++);
    for (; pad > 0; pad--)
        put(o, ' ');
}

static void put_number(struct out *o, const struct spec *sp, const char *sign,
                       uint64_t v, unsigned int base, const char *digits)
{
    char tmp[64];
    int n = 0;
    struct spec number = *sp;

    for (; v; v /= base)
        tmp[sizeof(tmp) - ++n] = digits[v % base];
    while (n < MIN(sp->precision < 0 ? 1 : sp->precision, 60))
        tmp[sizeof(tmp) - ++n] = '0';
    if (sp->precision >= 0)
        number.zero = false;
    put_padded(o, &number, sign, tmp + sizeof(tmp) - n, n);
}

static uint64_t take_unsigned(int size, va_list *ap)
{
    if (size == 0)
        return va_arg(*ap, unsigned int);
    return va_arg(*ap, uint64_t);
}

static int64_t take_signed(int size, va_list *ap)
{
    if (size == 0)
        return va_arg(*ap, int);
    return va_arg(*ap, int64_t);
}

static int parse_count(const char **fmt, va_list *ap)
{
    int n = 0;

    if (**fmt == '*') {
        (*fmt)++;
        return va_arg(*ap, int);
    }
    for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++)
        if (n < 10000)
            n = n * 10 + (**fmt - '0');
    return n;
}

static void parse_spec(const char **fmt, struct spec *sp, va_list *ap)
{
    *sp = (struct spec){.precision = -1};
    for (;; (*fmt)++) {
        if (**fmt == '-')
            sp->left = true;
        else if (**fmt == '0')
            sp->zero = true;
        else
            break;
    }
    sp->width = parse_count(fmt, ap);
    if (sp->width < 0) {
        sp->left = true;
        sp->width = -sp->width;
    }
    if (**fmt == '.') {
        (*fmt)++;
        sp->precision = parse_count(fmt, ap);
    }
    for (; **fmt == 'l' || **fmt == 'z'; (*fmt)++)
        sp->size++;
}

static void put_conversion(struct out *o, char conv, struct spec *sp,
                           va_list *ap)
{
    static const char lower[] = "0123456789abcdef";
    static const char upper[] = "0123456789ABCDEF";
    const char *s;
    int64_t d;
    char c;

    switch (conv) {
    case 'd':
    case 'i':
        d = take_signed(sp->size, ap);
        put_number(o, sp, d < 0 ? "-" : "", d < 0 ? -(uint64_t)d : (uint64_t)d,
                   10, lower);
        break;
    case 'u':
        put_number(o, sp, "", take_unsigned(sp->size, ap), 10, lower);
        break;
    case 'x':
        put_number(o, sp, "", take_unsigned(sp->size, ap), 16, lower);
        break;
    case 'X':
        put_number(o, sp, "", take_unsigned(sp->size, ap), 16, upper);
        break;
    case 'p':
        put_number(o, sp, "0x", (uintptr_t)va_arg(*ap, void *), 16, lower);
        break;
    case 's':
        s = va_arg(*ap, const char *);
        sp->zero = false;
        if (!s)
            s = "(null)";
        put_padded(o, sp, "", s,
                   (int)strnlen(s, sp->precision < 0 ? 1 << 20
                                                     : (size_t)sp->precision));
        break;
    case 'c':
        c = (char)va_arg(*ap, int);
        sp->zero = false;
        put_padded(o, sp, "", &c, 1);
        break;
    default:
        put(o, '%');
        if (conv)
            put(o, conv);
    }
}

static void format(struct out *o, const char *fmt, va_list *ap)
{
    struct spec sp;

    while (*fmt) {
        if (*fmt != '%') {
            put(o, *fmt++);
            continue;
        }
        fmt++;
        if (*fmt == '%') {
            put(o, *fmt++);
            continue;
        }
        parse_spec(&fmt, &sp, ap);
        put_conversion(o, *fmt, &sp, ap);
        if (*fmt)
            fmt++;
    }
}

int format_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
    struct out o = {.buf = buf, .size = size};
    va_list copy;

    /* A va_list parameter cannot be passed on by address, its copy can. */
    va_copy(copy, ap);
    format(&o, fmt, &copy);
    va_end(copy);
    if (size)
        buf[MIN(o.len, size - 1)] = '\0';
    return (int)o.len;
}

int format_snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = format_vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}
