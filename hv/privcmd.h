/* SPDX-License-Identifier: MIT */
/*
 * Domain 0's way in: a SOCK_SEQPACKET socket, a thread per connection.  A
 * connection owns the ports it bound and the grants it mapped.
 */
#ifndef HV_PRIVCMD_H
#define HV_PRIVCMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "hv/event_channel.h"
#include "hv/grant_table.h"

struct hv;
struct privcmd_conn;
struct privcmd_server;

struct evtchn_owner *privcmd_evtchn_owner(struct privcmd_conn *conn);
struct maptrack_owner *privcmd_grant_owner(struct privcmd_conn *conn);

/* The one domain that conn is restricted to, -1 without a restriction. */
int privcmd_only_domid(const struct privcmd_conn *conn);

/* Copies between buf and the connection's arena. 0 or -EFAULT. */
int privcmd_copy(struct privcmd_conn *conn, void *buf, uint64_t addr,
                 size_t len, bool to_arena);

/* Listens on path. NULL with a message for people in err. */
struct privcmd_server *privcmd_start(struct hv *hv, const char *path, char *err,
                                     size_t size);

/* Ends every connection and the listener. */
void privcmd_stop(struct privcmd_server *s);

#endif
