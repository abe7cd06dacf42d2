/* SPDX-License-Identifier: MIT */
#include "xenstore/lib/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define READER_STACK (128 * 1024)
#define MAX_IOV      8

static int open_socket(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd, err;

    if (strlen(path) >= sizeof(sa.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(sa.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (!connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
        return fd;
    err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* A daemon's socket or a kernel's xenbus device. */
static struct xs_handle *open_path(const char *path)
{
    struct xs_handle *h;
    struct stat st;
    int fd;

    if (!path || stat(path, &st))
        return NULL;
    fd = S_ISSOCK(st.st_mode) ? open_socket(path)
                              : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    h = calloc(1, sizeof(*h));
    if (!h) {
        close(fd);
        errno = ENOMEM;
        return NULL;
    }
    h->fd = fd;
    h->is_socket = S_ISSOCK(st.st_mode);
    h->pipe[0] = h->pipe[1] = -1;
    h->events_last = &h->events;
    pthread_mutex_init(&h->request_lock, NULL);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->reply_cond, NULL);
    pthread_cond_init(&h->event_cond, NULL);
    return h;
}

static const char *xenbus_device(void)
{
    if (!access("/dev/xen/xenbus", F_OK))
        return "/dev/xen/xenbus";
    return "/proc/xen/xenbus";
}

struct xs_handle *xs_open(unsigned long flags)
{
    struct xs_handle *h = open_path(xs_daemon_socket());
    int err = errno;

    if (!h)
        h = open_path(xenbus_device());
    if (h)
        h->unwatch_filter = flags & XS_UNWATCH_FILTER;
    else
        errno = err;
    return h;
}

static void free_messages(struct xsl_msg *m)
{
    while (m) {
        struct xsl_msg *next = m->next;

        free(m);
        m = next;
    }
}

static void destroy(struct xs_handle *h)
{
    if (h->pipe[0] >= 0) {
        close(h->pipe[0]);
        close(h->pipe[1]);
    }
    close(h->fd);
    free_messages(h->events);
    free(h->reply);
    free(h);
}

void xs_daemon_destroy_postfork(struct xs_handle *h)
{
    /* The reader and whoever held the locks are in the parent. */
    destroy(h);
}

void xs_daemon_close(struct xs_handle *h)
{
    if (h->has_reader) {
        pthread_cancel(h->reader);
        pthread_join(h->reader, NULL);
    }
    pthread_mutex_destroy(&h->request_lock);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->reply_cond);
    pthread_cond_destroy(&h->event_cond);
    destroy(h);
}

void xs_close(struct xs_handle *h)
{
    if (h)
        xs_daemon_close(h);
}

/* Writes all of it, without a SIGPIPE for the program.  0 or an errno. */
static int send_all(struct xs_handle *h, struct iovec *iov, int nr)
{
    while (nr) {
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = nr};
        ssize_t n = h->is_socket ? sendmsg(h->fd, &msg, MSG_NOSIGNAL)
                                 : writev(h->fd, iov, nr);

        if (n < 0 && errno != EINTR)
            return errno;
        while (nr && n >= (ssize_t)iov->iov_len) {
            n -= iov->iov_len;
            iov++;
            nr--;
        }
        if (nr && n > 0) {
            iov->iov_base = (char *)iov->iov_base + n;
            iov->iov_len -= n;
        }
    }
    return 0;
}

/* Reads all of it; only here may the reader be cancelled.  0 or an errno. */
static int read_all(struct xs_handle *h, void *buf, size_t len, bool reader)
{
    size_t done = 0;

    while (done < len) {
        int old;
        ssize_t n;

        if (reader)
            pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
        n = read(h->fd, (char *)buf + done, len - done);
        if (reader)
            pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
        if (n == 0)
            return EPIPE;
        if (n < 0 && errno != EINTR)
            return errno;
        done += n > 0 ? n : 0;
    }
    return 0;
}

/* Puts or takes the pipe's byte so that it says "there are events". */
static void update_pipe(struct xs_handle *h)
{
    bool want = h->events || h->dead;
    char c = 0;

    if (h->pipe[0] < 0 || want == h->signalled)
        return;
    if (want && write(h->pipe[1], &c, 1) == 1)
        h->signalled = true;
    else if (!want && read(h->pipe[0], &c, 1) == 1)
        h->signalled = false;
}

static void hand_out(struct xs_handle *h, struct xsl_msg *m)
{
    pthread_mutex_lock(&h->lock);
    if (m->hdr.type == XS_WATCH_EVENT) {
        *h->events_last = m;
        h->events_last = &m->next;
        update_pipe(h);
        pthread_cond_signal(&h->event_cond);
    } else {
        free(h->reply);
        h->reply = m;
        pthread_cond_signal(&h->reply_cond);
    }
    pthread_mutex_unlock(&h->lock);
}

/* Reads and hands out one message.  0 or an errno. */
static int read_message(struct xs_handle *h, bool reader)
{
    char body[XENSTORE_PAYLOAD_MAX + 1];
    struct xsd_sockmsg hdr;
    struct xsl_msg *m;
    int rc = read_all(h, &hdr, sizeof(hdr), reader);

    if (!rc && hdr.len > XENSTORE_PAYLOAD_MAX)
        return EPROTO;
    if (!rc)
        rc = read_all(h, body, hdr.len, reader);
    if (rc)
        return rc;
    m = malloc(sizeof(*m) + hdr.len + 1);
    if (!m)
        return ENOMEM;
    m->next = NULL;
    m->hdr = hdr;
    memcpy(m->body, body, hdr.len);
    m->body[hdr.len] = '\0';
    hand_out(h, m);
    return 0;
}

static void mark_dead(struct xs_handle *h, int err)
{
    pthread_mutex_lock(&h->lock);
    h->dead = err;
    update_pipe(h);
    pthread_cond_broadcast(&h->reply_cond);
    pthread_cond_broadcast(&h->event_cond);
    pthread_mutex_unlock(&h->lock);
}

static void *reader_main(void *arg)
{
    struct xs_handle *h = arg;
    int rc, old;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    while (!(rc = read_message(h, true)))
        ;
    mark_dead(h, rc);
    return NULL;
}

/* The program's signals are for its own threads. */
static int create_reader(struct xs_handle *h)
{
    sigset_t all, old;
    pthread_attr_t attr;
    int rc;

    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, READER_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&h->reader, &attr, reader_main, h);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

int xsl_start_reader(struct xs_handle *h)
{
    int rc = 0;

    /* No request is under way, so no other thread is reading. */
    pthread_mutex_lock(&h->request_lock);
    if (!h->has_reader) {
        rc = create_reader(h);
        h->has_reader = !rc;
    }
    pthread_mutex_unlock(&h->request_lock);
    return rc;
}

/* Waits for the reply; request_lock is held. */
static struct xsl_msg *fetch_reply(struct xs_handle *h)
{
    struct xsl_msg *m;
    int rc = 0;

    while (!h->has_reader && !h->reply && !rc)
        rc = read_message(h, false);
    if (rc)
        mark_dead(h, rc);
    pthread_mutex_lock(&h->lock);
    while (!h->reply && !h->dead)
        pthread_cond_wait(&h->reply_cond, &h->lock);
    m = h->reply;
    h->reply = NULL;
    if (!m)
        errno = h->dead;
    pthread_mutex_unlock(&h->lock);
    return m;
}

static int errno_of(const char *name)
{
    for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
        if (!strcmp(xsd_errors[i].errstring, name))
            return xsd_errors[i].errnum;
    return EINVAL;
}

/* Turns an error reply, or one that answers nothing, into errno. */
static struct xsl_msg *check_reply(struct xsl_msg *m, uint32_t type,
                                   uint32_t req_id)
{
    int err = 0;

    if (!m)
        return NULL;
    if (m->hdr.type == XS_ERROR)
        err = errno_of(m->body);
    else if (m->hdr.type != type || m->hdr.req_id != req_id)
        err = EBADF;
    if (!err)
        return m;
    free(m);
    errno = err;
    return NULL;
}

struct xsl_msg *xsl_talk(struct xs_handle *h, uint32_t type, uint32_t tx_id,
                         const struct iovec *iov, int nr)
{
    struct xsd_sockmsg hdr = {.type = type, .tx_id = tx_id};
    struct iovec out[MAX_IOV + 1];
    struct xsl_msg *m = NULL;
    size_t len = 0;
    int rc;

    for (int i = 0; i < nr; i++) {
        len += iov[i].iov_len;
        out[i + 1] = iov[i];
    }
    if (len > XENSTORE_PAYLOAD_MAX) {
        errno = E2BIG;
        return NULL;
    }
    hdr.len = len;
    out[0] = (struct iovec){.iov_base = &hdr, .iov_len = sizeof(hdr)};
    pthread_mutex_lock(&h->request_lock);
    hdr.req_id = ++h->req_id;
    rc = h->dead ? h->dead : send_all(h, out, nr + 1);
    if (!rc)
        m = fetch_reply(h);
    else
        errno = rc;
    rc = errno;
    pthread_mutex_unlock(&h->request_lock);
    errno = rc;
    return check_reply(m, type, hdr.req_id);
}

struct xsl_msg *xsl_next_event(struct xs_handle *h, bool block)
{
    struct xsl_msg *m;
    int err = 0;

    pthread_mutex_lock(&h->lock);
    while (!h->events && !h->dead && block)
        pthread_cond_wait(&h->event_cond, &h->lock);
    m = h->events;
    if (m) {
        h->events = m->next;
        if (!h->events)
            h->events_last = &h->events;
        update_pipe(h);
    } else {
        err = h->dead ? h->dead : EAGAIN;
    }
    pthread_mutex_unlock(&h->lock);
    if (err)
        errno = err;
    return m;
}

void xsl_forget_events(struct xs_handle *h, const char *path, const char *token)
{
    struct xsl_msg **p;

    pthread_mutex_lock(&h->lock);
    p = &h->events;
    while (*p) {
        struct xsl_msg *m = *p;

        if (strcmp(m->body + strlen(m->body) + 1, token) ||
            !xs_path_is_subpath(path, m->body)) {
            p = &m->next;
            continue;
        }
        *p = m->next;
        free(m);
    }
    h->events_last = p;
    update_pipe(h);
    pthread_mutex_unlock(&h->lock);
}

/* Opens the pipe on first use; its end says "there are events". */
int xs_fileno(struct xs_handle *h)
{
    pthread_mutex_lock(&h->lock);
    if (h->pipe[0] < 0 && pipe2(h->pipe, O_CLOEXEC) < 0)
        h->pipe[0] = h->pipe[1] = -1;
    update_pipe(h);
    pthread_mutex_unlock(&h->lock);
    return h->pipe[0];
}
