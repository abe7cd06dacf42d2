/* SPDX-License-Identifier: MIT */
#include "dom0/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS_MAX  128
#define REQUESTS_MAX 64 /* unanswered, per client */

struct client {
    struct control *control;
    struct client *next;
    struct request *requests;
    unsigned nr_requests;
    int fd;
    bool dead;     /* hang up as soon as the caller is out of our code */
    bool skipping; /* the rest of a too long line */
    bool eof;      /* sends no more; still reads its replies */
    char *in, *out;
    size_t in_len, in_size, out_len, out_size;
};

struct request {
    struct client *client; /* NULL once the client is gone */
    struct request *next;
    json_t *id;
};

struct control {
    struct loop *loop;
    const struct control_command *commands;
    void *owner;
    struct client *clients;
    unsigned nr_clients;
    int fd;
    char *path;
};

static void request_free(struct request *req)
{
    json_decref(req->id);
    free(req);
}

static void client_free(struct client *c)
{
    struct client **at = &c->control->clients;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->control->nr_clients--;
    while (c->requests) {
        struct request *req = c->requests;

        c->requests = req->next;
        req->client = NULL; /* its owner still answers, into the void */
    }
    loop_del_fd(c->control->loop, c->fd);
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

/* Makes room for `more` bytes, at most `max` in all. 0, -ENOMEM, -E2BIG. */
static int buffer_reserve(char **buf, size_t *size, size_t len, size_t more,
                          size_t max)
{
    size_t want = *size ? *size : 4096;
    char *p;

    if (len + more <= *size)
        return 0;
    if (len + more > max)
        return -E2BIG;
    while (want < len + more)
        want *= 2;
    p = realloc(*buf, want);
    if (!p)
        return -ENOMEM;
    *buf = p;
    *size = want;
    return 0;
}

static void client_flush(struct client *c)
{
    size_t done = 0;

    while (!c->dead && done < c->out_len) {
        ssize_t n = send(c->fd, c->out + done, c->out_len - done,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            done += n;
        else if (n < 0 && errno == EAGAIN)
            break;
        else if (n == 0 || errno != EINTR)
            c->dead = true;
    }
    memmove(c->out, c->out + done, c->out_len - done);
    c->out_len -= done;
    if (c->eof && !c->out_len && !c->requests)
        c->dead = true;
    if (c->dead)
        shutdown(c->fd, SHUT_RDWR); /* brings EPOLLHUP, which frees it */
    else
        loop_mod_fd(c->control->loop, c->fd,
                    (c->eof ? 0 : EPOLLIN) | (c->out_len ? EPOLLOUT : 0));
}

static void client_send(struct client *c, json_t *msg)
{
    char *line = json_dumps(msg, JSON_COMPACT);
    size_t len = line ? strlen(line) : 0;

    if (!line || buffer_reserve(&c->out, &c->out_size, c->out_len, len + 1,
                                CONTROL_OUT_MAX)) {
        c->dead = true; /* it asks and never reads, or we are out of memory */
    } else {
        memcpy(c->out + c->out_len, line, len);
        c->out[c->out_len + len] = '\n';
        c->out_len += len + 1;
    }
    free(line);
    client_flush(c);
}

static void request_send(struct request *req, json_t *msg)
{
    if (req->client && msg) {
        json_object_set(msg, "id", req->id);
        client_send(req->client, msg);
    }
    json_decref(msg);
}

/* Unlinks first, so that the last reply to a half-closed client ends it. */
static void request_end(struct request *req, json_t *msg)
{
    struct client *c = req->client;
    struct request **at;

    if (c) {
        for (at = &c->requests; *at != req;)
            at = &(*at)->next;
        *at = req->next;
        c->nr_requests--;
    }
    request_send(req, msg);
    request_free(req);
}

void request_ok(struct request *req, json_t *body)
{
    if (!body)
        body = json_object();
    json_object_set_new(body, "ok", json_true());
    request_end(req, body);
}

static json_t *text_of(const char *fmt, va_list ap)
{
    char buf[2048];

    vsnprintf(buf, sizeof(buf), fmt, ap);
    return json_stringn_nocheck(buf, strlen(buf));
}

/* Text with bytes that are no UTF-8 (a file name, say) still gets through. */
static json_t *text_safe(json_t *text)
{
    const char *s = json_string_value(text);
    json_t *ok = json_string(s);
    char buf[2048];
    size_t i;

    if (ok) {
        json_decref(text);
        return ok;
    }
    for (i = 0; s && s[i] && i < sizeof(buf) - 1; i++)
        buf[i] = (s[i] & 0x80) ? '?' : s[i];
    buf[i] = 0;
    json_decref(text);
    return json_string(buf);
}

void request_fail(struct request *req, const char *hint, const char *fmt, ...)
{
    json_t *msg = json_object();
    va_list ap;

    va_start(ap, fmt);
    json_object_set_new(msg, "ok", json_false());
    json_object_set_new(msg, "error", text_safe(text_of(fmt, ap)));
    va_end(ap);
    if (hint && *hint)
        json_object_set_new(
            msg, "hint", text_safe(json_stringn_nocheck(hint, strlen(hint))));
    request_end(req, msg);
}

void request_event(struct request *req, const char *event, json_t *body)
{
    if (!body)
        body = json_object();
    json_object_set_new(body, "event", json_string(event));
    request_send(req, body);
}

void request_progress(struct request *req, const char *fmt, ...)
{
    json_t *msg = json_object();
    va_list ap;

    va_start(ap, fmt);
    json_object_set_new(msg, "text", text_safe(text_of(fmt, ap)));
    va_end(ap);
    request_event(req, "progress", msg);
}

bool request_alive(const struct request *req)
{
    return req->client && !req->client->dead;
}

struct request *request_sibling(const struct request *req, const json_t *id)
{
    struct request *other = req->client && id ? req->client->requests : NULL;

    while (other && (other == req || !json_equal(other->id, (json_t *)id)))
        other = other->next;
    return other;
}

static struct request *request_new(struct client *c, json_t *id)
{
    struct request *req = calloc(1, sizeof(*req));

    if (!req) {
        c->dead = true;
        return NULL;
    }
    req->client = c;
    req->id = id ? json_incref(id) : json_null();
    req->next = c->requests;
    c->requests = req;
    c->nr_requests++;
    return req;
}

static const struct control_command *command_find(struct control *control,
                                                  const char *name)
{
    const struct control_command *cmd;

    for (cmd = control->commands; cmd->name; cmd++)
        if (name && !strcmp(cmd->name, name))
            return cmd;
    return NULL;
}

static void line_run(struct client *c, const char *line, size_t len)
{
    json_error_t err;
    json_t *msg = json_loadb(line, len, JSON_REJECT_DUPLICATES, &err);
    json_t *id = json_object_get(msg, "id");
    const char *name = json_string_value(json_object_get(msg, "cmd"));
    const struct control_command *cmd = command_find(c->control, name);
    struct request *req = request_new(c, id);

    if (!req)
        goto out;
    if (!json_is_object(msg))
        request_fail(req, "one JSON object a line: {\"id\":1,\"cmd\":\"list\"}",
                     "not a JSON object: %s", msg ? "wrong type" : err.text);
    else if (!cmd)
        request_fail(req, "send {\"cmd\":\"help\"} for the commands",
                     "unknown command \"%.40s\"", name ? name : "");
    else if (c->nr_requests > REQUESTS_MAX)
        request_fail(req, "wait for replies before sending more",
                     "more than %d requests wait for an answer", REQUESTS_MAX);
    else
        cmd->fn(c->control->owner, req, msg);
out:
    json_decref(msg);
}

static void client_too_long(struct client *c)
{
    struct request *req = request_new(c, NULL);

    c->skipping = true;
    c->in_len = 0;
    if (req)
        request_fail(req, NULL, "a request is longer than %u bytes",
                     CONTROL_LINE_MAX);
}

static void client_lines(struct client *c)
{
    char *start = c->in, *end = c->in + c->in_len, *nl;

    while (!c->dead && (nl = memchr(start, '\n', end - start))) {
        if (!c->skipping && nl > start)
            line_run(c, start, nl - start);
        c->skipping = false;
        start = nl + 1;
    }
    c->in_len = end - start;
    memmove(c->in, start, c->in_len);
    if (c->skipping)
        c->in_len = 0;
    else if (c->in_len >= CONTROL_LINE_MAX)
        client_too_long(c);
}

static void client_read(struct client *c)
{
    ssize_t n;

    if (buffer_reserve(&c->in, &c->in_size, c->in_len, 65536,
                       CONTROL_LINE_MAX + 131072)) {
        c->dead = true;
        return;
    }
    n = recv(c->fd, c->in + c->in_len, 65536, MSG_DONTWAIT);
    if (n > 0) {
        c->in_len += n;
        client_lines(c);
    } else if (n == 0) {
        c->eof = true;
        client_flush(c);
    } else if (errno != EAGAIN && errno != EINTR) {
        c->dead = true;
    }
}

static void client_event(void *arg, uint32_t events)
{
    struct client *c = arg;

    if (events & (EPOLLERR | EPOLLHUP))
        c->dead = true;
    if (!c->dead && (events & EPOLLIN))
        client_read(c);
    if (!c->dead && (events & EPOLLOUT))
        client_flush(c);
    if (c->dead)
        client_free(c);
}

static bool peer_allowed(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
        return false;
    return cred.uid == 0 || cred.uid == geteuid();
}

static void control_accept(void *arg, uint32_t events)
{
    struct control *control = arg;
    struct client *c;
    int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        return;
    c = calloc(1, sizeof(*c));
    if (!c || control->nr_clients >= CLIENTS_MAX || !peer_allowed(fd)) {
        free(c);
        close(fd);
        return;
    }
    c->control = control;
    c->fd = fd;
    if (loop_add_fd(control->loop, fd, EPOLLIN, client_event, c)) {
        free(c);
        close(fd);
        return;
    }
    c->next = control->clients;
    control->clients = c;
    control->nr_clients++;
}

static int listen_on(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd, rc;

    if (strlen(path) >= sizeof(sun.sun_path))
        return -ENAMETOOLONG;
    strcpy(sun.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    unlink(path);
    if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) || chmod(path, 0600) ||
        listen(fd, 64)) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

int control_create(struct control **out, struct loop *loop, const char *path,
                   const struct control_command *commands, void *owner)
{
    struct control *control = calloc(1, sizeof(*control));
    int rc = -ENOMEM;

    if (!control)
        return -ENOMEM;
    control->loop = loop;
    control->commands = commands;
    control->owner = owner;
    control->path = strdup(path);
    if (!control->path)
        goto err;
    rc = control->fd = listen_on(path);
    if (rc < 0)
        goto err;
    rc = loop_add_fd(loop, control->fd, EPOLLIN, control_accept, control);
    if (rc) {
        close(control->fd);
        goto err;
    }
    *out = control;
    return 0;
err:
    free(control->path);
    free(control);
    return rc;
}

void control_destroy(struct control *control)
{
    if (!control)
        return;
    while (control->clients)
        client_free(control->clients);
    loop_del_fd(control->loop, control->fd);
    close(control->fd);
    unlink(control->path);
    free(control->path);
    free(control);
}
