/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_CONSOLE_H
#define FRONTENDS_CONSOLE_H

#include "frontends/include/lib.h"

/*
 * A console, whatever drives it. A driver fills in a struct console and calls
 * console_register() from its probe. printf uses the active one: the driver
 * named by console=NAME on the command line, else "xen", else the first.
 */
struct console;

struct console_ops {
    /*
     * Take up to len bytes, return how many (0: no room now), -Exxx if dead.
     * Must not sleep.
     */
    int (*write)(struct console *con, const char *s, size_t len);
    /* Up to len bytes that have arrived, 0 if none. Must not sleep. */
    int (*read)(struct console *con, char *buf, size_t len);
    /* Events off, before sleeping: input to read? Re-arms the event if not. */
    bool (*readable)(struct console *con);
    /* The same for room to write; NULL: the writer spins. */
    bool (*writable)(struct console *con);
    /* Has everything left for the other side? Used before shutdown. */
    bool (*drained)(struct console *con);
};

struct console {
    const char *driver; /* "xen", "uart" */
    const struct console_ops *ops;
    bool dead;
    uint64_t bytes_out;
    struct console *next;
};

void console_register(struct console *con);
struct console *console_active(void);
struct console *console_find(const char *driver);

/* Writes all, waiting for room (spinning while events are off); -EIO if dead.
 */
int console_write(struct console *con, const char *s, size_t len);
/* As above with \n sent as \r\n. */
int console_write_text(struct console *con, const char *s, size_t len);
/* Whether console_getc would not wait; for wait_event conditions. */
bool console_readable(struct console *con);
/* Next byte if there is one, else -EAGAIN; -EIO if dead. */
int console_getc(struct console *con);
/* Waits, at most a second, until all output was taken. */
void console_drain(struct console *con);

#endif
