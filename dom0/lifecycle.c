/* SPDX-License-Identifier: MIT */
#include "dom0/dom0.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dom0/dom0_log.h"
#include "dom0/dump.h"
#include "dom0/record.h"

#define ENDED_MAX 64  /* remembered ends */
#define SETTLE_MS 150 /* for what a crashed guest's console still holds */

static const char *const reason_names[] = {
    [SHUTDOWN_poweroff] = "poweroff", [SHUTDOWN_reboot] = "reboot",
    [SHUTDOWN_suspend] = "suspend",   [SHUTDOWN_crash] = "crash",
    [SHUTDOWN_watchdog] = "watchdog", [SHUTDOWN_soft_reset] = "soft-reset",
};

const char *shutdown_reason_name(unsigned reason)
{
    return reason <= SHUTDOWN_MAX ? reason_names[reason] : "unknown reason";
}

static void ended_path(struct dom0 *d0, char *path, size_t size)
{
    snprintf(path, size, "%s/ended.json", d0->run_dir);
}

void ended_load(struct dom0 *d0)
{
    char path[512];

    ended_path(d0, path, sizeof(path));
    d0->ended = record_read(path);
    if (!json_is_array(d0->ended)) {
        json_decref(d0->ended);
        d0->ended = json_array();
    }
}

json_t *ended_find(struct dom0 *d0, const char *key)
{
    size_t i = json_array_size(d0->ended);

    while (i-- > 0) {
        json_t *end = json_array_get(d0->ended, i);
        const char *uuid = json_string_value(json_object_get(end, "uuid"));
        const char *name = json_string_value(json_object_get(end, "name"));

        if ((uuid && !strcmp(uuid, key)) || (name && !strcmp(name, key)))
            return end;
    }
    return NULL;
}

void dom_note_end(struct dom *dom, const char *reason, const char *story)
{
    bool crashed = !strcmp(reason, "crash") || !strcmp(reason, "watchdog");
    struct dom0 *d0 = dom->d0;
    char path[512];
    json_t *end;
    size_t i;

    if (!dom->noted) {
        end = json_pack("{s:i, s:s, s:s, s:s, s:s, s:b, s:I, s:s*}", "domid",
                        (int)dom->domid, "name", dom->cfg->name, "uuid",
                        dom->uuid, "reason", reason, "story", story, "crashed",
                        crashed, "when", (json_int_t)time(NULL), "core",
                        dom->core);
        json_array_append_new(d0->ended, end);
        while (json_array_size(d0->ended) > ENDED_MAX)
            json_array_remove(d0->ended, 0);
        ended_path(d0, path, sizeof(path));
        record_write(path, d0->ended);
        dom->noted = true;
    }
    end = ended_find(d0, dom->uuid);
    for (i = 0; i < dom->enders.nr; i++)
        request_ok(dom->enders.reqs[i], json_deep_copy(end));
    waiters_free(&dom->enders);
}

static enum domain_action action_for(const struct dom *dom, unsigned reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        return dom->cfg->on_poweroff;
    case SHUTDOWN_reboot:
    case SHUTDOWN_soft_reset:
        return dom->cfg->on_reboot;
    case SHUTDOWN_watchdog:
        return dom->cfg->on_watchdog;
    case SHUTDOWN_suspend:
        return DOMAIN_ACTION_PRESERVE; /* whoever asked for it goes on */
    default:
        return dom->cfg->on_crash;
    }
}

/* Frees the name, so that the copy can have it. */
static int rename_away(struct dom *dom)
{
    char name[DOMAIN_NAME_MAX + 16];
    char *copy;
    int i;

    for (i = 1; i < 1000; i++) {
        snprintf(name, sizeof(name), "%s-%d", dom->cfg->name, i);
        if (!dom_by_name(dom->d0, name))
            break;
    }
    copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    free(dom->cfg->name);
    dom->cfg->name = copy;
    tstore_write(dom->d0->store, name, "/local/domain/%u/name", dom->domid);
    return 0;
}

static struct domain_config *config_copy(const struct domain_config *cfg)
{
    json_t *json = domain_config_to_json(cfg);
    struct domain_config *copy = NULL;
    struct config_error err;

    if (json && domain_config_from_json(json, &copy, &err))
        copy = NULL;
    json_decref(json);
    return copy;
}

/* Its backends have let go of the disks: the copy may have them. */
static void rename_restart_rest(struct dom *dom)
{
    struct domain_config *copy = config_copy(dom->cfg);
    struct waiters enders = dom->enders;
    int rc = copy ? rename_away(dom) : -ENOMEM;

    while (!rc && dom->cfg->nr_disks)
        disk_spec_free(&dom->cfg->disks[--dom->cfg->nr_disks]);
    dom->restart = false;
    dom_record(dom);
    if (rc) {
        dom0_error("d%u: out of memory: kept, not restarted", dom->domid);
        domain_config_free(copy);
        return;
    }
    dom->enders = (struct waiters){0};
    dom_restart(dom->d0, copy, &enders);
}

/* Keeps the dead domain under another name, and builds its like anew. */
static void rename_restart(struct dom *dom)
{
    dom->state = DOM_PRESERVED;
    dom->restart = true; /* in the record: to be done, also by the next dom0 */
    dom_record(dom);
    dom_close_devices(dom, rename_restart_rest);
}

void dom_resume_rename(struct dom *dom)
{
    if (dom->state == DOM_PRESERVED && dom->restart)
        rename_restart(dom);
}

static bool wants_core(enum domain_action action)
{
    return action == DOMAIN_ACTION_COREDUMP_DESTROY ||
           action == DOMAIN_ACTION_COREDUMP_RESTART;
}

static bool is_crash(unsigned reason)
{
    return reason == SHUTDOWN_crash || reason == SHUTDOWN_watchdog;
}

/* Those on its console learn of it also when it is to be built anew. */
static void tell_crash(struct dom *dom, const char *story)
{
    const char *reason = shutdown_reason_name(dom->reason);
    size_t i;

    for (i = 0; i < dom->enders.nr && is_crash(dom->reason); i++)
        request_event(dom->enders.reqs[i], "crashed",
                      json_pack("{s:s, s:s, s:s*}", "reason", reason, "story",
                                story, "core", dom->core));
}

static void act(struct dom *dom)
{
    const char *reason = shutdown_reason_name(dom->reason);
    char story[768];

    dom_story(dom, story, sizeof(story));
    dom->unanswered = false;
    switch (action_for(dom, dom->reason)) {
    case DOMAIN_ACTION_RESTART:
    case DOMAIN_ACTION_COREDUMP_RESTART:
        tell_crash(dom, story);
        dom->restart = true;
        dom_end(dom);
        break;
    case DOMAIN_ACTION_RENAME_RESTART:
        tell_crash(dom, story);
        rename_restart(dom);
        break;
    case DOMAIN_ACTION_PRESERVE:
        dom->state = DOM_PRESERVED;
        dom_record(dom);
        dom_note_end(dom, reason, story);
        break;
    default:
        dom_note_end(dom, reason, story);
        dom_end(dom);
        break;
    }
}

static void core_made(struct dom *dom, const char *path, const struct why *why)
{
    (void)why; /* in the log already */
    free(dom->core);
    dom->core = path ? strdup(path) : NULL;
    act(dom);
}

/* The dump first; without one if it cannot be. */
static void act_with_core(struct dom *dom)
{
    struct why why = {{0}, {0}};
    char path[512];
    int rc = dump_crash_path(dom, path, sizeof(path), &why);

    if (!rc)
        rc = dump_start(dom, path, 0, NULL, core_made, &why);
    if (rc) {
        dom0_warn("d%u: no memory dump: %s", dom->domid, why.text);
        act(dom);
    }
}

static void dom_settled(void *arg)
{
    struct dom *dom = arg;
    enum domain_action action = action_for(dom, dom->reason);
    char story[768];

    dom_story(dom, story, sizeof(story));
    dom0_info("domain \"%s\" (%u) has shut down: %s%s%s; action: %s",
              dom->cfg->name, dom->domid, shutdown_reason_name(dom->reason),
              *story ? ": " : "", story, domain_action_name(action));
    /* One that the user is dumping just now has its dump. */
    if (wants_core(action) && !dom->dump)
        act_with_core(dom);
    else
        act(dom);
}

static void dom_stopped(struct dom *dom, unsigned reason)
{
    dom->stopped = dom->unanswered = true;
    dom->reason = reason;
    dom->settle.fn = dom_settled;
    dom->settle.arg = dom;
    loop_arm(dom->d0->loop, &dom->settle, is_crash(reason) ? SETTLE_MS : 0);
}

/* Somebody else destroyed it: only its traces are left to remove. */
static void dom_vanished(struct dom *dom)
{
    dom0_warn("domain \"%s\" (%u) is gone from hv: cleaning up", dom->cfg->name,
              dom->domid);
    dom->existed = false;
    dom_end(dom);
}

static void dom_look(struct dom *dom)
{
    struct xen_domctl_getdomaininfo info;
    int rc = kxctrl_domain_getinfo(dom->d0->hv, dom->domid, &info);

    if (rc == -ESRCH)
        dom_vanished(dom);
    else if (!rc && (info.flags & XEN_DOMINF_shutdown) && !dom->stopped)
        dom_stopped(dom, info.flags >> XEN_DOMINF_shutdownshift &
                             XEN_DOMINF_shutdownmask);
}

void dom_scan(struct dom0 *d0)
{
    struct dom *dom, *next;

    for (dom = d0->doms; dom; dom = next) {
        next = dom->next;
        if (dom->state == DOM_RUNNING || dom->state == DOM_PRESERVED)
            dom_look(dom);
    }
}

int dom_ask_shutdown(struct dom *dom, const char *word)
{
    return tstore_write(dom->d0->store, word,
                        "/local/domain/%u/control/shutdown", dom->domid);
}
