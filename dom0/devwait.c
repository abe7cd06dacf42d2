/* SPDX-License-Identifier: MIT */
/* Waiting for backends: watched, and looked at now and then all the same. */
#include "dom0/dom0.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xenbus.h>

#define LOOK_MS 100 /* the store may have been restarted without our watch */

static void find_type(struct dom *dom, const char *type, struct plan *paths)
{
    char name[96];
    unsigned i, nr;
    char **ids = tstore_list(dom->d0->store, &nr,
                             "/local/domain/0/backend/%s/%u", type, dom->domid);

    for (i = 0; i < nr; i++) {
        snprintf(name, sizeof(name), "%s/%s", type, ids[i]);
        plan_add(paths, NODE_INHERIT, name, "/local/domain/0/backend/%s/%u/%s",
                 type, dom->domid, ids[i]);
    }
    free(ids);
}

void devwait_find(struct dom *dom, struct plan *paths)
{
    unsigned i, nr;
    char **types = tstore_list(dom->d0->store, &nr, "/local/domain/0/backend");

    for (i = 0; i < nr; i++)
        /* Consoles have no state machine: they come and go with the domain. */
        if (strcmp(types[i], "console"))
            find_type(dom, types[i], paths);
    free(types);
}

static void token_of(const struct dom *dom, char *token, size_t size)
{
    snprintf(token, size, "dev/%u", dom->domid);
}

static bool path_ready(struct dom *dom, const char *path)
{
    char *text = tstore_read(dom->d0->store, "%s/state", path);
    int state = text ? atoi(text) : -1;
    bool gone = !text && errno == ENOENT;

    free(text);
    if (dom->wait.closing)
        return gone || state == XenbusStateClosed;
    return gone || state >= XenbusStateInitWait;
}

static bool all_ready(struct dom *dom)
{
    size_t i;

    if (!tstore_up(dom->d0->store))
        return false;
    for (i = 0; i < dom->wait.paths.nr; i++)
        if (!path_ready(dom, dom->wait.paths.nodes[i].path))
            return false;
    return true;
}

void devwait_cancel(struct dom *dom)
{
    struct devwait *wait = &dom->wait;
    char token[32];
    size_t i;

    loop_disarm(dom->d0->loop, &wait->timer);
    if (!wait->active)
        return;
    token_of(dom, token, sizeof(token));
    for (i = 0; i < wait->paths.nr; i++)
        tstore_unwatch(dom->d0->store, wait->paths.nodes[i].path, token);
    plan_free(&wait->paths);
    wait->active = false;
}

/* Looks at all; ends the wait or sets the timer for the next look. */
static void devwait_look(void *arg)
{
    struct dom *dom = arg;
    struct devwait *wait = &dom->wait;
    uint64_t now = loop_now_ms();

    if (!all_ready(dom) && now < wait->deadline_ms) {
        uint64_t left = wait->deadline_ms - now;

        loop_arm(dom->d0->loop, &wait->timer, left < LOOK_MS ? left : LOOK_MS);
        return;
    }
    wait->timed_out = now >= wait->deadline_ms;
    devwait_cancel(dom);
    wait->done(dom);
}

void devwait_event(struct dom *dom)
{
    if (dom->wait.active)
        devwait_look(dom);
}

void devwait_start(struct dom *dom, bool closing, uint64_t timeout_ms,
                   dom_fn *done)
{
    struct devwait *wait = &dom->wait;
    char token[32];
    size_t i;

    devwait_cancel(dom);
    wait->active = true;
    wait->closing = closing;
    wait->deadline_ms = loop_now_ms() + timeout_ms;
    wait->done = done;
    wait->timer.fn = devwait_look;
    wait->timer.arg = dom;
    devwait_find(dom, &wait->paths);
    token_of(dom, token, sizeof(token));
    for (i = 0; i < wait->paths.nr; i++)
        tstore_watch(dom->d0->store, wait->paths.nodes[i].path, token);
    /* Not from here: the caller is still in the middle of it. */
    loop_arm(dom->d0->loop, &wait->timer, 0);
}
