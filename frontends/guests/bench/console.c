/* SPDX-License-Identifier: MIT */
/* Console: characters per second, until the other side has taken them all. */
#include "frontends/guests/bench/bench.h"
#include "frontends/include/console.h"

#define DEFAULT_CHARS (256 << 10)
#define LINE          80

static void fill_line(char *line)
{
    int i;

    for (i = 0; i < LINE - 2; i++)
        line[i] = (char)('!' + i);
    line[LINE - 2] = '\r';
    line[LINE - 1] = '\n';
}

static void wait_drained(struct console *con)
{
    while (!con->dead && con->ops->drained && !con->ops->drained(con))
        cpu_relax();
}

int bench_console(void)
{
    char name[16] = "xen", line[LINE];
    struct console *con;
    uint64_t start, ns, events, chars = 0;
    size_t total = bench_count(DEFAULT_CHARS);
    int rc = 0;

    cmdline_get(cmdline(), "driver", 0, name, sizeof(name));
    con = console_find(name);
    if (!con) {
        printf("bench: there is no console '%s'\n", name);
        return -ENODEV;
    }
    fill_line(line);
    wait_drained(con);
    events = events_count();
    start = time_ns();
    for (; chars < total && !rc; chars += LINE)
        rc = console_write(con, line, LINE);
    wait_drained(con);
    ns = time_ns() - start;
    events = events_count() - events;
    if (!rc)
        printf("BENCH {\"name\":\"chars\",\"driver\":\"%s\",\"ops\":%lu,"
               "\"ns\":%lu,\"events\":%lu}\n",
               con->driver, chars, ns, events);
    return rc;
}
