/* SPDX-License-Identifier: MIT */
/*
 * The control socket: one JSON object a line, both ways.
 *
 *   -> {"id": 7, "cmd": "destroy", "domain": "web"}
 *   <- {"id": 7, "event": "progress", "text": "..."}      any number
 *   <- {"id": 7, "ok": true, ...}  or
 *   <- {"id": 7, "ok": false, "error": "...", "hint": "..."}
 *
 * Replies to different requests may come out of order.
 */
#ifndef DOM0_CONTROL_H
#define DOM0_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include "dom0/loop.h"

#define CONTROL_LINE_MAX (1u << 20) /* bytes of one request */
#define CONTROL_OUT_MAX  (8u << 20) /* unread replies before we hang up */

struct control;
struct request;

/*
 * Answers `req` now or later, exactly once, by request_ok or request_fail.
 * args is the whole request object, borrowed for the call.
 */
typedef void control_fn(void *owner, struct request *req, json_t *args);

struct control_command {
    const char *name;
    control_fn *fn;
};

/*
 * Listens on the Unix socket `path` (replacing a stale one, mode 0600) and
 * serves `commands` (ended by a NULL name).  0 or -errno.
 */
int control_create(struct control **out, struct loop *loop, const char *path,
                   const struct control_command *commands, void *owner);
void control_destroy(struct control *control);

/* Takes ownership of `body` (NULL means {}); adds id and ok; ends req. */
void request_ok(struct request *req, json_t *body);
/* `hint` may be NULL or empty; ends req. */
void request_fail(struct request *req, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* One progress line, for people. */
void request_progress(struct request *req, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* An event of its own kind: takes ownership of body, adds id and event. */
void request_event(struct request *req, const char *event, json_t *body);
/* False once the client has hung up: replies then go nowhere. */
bool request_alive(const struct request *req);

/* Another request of the same client by its id, not yet answered, or NULL. */
struct request *request_sibling(const struct request *req, const json_t *id);

#endif
