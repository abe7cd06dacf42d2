/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_XENBUS_H
#define FRONTENDS_XENBUS_H

#include "frontends/include/lib.h"
#include "frontends/include/xenabi.h"
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>

/*
 * The store, from a guest: one request at a time on the shared ring. Every
 * function returns 0 (or a length) or -Exxx, the store's own error or -EPROTO
 * for an answer that makes no sense. vCPU 0 only.
 *
 * tx is XBT_NIL or what xenbus_transaction_start gave. Paths without a
 * leading slash are the guest's own (/local/domain/<id>/).
 */
#define XBT_NIL 0
typedef uint32_t xenbus_tx_t;

int xenbus_init(void);

/* Value, NUL-terminated, cut to size; returns its full length. */
int xenbus_read(xenbus_tx_t tx, const char *path, char *buf, size_t size);
/* dir/node as a number or text; u64 takes decimal only. */
int xenbus_read_u64(xenbus_tx_t tx, const char *dir, const char *node,
                    uint64_t *out);
int xenbus_read_node(xenbus_tx_t tx, const char *dir, const char *node,
                     char *buf, size_t size);
int xenbus_write(xenbus_tx_t tx, const char *path, const void *data,
                 size_t len);
int xenbus_printf(xenbus_tx_t tx, const char *dir, const char *node,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
int xenbus_mkdir(xenbus_tx_t tx, const char *path);
int xenbus_rm(xenbus_tx_t tx, const char *path);
/* Names of the children, each ending in NUL; returns the bytes used. */
int xenbus_directory(xenbus_tx_t tx, const char *path, char *buf, size_t size);
int xenbus_get_perms(xenbus_tx_t tx, const char *path, char *buf, size_t size);

int xenbus_transaction_start(xenbus_tx_t *tx);
/* -EAGAIN: somebody else touched it, do it all again. */
int xenbus_transaction_end(xenbus_tx_t tx, bool commit);

/*
 * A watch counts its events; the token is its address. Look at fired in a
 * wait_event condition together with xenbus_poll().
 */
struct xenbus_watch {
    const char *path;
    uint32_t fired;
    char last[128]; /* path of the newest event, cut */
    struct xenbus_watch *next;
};
int xenbus_watch(struct xenbus_watch *w);
int xenbus_unwatch(struct xenbus_watch *w);
/* Takes in watch events that have arrived; never sleeps. Always true. */
bool xenbus_poll(void);

/*
 * What the toolstack asks for by control/shutdown: a SHUTDOWN_* reason, or -1
 * for nothing. The request is acknowledged. Never sleeps unless there is one,
 * so it may stand in a wait_event condition.
 */
int xenbus_shutdown_requested(void);

/* State machine of a split device. */
struct xenbus_device {
    char path[64];    /* "device/vbd/51712" */
    char backend[96]; /* "/local/domain/0/backend/vbd/1/51712" */
    domid_t backend_id;
    enum xenbus_state state;
    struct xenbus_watch backend_watch; /* on backend/state */
    char watch_path[112];
};

/*
 * Reads backend and backend-id and watches the backend's state. name is for
 * messages. -ENOENT if the device has no backend.
 */
int xenbus_device_open(struct xenbus_device *dev, const char *path);
void xenbus_device_close(struct xenbus_device *dev);
int xenbus_switch_state(struct xenbus_device *dev, enum xenbus_state state);
enum xenbus_state xenbus_backend_state(struct xenbus_device *dev);
/*
 * Waits until the backend's state is in the bit set; returns it, or
 * -ETIMEDOUT. Bit n is state n.
 */
int xenbus_wait_backend(struct xenbus_device *dev, uint32_t set,
                        uint64_t timeout_ns);
const char *xenbus_state_name(enum xenbus_state state);
/* Writes error/<path>/error and returns err. */
int xenbus_error(struct xenbus_device *dev, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Each child of device/<type>: fn(path). */
void xenbus_for_each_device(const char *type, void (*fn)(const char *path));

#endif
