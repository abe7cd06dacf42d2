/* SPDX-License-Identifier: MIT */
/*
 * The wire's request types.  A new one is a handler beside its kind
 * (request_node.c, request_domain.c, control.c) and a row in request.c.
 */
#ifndef XENSTORE_CORE_REQUEST_H
#define XENSTORE_CORE_REQUEST_H

#include "xenstore/core/conn.h"

/* Later than the headers of Xen 4.17. */
#define XS_GET_FEATURE_ 23
#define XS_SET_FEATURE_ 24
#define XS_GET_QUOTA_   25
#define XS_SET_QUOTA_   26

#define CALL_ARGS 6

/* A request under way, arguments split and path checked. */
struct call {
    struct sconn *c;
    struct view v;
    const struct xsd_sockmsg *hdr;
    char *data; /* hdr->len bytes */
    unsigned int argc;
    char *argv[CALL_ARGS]; /* the leading strings */
    const char *tail;      /* what follows the strings the type wants */
    size_t tail_len;
    char path[STORE_PATH_BYTES]; /* argv[0] made absolute, if REQ_PATH */
    bool replied;
};

#define REQ_PRIV    1u  /* for domain 0 alone */
#define REQ_NOTX    2u  /* the transaction id is ignored */
#define REQ_ADMIN   4u  /* one at a time, under store->admin */
#define REQ_PATH    8u  /* the first argument is a node's path */
#define REQ_SPECIAL 16u /* ... or "@something" */
#define REQ_TAIL    32u /* binary data may follow the strings */

struct request_type {
    const char *name;
    int (*fn)(struct call *call); /* 0 or -Exxx, which is the reply then */
    unsigned int flags;
    unsigned int min_args, max_args;
};

/* The row of a type, or NULL. */
const struct request_type *request_find(uint32_t type);

/* Sends the reply of the request's own type. */
int call_reply(struct call *call, const void *payload, size_t len);
/* A string with its end. */
int call_reply_string(struct call *call, const char *s);

int do_read(struct call *call);
int do_write(struct call *call);
int do_mkdir(struct call *call);
int do_rm(struct call *call);
int do_directory(struct call *call);
int do_directory_part(struct call *call);
int do_get_perms(struct call *call);
int do_set_perms(struct call *call);
int do_watch(struct call *call);
int do_unwatch(struct call *call);
int do_reset_watches(struct call *call);
int do_transaction_start(struct call *call);
int do_transaction_end(struct call *call);

int do_introduce(struct call *call);
int do_release(struct call *call);
int do_resume(struct call *call);
int do_set_target(struct call *call);
int do_is_domain_introduced(struct call *call);
int do_get_domain_path(struct call *call);
int do_get_feature(struct call *call);
int do_set_feature(struct call *call);
int do_get_quota(struct call *call);
int do_set_quota(struct call *call);

int do_control(struct call *call);

#endif
