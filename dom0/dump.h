/* SPDX-License-Identifier: MIT */
/*
 * Memory dumps of domains, made in threads of their own: the event loop only
 * starts them and hears of their end.  The thread knows nothing of struct dom:
 * it has a copy of what it needs and a connection to hv of its own.
 */
#ifndef DOM0_DUMP_H
#define DOM0_DUMP_H

#include "dom0/dom0.h"

/* path: where the dump is, or NULL with why filled. The domain still is. */
typedef void dump_done_fn(struct dom *dom, const char *path,
                          const struct why *why);

#define DUMP_LIVE 1u /* the domain runs on meanwhile, else it is paused */
#define DUMP_XEN  2u /* in Xen's own format */

/*
 * Starts a dump of dom to path, an absolute name; the file is there whole or
 * not at all.  req (may be NULL) hears of the progress and gets the answer, and
 * the dump is given up when it hangs up; done (may be NULL) is called before
 * that.  0, or -Exxx with why: then neither is used.
 */
int dump_start(struct dom *dom, const char *path, unsigned flags,
               struct request *req, dump_done_fn *done, struct why *why);

/* The domain is going: gives up its dump, if there is one. */
void dump_cancel(struct dom *dom);

/* Dom0 is stopping: gives all up and waits for the threads. */
void dumps_stop(struct dom0 *d0);

/* Clears up after a dump that died with the last dom0. */
void dump_recover(struct dom *dom);

/*
 * Where the dump of a crash goes: <run>/dump/NAME-TIME.core.  0, or -Exxx with
 * why: -EDQUOT when there are enough of that name.
 */
int dump_crash_path(struct dom *dom, char *path, size_t size, struct why *why);

#endif
