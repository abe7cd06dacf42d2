/* SPDX-License-Identifier: MIT */
/* Consoles by whatever driver, and printf. */
#include "frontends/include/console.h"
#include "frontends/include/cpu.h"

#define PATIENCE_NS NSEC_PER_SEC /* for a reader, when we cannot sleep */

static struct console *consoles, *active;
static bool panicking;
static char lock;

void console_register(struct console *con)
{
    char want[16] = "xen";

    con->next = consoles;
    consoles = con;
    cmdline_get(cmdline(), "console", 0, want, sizeof(want));
    if (!active || strcmp(con->driver, want) == 0)
        active = con;
}

struct console *console_active(void)
{
    return active;
}

struct console *console_find(const char *driver)
{
    struct console *con = consoles;

    while (con && strcmp(con->driver, driver) != 0)
        con = con->next;
    return con;
}

void console_panic_mode(void)
{
    panicking = true;
}

/* Room came, or the patience of one who must not sleep is at its end. */
static bool wait_writable(struct console *con, bool can_sleep)
{
    uint64_t end = time_ns() + PATIENCE_NS;

    if (!con->ops->writable) {
        cpu_relax();
        return true;
    }
    if (can_sleep) {
        wait_event(con->dead || con->ops->writable(con));
        return true;
    }
    while (!con->ops->writable(con)) {
        if (time_ns() > end)
            return false;
        cpu_relax();
    }
    return true;
}

int console_write(struct console *con, const char *s, size_t len)
{
    bool can_sleep = !this_cpu()->info->evtchn_upcall_mask && !panicking;
    int n;

    while (len && !con->dead) {
        n = con->ops->write(con, s, len);
        if (n < 0) {
            con->dead = true;
            break;
        }
        s += n;
        len -= (size_t)n;
        con->bytes_out += (uint64_t)n;
        if (n == 0 && !wait_writable(con, can_sleep))
            break;
    }
    return len ? -EIO : 0;
}

int console_write_text(struct console *con, const char *s, size_t len)
{
    size_t n;
    int rc = 0;

    while (len && !rc) {
        for (n = 0; n < len && s[n] != '\n'; n++)
            ;
        rc = console_write(con, s, n);
        if (!rc && n < len) {
            rc = console_write(con, "\r\n", 2);
            n++;
        }
        s += n;
        len -= n;
    }
    return rc;
}

bool console_readable(struct console *con)
{
    return con->dead || con->ops->readable(con);
}

int console_getc(struct console *con)
{
    char c;
    int n;

    if (con->dead)
        return -EIO;
    n = con->ops->read(con, &c, 1);
    if (n < 0)
        con->dead = true;
    return n == 1 ? (unsigned char)c : n == 0 ? -EAGAIN : -EIO;
}

void console_drain(struct console *con)
{
    uint64_t end = time_ns() + PATIENCE_NS;

    while (!con->dead && con->ops->drained && !con->ops->drained(con) &&
           time_ns() < end)
        sleep_ns(NSEC_PER_MSEC);
}

int vprintf(const char *fmt, va_list ap)
{
    char buf[1024];
    size_t len;
    int n = vsnprintf(buf, sizeof(buf), fmt, ap);

    len = MIN((size_t)n, sizeof(buf) - 1);
    while (!panicking && __atomic_test_and_set(&lock, __ATOMIC_ACQUIRE))
        cpu_relax();
    if (active)
        console_write_text(active, buf, len);
    else
        xen_console_write(buf, len);
    __atomic_clear(&lock, __ATOMIC_RELEASE);
    return n;
}

int printf(const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vprintf(fmt, ap);
    va_end(ap);
    return n;
}
