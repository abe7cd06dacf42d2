/* SPDX-License-Identifier: MIT */
/* The calls of <xenstore.h>, each a request and its reply. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#include "xenstore/lib/handle.h"

#define MAX_PERMS 1024

static struct iovec text(const char *s)
{
    return (struct iovec){.iov_base = (char *)s, .iov_len = strlen(s) + 1};
}

/* A request of one string, of which only success matters. */
static struct xsl_msg *talk_text(struct xs_handle *h, uint32_t type,
                                 xs_transaction_t t, const char *s)
{
    struct iovec iov = text(s);

    return xsl_talk(h, type, t, &iov, 1);
}

static bool done(struct xsl_msg *m)
{
    free(m);
    return m != NULL;
}

/* The body as memory of its own, for callers that free() it. */
static char *take_body(struct xsl_msg *m, unsigned int *len)
{
    char *body;

    if (!m)
        return NULL;
    if (len)
        *len = m->hdr.len;
    body = malloc(m->hdr.len + 1);
    if (body)
        memcpy(body, m->body, m->hdr.len + 1);
    free(m);
    if (!body)
        errno = ENOMEM;
    return body;
}

static unsigned int count_strings(const char *p, size_t len)
{
    unsigned int n = 0;

    for (size_t i = 0; i < len; i++)
        n += !p[i];
    return n;
}

/* An array of strings in one allocation with them. */
static char **string_array(const char *body, size_t len, unsigned int *num)
{
    unsigned int n = count_strings(body, len);
    char **list = malloc(n * sizeof(*list) + len + 1);
    char *p;

    if (!list) {
        errno = ENOMEM;
        return NULL;
    }
    p = memcpy((char *)(list + n), body, len);
    p[len] = '\0';
    for (unsigned int i = 0; i < n; i++) {
        list[i] = p;
        p += strlen(p) + 1;
    }
    *num = n;
    return list;
}

struct xs_handle *xs_daemon_open(void)
{
    return xs_open(0);
}

struct xs_handle *xs_daemon_open_readonly(void)
{
    return xs_open(XS_OPEN_READONLY);
}

struct xs_handle *xs_domain_open(void)
{
    return xs_open(0);
}

/* A directory too long for one reply, gathered in parts. */
struct parts {
    char *buf;
    size_t len;
    char gen[24];
    bool complete;
};

/* Adds a part: "<generation>\0<names...>", ended by an empty name. */
static int add_part(struct parts *p, const struct xsl_msg *m)
{
    size_t gen_len = strlen(m->body) + 1, len;
    char *buf;

    if (gen_len > sizeof(p->gen) || gen_len > m->hdr.len)
        return EINVAL;
    if (strcmp(p->gen, m->body)) {
        /* Changed meanwhile, or the first part: begin anew. */
        bool first = !p->gen[0];

        strcpy(p->gen, m->body);
        p->len = 0;
        if (!first)
            return 0;
    }
    len = m->hdr.len - gen_len;
    buf = realloc(p->buf, p->len + len + 1);
    if (!buf)
        return ENOMEM;
    p->buf = buf;
    memcpy(buf + p->len, m->body + gen_len, len);
    p->len += len;
    p->complete = len && !m->body[m->hdr.len - 1] &&
                  (len == 1 || !m->body[m->hdr.len - 2]);
    return 0;
}

static char **directory_in_parts(struct xs_handle *h, xs_transaction_t t,
                                 const char *path, unsigned int *num)
{
    struct parts p = {0};
    char **list = NULL;
    int rc = 0;

    while (!p.complete && !rc) {
        char offset[24];
        struct iovec iov[2] = {text(path)};
        struct xsl_msg *m;

        snprintf(offset, sizeof(offset), "%zu", p.len);
        iov[1] = text(offset);
        m = xsl_talk(h, XS_DIRECTORY_PART, t, iov, 2);
        rc = m ? add_part(&p, m) : errno;
        free(m);
    }
    if (!rc)
        list = string_array(p.buf, p.len - 1, num);
    else
        errno = rc;
    free(p.buf);
    return list;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path,
                    unsigned int *num)
{
    struct xsl_msg *m = talk_text(h, XS_DIRECTORY, t, path);
    char **list;

    if (!m && errno == E2BIG)
        return directory_in_parts(h, t, path, num);
    if (!m)
        return NULL;
    list = string_array(m->body, m->hdr.len, num);
    free(m);
    return list;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path,
              unsigned int *len)
{
    return take_body(talk_text(h, XS_READ, t, path), len);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path,
              const void *data, unsigned int len)
{
    struct iovec iov[2] = {text(path),
                           {.iov_base = (void *)data, .iov_len = len}};

    return done(xsl_talk(h, XS_WRITE, t, iov, 2));
}

bool xs_mkdir(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    return done(talk_text(h, XS_MKDIR, t, path));
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    return done(talk_text(h, XS_RM, t, path));
}

bool xs_restrict(struct xs_handle *h, unsigned int domid)
{
    (void)h;
    (void)domid;
    return false;
}

struct xs_permissions *xs_get_permissions(struct xs_handle *h,
                                          xs_transaction_t t, const char *path,
                                          unsigned int *num)
{
    struct xsl_msg *m = talk_text(h, XS_GET_PERMS, t, path);
    struct xs_permissions *perms;

    if (!m)
        return NULL;
    *num = count_strings(m->body, m->hdr.len);
    perms = calloc(*num ? *num : 1, sizeof(*perms));
    if (!perms)
        errno = ENOMEM;
    else if (!xs_strings_to_perms(perms, *num, m->body)) {
        free(perms);
        perms = NULL;
    }
    free(m);
    return perms;
}

static char perm_letter(unsigned int perms)
{
    return "nrwb"[perms & (XS_PERM_READ | XS_PERM_WRITE)];
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t,
                        const char *path, struct xs_permissions *perms,
                        unsigned int num_perms)
{
    struct iovec iov[2] = {text(path)};
    size_t len = 0;
    char *buf;
    bool ok;

    if (num_perms > MAX_PERMS) {
        errno = ENOSPC;
        return false;
    }
    buf = malloc(num_perms * 16 + 1);
    if (!buf) {
        errno = ENOMEM;
        return false;
    }
    for (unsigned int i = 0; i < num_perms; i++)
        len += sprintf(buf + len, "%c%u", perm_letter(perms[i].perms),
                       perms[i].id) +
               1;
    iov[1] = (struct iovec){.iov_base = buf, .iov_len = len};
    ok = done(xsl_talk(h, XS_SET_PERMS, t, iov, 2));
    free(buf);
    return ok;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    struct iovec iov[2] = {text(path), text(token)};
    int rc = xsl_start_reader(h);

    if (rc) {
        errno = rc;
        return false;
    }
    return done(xsl_talk(h, XS_WATCH, XBT_NULL, iov, 2));
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
    struct iovec iov[2] = {text(path), text(token)};
    bool ok = done(xsl_talk(h, XS_UNWATCH, XBT_NULL, iov, 2));

    if (ok && h->unwatch_filter)
        xsl_forget_events(h, path, token);
    return ok;
}

static char **event_strings(struct xsl_msg *m, unsigned int *num)
{
    char **list;

    if (!m)
        return NULL;
    list = string_array(m->body, m->hdr.len, num);
    free(m);
    if (list && *num < 2) {
        free(list);
        errno = EINVAL;
        return NULL;
    }
    return list;
}

char **xs_check_watch(struct xs_handle *h)
{
    unsigned int num;

    return event_strings(xsl_next_event(h, false), &num);
}

char **xs_read_watch(struct xs_handle *h, unsigned int *num)
{
    return event_strings(xsl_next_event(h, true), num);
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    struct xsl_msg *m = talk_text(h, XS_TRANSACTION_START, XBT_NULL, "");
    xs_transaction_t id;

    if (!m)
        return XBT_NULL;
    id = strtoul(m->body, NULL, 0);
    free(m);
    return id;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
    return done(talk_text(h, XS_TRANSACTION_END, t, abort ? "F" : "T"));
}

/* A request whose arguments are numbers. */
static struct xsl_msg *talk_numbers(struct xs_handle *h, uint32_t type,
                                    const unsigned long *n, int nr)
{
    char buf[3][24];
    struct iovec iov[3];

    for (int i = 0; i < nr; i++) {
        snprintf(buf[i], sizeof(buf[i]), "%lu", n[i]);
        iov[i] = text(buf[i]);
    }
    return xsl_talk(h, type, XBT_NULL, iov, nr);
}

bool xs_introduce_domain(struct xs_handle *h, unsigned int domid,
                         unsigned long mfn, unsigned int eventchn)
{
    unsigned long n[] = {domid, mfn, eventchn};

    return done(talk_numbers(h, XS_INTRODUCE, n, 3));
}

bool xs_set_target(struct xs_handle *h, unsigned int domid, unsigned int target)
{
    unsigned long n[] = {domid, target};

    return done(talk_numbers(h, XS_SET_TARGET, n, 2));
}

bool xs_resume_domain(struct xs_handle *h, unsigned int domid)
{
    unsigned long n = domid;

    return done(talk_numbers(h, XS_RESUME, &n, 1));
}

bool xs_release_domain(struct xs_handle *h, unsigned int domid)
{
    unsigned long n = domid;

    return done(talk_numbers(h, XS_RELEASE, &n, 1));
}

char *xs_get_domain_path(struct xs_handle *h, unsigned int domid)
{
    unsigned long n = domid;

    return take_body(talk_numbers(h, XS_GET_DOMAIN_PATH, &n, 1), NULL);
}

bool xs_is_domain_introduced(struct xs_handle *h, unsigned int domid)
{
    unsigned long n = domid;
    struct xsl_msg *m = talk_numbers(h, XS_IS_DOMAIN_INTRODUCED, &n, 1);
    bool yes = m && !strcmp(m->body, "T");

    free(m);
    return yes;
}

char *xs_control_command(struct xs_handle *h, const char *cmd, void *data,
                         unsigned int len)
{
    struct iovec iov[2] = {text(cmd), {.iov_base = data, .iov_len = len}};

    return take_body(xsl_talk(h, XS_CONTROL, XBT_NULL, iov, 2), NULL);
}

char *xs_debug_command(struct xs_handle *h, const char *cmd, void *data,
                       unsigned int len)
{
    return xs_control_command(h, cmd, data, len);
}

int xs_suspend_evtchn_port(int domid)
{
    struct xs_handle *h = xs_open(0);
    unsigned int len;
    char path[64], *value = NULL;
    int port = -1;

    if (!h)
        return -1;
    snprintf(path, sizeof(path),
             "/local/domain/%d/device/suspend/event-channel", domid);
    value = xs_read(h, XBT_NULL, path, &len);
    if (value && len)
        port = atoi(value);
    free(value);
    xs_close(h);
    return port;
}
