/* SPDX-License-Identifier: MIT */
#include "dom0/cpu_list.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool get(const uint8_t *map, unsigned cpu)
{
    return map[cpu / 8] >> (cpu % 8) & 1;
}

static void set(uint8_t *map, unsigned cpu, bool on)
{
    uint8_t bit = 1u << (cpu % 8);

    map[cpu / 8] = on ? map[cpu / 8] | bit : map[cpu / 8] & ~bit;
}

/* Digits at *p, which moves behind them. */
static int number(const char **p, unsigned *value)
{
    char *end;
    unsigned long n;

    if (!isdigit((unsigned char)**p))
        return -EINVAL;
    n = strtoul(*p, &end, 10);
    if (n >= CPU_LIST_MAX)
        return -EINVAL;
    *p = end;
    *value = n;
    return 0;
}

/* "[^]all", "[^]N", "[^]N-M" at *p, which moves behind it. */
static int part(const char **p, uint8_t *map)
{
    bool on = **p != '^';
    unsigned from = 0, to = CPU_LIST_MAX - 1;

    *p += !on;
    if (!strncmp(*p, "all", 3)) {
        *p += 3;
    } else {
        if (number(p, &from))
            return -EINVAL;
        to = from;
        if (**p == '-' && (++*p, number(p, &to)))
            return -EINVAL;
        if (to < from)
            return -EINVAL;
    }
    for (; from <= to; from++)
        set(map, from, on);
    return 0;
}

int cpu_list_parse(const char *text, uint8_t map[CPU_LIST_BYTES])
{
    unsigned i;

    memset(map, 0, CPU_LIST_BYTES);
    for (;;) {
        text += strspn(text, " ");
        if (part(&text, map))
            return -EINVAL;
        text += strspn(text, " ");
        if (*text != ',')
            break;
        text++;
    }
    for (i = 0; i < CPU_LIST_BYTES && !map[i];)
        i++;
    return *text || i == CPU_LIST_BYTES ? -EINVAL : 0;
}

void cpu_list_format(const uint8_t map[CPU_LIST_BYTES], unsigned nr_cpus,
                     char *text, size_t size)
{
    size_t len = 0;
    unsigned i, from;

    *text = 0;
    for (i = 0; i < nr_cpus && get(map, i);)
        i++;
    if (i == nr_cpus) {
        snprintf(text, size, "all");
        return;
    }
    for (i = 0; i < CPU_LIST_MAX && len < size; i++) {
        if (!get(map, i))
            continue;
        for (from = i; i + 1 < CPU_LIST_MAX && get(map, i + 1);)
            i++;
        len += from == i ? snprintf(text + len, size - len, "%s%u",
                                    len ? "," : "", from)
                         : snprintf(text + len, size - len, "%s%u-%u",
                                    len ? "," : "", from, i);
    }
}
