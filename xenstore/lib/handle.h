/* SPDX-License-Identifier: MIT */
/*
 * libxenstore's connection: requests one at a time, watch events beside them.
 *
 * Until the first xs_watch() the requesting thread reads its own reply; from
 * then on a reader thread does, and hands out replies and events.
 */
#ifndef XENSTORE_LIB_HANDLE_H
#define XENSTORE_LIB_HANDLE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/uio.h>
#include <xenstore.h>

/* A received message; body is NUL-terminated behind its len bytes. */
struct xsl_msg {
    struct xsl_msg *next;
    struct xsd_sockmsg hdr;
    char body[];
};

struct xs_handle {
    int fd;
    bool is_socket;
    bool unwatch_filter;
    pthread_mutex_t request_lock; /* one request under way */
    uint32_t req_id;              /* of the last request */

    pthread_mutex_t lock; /* all below; taken inside request_lock */
    pthread_cond_t reply_cond, event_cond;
    struct xsl_msg *reply; /* read and not yet fetched */
    struct xsl_msg *events, **events_last;
    int pipe[2];    /* holds a byte while there are events; or -1 */
    bool signalled; /* the byte is in the pipe */
    int dead;       /* errno by which the reader ended, or 0 */
    bool has_reader;
    pthread_t reader;
};

/* Sends a request and waits: the reply's body, or NULL with errno. */
struct xsl_msg *xsl_talk(struct xs_handle *h, uint32_t type, uint32_t tx_id,
                         const struct iovec *iov, int nr);

/* Starts the reader thread if there is none.  0 or an errno. */
int xsl_start_reader(struct xs_handle *h);

/* Takes the first event; blocks for it unless told not to.  NULL: errno. */
struct xsl_msg *xsl_next_event(struct xs_handle *h, bool block);

/* Drops queued events of a watch that is gone. */
void xsl_forget_events(struct xs_handle *h, const char *path,
                       const char *token);

#endif
