/* SPDX-License-Identifier: MIT */
#include "dom0/tstore.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dom0/dom0_log.h"

#define RETRY_MS       50
#define TRIES_MAX      50 /* of a transaction that others keep disturbing */
#define STORE_PATH_MAX 512

struct tstore {
    struct loop *loop;
    struct xs_handle *xs;
    int fd;
    bool lost;  /* the connection broke; the timer puts up a new one */
    bool quiet; /* has said that it waits */
    struct loop_timer timer;
    tstore_event_fn *event;
    tstore_ready_fn *ready;
    void *owner;
};

static void tstore_open(void *arg);

/* Turns errno into a result, and notices a broken connection. */
static int tstore_result(struct tstore *store, bool ok)
{
    int err = errno;

    if (ok)
        return 0;
    switch (err) {
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
    case ENOTCONN:
    case EBADF:
    case EIO:
        store->lost = true;
        loop_arm(store->loop, &store->timer, 0);
        errno = ENOTCONN;
        return -ENOTCONN;
    case 0:
        return -EIO;
    default:
        return -err;
    }
}

static bool tstore_gone(struct tstore *store)
{
    if (store->xs && !store->lost)
        return false;
    errno = ENOTCONN;
    return true;
}

static void tstore_readable(void *arg, uint32_t events)
{
    struct tstore *store = arg;
    char **event;

    (void)events;
    for (;;) {
        errno = 0;
        event = xs_check_watch(store->xs);
        if (!event)
            break;
        store->event(store->owner, event[XS_WATCH_PATH], event[XS_WATCH_TOKEN]);
        free(event);
        if (tstore_gone(store))
            return;
    }
    if (errno != EAGAIN && errno != EINTR)
        tstore_result(store, false);
}

static void tstore_drop(struct tstore *store)
{
    if (!store->xs)
        return;
    loop_del_fd(store->loop, store->fd);
    xs_close(store->xs);
    store->xs = NULL;
}

static void tstore_open(void *arg)
{
    struct tstore *store = arg;

    tstore_drop(store);
    store->lost = false;
    store->xs = xs_open(0);
    if (!store->xs) {
        if (!store->quiet)
            dom0_warn("the store does not answer (%s): waiting for it",
                      strerror(errno));
        store->quiet = true;
        loop_arm(store->loop, &store->timer, RETRY_MS);
        return;
    }
    store->fd = xs_fileno(store->xs);
    if (loop_add_fd(store->loop, store->fd, EPOLLIN, tstore_readable, store)) {
        xs_close(store->xs);
        store->xs = NULL;
        loop_arm(store->loop, &store->timer, RETRY_MS);
        return;
    }
    if (store->quiet)
        dom0_info("connected to the store");
    store->quiet = false;
    store->ready(store->owner);
}

int tstore_create(struct tstore **out, struct loop *loop,
                  tstore_event_fn *event, tstore_ready_fn *ready, void *owner)
{
    struct tstore *store = calloc(1, sizeof(*store));

    if (!store)
        return -ENOMEM;
    store->loop = loop;
    store->event = event;
    store->ready = ready;
    store->owner = owner;
    store->fd = -1;
    store->timer = (struct loop_timer){.fn = tstore_open, .arg = store};
    *out = store;
    tstore_open(store);
    return 0;
}

void tstore_destroy(struct tstore *store)
{
    if (!store)
        return;
    loop_disarm(store->loop, &store->timer);
    tstore_drop(store);
    free(store);
}

bool tstore_up(const struct tstore *store)
{
    return store && store->xs && !store->lost;
}

static bool node_set_perms(struct tstore *store, xs_transaction_t t,
                           uint32_t domid, const struct node *node)
{
    struct xs_permissions p[2] = {{0}};
    unsigned nr = 1;

    switch (node->perms) {
    case NODE_INHERIT:
        return true;
    case NODE_PRIVATE:
        break;
    case NODE_RO:
        p[1] = (struct xs_permissions){.id = domid, .perms = XS_PERM_READ};
        nr = 2;
        break;
    case NODE_RW:
        p[0].id = domid;
        break;
    case NODE_FRONT:
        p[0].id = domid;
        p[1] = (struct xs_permissions){.id = 0, .perms = XS_PERM_READ};
        nr = 2;
        break;
    }
    return xs_set_permissions(store->xs, t, node->path, p, nr);
}

static bool node_make(struct tstore *store, xs_transaction_t t, uint32_t domid,
                      const struct node *node)
{
    bool ok = node->value ? xs_write(store->xs, t, node->path, node->value,
                                     strlen(node->value))
                          : xs_mkdir(store->xs, t, node->path);

    return ok && node_set_perms(store, t, domid, node);
}

int tstore_apply(struct tstore *store, const struct plan *plan)
{
    int tries, rc = -EAGAIN;
    xs_transaction_t t;
    size_t i;

    if (plan->failed)
        return -ENOMEM;
    for (tries = 0; tries < TRIES_MAX && rc == -EAGAIN; tries++) {
        if (tstore_gone(store))
            return -ENOTCONN;
        t = xs_transaction_start(store->xs);
        if (t == XBT_NULL)
            return tstore_result(store, false);
        for (i = 0, rc = 0; i < plan->nr && !rc; i++)
            rc = tstore_result(
                store, node_make(store, t, plan->domid, &plan->nodes[i]));
        if (rc)
            dom0_debug("store: %s: %s", plan->nodes[i - 1].path, strerror(-rc));
        if (store->lost)
            return -ENOTCONN;
        if (!xs_transaction_end(store->xs, t, rc != 0) && !rc)
            rc = tstore_result(store, false);
    }
    return rc;
}

#define FORMAT_PATH(path, fmt)                                                 \
    char path[STORE_PATH_MAX];                                                 \
    va_list path_ap;                                                           \
    va_start(path_ap, fmt);                                                    \
    vsnprintf(path, sizeof(path), fmt, path_ap);                               \
    va_end(path_ap)

int tstore_write(struct tstore *store, const char *value, const char *fmt, ...)
{
    FORMAT_PATH(path, fmt);

    if (tstore_gone(store))
        return -ENOTCONN;
    return tstore_result(
        store, xs_write(store->xs, XBT_NULL, path, value, strlen(value)));
}

int tstore_rm(struct tstore *store, const char *fmt, ...)
{
    int rc;

    FORMAT_PATH(path, fmt);

    if (tstore_gone(store))
        return -ENOTCONN;
    rc = tstore_result(store, xs_rm(store->xs, XBT_NULL, path));
    return rc == -ENOENT ? 0 : rc;
}

int tstore_watch(struct tstore *store, const char *path, const char *token)
{
    int rc;

    if (tstore_gone(store))
        return -ENOTCONN;
    rc = tstore_result(store, xs_watch(store->xs, path, token));
    return rc == -EEXIST ? 0 : rc;
}

int tstore_unwatch(struct tstore *store, const char *path, const char *token)
{
    if (tstore_gone(store))
        return -ENOTCONN;
    return tstore_result(store, xs_unwatch(store->xs, path, token));
}

int tstore_introduce(struct tstore *store, uint32_t domid, uint64_t mfn,
                     uint32_t port)
{
    if (tstore_gone(store))
        return -ENOTCONN;
    return tstore_result(store,
                         xs_introduce_domain(store->xs, domid, mfn, port));
}

int tstore_release(struct tstore *store, uint32_t domid)
{
    int rc;

    if (tstore_gone(store))
        return -ENOTCONN;
    rc = tstore_result(store, xs_release_domain(store->xs, domid));
    return rc == -ENOENT ? 0 : rc;
}

int tstore_introduced(struct tstore *store, uint32_t domid)
{
    if (tstore_gone(store))
        return -ENOTCONN;
    return xs_is_domain_introduced(store->xs, domid);
}

char *tstore_read(struct tstore *store, const char *fmt, ...)
{
    char *value;

    FORMAT_PATH(path, fmt);

    if (tstore_gone(store))
        return NULL;
    value = xs_read(store->xs, XBT_NULL, path, NULL);
    if (!value)
        tstore_result(store, false);
    return value;
}

char **tstore_list(struct tstore *store, unsigned *nr, const char *fmt, ...)
{
    char **names;

    FORMAT_PATH(path, fmt);

    *nr = 0;
    if (tstore_gone(store))
        return NULL;
    names = xs_directory(store->xs, XBT_NULL, path, nr);
    if (!names)
        tstore_result(store, false);
    return names;
}
