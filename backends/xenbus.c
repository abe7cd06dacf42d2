/* SPDX-License-Identifier: MIT */
/*
 * The xenbus thread: finds devices in the store, drives their handshakes.
 *
 * Events are drained first and only mark devices dirty; each dirty device is
 * then looked at once.  A guest that writes its state in a loop (XSA-349)
 * costs a look per round, and no memory of ours.
 */
#include "backends/core.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "hv/client/kxen.h"

#define BE_ROOT        "/local/domain/0/backend"
#define RETRY_NS       2000000ull     /* between calls that said -EAGAIN */
#define RETRY_TELL_NS  500000000ull   /* until it is worth a line */
#define RETRY_LIMIT_NS 20000000000ull /* until it is an error */
#define EVENTS_A_TURN  256
#define MAX_STEPS      8 /* actions on one device in one look */

/* ---- devices ---- */

static struct xb_dev *dev_find(struct backends *b, const char *type,
                               domid_t domid, const char *devid)
{
    struct xb_dev *xd;

    TAILQ_FOREACH(xd, &b->devs, link)
    if (xd->dev.domid == domid && !strcmp(xd->dev.devid, devid) &&
        !strcmp(xd->dev.ops->type, type))
        return xd;
    return NULL;
}

static bool devid_ok(const char *s)
{
    size_t n = strspn(s, "0123456789abcdefghijklmnopqrstuvwxyz"
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-");

    return n && !s[n] && n < sizeof(((struct backend_dev *)0)->devid);
}

static struct xb_dev *dev_new(struct backends *b, const struct backend_ops *ops,
                              domid_t domid, const char *devid)
{
    struct xb_dev *xd = calloc(1, sizeof(*xd));

    if (!xd)
        return NULL;
    xd->dev.ops = ops;
    xd->dev.backends = b;
    xd->dev.domid = domid;
    snprintf(xd->dev.devid, sizeof(xd->dev.devid), "%s", devid);
    snprintf(xd->dev.name, sizeof(xd->dev.name), "d%u %.16s/%s", domid,
             ops->type, devid);
    snprintf(xd->dev.be_path, sizeof(xd->dev.be_path), BE_ROOT "/%s/%u/%s",
             ops->type, domid, devid);
    pthread_mutex_lock(&b->lock);
    TAILQ_INSERT_TAIL(&b->devs, xd, link);
    pthread_mutex_unlock(&b->lock);
    return xd;
}

/* Marks (and makes, if it is new) the device of these path components. */
static void dev_touch(struct backends *b, const char *type, const char *dom,
                      const char *devid)
{
    const struct backend_ops *ops = backend_find_ops(type);
    struct xb_dev *xd;
    uint64_t domid;

    if (!ops || parse_u64(dom, &domid) || domid >= DOMID_FIRST_RESERVED ||
        !devid_ok(devid))
        return;
    xd = dev_find(b, type, (domid_t)domid, devid);
    if (!xd)
        xd = dev_new(b, ops, (domid_t)domid, devid);
    if (xd)
        xd->dirty = true;
}

static void dev_release(struct xb_dev *xd)
{
    struct backends *b = xd->dev.backends;

    if (!xd->view.probed)
        return;
    pthread_mutex_lock(&b->lock);
    xd->view.probed = false;
    xd->dev.ops->remove(&xd->dev);
    xd->dev.priv = NULL;
    pthread_mutex_unlock(&b->lock);
}

static void dev_disconnect(struct xb_dev *xd, bool keep)
{
    if (!xd->view.connected)
        return;
    xd->dev.ops->disconnect(&xd->dev, keep);
    xd->view.connected = false;
    atomic_store(&xd->failing, false);
    atomic_store(&xd->failed, false);
}

static void fe_watch_name(struct xb_dev *xd, char *path, char *token)
{
    snprintf(path, 384, "%s/state", xd->dev.fe_path);
    snprintf(token, 128, "fe:%s/%u/%s", xd->dev.ops->type, xd->dev.domid,
             xd->dev.devid);
}

static void dev_unwatch(struct xb_dev *xd)
{
    char path[384], token[128];

    fe_watch_name(xd, path, token);
    if (xd->watching && xd->dev.backends->xs)
        xs_unwatch(xd->dev.backends->xs, path, token);
    xd->watching = false;
}

static void dev_free(struct xb_dev *xd, bool keep)
{
    struct backends *b = xd->dev.backends;

    dev_disconnect(xd, keep);
    dev_release(xd);
    dev_unwatch(xd);
    pthread_mutex_lock(&b->lock);
    TAILQ_REMOVE(&b->devs, xd, link);
    pthread_mutex_unlock(&b->lock);
    free(xd);
}

/* ---- what the store says of a device ---- */

static enum xenbus_state to_state(const char *s)
{
    uint64_t v;

    if (parse_u64(s, &v) || v > XenbusStateReconfigured)
        return XenbusStateUnknown;
    return (enum xenbus_state)v;
}

/*
 * A missing node is Unknown. One that holds nonsense is not missing: it
 * reads as a state that asks for nothing.
 */
static int read_state(struct backend_dev *dev, bool front,
                      enum xenbus_state *state)
{
    char buf[32];
    int ret = front ? backend_read_fe(dev, "state", buf, sizeof(buf))
                    : backend_read_be(dev, "state", buf, sizeof(buf));

    if (ret == -ENOENT || ret == -EACCES) {
        *state = XenbusStateUnknown;
        return 0;
    }
    if (ret)
        return ret;
    *state = to_state(buf);
    if (front && *state == XenbusStateUnknown)
        *state = XenbusStateReconfiguring;
    return 0;
}

/* The frontend's place; it must lie in its domain's part of the store. */
static int find_frontend(struct xb_dev *xd)
{
    char path[sizeof(xd->dev.fe_path)], home[64], token[128], wpath[384];
    int ret = backend_read_be(&xd->dev, "frontend", path, sizeof(path));
    int n = snprintf(home, sizeof(home), "/local/domain/%u/", xd->dev.domid);

    if (ret)
        return ret;
    if (strncmp(path, home, (size_t)n) || strlen(path) > 200) {
        backend_log(&xd->dev,
                    "its frontend node says \"%s\", which is not in "
                    "%s: ignored",
                    path, home);
        return -EINVAL;
    }
    if (xd->watching && strcmp(path, xd->dev.fe_path))
        dev_unwatch(xd);
    if (xd->watching)
        return 0;
    memcpy(xd->dev.fe_path, path, sizeof(path));
    fe_watch_name(xd, wpath, token);
    xd->watching = xs_watch(xd->dev.backends->xs, wpath, token);
    return 0;
}

static int read_view(struct xb_dev *xd)
{
    int64_t online = 1;
    int ret = find_frontend(xd);

    if (!ret)
        ret = read_state(&xd->dev, false, &xd->view.be);
    if (!ret)
        ret = read_state(&xd->dev, true, &xd->view.fe);
    if (ret)
        return ret;
    atomic_store(&xd->shown, (int)xd->view.be);
    backend_read_be_num(&xd->dev, "online", &online);
    xd->view.online = online != 0;
    xd->view.connect_at = xd->dev.ops->connect_at;
    if (xd->view.fe == XenbusStateInitialising ||
        xd->view.fe == XenbusStateClosing || xd->view.fe == XenbusStateClosed)
        xd->view.failed = false;
    return xd->dev.backends->xs_broken ? -ENOTCONN : 0;
}

/* ---- acting ---- */

static void set_state(struct xb_dev *xd, enum xenbus_state state)
{
    if (!backend_write_be(&xd->dev, "state", "%d", state))
        xd->view.be = state;
    atomic_store(&xd->shown, (int)xd->view.be);
}

/* Something failed for good: said in the log and in the store. */
static void dev_fatal(struct xb_dev *xd, const char *doing, int err,
                      enum xenbus_state state)
{
    const char *why = xd->error[0] ? xd->error : strerror(-err);

    backend_log(&xd->dev, "%s: %s", doing, why);
    backend_write_be(&xd->dev, "error", "%d %s: %s", -err, doing, why);
    set_state(xd, state);
    xd->view.failed = true;
}

/*
 * True while -EAGAIN means to come back; then it becomes an error.  What is
 * waited for is mostly the last breath of an earlier process, and not worth
 * a word.
 */
static bool dev_retry(struct xb_dev *xd, int err)
{
    uint64_t now = backend_now_ns();

    if (err != -EAGAIN) {
        xd->retry_since = 0;
        return false;
    }
    if (!xd->retry_since) {
        xd->retry_since = now;
        xd->told = false;
    }
    /* A guest that is running already is not to lose its disk because the
     * I/O of a dead dom0 hangs. */
    if (now - xd->retry_since >= RETRY_LIMIT_NS &&
        (xd->view.probed || !xd->dev.adopting))
        return false;
    if (!xd->told && now - xd->retry_since >= RETRY_TELL_NS) {
        backend_log(&xd->dev, "waiting: %s",
                    xd->error[0] ? xd->error : "not ready yet");
        xd->told = true;
    }
    xd->retry_at = now + RETRY_NS;
    return true;
}

static bool act_probe(struct xb_dev *xd)
{
    struct backend_dev *dev = &xd->dev;
    int ret;

    xd->error[0] = '\0';
    dev->adopting = !xd->view.seen && xd->view.be == XenbusStateConnected &&
                    (xd->view.fe == XenbusStateInitialised ||
                     xd->view.fe == XenbusStateConnected);
    ret = dev->ops->probe(dev);
    if (ret && dev_retry(xd, ret))
        return false;
    if (ret) {
        xd->view.probe_failed = true;
        backend_write_be(dev, "hotplug-error", "%s",
                         xd->error[0] ? xd->error : strerror(-ret));
        backend_write_be(dev, "hotplug-status", "error");
        dev_fatal(xd, "cannot set up the device", ret, XenbusStateClosed);
        return false;
    }
    pthread_mutex_lock(&dev->backends->lock);
    xd->view.probed = true;
    pthread_mutex_unlock(&dev->backends->lock);
    if (!dev->adopting)
        backend_write_be(dev, "hotplug-status", "connected");
    return true;
}

static bool act_connect(struct xb_dev *xd)
{
    int ret;

    xd->error[0] = '\0';
    xd->dev.adopting = false;
    atomic_store(&xd->failing, false);
    atomic_store(&xd->failed, false);
    xd->view.connected = true;
    ret = xd->dev.ops->connect(&xd->dev);
    if (!ret) {
        set_state(xd, XenbusStateConnected);
        backend_log(&xd->dev, "connected");
        return true;
    }
    dev_disconnect(xd, false);
    dev_fatal(xd, "cannot connect to the frontend", ret, XenbusStateClosing);
    return false;
}

static bool act_adopt(struct xb_dev *xd)
{
    int ret = -EOPNOTSUPP;

    xd->error[0] = '\0';
    atomic_store(&xd->failing, false);
    atomic_store(&xd->failed, false);
    xd->view.connected = true;
    if (xd->dev.ops->adopt)
        ret = xd->dev.ops->adopt(&xd->dev);
    if (!ret) {
        xd->dev.adopting = false;
        backend_log(&xd->dev, "taken over from an earlier process");
        return true;
    }
    dev_disconnect(xd, ret == -EAGAIN);
    if (!dev_retry(xd, ret))
        dev_fatal(xd, "cannot take over from an earlier process", ret,
                  XenbusStateClosing);
    return false;
}

/* True when the device wants another look at once. */
static bool dev_act(struct xb_dev *xd, enum xenbus_action action)
{
    switch (action) {
    case XENBUS_PROBE:
        return act_probe(xd);
    case XENBUS_CONNECT:
        return act_connect(xd);
    case XENBUS_ADOPT:
        return act_adopt(xd);
    case XENBUS_WAIT:
        dev_disconnect(xd, false);
        set_state(xd, XenbusStateInitWait);
        return true;
    case XENBUS_CLOSING:
        set_state(xd, XenbusStateClosing);
        return true;
    case XENBUS_CLOSE:
    case XENBUS_FINISH:
        dev_disconnect(xd, false);
        if (action == XENBUS_FINISH)
            dev_release(xd);
        if (xd->view.be != XenbusStateClosed)
            set_state(xd, XenbusStateClosed);
        return true;
    default:
        return false;
    }
}

/* Reads the device's nodes and does what they ask for. */
static void dev_examine(struct xb_dev *xd)
{
    struct backends *b = xd->dev.backends;
    enum xenbus_action action;
    int ret = 0, steps;

    xd->dirty = false;
    xd->retry_at = 0;
    for (steps = 0; steps < MAX_STEPS; steps++) {
        ret = read_view(xd);
        if (ret || b->xs_broken)
            break;
        action = xenbus_decide(&xd->view);
        if (action == XENBUS_NONE || !dev_act(xd, action))
            break;
        if (action != XENBUS_PROBE)
            xd->view.seen = true;
    }
    if (b->xs_broken)
        xd->dirty = true;
    else if (ret == -ENOENT)
        dev_free(xd, false);
    else if (!xd->retry_at)
        xd->view.seen = true;
}

/* A device's thread gave up on its frontend. */
static void dev_check_failure(struct xb_dev *xd)
{
    if (!xd->view.connected || !atomic_load(&xd->failing))
        return;
    snprintf(xd->error, sizeof(xd->error), "%.250s", xd->failure);
    dev_disconnect(xd, false);
    dev_fatal(xd, "closing the device, its frontend broke the protocol",
              -EPROTO, XenbusStateClosing);
    xd->dirty = true;
}

/* ---- events ---- */

static void scan_domain(struct backends *b, const char *type, const char *dom)
{
    unsigned int i, n = 0;
    char path[256], **ids;

    snprintf(path, sizeof(path), BE_ROOT "/%s/%s", type, dom);
    ids = xs_directory(b->xs, XBT_NULL, path, &n);
    for (i = 0; ids && i < n; i++)
        dev_touch(b, type, dom, ids[i]);
    free(ids);
}

/* Finds new devices; the ones we know are all looked at again. */
static void scan_all(struct backends *b)
{
    unsigned int i, j, nt = 0, nd = 0;
    char path[256], **types, **doms;
    struct xb_dev *xd;

    TAILQ_FOREACH(xd, &b->devs, link)
    xd->dirty = true;
    types = xs_directory(b->xs, XBT_NULL, BE_ROOT, &nt);
    for (i = 0; types && i < nt; i++) {
        if (!backend_find_ops(types[i]))
            continue;
        snprintf(path, sizeof(path), BE_ROOT "/%s", types[i]);
        doms = xs_directory(b->xs, XBT_NULL, path, &nd);
        for (j = 0; doms && j < nd; j++)
            scan_domain(b, types[i], doms[j]);
        free(doms);
    }
    free(types);
}

static void node_changed(struct backends *b, const char *type, const char *dom,
                         const char *devid, const char *node)
{
    uint64_t domid;
    struct xb_dev *xd;

    if (parse_u64(dom, &domid))
        return;
    xd = dev_find(b, type, (domid_t)domid, devid);
    if (xd && xd->view.probed && xd->dev.ops->changed)
        xd->dev.ops->changed(&xd->dev, node);
}

/* <type>/<domid>/<devid>[/node]; less than a device means: look around. */
static void backend_event(struct backends *b, char *rest)
{
    char *save = NULL;
    char *type = strtok_r(rest, "/", &save);
    char *dom = type ? strtok_r(NULL, "/", &save) : NULL;
    char *devid = dom ? strtok_r(NULL, "/", &save) : NULL;
    char *node = devid ? save : NULL;

    if (!devid) {
        scan_all(b);
        return;
    }
    if (node && *node && strcmp(node, "state") && strcmp(node, "online") &&
        strcmp(node, "frontend")) {
        node_changed(b, type, dom, devid, node);
        return;
    }
    dev_touch(b, type, dom, devid);
}

static void frontend_event(struct backends *b, char *name)
{
    char *save = NULL;
    char *type = strtok_r(name, "/", &save);
    char *dom = type ? strtok_r(NULL, "/", &save) : NULL;
    char *devid = dom ? strtok_r(NULL, "/", &save) : NULL;

    if (devid)
        dev_touch(b, type, dom, devid);
}

static void store_event(struct backends *b, char *path, char *token)
{
    struct xb_dev *xd;

    if (!strcmp(token, "be") && !strncmp(path, BE_ROOT, strlen(BE_ROOT)))
        backend_event(b, path + strlen(BE_ROOT));
    else if (!strncmp(token, "fe:", 3))
        frontend_event(b, token + 3);
    else if (!strcmp(token, "rel"))
        TAILQ_FOREACH(xd, &b->devs, link)
    xd->dirty = true;
}

static void drain_events(struct backends *b)
{
    char **ev;
    int i;

    for (i = 0; i < EVENTS_A_TURN; i++) {
        ev = xs_check_watch(b->xs);
        if (!ev) {
            if (errno != EAGAIN)
                b->xs_broken = true;
            return;
        }
        store_event(b, ev[XS_WATCH_PATH], ev[XS_WATCH_TOKEN]);
        free(ev);
    }
    eventfd_write(b->kick_fd, 1); /* there may be more */
}

/* ---- the connection to the store ---- */

static void store_close(struct backends *b)
{
    struct xb_dev *xd;

    if (b->xs)
        xs_close(b->xs);
    b->xs = NULL;
    b->xs_broken = false;
    TAILQ_FOREACH(xd, &b->devs, link)
    {
        xd->watching = false;
        xd->dirty = true;
    }
}

static void store_open(struct backends *b)
{
    b->xs = xs_open(0);
    if (!b->xs)
        return;
    if (!xs_watch(b->xs, BE_ROOT, "be") ||
        !xs_watch(b->xs, "@releaseDomain", "rel")) {
        store_close(b);
        return;
    }
    b->xs_broken = false;
    scan_all(b);
}

static int poll_timeout(struct backends *b)
{
    uint64_t now = backend_now_ns(), next = UINT64_MAX;
    struct xb_dev *xd;

    if (!b->xs)
        return 100;
    TAILQ_FOREACH(xd, &b->devs, link)
    {
        if (xd->dirty)
            return 0;
        if (xd->retry_at && xd->retry_at < next)
            next = xd->retry_at;
    }
    if (next == UINT64_MAX)
        return -1;
    return next <= now ? 0 : (int)((next - now) / 1000000) + 1;
}

static void wait_for_work(struct backends *b)
{
    struct pollfd fds[2] = {
        {.fd = b->kick_fd, .events = POLLIN},
        {.fd = b->xs ? xs_fileno(b->xs) : -1, .events = POLLIN},
    };
    eventfd_t v;

    poll(fds, 2, poll_timeout(b));
    if (fds[0].revents)
        eventfd_read(b->kick_fd, &v);
}

static void look_at_devices(struct backends *b)
{
    uint64_t now = backend_now_ns();
    struct xb_dev *xd, *next;

    for (xd = TAILQ_FIRST(&b->devs); xd; xd = next) {
        next = TAILQ_NEXT(xd, link);
        dev_check_failure(xd);
        if (b->xs && !b->xs_broken &&
            (xd->dirty || (xd->retry_at && xd->retry_at <= now)))
            dev_examine(xd);
    }
}

void *xenbus_thread(void *arg)
{
    struct backends *b = arg;
    struct xb_dev *xd;
    bool told = false;

    while (!atomic_load(&b->stop)) {
        if (!b->xs)
            store_open(b);
        if (!b->xs && !told)
            backends_log(b, "no store at %s (%s); will go on trying",
                         xs_daemon_socket(), strerror(errno));
        told = !b->xs;
        wait_for_work(b);
        if (b->xs)
            drain_events(b);
        look_at_devices(b);
        if (b->xs_broken) {
            backends_log(b, "lost the store; will connect to it again");
            store_close(b);
        }
    }
    while ((xd = TAILQ_FIRST(&b->devs)))
        dev_free(xd, true);
    store_close(b);
    return NULL;
}
