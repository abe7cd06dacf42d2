/* SPDX-License-Identifier: MIT */
/* What a restarted dom0 does with what the last one left. */
#include "dom0/dom0.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dom0/dom0_log.h"
#include "dom0/dump.h"
#include "dom0/record.h"

/* Is the record's domain still that domain?  Ids are used again. */
static bool lives(struct dom *dom)
{
    struct xen_domctl_getdomaininfo info;
    char uuid[DOMAIN_UUID_CHARS + 1];

    if (kxctrl_domain_getinfo(dom->d0->hv, dom->domid, &info))
        return false;
    handle_to_uuid(info.handle, uuid);
    return !strcasecmp(uuid, dom->uuid);
}

/* The store may have been restarted too, and lost what we told it. */
static void reintroduce(struct dom *dom)
{
    if (tstore_introduced(dom->d0->store, dom->domid) == 1)
        return;
    dom0_warn("d%u: the store does not know it: introducing it again",
              dom->domid);
    tstore_introduce(dom->d0->store, dom->domid, dom->store_frame,
                     dom->store_port);
}

static void adopt_running(struct dom *dom)
{
    dom0_info("domain \"%s\" (%u) taken over", dom->cfg->name, dom->domid);
    reintroduce(dom);
    trapped_attach_uart(dom);
    if (dom->state == DOM_RUNNING)
        dom_launch(dom);
}

static void adopt_dead(struct dom *dom)
{
    dom0_info("domain \"%s\" (%u) died with its hypervisor: cleaning up",
              dom->cfg->name, dom->domid);
    /* A restart that was under way goes on; nothing else is started anew. */
    dom->restart = dom->restart && dom->state == DOM_ENDING;
    dom_end(dom);
}

static void adopt_one(void *arg, uint32_t domid, json_t *rec)
{
    struct dom0 *d0 = arg;
    struct why why = {{0}, {0}};
    struct dom *dom = dom_from_record(d0, rec, &why);

    if (!dom) {
        dom0_error("record of domain %u: %s: left alone", domid, why.text);
        return;
    }
    dom_link(dom);
    dom->existed = lives(dom);
    dump_recover(dom);
    if (dom->state == DOM_BUILDING) {
        dom0_info("domain \"%s\" (%u) was half made: removing it%s",
                  dom->cfg->name, dom->domid,
                  dom->restart ? " and building it again" : "");
        dom_end(dom);
    } else if (dom->state == DOM_ENDING) {
        dom_end(dom);
    } else if (!dom->existed) {
        adopt_dead(dom);
    } else {
        adopt_running(dom);
        dom_resume_rename(dom);
    }
}

/* Two records of one restart: the newer one carries it on. */
static void drop_double_restarts(struct dom0 *d0)
{
    struct dom *a, *b;

    for (a = d0->doms; a; a = a->next)
        for (b = a->next; b; b = b->next)
            if (a->restart && b->restart && !strcmp(a->uuid, b->uuid))
                *(a->domid < b->domid ? &a->restart : &b->restart) = false;
}

/*
 * A domain nobody remembers: made by a dom0 that was killed before it could
 * write so.  Such a one is paused, and the store has not heard of it; another
 * is someone else's.
 */
static void orphan_clean(struct dom0 *d0,
                         const struct xen_domctl_getdomaininfo *info)
{
    char *name;

    if (!info->domain || dom_by_id(d0, info->domain))
        return;
    name = tstore_read(d0->store, "/local/domain/%u/domid", info->domain);
    free(name);
    if (!(info->flags & XEN_DOMINF_paused) || name) {
        dom0_warn("domain %u is there but not ours: left alone", info->domain);
        return;
    }
    dom0_info("domain %u was half made: destroying it", info->domain);
    kxctrl_domain_destroy(d0->hv, info->domain);
    store_clean(d0, info->domain, NULL);
}

static void orphans_clean(struct dom0 *d0)
{
    static const uint32_t max = 256;
    struct xen_domctl_getdomaininfo *list = calloc(max, sizeof(*list));
    uint32_t next = 1;
    int i, n;

    if (!list)
        return;
    do {
        n = kxctrl_domain_getinfolist(d0->hv, next, max, list);
        for (i = 0; i < n; i++)
            orphan_clean(d0, &list[i]);
        if (n > 0)
            next = list[n - 1].domain + 1;
    } while (n == (int)max);
    free(list);
}

/* Store nodes of domains that neither hv nor a record knows. */
static void nodes_clean(struct dom0 *d0)
{
    struct xen_domctl_getdomaininfo info;
    unsigned i, nr;
    char **ids = tstore_list(d0->store, &nr, "/local/domain");

    for (i = 0; i < nr; i++) {
        uint32_t domid = strtoul(ids[i], NULL, 10);

        if (!domid || dom_by_id(d0, domid) ||
            kxctrl_domain_getinfo(d0->hv, domid, &info) != -ESRCH)
            continue;
        dom0_info("store: removing what was left of domain %u", domid);
        store_clean(d0, domid, NULL);
    }
    free(ids);
}

void adopt_reintroduce(struct dom0 *d0)
{
    struct dom *dom;

    for (dom = d0->doms; dom; dom = dom->next)
        if (dom->state == DOM_RUNNING)
            reintroduce(dom);
}

void adopt_all(struct dom0 *d0)
{
    char dir[512];
    int rc;

    snprintf(dir, sizeof(dir), "%s/domains", d0->run_dir);
    rc = record_each(dir, adopt_one, d0);
    if (rc)
        dom0_error("%s: cannot read the domains' records: %s", dir,
                   strerror(-rc));
    drop_double_restarts(d0);
    orphans_clean(d0);
    nodes_clean(d0);
    dom_scan(d0);
}
