/* SPDX-License-Identifier: MIT */
/*
 * The inside of the console service: one thread, one epoll, for all domains.
 *
 * console_hub.c is the loop, console_stream.c a stream with its log and its
 * clients, console.c the domains' rings, console_fd.c ptys and UARTs.  All
 * run in the hub's thread, under the hub's lock.
 */
#ifndef BACKENDS_CONSOLE_HUB_H
#define BACKENDS_CONSOLE_HUB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <jansson.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xenstore.h>

#include "backends/console_log.h"
#include "backends/core.h"

#define CONSOLE_INPUT_MAX   4096
#define CONSOLE_MAX_CLIENTS 64

struct console_hub;
struct console_stream;
struct console_domain;

TAILQ_HEAD(console_client_list, console_client);
TAILQ_HEAD(console_stream_list, console_stream);
LIST_HEAD(console_domain_list, console_domain);
SLIST_HEAD(hub_graveyard, hub_item);
STAILQ_HEAD(hub_request_queue, hub_request);

/* A descriptor in the epoll; freed only after the batch it may be in. */
struct hub_item {
    struct console_hub *hub;
    int fd;
    uint32_t events;
    void (*fire)(struct hub_item *item, uint32_t events);
    SLIST_ENTRY(hub_item) dead;
    void *owner; /* freed with the item; NULL: owned elsewhere */
};

struct console_client {
    struct hub_item item;
    TAILQ_ENTRY(console_client) link;
    struct console_stream *stream;
    int64_t pos; /* the next byte to send; -1 till the first line came */
    bool eof;    /* sends no more, still listens */
    char line[256];
    unsigned int nr_line;
};

/* Where a stream's bytes come from and go to. */
struct console_source {
    /* Input has come, or there is room for more; take what you can. */
    void (*input)(struct console_stream *s);
    /* The stream goes: put out what is left, let go of everything. */
    void (*close)(struct console_stream *s);
    /* There is more output than one turn allowed; NULL: never. */
    bool (*more)(struct console_stream *s);
};

struct console_stream {
    TAILQ_ENTRY(console_stream) link;
    struct console_hub *hub;
    domid_t domid;
    char name[24];
    const struct console_source *source;
    void *priv;
    struct console_log log;
    int64_t lost_told; /* bytes lost that the log was told of */
    struct hub_item listen;
    char sock_path[256];
    struct console_client_list clients;
    unsigned int nr_clients;
    char input[CONSOLE_INPUT_MAX];
    unsigned int nr_input;
    bool busy;        /* `more` is to be called */
    uint64_t closing; /* ns, when to give up on clients; 0: alive */
    uint64_t bytes_in, bytes_out;
};

/* What another thread asks for. */
struct hub_request {
    STAILQ_ENTRY(hub_request) link;
    domid_t domid;
    char name[24];
    int fd;
};

struct console_hub {
    struct backends *b;
    pthread_t thread;
    int epfd, kick_fd;
    atomic_bool stop;
    pthread_mutex_t lock; /* everything below; held but while sleeping */
    struct console_stream_list streams;
    struct console_domain_list domains;
    struct hub_graveyard graveyard;
    struct hub_request_queue requests;
    struct hub_item kick, store;
    struct xs_handle *xs;
    bool xs_broken, told;
    uint64_t retry_at; /* a domain could not be connected: again then */
    xenevtchn_handle *xce;
    xengnttab_handle *xgt;
    xenforeignmemory_handle *xfm;
};

/* ---- console_hub.c ---- */

/* Adds, changes (events 0 keeps only errors) and removes descriptors. */
int hub_item_add(struct console_hub *hub, struct hub_item *item, int fd,
                 uint32_t events,
                 void (*fire)(struct hub_item *item, uint32_t events));
void hub_item_set(struct hub_item *item, uint32_t events);
/* Closes fd, if close_fd; frees owner when no event can point to it. */
void hub_item_del(struct hub_item *item, bool close_fd, void *owner);

/* Frees owner, of which the removed item is a part, after this batch. */
void hub_item_bury(struct console_hub *hub, struct hub_item *item, void *owner);

/* ---- console_stream.c ---- */

/*
 * Opens log and socket. resume: the log goes on. NULL with errno; priv is
 * the caller's to free then.
 */
struct console_stream *console_stream_new(struct console_hub *hub,
                                          domid_t domid, const char *name,
                                          const struct console_source *source,
                                          void *priv, int64_t log_limit,
                                          bool resume);
/* No more output will come: frees it once the clients have it all. */
void console_stream_close(struct console_stream *s);
/* Frees it now. */
void console_stream_free(struct console_stream *s);
void console_stream_output(struct console_stream *s, const char *buf, size_t n);
/* Takes in input from elsewhere (a pty); how much was taken. */
size_t console_stream_feed(struct console_stream *s, const char *buf, size_t n);
/* The source took n bytes of input. */
void console_stream_consumed(struct console_stream *s, size_t n);
/* A closing stream whose clients are done, or out of time. */
bool console_stream_finished(struct console_stream *s, uint64_t now);
struct console_stream *console_stream_find(struct console_hub *hub,
                                           domid_t domid, const char *name);

/* ---- console.c ---- */

/* Looks at the store for domains with consoles; true: try again soon. */
bool console_domains_scan(struct console_hub *hub);
/* The connection to the store is a new one. */
void console_domains_rewatch(struct console_hub *hub);
/* Looks at one domain again. */
bool console_domain_touch(struct console_hub *hub, domid_t domid);
void console_domains_free(struct console_hub *hub);

/* ---- console_fd.c ---- */

/*
 * A stream from a descriptor, which it owns, also on failure; resume: the
 * log goes on. 0 or -Exxx.
 */
int console_fd_stream(struct console_hub *hub, domid_t domid, const char *name,
                      int fd, bool resume);

struct console_pty;

/* A pty that shows a stream's output and takes input; NULL with errno. */
struct console_pty *console_pty_new(struct console_stream *s);
void console_pty_free(struct console_pty *p);
const char *console_pty_name(const struct console_pty *p);
/* What nobody reads is dropped when the pty is full. */
void console_pty_output(struct console_pty *p, const char *buf, size_t n);

#endif
