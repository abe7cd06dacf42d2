/* SPDX-License-Identifier: MIT */
/* Start, stop, logs and nodes: what every backend stands on. */
#include "backends/core.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "hv/client/kxen.h"

#define POLL_US_DEFAULT 20

/* Of the linker; weak, as a program may have no backend at all. */
extern const struct backend_ops *const __start_backend_ops_set[]
    __attribute__((weak));
extern const struct backend_ops *const __stop_backend_ops_set[]
    __attribute__((weak));

const struct backend_ops *backend_find_ops(const char *type)
{
    const struct backend_ops *const *p = __start_backend_ops_set;

    for (; p < __stop_backend_ops_set; p++)
        if (!strcmp((*p)->type, type))
            return *p;
    return NULL;
}

uint64_t backend_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A guest's words may be in a line: no control characters reach a terminal. */
static void log_line(struct backends *b, char *line)
{
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    if (b->log)
        b->log(b->log_arg, line);
    else
        fprintf(stderr, "backends: %s\n", line);
}

void backends_log(struct backends *b, const char *fmt, ...)
{
    char line[640];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    log_line(b, line);
}

void backend_log(struct backend_dev *dev, const char *fmt, ...)
{
    char line[640];
    va_list ap;
    int n = snprintf(line, sizeof(line), "%s: ", dev->name);

    va_start(ap, fmt);
    vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
    va_end(ap);
    log_line(dev->backends, line);
}

static struct xb_dev *to_xb(struct backend_dev *dev)
{
    return (struct xb_dev *)((char *)dev - offsetof(struct xb_dev, dev));
}

void backend_fail(struct backend_dev *dev, const char *fmt, ...)
{
    struct xb_dev *xd = to_xb(dev);
    va_list ap;

    if (atomic_exchange(&xd->failed, true)) /* another queue was faster */
        return;
    va_start(ap, fmt);
    vsnprintf(xd->failure, sizeof(xd->failure), fmt, ap);
    va_end(ap);
    atomic_store(&xd->failing, true);
    eventfd_write(dev->backends->kick_fd, 1);
}

int backend_error(struct backend_dev *dev, int err, const char *fmt, ...)
{
    struct xb_dev *xd = to_xb(dev);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(xd->error, sizeof(xd->error), fmt, ap);
    va_end(ap);
    return err;
}

int parse_u64(const char *s, uint64_t *v)
{
    char *end;

    if (*s < '0' || *s > '9')
        return -EINVAL;
    errno = 0;
    *v = strtoull(s, &end, 10);
    return errno || *end ? -EINVAL : 0;
}

int store_read(struct xs_handle *xs, const char *path, char *buf, size_t size)
{
    unsigned int len;
    char *value;

    if (!xs)
        return -ENOTCONN;
    value = xs_read(xs, XBT_NULL, path, &len);
    if (!value)
        return errno ? -errno : -EIO;
    if (len >= size)
        len = (unsigned int)size - 1;
    memcpy(buf, value, len);
    buf[len] = '\0';
    free(value);
    return 0;
}

static int read_node(struct backend_dev *dev, const char *dir, const char *node,
                     char *buf, size_t size)
{
    char path[384];
    int ret;

    if (snprintf(path, sizeof(path), "%s/%s", dir, node) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    ret = store_read(dev->backends->xs, path, buf, size);
    if (ret && ret != -ENOENT && ret != -EACCES && ret != -EINVAL)
        dev->backends->xs_broken = true;
    return ret;
}

int backend_read_be(struct backend_dev *dev, const char *node, char *buf,
                    size_t size)
{
    return read_node(dev, dev->be_path, node, buf, size);
}

int backend_read_fe(struct backend_dev *dev, const char *node, char *buf,
                    size_t size)
{
    return read_node(dev, dev->fe_path, node, buf, size);
}

int backend_read_be_num(struct backend_dev *dev, const char *node, int64_t *v)
{
    char buf[32];
    uint64_t u;
    int ret = backend_read_be(dev, node, buf, sizeof(buf));

    if (!ret)
        ret = parse_u64(buf[0] == '-' ? buf + 1 : buf, &u);
    if (!ret && u > INT64_MAX)
        ret = -EINVAL;
    if (!ret)
        *v = buf[0] == '-' ? -(int64_t)u : (int64_t)u;
    return ret;
}

int backend_read_fe_num(struct backend_dev *dev, const char *node, uint64_t *v)
{
    char buf[32];
    int ret = backend_read_fe(dev, node, buf, sizeof(buf));

    return ret ? ret : parse_u64(buf, v);
}

int backend_write_be(struct backend_dev *dev, const char *node, const char *fmt,
                     ...)
{
    struct backends *b = dev->backends;
    char path[384], value[512];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof(value))
        n = sizeof(value) - 1;
    snprintf(path, sizeof(path), "%s/%s", dev->be_path, node);
    if (b->xs && xs_write(b->xs, XBT_NULL, path, value, (unsigned int)n))
        return 0;
    if (!b->xs || (errno != ENOENT && errno != EACCES))
        b->xs_broken = true;
    return errno ? -errno : -EIO;
}

int backend_poll_us(struct backend_dev *dev)
{
    const char *env = getenv("KXEN_POLL_US");
    int64_t v;

    if (!backend_read_be_num(dev, "poll-us", &v) && v >= -1 && v < 1000000)
        return (int)v;
    if (env && *env)
        return atoi(env);
    if (dev->backends->poll_us)
        return dev->backends->poll_us;
    /* Spinning where there is but one CPU would only keep the guest off it. */
    return sysconf(_SC_NPROCESSORS_ONLN) > 1 ? POLL_US_DEFAULT : 0;
}

const char *backend_run_dir(struct backend_dev *dev)
{
    return dev->backends->run_dir;
}

static struct backends *backends_new(const struct backends_opts *opts)
{
    struct backends *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    snprintf(b->run_dir, sizeof(b->run_dir), "%s",
             opts->run_dir ? opts->run_dir : kxen_run_dir());
    b->poll_us = opts->poll_us;
    b->log = opts->log;
    b->log_arg = opts->log_arg;
    TAILQ_INIT(&b->devs);
    pthread_mutex_init(&b->lock, NULL);
    b->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return b;
}

static void backends_free(struct backends *b)
{
    close(b->kick_fd);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

struct backends *backends_start(const struct backends_opts *opts)
{
    static const struct backends_opts defaults;
    struct backends *b = backends_new(opts ? opts : &defaults);
    int err;

    if (!b)
        return NULL;
    err = b->kick_fd < 0 ? errno : 0;
    if (err)
        goto out;
    b->console = console_hub_start(b);
    if (!b->console) {
        err = errno;
        goto out;
    }
    err = pthread_create(&b->thread, NULL, xenbus_thread, b);
    if (!err)
        return b;
    console_hub_stop(b->console);
out:
    backends_free(b);
    errno = err;
    return NULL;
}

void backends_stop(struct backends *b)
{
    if (!b)
        return;
    atomic_store(&b->stop, true);
    eventfd_write(b->kick_fd, 1);
    pthread_join(b->thread, NULL);
    console_hub_stop(b->console);
    backends_free(b);
}

static json_t *dev_stats(struct xb_dev *xd)
{
    json_t *obj = json_object();

    json_object_set_new(obj, "type", json_string(xd->dev.ops->type));
    json_object_set_new(obj, "domid", json_integer(xd->dev.domid));
    json_object_set_new(obj, "devid", json_string(xd->dev.devid));
    json_object_set_new(obj, "state",
                        json_string(xenbus_state_name(
                            (enum xenbus_state)atomic_load(&xd->shown))));
    if (xd->view.probed && xd->dev.ops->stats)
        xd->dev.ops->stats(&xd->dev, obj);
    return obj;
}

json_t *backends_stats_json(struct backends *b)
{
    json_t *obj = json_object(), *devs = json_array();
    struct xb_dev *xd;

    pthread_mutex_lock(&b->lock);
    TAILQ_FOREACH(xd, &b->devs, link)
    json_array_append_new(devs, dev_stats(xd));
    pthread_mutex_unlock(&b->lock);
    json_object_set_new(obj, "devices", devs);
    json_object_set_new(obj, "consoles", console_hub_stats(b->console));
    return obj;
}
