/* SPDX-License-Identifier: MIT */
/* console_io: a guest's emergency console is hv's log.  Source: xen/xen.h. */
#include <errno.h>
#include <string.h>
#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/vcpu.h"

#define CHUNK     256u
#define WRITE_MAX (64u * 1024)

/* Adds ch to d's line; true if that is complete now, and in line. */
static bool add_char(struct domain *d, char ch, char *line)
{
    if (ch != '\n' && d->console_len < sizeof(d->console_line) - 1) {
        if (ch != '\r' && ch)
            d->console_line[d->console_len++] = ch;
        return false;
    }
    memcpy(line, d->console_line, d->console_len);
    line[d->console_len] = 0;
    d->console_len = 0;
    if (ch != '\n' && ch != '\r' && ch)
        d->console_line[d->console_len++] = ch;
    return true;
}

/*
 * A domain's output comes in pieces; the log takes lines.  The lock is not
 * held over the log, whose reader may be slow.
 */
static void put(struct domain *d, const char *p, unsigned int n)
{
    char line[sizeof(d->console_line)];

    for (unsigned int i = 0; i < n; i++) {
        bool full;

        pthread_mutex_lock(&d->lock);
        full = add_char(d, p[i], line);
        pthread_mutex_unlock(&d->lock);
        if (full)
            domain_log(d, "%s", line);
    }
}

static long console_write(struct caller *c, guest_addr_t from, uint64_t count)
{
    char buf[CHUNK];

    if (count > WRITE_MAX)
        return -EINVAL;
    for (uint64_t done = 0; done < count;) {
        unsigned int n = count - done < CHUNK ? count - done : CHUNK;

        if (copy_from_guest(c, buf, guest_addr_index(from, done, 1), n))
            return -EFAULT;
        put(c->d, buf, n);
        done += n;
    }
    return 0;
}

long do_console_io(struct caller *c, const uint64_t args[6])
{
    switch ((uint32_t)args[0]) {
    case CONSOLEIO_write:
        return console_write(c, (guest_addr_t){args[2]}, args[1]);
    case CONSOLEIO_read:
        return 0;
    default:
        return -ENOSYS;
    }
}
