/* SPDX-License-Identifier: MIT */
/*
 * The wire of guests: two byte rings in a page shared with the domain
 * (xen/io/xs_wire.h).  The page is hostile: indices are loaded once, checked
 * and used; a client with impossible ones is ignored from then on, which it
 * can read in the page's error field and end by a reconnect.
 */
#ifndef XENSTORE_CORE_RING_H
#define XENSTORE_CORE_RING_H

#include "xenstore/core/conn.h"

struct sring {
    struct sconn conn; /* first: the two are one object */
    struct xenstore_domain_interface *page;
    /* Signals the domain's event channel. */
    void (*notify)(struct sring *r);
    void (*kick)(struct sring *r);
    /*
     * After a turn: ns for which it should have no other, as the last one was
     * dear.  So a domain has a fifth of a thread at most, if others want it.
     */
    uint64_t rest_ns;
    bool moved; /* indices changed since the last notify */
};

/*
 * Prepares r for a mapped page; features are offered in it.  In a store with
 * a journal, what the ring does is kept there.  -ENOMEM.
 */
int sring_init(struct sring *r, struct store *s, uint32_t domid,
               struct xenstore_domain_interface *page, uint32_t features);

/*
 * Serves the ring once: reconnects if asked to, runs requests, sends replies
 * and events.  Returns whether there is more to do at once.
 */
bool sring_turn(struct sring *r);

/* The page's memory is no longer touched after this. */
void sring_fini(struct sring *r);

#endif
