/* SPDX-License-Identifier: MIT */
/*
 * A store with clients whose wire is memory: a test writes request bytes,
 * lets the connection run, and reads the bytes it sent back.
 */
#ifndef TESTS_UNIT_TEST_STORE_FIXTURE_H
#define TESTS_UNIT_TEST_STORE_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <urcu.h>

#include "xenstore/core/conn.h"
#include "xenstore/core/domain.h"
#include "xenstore/core/request.h"
#include "xenstore/core/txn.h"
#include "xenstore/core/watch.h"

#define SF_OUT (1u << 20)

struct sf_conn {
    struct sconn c; /* first: the two are one object */
    char in[65536];
    size_t in_len, in_pos;
    char out[SF_OUT];
    size_t out_len, out_pos;
    size_t room; /* bytes the client still takes; SIZE_MAX: any */
    int input_rc, flush_rc;
    bool protocol_error;
    char reply[XENSTORE_PAYLOAD_MAX + 1];
    char event[XENSTORE_PAYLOAD_MAX + 1];
    char events[65536]; /* events passed over while waiting for a reply */
    size_t events_len;
};

struct sf {
    struct store *s;
    char log[8192];
    unsigned int log_lines;
};

static struct sf sf;

static inline void sf_log(void *ctx, const char *line)
{
    (void)ctx;
    sf.log_lines++;
    snprintf(sf.log, sizeof(sf.log), "%s", line);
}

static inline int sf_setup(void **state)
{
    (void)state;
    store_thread_enter();
    memset(&sf, 0, sizeof(sf));
    sf.s = store_create();
    if (!sf.s)
        return -1;
    sf.s->log = sf_log;
    return 0;
}

static inline int sf_teardown(void **state)
{
    (void)state;
    store_destroy(sf.s);
    store_thread_leave();
    return 0;
}

static inline ssize_t sf_wire_read(struct sconn *c, void *buf, size_t len)
{
    struct sf_conn *f = (struct sf_conn *)c;
    size_t n = f->in_len - f->in_pos;

    if (n > len)
        n = len;
    memcpy(buf, f->in + f->in_pos, n);
    f->in_pos += n;
    return n;
}

static inline ssize_t sf_wire_writev(struct sconn *c, const struct iovec *iov,
                                     int nr)
{
    struct sf_conn *f = (struct sf_conn *)c;
    size_t done = 0;

    for (int i = 0; i < nr; i++) {
        size_t n = iov[i].iov_len;

        if (n > f->room)
            n = f->room;
        if (n > SF_OUT - f->out_len)
            n = SF_OUT - f->out_len;
        memcpy(f->out + f->out_len, iov[i].iov_base, n);
        f->out_len += n;
        if (f->room != SIZE_MAX)
            f->room -= n;
        done += n;
    }
    return done;
}

static inline void sf_wire_error(struct sconn *c)
{
    ((struct sf_conn *)c)->protocol_error = true;
}

static const struct sconn_ops sf_ops = {
    .read = sf_wire_read,
    .writev = sf_wire_writev,
    .protocol_error = sf_wire_error,
};

/* A client speaking for domid. */
static inline struct sf_conn *sf_open(uint32_t domid)
{
    struct sf_conn *f = calloc(1, sizeof(*f));
    char name[32];

    assert_non_null(f);
    snprintf(name, sizeof(name), "domain %u", domid);
    sconn_init(&f->c, sf.s, &sf_ops, domid, name);
    f->room = SIZE_MAX;
    return f;
}

static inline void sf_close(struct sf_conn *f)
{
    sconn_fini(&f->c);
    free(f);
}

/* Runs whatever was written to the wire. */
static inline void sf_run(struct sf_conn *f)
{
    do {
        f->input_rc = sconn_input(&f->c, 16);
        f->flush_rc = sconn_flush(&f->c);
    } while (f->input_rc > 0);
}

static inline void sf_put(struct sf_conn *f, const void *bytes, size_t len)
{
    if (f->in_pos == f->in_len)
        f->in_pos = f->in_len = 0;
    assert_true(f->in_len + len <= sizeof(f->in));
    memcpy(f->in + f->in_len, bytes, len);
    f->in_len += len;
}

static inline void sf_put_request(struct sf_conn *f, uint32_t type, uint32_t tx,
                                  const void *payload, size_t len)
{
    struct xsd_sockmsg hdr = {
        .type = type, .req_id = 7, .tx_id = tx, .len = len};

    sf_put(f, &hdr, sizeof(hdr));
    sf_put(f, payload, len);
}

/* The next message sent, or NULL; *type is its type. */
static inline char *sf_next(struct sf_conn *f, uint32_t *type, size_t *len)
{
    struct xsd_sockmsg hdr;
    char *payload;

    sconn_flush(&f->c);
    if (f->out_len - f->out_pos < sizeof(hdr))
        return NULL;
    memcpy(&hdr, f->out + f->out_pos, sizeof(hdr));
    assert_true(hdr.len <= XENSTORE_PAYLOAD_MAX);
    if (f->out_len - f->out_pos < sizeof(hdr) + hdr.len)
        return NULL;
    payload = f->out + f->out_pos + sizeof(hdr);
    f->out_pos += sizeof(hdr) + hdr.len;
    *type = hdr.type;
    *len = hdr.len;
    return payload;
}

static inline void sf_keep_event(struct sf_conn *f, const char *p, size_t len)
{
    assert_true(f->events_len + len <= sizeof(f->events));
    memcpy(f->events + f->events_len, p, len);
    f->events_len += len;
}

/* Sends a request; its reply's payload, or the error's name. */
static inline char *sf_talk(struct sf_conn *f, uint32_t type, uint32_t tx,
                            const void *payload, size_t len, size_t *reply_len)
{
    uint32_t got = 0;
    size_t n = 0;
    char *p;

    sf_put_request(f, type, tx, payload, len);
    sf_run(f);
    while ((p = sf_next(f, &got, &n)) && got == XS_WATCH_EVENT)
        sf_keep_event(f, p, n);
    assert_non_null(p);
    assert_true(got == type || got == XS_ERROR);
    memcpy(f->reply, p, n);
    f->reply[n] = '\0';
    if (reply_len)
        *reply_len = n;
    if (f->out_pos == f->out_len)
        f->out_pos = f->out_len = 0;
    return f->reply;
}

static inline char *sf_path(struct sf_conn *f, uint32_t type, uint32_t tx,
                            const char *path)
{
    return sf_talk(f, type, tx, path, strlen(path) + 1, NULL);
}

static inline char *sf_read(struct sf_conn *f, uint32_t tx, const char *path)
{
    return sf_path(f, XS_READ, tx, path);
}

static inline char *sf_two(struct sf_conn *f, uint32_t type, uint32_t tx,
                           const char *a, const char *b, bool end)
{
    char buf[XENSTORE_PAYLOAD_MAX];
    size_t alen = strlen(a) + 1, blen = strlen(b) + end;

    assert_true(alen + blen <= sizeof(buf));
    memcpy(buf, a, alen);
    memcpy(buf + alen, b, blen);
    return sf_talk(f, type, tx, buf, alen + blen, NULL);
}

static inline char *sf_write(struct sf_conn *f, uint32_t tx, const char *path,
                             const char *value)
{
    return sf_two(f, XS_WRITE, tx, path, value, false);
}

static inline char *sf_watch(struct sf_conn *f, const char *path,
                             const char *token)
{
    return sf_two(f, XS_WATCH, 0, path, token, true);
}

/* perms as "n0 r1": the blanks become ends of strings. */
static inline char *sf_perms(struct sf_conn *f, uint32_t tx, const char *path,
                             const char *perms)
{
    char buf[XENSTORE_PAYLOAD_MAX];
    size_t len = strlen(path) + 1, n = strlen(perms) + 1;

    memcpy(buf, path, len);
    memcpy(buf + len, perms, n);
    for (size_t i = len; i < len + n; i++)
        if (buf[i] == ' ')
            buf[i] = '\0';
    return sf_talk(f, XS_SET_PERMS, tx, buf, len + n, NULL);
}

static inline uint32_t sf_start(struct sf_conn *f)
{
    return strtoul(sf_path(f, XS_TRANSACTION_START, 0, ""), NULL, 10);
}

static inline char *sf_end(struct sf_conn *f, uint32_t tx, const char *how)
{
    return sf_path(f, XS_TRANSACTION_END, tx, how);
}

/* The next event as "path token", or "" if there is none. */
static inline char *sf_event(struct sf_conn *f)
{
    uint32_t type;
    size_t n, used;
    char *p;

    f->event[0] = '\0';
    while ((p = sf_next(f, &type, &n))) {
        assert_int_equal(type, XS_WATCH_EVENT);
        sf_keep_event(f, p, n);
    }
    if (!f->events_len)
        return f->event;
    p = f->events + strlen(f->events) + 1;
    assert_true(strlen(f->events) + strlen(p) + 2 <= sizeof(f->event));
    strcpy(f->event, f->events);
    strcat(strcat(f->event, " "), p);
    used = p + strlen(p) + 1 - f->events;
    memmove(f->events, f->events + used, f->events_len - used);
    f->events_len -= used;
    return f->event;
}

#define sf_is(got, want)  assert_string_equal(got, want)
#define sf_no_event(conn) assert_string_equal(sf_event(conn), "")
#define sf_test(name)                                                          \
    cmocka_unit_test_setup_teardown(name, sf_setup, sf_teardown)

/* As the toolstack prepares a guest: its home, readable by it. */
static inline void sf_home(struct sf_conn *dom0, uint32_t domid)
{
    char path[64], perms[32];

    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    sf_is(sf_path(dom0, XS_MKDIR, 0, path), "OK");
    snprintf(perms, sizeof(perms), "n0 r%u", domid);
    sf_is(sf_perms(dom0, 0, path, perms), "OK");
    snprintf(path, sizeof(path), "/local/domain/%u/data", domid);
    sf_is(sf_path(dom0, XS_MKDIR, 0, path), "OK");
    snprintf(perms, sizeof(perms), "n%u", domid);
    sf_is(sf_perms(dom0, 0, path, perms), "OK");
}

#endif
