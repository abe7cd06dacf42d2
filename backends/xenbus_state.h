/* SPDX-License-Identifier: MIT */
/*
 * The backend half of the xenbus handshake, as a function of what is seen.
 *
 * Watches tell that something changed, not what, and states in between may
 * never be seen; so nothing here depends on the way to a state.
 */
#ifndef BACKENDS_XENBUS_STATE_H
#define BACKENDS_XENBUS_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/io/xenbus.h>

struct xenbus_view {
    enum xenbus_state be;         /* in the store */
    enum xenbus_state fe;         /* in the store; Unknown: no such node */
    enum xenbus_state connect_at; /* the backend's wish */
    bool online;                  /* 0: go for good once closed */
    bool probed;                  /* probe() has succeeded */
    bool probe_failed;            /* and is not to be tried again */
    bool connected;               /* by this process */
    bool seen;                    /* not the first look at this device */
    bool failed; /* the frontend misbehaved and has not started over */
};

enum xenbus_action {
    XENBUS_NONE,
    XENBUS_PROBE,   /* probe(), then look again */
    XENBUS_WAIT,    /* disconnect() if need be, write InitWait */
    XENBUS_CONNECT, /* connect(), write Connected */
    XENBUS_ADOPT,   /* adopt(), write nothing */
    XENBUS_CLOSING, /* write Closing, and wait for the frontend */
    XENBUS_CLOSE,   /* disconnect(), write Closed */
    XENBUS_FINISH,  /* disconnect(), remove(), write Closed */
};

/* What to do next; XENBUS_NONE once all is as it should be. */
enum xenbus_action xenbus_decide(const struct xenbus_view *v);

/* "Connected" and so on, for logs. */
const char *xenbus_state_name(enum xenbus_state state);

#endif
