/* SPDX-License-Identifier: MIT */
/* A client with as little of its own as can be: one send, one receive. */
#include "tools/kxbench_store.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define VALUE "0123456789abcdef"

int kxs_open(struct kxs_client *c, const struct kxs_server *s)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    strcpy(sa.sun_path, s->socket);
    c->have = 0;
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -errno;
    if (!connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)))
        return 0;
    close(c->fd);
    c->fd = -1;
    return -ECONNREFUSED;
}

void kxs_close(struct kxs_client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static int send_all(int fd, const char *p, size_t len)
{
    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            p += n;
            len -= n;
        }
    }
    return 0;
}

static int receive_some(struct kxs_client *c)
{
    /* One byte is kept for the 0 behind an answer. */
    ssize_t n = recv(c->fd, c->buf + c->have, sizeof(c->buf) - 1 - c->have, 0);

    if (n > 0)
        c->have += n;
    else if (!n)
        return -ECONNRESET;
    else if (errno != EINTR)
        return -errno;
    return 0;
}

/* Takes the first `len` bytes out of the buffer. */
static void consume(struct kxs_client *c, size_t len)
{
    c->have -= len;
    memmove(c->buf, c->buf + len, c->have);
}

/* Gets a whole message to the buffer's front; its size. */
static int receive(struct kxs_client *c, struct xsd_sockmsg *hdr)
{
    int rc;

    for (;;) {
        if (c->have >= sizeof(*hdr)) {
            memcpy(hdr, c->buf, sizeof(*hdr));
            if (hdr->len > XENSTORE_PAYLOAD_MAX)
                return -EPROTO;
            if (c->have >= sizeof(*hdr) + hdr->len)
                return sizeof(*hdr) + hdr->len;
        }
        rc = receive_some(c);
        if (rc)
            return rc;
    }
}

static int error_number(const char *name)
{
    for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
        if (!strcmp(xsd_errors[i].errstring, name))
            return xsd_errors[i].errnum;
    return EPROTO;
}

/* The answer stays readable though it is taken out: it is not moved over. */
static int answer(struct kxs_client *c)
{
    struct xsd_sockmsg hdr;
    int n;

    while ((n = receive(c, &hdr)) > 0 && hdr.type == XS_WATCH_EVENT)
        consume(c, n);
    if (n < 0)
        return n;
    if (c->have > (size_t)n) {
        consume(c, n);
        return hdr.type == XS_ERROR ? -EPROTO : 0;
    }
    c->have = 0;
    c->buf[n] = '\0';
    return hdr.type == XS_ERROR ? -error_number(kxs_answer(c)) : (int)hdr.len;
}

int kxs_talk(struct kxs_client *c, uint32_t type, uint32_t tx,
             const void *payload, size_t len)
{
    char msg[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
    struct xsd_sockmsg hdr = {.type = type, .tx_id = tx, .len = len};
    int rc;

    memcpy(msg, &hdr, sizeof(hdr));
    memcpy(msg + sizeof(hdr), payload, len);
    rc = send_all(c->fd, msg, sizeof(hdr) + len);
    return rc ? rc : answer(c);
}

int kxs_write(struct kxs_client *c, uint32_t tx, const char *path)
{
    char buf[256];
    size_t len = strlen(path) + 1;

    memcpy(buf, path, len);
    memcpy(buf + len, VALUE, sizeof(VALUE) - 1);
    return kxs_talk(c, XS_WRITE, tx, buf, len + sizeof(VALUE) - 1);
}

int kxs_event(struct kxs_client *c)
{
    struct xsd_sockmsg hdr;
    int n;

    do {
        n = receive(c, &hdr);
        if (n > 0)
            consume(c, n);
    } while (n > 0 && hdr.type != XS_WATCH_EVENT);
    return n < 0 ? n : 0;
}

int kxs_batch(struct kxs_client *c, uint32_t type, unsigned n,
              size_t (*fill)(char *buf, unsigned i, unsigned arg), unsigned arg)
{
    char out[16384] = "";
    size_t len = 0;
    int rc;

    for (unsigned i = 0; i < n; i++) {
        struct xsd_sockmsg hdr = {.type = type};

        hdr.len = fill(out + len + sizeof(hdr), i, arg);
        memcpy(out + len, &hdr, sizeof(hdr));
        len += sizeof(hdr) + hdr.len;
    }
    rc = send_all(c->fd, out, len);
    while (!rc && n--) {
        rc = answer(c);
        rc = rc > 0 ? 0 : rc;
    }
    return rc;
}
