/* SPDX-License-Identifier: MIT */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/client/kxen.h"

#define RETRY_MS       50
#define WAIT_MS        10000 /* for a dom0 that is being restarted */
#define LINE_MAX_BYTES (16u << 20)

struct client {
    int fd;
    char *buf;
    size_t len, size;
    int next_id;
};

struct client *client_try(void)
{
    struct client *c;
    char path[512];
    int fd;

    if (kxen_path(path, sizeof(path), "dom0.sock"))
        return NULL;
    fd = kxl_connect_unix(path);
    if (fd < 0) {
        errno = -fd;
        return NULL;
    }
    c = calloc(1, sizeof(*c));
    if (!c)
        close(fd);
    else
        c->fd = fd;
    return c;
}

static bool hv_answers(void)
{
    char path[512];
    int fd;

    if (kxen_path(path, sizeof(path), "hv.sock"))
        return false;
    fd = kxl_connect_unix(path);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static struct client *client_wait(void)
{
    int waited;

    for (waited = 0; waited < WAIT_MS; waited += RETRY_MS) {
        struct client *c = client_try();

        if (c)
            return c;
        if (waited == 1000)
            kxl_say("dom0 has died and is being restarted; waiting");
        poll(NULL, 0, RETRY_MS);
    }
    kxl_error("look into dom0.log there",
              "dom0 does not answer in %s, though its host runs",
              kxen_run_dir());
    return NULL;
}

/* Who has lost one wants to know why, before another. */
static void no_host(void)
{
    char log[512];
    bool had_one =
        !kxen_path(log, sizeof(log), "host.log") && !access(log, F_OK);

    kxl_error(had_one ? "host.log there says how the last one ended; kxl "
                        "create CFG or kxl host-start starts another"
                      : "kxl create CFG starts one, kxl host-start starts it "
                        "empty",
              "no host runs in %s", kxen_run_dir());
}

struct client *client_open(bool start)
{
    struct client *c = client_try();

    if (c)
        return c;
    if (errno == EACCES) {
        kxl_error("be who started that host, or have one of your own: "
                  "kxl -R DIR, or KXEN_RUN_DIR=DIR",
                  "cannot reach the host in %s: %s", kxen_run_dir(),
                  strerror(EACCES));
        return NULL;
    }
    if (host_supervisor())
        return client_wait();
    if (hv_answers()) {
        kxl_say("dom0 has died; starting it again");
    } else if (!start) {
        no_host();
        return NULL;
    }
    return host_start() ? NULL : client_wait();
}

void client_close(struct client *c)
{
    if (!c)
        return;
    close(c->fd);
    free(c->buf);
    free(c);
}

int client_fd(const struct client *c)
{
    return c->fd;
}

int client_send(struct client *c, json_t *req)
{
    char *line;
    size_t len, done = 0;

    json_object_set_new(req, "id", json_integer(++c->next_id));
    line = json_dumps(req, JSON_COMPACT);
    json_decref(req);
    if (!line)
        return -ENOMEM;
    len = strlen(line);
    line[len++] = '\n'; /* in the place of its NUL */
    while (done < len) {
        ssize_t n = send(c->fd, line + done, len - done, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? n : 0;
    }
    free(line);
    return done == len ? 0 : -EPIPE;
}

int client_last_id(const struct client *c)
{
    return c->next_id;
}

/* Takes the first line out of the buffer. */
static json_t *buffer_message(struct client *c)
{
    char *nl = c->len ? memchr(c->buf, '\n', c->len) : NULL;
    json_t *msg;
    size_t used;

    if (!nl) {
        errno = EAGAIN;
        return NULL;
    }
    used = nl - c->buf + 1;
    msg = json_loadb(c->buf, used, 0, NULL);
    c->len -= used;
    memmove(c->buf, nl + 1, c->len);
    if (!msg)
        errno = EPIPE;
    return msg;
}

static int buffer_grow(struct client *c)
{
    size_t size = c->size ? c->size * 2 : 65536;
    char *buf;

    if (c->size - c->len >= 4096)
        return 0;
    buf = size > LINE_MAX_BYTES ? NULL : realloc(c->buf, size);
    if (!buf)
        return -ENOMEM;
    c->buf = buf;
    c->size = size;
    return 0;
}

json_t *client_read(struct client *c)
{
    json_t *msg = buffer_message(c);
    ssize_t n;

    if (msg || errno != EAGAIN)
        return msg;
    if (buffer_grow(c)) {
        errno = EPIPE;
        return NULL;
    }
    n = recv(c->fd, c->buf + c->len, c->size - c->len, MSG_DONTWAIT);
    if (n > 0) {
        c->len += n;
        return buffer_message(c);
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        errno = EPIPE;
    else
        errno = EAGAIN;
    return NULL;
}

void client_progress(const json_t *msg)
{
    const char *text = kxl_str(msg, "text");

    if (isatty(STDERR_FILENO) || !strncmp(text, "warning", 7))
        kxl_say("%s", text);
}

json_t *client_call(struct client *c, json_t *req, client_event_fn *event,
                    void *arg)
{
    if (client_send(c, req))
        return NULL;
    for (;;) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        json_t *msg = client_read(c);

        if (!msg && errno == EAGAIN) {
            poll(&p, 1, -1);
            continue;
        }
        if (!msg)
            return NULL;
        if (!json_object_get(msg, "event"))
            return msg;
        if (event)
            event(arg, kxl_str(msg, "event"), msg);
        else if (!strcmp(kxl_str(msg, "event"), "progress"))
            client_progress(msg);
        json_decref(msg);
    }
}

int client_refused(const json_t *reply)
{
    kxl_error(kxl_str(reply, "hint"), "%s", kxl_str(reply, "error"));
    return KXL_ERROR;
}

json_t *client_ask(struct client *c, json_t *req)
{
    json_t *reply = client_call(c, req, NULL, NULL);

    if (!reply) {
        kxl_error("kxl list shows whether it was done; look into dom0.log",
                  "dom0 died before it answered");
        return NULL;
    }
    if (json_is_true(json_object_get(reply, "ok")))
        return reply;
    client_refused(reply);
    json_decref(reply);
    return NULL;
}

/* What a dom0 that died meanwhile may have done already is done twice. */
static json_t *once_more(json_t *req)
{
    struct client *c = client_open(false);
    bool destroy = !strcmp(kxl_str(req, "cmd"), "destroy");
    json_t *reply;

    if (!c)
        return NULL;
    if (!destroy) {
        reply = client_ask(c, json_incref(req));
    } else {
        reply = client_call(c, json_incref(req), NULL, NULL);
        if (reply) /* "no such domain" is what was wanted */
            json_object_set_new(reply, "ok", json_true());
    }
    client_close(c);
    return reply;
}

json_t *client_once(json_t *req)
{
    struct client *c = client_open(false);
    json_t *reply = NULL;

    if (!c)
        goto out;
    reply = client_call(c, json_incref(req), NULL, NULL);
    client_close(c);
    if (!reply) {
        reply = once_more(req);
    } else if (!json_is_true(json_object_get(reply, "ok"))) {
        client_refused(reply);
        json_decref(reply);
        reply = NULL;
    }
out:
    json_decref(req);
    return reply;
}

json_t *client_request(const char *cmd, const char *domain)
{
    json_t *req = json_pack("{s:s}", "cmd", cmd);

    if (domain)
        json_object_set_new(req, "domain", json_string(domain));
    return req;
}
