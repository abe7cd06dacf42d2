/* SPDX-License-Identifier: MIT */
/*
 * The store's wire on the shared ring: one request at a time, watch events
 * whenever they come. Protocol: xen/io/xs_wire.h
 */
#include "frontends/include/xenbus.h"
#include "frontends/include/kernel.h"

#define NO_REPLY 0

struct part {
    const void *data;
    size_t len;
};

static struct {
    struct xenstore_domain_interface *intf;
    evtchn_port_t port;
    /* The message now coming in. */
    struct xsd_sockmsg hdr;
    uint32_t got; /* bytes of header and payload so far */
    char payload[XENSTORE_PAYLOAD_MAX + 1];
    /* The answer to our request, while it is being looked at. */
    uint32_t want_id;
    bool answered;
    struct xsd_sockmsg reply;
    char answer[XENSTORE_PAYLOAD_MAX + 1];
    uint32_t last_id;
    int broken;
    struct xenbus_watch *watches;
} xs;

static const struct {
    const char *name;
    int err;
} errors[] = {
    {"EINVAL", EINVAL},         {"EACCES", EACCES},
    {"EEXIST", EEXIST},         {"EISDIR", EISDIR},
    {"ENOENT", ENOENT},         {"ENOMEM", ENOMEM},
    {"ENOSPC", ENOSPC},         {"EIO", EIO},
    {"ENOTEMPTY", ENOTEMPTY},   {"ENOSYS", ENOSYS},
    {"EROFS", EROFS},           {"EBUSY", EBUSY},
    {"EAGAIN", EAGAIN},         {"EISCONN", EISCONN},
    {"E2BIG", E2BIG},           {"EPERM", EPERM},
    {"EOPNOTSUPP", EOPNOTSUPP},
};

static int error_number(const char *name)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(errors); i++)
        if (strcmp(errors[i].name, name) == 0)
            return -errors[i].err;
    return -EPROTO;
}

int xenbus_init(void)
{
    const struct start_info *si = start_info();
    int rc;

    if (xs.intf)
        return xs.broken;
    xs.intf = si->store_mfn ? mfn_to_virt(si->store_mfn) : NULL;
    if (!xs.intf)
        return -ENODEV;
    xs.port = si->store_evtchn;
    rc = evtchn_attach(xs.port, evtchn_wake_only, NULL);
    if (rc < 0)
        xs.broken = rc;
    return xs.broken;
}

/* The token is the watch's address; believe it only if the watch is known. */
static void watch_event(void)
{
    const char *token, *path = xs.payload;
    struct xenbus_watch *w;
    uint64_t key;

    token = path + strlen(path) + 1;
    if (token >= xs.payload + xs.hdr.len || parse_u64(&token, 16, &key))
        return;
    for (w = xs.watches; w; w = w->next) {
        if ((uint64_t)w != key)
            continue;
        snprintf(w->last, sizeof(w->last), "%s", path);
        w->fired++;
    }
}

static void message_done(void)
{
    xs.payload[xs.hdr.len] = '\0';
    if (xs.hdr.type == XS_WATCH_EVENT) {
        watch_event();
    } else if (xs.want_id != NO_REPLY && xs.hdr.req_id == xs.want_id) {
        xs.reply = xs.hdr;
        memcpy(xs.answer, xs.payload, xs.hdr.len + 1);
        xs.want_id = NO_REPLY;
        xs.answered = true;
    }
    xs.got = 0;
}

/* Takes what there is of header or payload; 0 when the ring is empty. */
static int receive_some(void)
{
    struct xenstore_domain_interface *i = xs.intf;
    bool was_full = READ_ONCE(i->rsp_prod) - i->rsp_cons == sizeof(i->rsp);
    uint32_t head = sizeof(xs.hdr);
    char *to;
    uint32_t len;
    int n;

    if (xs.got < head) {
        to = (char *)&xs.hdr + xs.got;
        len = head - xs.got;
    } else {
        to = xs.payload + (xs.got - head);
        len = xs.hdr.len - (xs.got - head);
    }
    n = bytering_get(i->rsp, sizeof(i->rsp), &i->rsp_cons, &i->rsp_prod, to,
                     len);
    if (n < 0)
        return n;
    xs.got += (uint32_t)n;
    if (xs.got >= head && xs.hdr.len > XENSTORE_PAYLOAD_MAX)
        return -EPROTO;
    if (was_full && n > 0)
        evtchn_send(xs.port);
    if (xs.got >= head && xs.got == head + xs.hdr.len) {
        message_done();
        return 1;
    }
    return n;
}

bool xenbus_poll(void)
{
    int n = 1;

    while (xs.intf && !xs.broken && n > 0) {
        n = receive_some();
        if (n < 0)
            xs.broken = n;
    }
    return true;
}

static bool can_send(void)
{
    struct xenstore_domain_interface *i = xs.intf;

    /* Take answers in meanwhile, or both sides could wait for room. */
    xenbus_poll();
    return xs.broken ||
           READ_ONCE(i->req_prod) - READ_ONCE(i->req_cons) < sizeof(i->req);
}

static int send_bytes(const void *data, size_t len)
{
    struct xenstore_domain_interface *i = xs.intf;
    int n;

    while (len && !xs.broken) {
        wait_event(can_send());
        n = bytering_put(i->req, sizeof(i->req), &i->req_cons, &i->req_prod,
                         data, (uint32_t)len);
        if (n < 0) {
            xs.broken = n;
            break;
        }
        data = (const char *)data + n;
        len -= (size_t)n;
        evtchn_send(xs.port);
    }
    return xs.broken;
}

static bool reply_here(void)
{
    xenbus_poll();
    return xs.answered || xs.broken;
}

static int check_reply(uint32_t type)
{
    if (xs.broken)
        return xs.broken;
    if (xs.reply.type == XS_ERROR)
        return error_number(xs.answer);
    return xs.reply.type == type ? (int)xs.reply.len : -EPROTO;
}

/* One request of up to three parts; length of the payload in xs.answer. */
static int talk(uint32_t type, xenbus_tx_t tx, const struct part *parts,
                unsigned int n)
{
    struct xsd_sockmsg hdr = {.type = type, .tx_id = tx};
    unsigned int i;
    int rc = xenbus_init();

    for (i = 0; i < n; i++)
        hdr.len += (uint32_t)parts[i].len;
    if (rc)
        return rc;
    if (hdr.len > XENSTORE_PAYLOAD_MAX)
        return -E2BIG;
    if (++xs.last_id == NO_REPLY)
        xs.last_id++;
    hdr.req_id = xs.last_id;
    xs.want_id = hdr.req_id;
    xs.answered = false;
    rc = send_bytes(&hdr, sizeof(hdr));
    for (i = 0; i < n && !rc; i++)
        rc = send_bytes(parts[i].data, parts[i].len);
    if (!rc)
        wait_event(reply_here());
    return check_reply(type);
}

static int talk_path(uint32_t type, xenbus_tx_t tx, const char *path)
{
    struct part p = {path, strlen(path) + 1};

    return talk(type, tx, &p, 1);
}

static int copy_answer(int len, char *buf, size_t size)
{
    size_t n;

    if (len < 0 || size == 0)
        return len;
    n = MIN((size_t)len, size - 1);
    memcpy(buf, xs.answer, n);
    buf[n] = '\0';
    return len;
}

int xenbus_read(xenbus_tx_t tx, const char *path, char *buf, size_t size)
{
    return copy_answer(talk_path(XS_READ, tx, path), buf, size);
}

int xenbus_directory(xenbus_tx_t tx, const char *path, char *buf, size_t size)
{
    int rc = copy_answer(talk_path(XS_DIRECTORY, tx, path), buf, size);

    return rc < 0 ? rc : (int)MIN((size_t)rc, size - 1);
}

int xenbus_get_perms(xenbus_tx_t tx, const char *path, char *buf, size_t size)
{
    int rc = copy_answer(talk_path(XS_GET_PERMS, tx, path), buf, size);

    return rc < 0 ? rc : (int)MIN((size_t)rc, size - 1);
}

int xenbus_write(xenbus_tx_t tx, const char *path, const void *data, size_t len)
{
    struct part p[] = {{path, strlen(path) + 1}, {data, len}};
    int rc = talk(XS_WRITE, tx, p, 2);

    return rc < 0 ? rc : 0;
}

int xenbus_mkdir(xenbus_tx_t tx, const char *path)
{
    int rc = talk_path(XS_MKDIR, tx, path);

    return rc < 0 ? rc : 0;
}

int xenbus_rm(xenbus_tx_t tx, const char *path)
{
    int rc = talk_path(XS_RM, tx, path);

    return rc < 0 ? rc : 0;
}

int xenbus_transaction_start(xenbus_tx_t *tx)
{
    const char *p = xs.answer;
    uint64_t id;
    int rc = talk_path(XS_TRANSACTION_START, XBT_NIL, "");

    if (rc < 0)
        return rc;
    if (parse_u64(&p, 10, &id) || id == XBT_NIL || id > UINT32_MAX)
        return -EPROTO;
    *tx = (xenbus_tx_t)id;
    return 0;
}

int xenbus_transaction_end(xenbus_tx_t tx, bool commit)
{
    int rc = talk_path(XS_TRANSACTION_END, tx, commit ? "T" : "F");

    return rc < 0 ? rc : 0;
}

static int talk_watch(uint32_t type, const struct xenbus_watch *w)
{
    char token[20];
    struct part p[2] = {{w->path, strlen(w->path) + 1}, {token, 0}};
    int rc;

    p[1].len =
        (size_t)snprintf(token, sizeof(token), "%lx", (unsigned long)w) + 1;
    rc = talk(type, XBT_NIL, p, 2);
    return rc < 0 ? rc : 0;
}

int xenbus_watch(struct xenbus_watch *w)
{
    int rc;

    /* Listed first: the event of the registration comes at once. */
    w->fired = 0;
    w->next = xs.watches;
    xs.watches = w;
    rc = talk_watch(XS_WATCH, w);
    if (rc)
        xs.watches = w->next;
    return rc;
}

int xenbus_unwatch(struct xenbus_watch *w)
{
    struct xenbus_watch **p = &xs.watches;
    int rc = talk_watch(XS_UNWATCH, w);

    while (*p && *p != w)
        p = &(*p)->next;
    if (*p)
        *p = w->next;
    return rc;
}
