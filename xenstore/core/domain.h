/* SPDX-License-Identifier: MIT */
/* Domains as the store knows them: identity, quotas, coming and going. */
#ifndef XENSTORE_CORE_DOMAIN_H
#define XENSTORE_CORE_DOMAIN_H

#include "xenstore/core/store.h"

/* All of these are called with store->lock held, unless said. */

struct sdom *sdom_find(struct store *s, uint32_t domid);
/* Finds or makes; NULL when out of memory. */
struct sdom *sdom_get(struct store *s, uint32_t domid);
/* Forgets a domain nothing refers to any more. */
void sdom_gc(struct store *s, struct sdom *d);

/* The limit that holds for a domain (d may be NULL), 0 for none. */
uint64_t sdom_quota(struct store *s, const struct sdom *d, enum store_quota q);

/* Names as CONTROL quota and GET_QUOTA have them; -1 if unknown. */
const char *quota_name(enum store_quota q);
int quota_by_name(const char *name);

/*
 * Whether domain id may have `value` of q.  If not, says so in the log (at
 * most once a second per domain, counting what it leaves out) and returns
 * false.
 */
bool quota_allows(struct store *s, uint32_t id, enum store_quota q,
                  uint64_t value);

/* The bytes that are booked on a domain; 0 of one that is not known. */
long sdom_memory(struct store *s, uint32_t id);

/*
 * Books nodes and bytes on a domain.  One that nothing refers to any more is
 * forgotten: look it up again.
 */
void sdom_account(struct store *s, uint32_t id, long nodes, long bytes);

/*
 * INTRODUCE, RELEASE, RESUME and SET_TARGET.  Called with store->admin held
 * and store->lock not.
 */
int sdom_introduce(struct store *s, uint32_t domid, uint64_t gfn,
                   uint32_t port);
int sdom_release(struct store *s, uint32_t domid, const char *why);
int sdom_resume(struct store *s, uint32_t domid);
int sdom_set_target(struct store *s, uint32_t domid, uint32_t target);

/*
 * Connects the rings that a journal left parked, and releases those whose
 * domain is gone; to be called again for those that it could not connect.
 * Called with store->admin held and store->lock not.
 */
void sdom_adopt_all(struct store *s);

/* The machine saw the domain go down; fires @releaseDomain once. */
void sdom_was_shutdown(struct store *s, uint32_t domid);

/* The ids of all introduced domains, at most max; how many. */
unsigned int sdom_list(struct store *s, uint32_t *ids, unsigned int max);

#endif
