/* SPDX-License-Identifier: MIT */
#include "hv/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "hv/domain.h"
#include "hv/vcpu.h"

bool trace_wanted(const struct domain *d)
{
    return atomic_load_explicit(&d->trace_on, memory_order_relaxed);
}

/* trace_lock is held. */
static void stop_locked(struct domain *d)
{
    if (!atomic_load(&d->trace_on))
        return;
    atomic_store(&d->trace_on, false);
    close(d->trace_fd);
}

void trace_stop(struct domain *d)
{
    pthread_mutex_lock(&d->trace_lock);
    stop_locked(d);
    pthread_mutex_unlock(&d->trace_lock);
}

/* Lines go into a pipe whole or not at all; into other things they may not. */
static bool is_pipe(int fd)
{
    struct stat st;

    return !fstat(fd, &st) && S_ISFIFO(st.st_mode);
}

static bool reader_gone(int fd)
{
    struct pollfd p = {.fd = fd};

    return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP));
}

/*
 * An open file of our own on the pipe: who has the other one cannot make it
 * blocking under us.
 */
static int open_again(int fd)
{
    char path[32];
    int copy;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    copy = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return copy < 0 ? -errno : copy;
}

int trace_start(struct domain *d, int fd)
{
    int rc = 0, copy;

    if (!is_pipe(fd))
        return -EINVAL;
    copy = open_again(fd);
    if (copy < 0)
        return copy;
    pthread_mutex_lock(&d->trace_lock);
    if (atomic_load(&d->trace_on) && reader_gone(d->trace_fd))
        stop_locked(d);
    if (atomic_load(&d->trace_on)) {
        rc = -EBUSY;
    } else {
        d->trace_fd = copy;
        d->trace_lost = 0;
        atomic_store(&d->trace_on, true);
    }
    pthread_mutex_unlock(&d->trace_lock);
    if (rc)
        close(copy);
    return rc;
}

/* A reader that is too slow loses lines, and is told how many. */
static void put_line(struct domain *d, const char *line, int n)
{
    ssize_t k;

    if (!atomic_load(&d->trace_on))
        return;
    if (d->trace_lost) {
        char lost[64];
        int len =
            snprintf(lost, sizeof(lost), "# %lu lines lost\n", d->trace_lost);

        if (write(d->trace_fd, lost, len) == len)
            d->trace_lost = 0;
    }
    k = write(d->trace_fd, line, n);
    if (k < 0 && errno != EAGAIN && errno != EINTR)
        stop_locked(d);
    else if (k != n)
        d->trace_lost++;
}

void trace_hypercall(struct caller *c, const char *name, uint64_t nr,
                     const uint64_t args[6], long rc, uint64_t start_ns)
{
    uint64_t took = hv_system_time(c->d->hv) - start_ns;
    char who[16], unknown[24], line[256];
    int n;

    snprintf(who, sizeof(who), c->v ? "d%uv%u" : "d%u", c->d->domid,
             c->v ? c->v->id : 0);
    snprintf(unknown, sizeof(unknown), "hypercall_%lu", nr);
    n = snprintf(line, sizeof(line),
                 "%lu.%06lu %s %s(%#lx, %#lx, %#lx, %#lx) = %ld <%lu ns>\n",
                 start_ns / 1000000000, start_ns / 1000 % 1000000, who,
                 name ? name : unknown, args[0], args[1], args[2], args[3], rc,
                 took);
    if (n >= (int)sizeof(line))
        n = sizeof(line) - 1;
    pthread_mutex_lock(&c->d->trace_lock);
    put_line(c->d, line, n);
    pthread_mutex_unlock(&c->d->trace_lock);
}
