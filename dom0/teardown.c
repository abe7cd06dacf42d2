/* SPDX-License-Identifier: MIT */
#include "dom0/dom0.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/io/xenbus.h>

#include "dom0/dom0_log.h"
#include "dom0/dump.h"

#define DEVICES_MS   3000 /* for backends to finish their I/O and close */
#define STORE_MS     200  /* between tries while the store is away */
#define SHORT_LIFE_S 2 /* a domain that lives less is not restarted at once */
#define THROTTLE_MS  1000

/* Everything the domain was, in the store. */
void store_clean(struct dom0 *d0, uint32_t domid, const char *uuid)
{
    struct dom *dom;
    unsigned i, nr;
    char **types;

    tstore_release(d0->store, domid);
    types = tstore_list(d0->store, &nr, "/local/domain/0/backend");
    for (i = 0; i < nr; i++) {
        tstore_rm(d0->store, "/local/domain/0/backend/%s/%u", types[i], domid);
        tstore_rm(d0->store, "/local/domain/0/error/backend/%s/%u", types[i],
                  domid);
    }
    free(types);
    tstore_rm(d0->store, "/local/domain/%u", domid);
    tstore_rm(d0->store, "/libxl/%u", domid);
    dom = uuid && *uuid ? dom_by_uuid(d0, uuid) : NULL;
    if (uuid && *uuid && (!dom || dom->domid == domid))
        tstore_rm(d0->store, "/vm/%s", uuid);
}

/* A stopped guest answers no handshake: its half is taken away at once. */
void dom_close_devices(struct dom *dom, dom_fn *done)
{
    struct plan devs = {0}, plan = {.domid = dom->domid};
    size_t i;
    int rc;

    devwait_find(dom, &devs);
    for (i = 0; i < devs.nr; i++) {
        plan_add(&plan, NODE_INHERIT, "0", "%s/online", devs.nodes[i].path);
        plan_add_num(&plan, NODE_INHERIT, XenbusStateClosing, "%s/state",
                     devs.nodes[i].path);
    }
    rc = plan.nr ? tstore_apply(dom->d0->store, &plan) : 0;
    if (rc)
        dom0_warn("d%u: cannot tell the backends to close: %s", dom->domid,
                  strerror(-rc));
    for (i = 0; i < devs.nr; i++)
        tstore_rm(dom->d0->store, "/local/domain/%u/device/%s", dom->domid,
                  devs.nodes[i].value);
    plan_free(&plan);
    plan_free(&devs);
    devwait_start(dom, true, DEVICES_MS, done);
}

static void record_forget(const struct dom *dom)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/domains/%u.json", dom->d0->run_dir,
             dom->domid);
    unlink(path);
}

static void answer_all(struct dom *dom)
{
    size_t i;

    if (dom->creator)
        request_fail(dom->creator, dom->failed.hint, "%s",
                     *dom->failed.text ? dom->failed.text
                                       : "destroyed while being built");
    dom->creator = NULL;
    for (i = 0; i < dom->destroyers.nr; i++)
        request_ok(dom->destroyers.reqs[i], NULL);
    waiters_free(&dom->destroyers);
    if (*dom->failed.text)
        dom_note_end(dom, "failed", dom->failed.text);
    else
        dom_note_end(dom, "destroyed", "");
}

static void end_last(void *arg)
{
    struct dom *dom = arg;
    struct dom0 *d0 = dom->d0;

    if (d0->hv_lost)
        return; /* the records stay for the next one */
    if (dom->restart) {
        /* Before the record goes: the new one's must be there first. */
        dom_restart(d0, dom->cfg, &dom->enders);
        dom->cfg = NULL;
        dom->enders = (struct waiters){0};
    } else {
        answer_all(dom);
    }
    record_forget(dom);
    dom_free(dom);
}

static void end_in_store(void *arg)
{
    struct dom *dom = arg;
    uint64_t delay = 0;

    if (!tstore_up(dom->d0->store)) {
        dom->wait.timer.fn = end_in_store;
        dom->wait.timer.arg = dom;
        loop_arm(dom->d0->loop, &dom->wait.timer, STORE_MS);
        return;
    }
    if (dom->domid)
        store_clean(dom->d0, dom->domid, dom->uuid);
    dom0_info("domain \"%s\" (%u) is gone", dom->cfg->name, dom->domid);
    if (dom->restart && time(NULL) - dom->started < SHORT_LIFE_S)
        delay = THROTTLE_MS;
    dom->wait.timer.fn = end_last;
    dom->wait.timer.arg = dom;
    loop_arm(dom->d0->loop, &dom->wait.timer, delay);
}

static void end_in_hv(struct dom *dom)
{
    int rc = 0;

    if (dom->wait.timed_out)
        dom0_warn("d%u: a backend did not close within %d ms; going on",
                  dom->domid, DEVICES_MS);
    if (dom->existed)
        rc = kxctrl_domain_destroy(dom->d0->hv, dom->domid);
    if (rc && rc != -ESRCH)
        dom0_error("d%u: hv cannot destroy the domain: %s", dom->domid,
                   strerror(-rc));
    dom->existed = false;
    end_in_store(dom);
}

void dom_end(struct dom *dom)
{
    if (dom->state == DOM_ENDING && (dom->wait.active || dom->wait.timer.armed))
        return;
    dump_cancel(dom);
    loop_disarm(dom->d0->loop, &dom->settle);
    dom->state = DOM_ENDING;
    if (dom->domid)
        dom_record(dom);
    if (dom->existed)
        kxctrl_domain_pause(dom->d0->hv, dom->domid);
    if (dom->domid)
        dom_close_devices(dom, end_in_hv);
    else
        end_in_hv(dom);
}
