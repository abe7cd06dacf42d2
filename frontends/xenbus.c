/* SPDX-License-Identifier: MIT */
/* Store helpers and the state machine of split devices. xen/io/xenbus.h */
#include "frontends/include/xenbus.h"
#include "frontends/include/kernel.h"

static int join(char *buf, size_t size, const char *dir, const char *node)
{
    int n = snprintf(buf, size, "%s/%s", dir, node);

    return n < (int)size ? 0 : -E2BIG;
}

int xenbus_read_node(xenbus_tx_t tx, const char *dir, const char *node,
                     char *buf, size_t size)
{
    char path[256];
    int rc = join(path, sizeof(path), dir, node);

    return rc ? rc : xenbus_read(tx, path, buf, size);
}

int xenbus_read_u64(xenbus_tx_t tx, const char *dir, const char *node,
                    uint64_t *out)
{
    char text[32];
    const char *p = text;
    uint64_t v;
    int rc = xenbus_read_node(tx, dir, node, text, sizeof(text));

    if (rc < 0)
        return rc;
    if (rc >= (int)sizeof(text) || parse_u64(&p, 10, &v) || *p)
        return -EPROTO;
    *out = v;
    return 0;
}

int xenbus_printf(xenbus_tx_t tx, const char *dir, const char *node,
                  const char *fmt, ...)
{
    char path[256], text[256];
    va_list ap;
    int n, rc = join(path, sizeof(path), dir, node);

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof(text))
        rc = -E2BIG;
    return rc ? rc : xenbus_write(tx, path, text, (size_t)n);
}

const char *xenbus_state_name(enum xenbus_state state)
{
    static const char *const names[] = {
        "Unknown", "Initialising", "InitWait",      "Initialised",  "Connected",
        "Closing", "Closed",       "Reconfiguring", "Reconfigured",
    };

    return state < ARRAY_SIZE(names) ? names[state] : "nonsense";
}

int xenbus_device_open(struct xenbus_device *dev, const char *path)
{
    uint64_t id;
    int rc;

    snprintf(dev->path, sizeof(dev->path), "%s", path);
    rc = xenbus_read_node(XBT_NIL, path, "backend", dev->backend,
                          sizeof(dev->backend));
    if (rc < 0)
        return rc;
    if (rc == 0 || rc >= (int)sizeof(dev->backend))
        return -EPROTO;
    rc = xenbus_read_u64(XBT_NIL, path, "backend-id", &id);
    if (rc)
        return rc;
    if (id >= DOMID_FIRST_RESERVED)
        return -EPROTO;
    dev->backend_id = (domid_t)id;
    dev->state = XenbusStateInitialising;
    snprintf(dev->watch_path, sizeof(dev->watch_path), "%s/state",
             dev->backend);
    dev->backend_watch.path = dev->watch_path;
    return xenbus_watch(&dev->backend_watch);
}

void xenbus_device_close(struct xenbus_device *dev)
{
    xenbus_unwatch(&dev->backend_watch);
}

int xenbus_switch_state(struct xenbus_device *dev, enum xenbus_state state)
{
    int rc = xenbus_printf(XBT_NIL, dev->path, "state", "%d", state);

    if (!rc)
        dev->state = state;
    return rc;
}

enum xenbus_state xenbus_backend_state(struct xenbus_device *dev)
{
    uint64_t v;

    if (xenbus_read_u64(XBT_NIL, dev->backend, "state", &v) ||
        v > XenbusStateReconfigured)
        return XenbusStateUnknown;
    return (enum xenbus_state)v;
}

int xenbus_wait_backend(struct xenbus_device *dev, uint32_t set,
                        uint64_t timeout_ns)
{
    uint64_t deadline = time_ns() + timeout_ns;
    enum xenbus_state state;
    uint32_t seen;
    int rc = 0;

    for (;;) {
        xenbus_poll();
        seen = READ_ONCE(dev->backend_watch.fired);
        state = xenbus_backend_state(dev);
        if (set & (1u << state))
            return (int)state;
        if (rc)
            return rc;
        /* A change after the read has fired the watch once more. */
        rc = wait_event_until(xenbus_poll() &&
                                  READ_ONCE(dev->backend_watch.fired) != seen,
                              deadline);
    }
}

int xenbus_error(struct xenbus_device *dev, int err, const char *fmt, ...)
{
    char text[200], dir[80];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    printf("%s: %s (error %d)\n", dev->path, text, err);
    snprintf(dir, sizeof(dir), "error/%s", dev->path);
    (void)xenbus_printf(XBT_NIL, dir, "error", "%d %s", -err, text);
    return err;
}

void xenbus_for_each_device(const char *type, void (*fn)(const char *path))
{
    char dir[32], path[64], *names = heap_alloc(PAGE_SIZE);
    const char *name;
    int len;

    if (!names || xenbus_init())
        goto out;
    snprintf(dir, sizeof(dir), "device/%s", type);
    len = xenbus_directory(XBT_NIL, dir, names, PAGE_SIZE);
    for (name = names; name < names + len; name += strlen(name) + 1) {
        if (join(path, sizeof(path), dir, name) == 0 && *name)
            fn(path);
    }
out:
    heap_free(names);
}
