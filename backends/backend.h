/* SPDX-License-Identifier: MIT */
/*
 * Backends: the dom0 half of split drivers.
 *
 * Two readers.  The toolstack starts and stops the lot (first part); the
 * author of a backend fills in a struct backend_ops (second part).  Between
 * the two stands only the store: a device is what somebody wrote below
 * /local/domain/0/backend/<type>/<domid>/<devid>, as libxl does on Xen.
 */
#ifndef BACKENDS_BACKEND_H
#define BACKENDS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/io/xenbus.h>

/* ---- for the toolstack ------------------------------------------------- */

struct backends;

struct backends_opts {
    const char *run_dir; /* copied; NULL: kxen_run_dir() */
    int poll_us;         /* default of `poll-us`; 0: see backend_poll_us() */
    /* Where log lines go, without newline; NULL: stderr. Any thread. */
    void (*log)(void *arg, const char *line);
    void *log_arg;
};

/*
 * Starts every backend in threads of its own and returns.  They find their
 * devices in the store; what they find Connected they adopt without writing
 * `state`.  A store or hv that is not there (yet, or any more) is retried
 * for ever.  The caller should have SIGPIPE ignored.  NULL with errno when
 * no thread can be made.
 */
struct backends *backends_start(const struct backends_opts *opts);

/*
 * Stops the threads: started I/O is finished, attached consoles get what is
 * still in their logs (at most a second), then all is released.  No state is
 * written: devices that are Connected stay so, for the next process.
 */
void backends_stop(struct backends *b);

/*
 * A snapshot, owned by the caller:
 * {"devices": [{"type", "domid", "devid", "state", ...counters}],
 *  "consoles": [{"domid", "stream", "bytes_out", "bytes_in", "clients"}]}
 */
json_t *backends_stats_json(struct backends *b);

/*
 * Gives a byte stream of a domain (the far end of its trapped UART) a log
 * file, <run>/console/<domid>.<name>.log, and an attach socket, .sock.  fd
 * becomes ours, also on failure.  After a restart the toolstack adds it
 * again.  The stream goes when the domain does.  0 or -Exxx.
 */
int backends_console_add_stream(struct backends *b, domid_t domid,
                                const char *name, int fd);

/*
 * Makes the pty for a trapped UART: *hv_fd, the master, is for
 * kxctrl_trapped_add(), and hv holding it keeps the pty alive when dom0 dies;
 * path (at least 32 bytes) is the other end, to be opened by
 * backends_console_open_uart() now and after every restart, so keep it with
 * the domain's record.  0 or -Exxx.
 */
int backends_console_make_uart(int *hv_fd, char *path, size_t size);
/* The descriptor for backends_console_add_stream(), or -Exxx. */
int backends_console_open_uart(const char *path);

/*
 * Would this disk work?  Opens it, looks at its size, tries its lock.
 * 0; -ENOENT missing, -EACCES/-EROFS not writable, -EBUSY in use by another
 * domain, -EINVAL not a whole number of sectors (or empty), -ENOTBLK neither
 * file nor block device.  err says it in words, with what to do.
 */
int vbd_check_image(const char *path, bool rdonly, char *err, size_t size);

/*
 * Opens and locks an image as the vbd backend does (for a trapped disk, whose
 * descriptor hv keeps): the descriptor, or -Exxx as vbd_check_image().
 */
int vbd_open_image(const char *path, bool rdonly, char *err, size_t size);

/* ---- for the author of a backend --------------------------------------- */

struct backend_dev;

/*
 * A backend is one file: the banner names its xen/io protocol, then come the
 * state struct, the ring's turn, these calls, BACKEND_REGISTER().  echo.c is
 * the shortest.  All are called from the one xenbus thread and must not
 * block; 0 or -Exxx.  After a failure the core writes `error`, and closes.
 */
struct backend_ops {
    const char *type; /* the folder in the store: "vbd" */
    /* The lowest frontend state that lets us connect; 0: Initialised. */
    enum xenbus_state connect_at;

    /*
     * A device has appeared: read its backend nodes, take its resources, set
     * dev->priv, publish features.  -EAGAIN asks to be called again soon.
     */
    int (*probe)(struct backend_dev *dev);
    /* The frontend has written its keys: map, bind, start, publish. */
    int (*connect)(struct backend_dev *dev);
    /*
     * As connect(), for a device that an earlier process left Connected:
     * nothing may be published, unanswered requests must be.  -EAGAIN as for
     * probe().  NULL: such a device is closed.
     */
    int (*adopt)(struct backend_dev *dev);
    /* Stop, answer nothing more, unmap, unbind. Also after failed connects. */
    void (*disconnect)(struct backend_dev *dev, bool keep);
    /* Give everything back; the device is disconnected. */
    void (*remove)(struct backend_dev *dev);
    /* A backend node was written while connected; may be NULL. */
    void (*changed)(struct backend_dev *dev, const char *node);
    /* Adds counters to obj; called by any thread while connected or not. */
    void (*stats)(struct backend_dev *dev, json_t *obj);
};

/* One device, as its backend sees it. Fields are constant, but for priv. */
struct backend_dev {
    const struct backend_ops *ops;
    struct backends *backends;
    domid_t domid;     /* the frontend's domain */
    char devid[32];    /* "51712" */
    char name[64];     /* "d3 vbd/51712": how logs call it */
    char be_path[128]; /* /local/domain/0/backend/vbd/3/51712 */
    char fe_path[256]; /* /local/domain/3/device/vbd/51712 */
    bool adopting; /* left Connected by an earlier process: publish nothing */
    void *priv;    /* the backend's own */
};

/*
 * Registers ops; found by the linker, no list to edit.  (The name is global
 * so that a program that links an archive can ask for this backend.)
 */
#define BACKEND_REGISTER(ops)                                                  \
    extern const struct backend_ops *const backend_reg_##ops;                  \
    const struct backend_ops *const backend_reg_##ops                          \
        __attribute__((used, section("backend_ops_set"))) = &(ops)

/* A log line "<dev->name>: ..." */
void backend_log(struct backend_dev *dev, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * For the device's own thread: the frontend broke the protocol. Logs it, and
 * has the xenbus thread disconnect and close the device. Returns at once.
 */
void backend_fail(struct backend_dev *dev, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* For probe(), connect(), adopt(): the words to go with their -Exxx. */
int backend_error(struct backend_dev *dev, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The device's nodes; xenbus thread only. fe_* are hostile: numbers are
 * strict decimals, strings are cut at size.  -ENOENT: no such node; -EINVAL:
 * not a number.
 */
int backend_read_be(struct backend_dev *dev, const char *node, char *buf,
                    size_t size);
int backend_read_fe(struct backend_dev *dev, const char *node, char *buf,
                    size_t size);
int backend_read_be_num(struct backend_dev *dev, const char *node, int64_t *v);
int backend_read_fe_num(struct backend_dev *dev, const char *node, uint64_t *v);
int backend_write_be(struct backend_dev *dev, const char *node, const char *fmt,
                     ...) __attribute__((format(printf, 3, 4)));

/*
 * How long to spin on the ring before sleeping, in microseconds: the device's
 * `poll-us` node, else $KXEN_POLL_US, else the start option, else a default
 * by the number of CPUs.  -1: never sleep.
 */
int backend_poll_us(struct backend_dev *dev);

/* <run dir>, for files of a backend's own. */
const char *backend_run_dir(struct backend_dev *dev);

#endif
