/* SPDX-License-Identifier: MIT */
#include "dom0/dom0.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dom0/dom0_log.h"
#include "dom0/dump.h"
#include "dom0/record.h"

#define RECORD_VERSION 1
#define STOPPING_HINT  "try again once it has been restarted"

static const char *const state_names[] = {
    [DOM_BUILDING] = "building",
    [DOM_RUNNING] = "running",
    [DOM_ENDING] = "ending",
    [DOM_PRESERVED] = "preserved",
};

const char *dom_state_name(enum dom_state state)
{
    return state_names[state];
}

static int state_parse(const char *word, enum dom_state *state)
{
    size_t i;

    for (i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++) {
        if (!word || strcmp(word, state_names[i]))
            continue;
        *state = i;
        return 0;
    }
    return -EINVAL;
}

int why_set(struct why *why, int rc, const char *hint, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why->text, sizeof(why->text), fmt, ap);
    va_end(ap);
    snprintf(why->hint, sizeof(why->hint), "%s", hint ? hint : "");
    return rc;
}

int waiters_add(struct waiters *w, struct request *req)
{
    struct request **reqs =
        realloc(w->reqs, (w->nr + 1) * sizeof(struct request *));

    if (!reqs)
        return -ENOMEM;
    w->reqs = reqs;
    w->reqs[w->nr++] = req;
    return 0;
}

void waiters_free(struct waiters *w)
{
    free(w->reqs);
    w->reqs = NULL;
    w->nr = 0;
}

static void waiters_drop(struct waiters *w)
{
    while (w->nr)
        request_fail(w->reqs[--w->nr], STOPPING_HINT, "dom0 is stopping");
    waiters_free(w);
}

struct dom *dom_new(struct dom0 *d0, struct domain_config *cfg)
{
    struct dom *dom = calloc(1, sizeof(*dom));

    if (!dom)
        return NULL;
    dom->d0 = d0;
    dom->cfg = cfg;
    dom->state = DOM_BUILDING;
    dom->started = time(NULL);
    strcpy(dom->uuid, cfg->uuid);
    return dom;
}

void dom_link(struct dom *dom)
{
    struct dom **at = &dom->d0->doms;

    while (*at)
        at = &(*at)->next;
    *at = dom;
}

void dom_free(struct dom *dom)
{
    struct dom **at = &dom->d0->doms;

    while (*at && *at != dom)
        at = &(*at)->next;
    if (*at)
        *at = dom->next;
    devwait_cancel(dom);
    dump_cancel(dom);
    loop_disarm(dom->d0->loop, &dom->settle);
    free(dom->dump_partial);
    free(dom->core);
    waiters_drop(&dom->destroyers);
    waiters_drop(&dom->enders);
    if (dom->creator)
        request_fail(dom->creator, STOPPING_HINT, "dom0 is stopping");
    domain_config_free(dom->cfg);
    free(dom);
}

struct dom *dom_by_id(struct dom0 *d0, uint32_t domid)
{
    struct dom *dom;

    for (dom = d0->doms; dom; dom = dom->next)
        if (dom->domid == domid)
            return dom;
    return NULL;
}

struct dom *dom_by_uuid(struct dom0 *d0, const char *uuid)
{
    struct dom *dom;

    for (dom = d0->doms; dom; dom = dom->next)
        if (dom->state < DOM_ENDING && !strcasecmp(dom->uuid, uuid))
            return dom;
    return NULL;
}

struct dom *dom_by_name(struct dom0 *d0, const char *name)
{
    struct dom *dom;

    for (dom = d0->doms; dom; dom = dom->next)
        if (dom->state != DOM_ENDING && !strcmp(dom->cfg->name, name))
            return dom;
    return NULL;
}

struct dom *dom_find(struct dom0 *d0, const char *key)
{
    struct dom *dom = dom_by_name(d0, key);
    unsigned long id;
    char *end;

    if (!dom)
        dom = dom_by_uuid(d0, key);
    if (dom)
        return dom;
    id = strtoul(key, &end, 10);
    if (*key >= '0' && *key <= '9' && !*end && id > 0 && id < DOMID_IDLE)
        return dom_by_id(d0, id);
    for (dom = d0->doms; dom; dom = dom->next)
        if (!strcmp(dom->cfg->name, key) || !strcasecmp(dom->uuid, key))
            return dom;
    return NULL;
}

int dom_record(struct dom *dom)
{
    char path[512];
    json_t *rec;
    int rc;

    snprintf(path, sizeof(path), "%s/domains/%u.json", dom->d0->run_dir,
             dom->domid);
    rec = json_pack(
        "{s:i, s:i, s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:I, s:I, s:I, s:s, "
        "s:s*, s:s*, s:b, s:b, s:o}",
        "version", RECORD_VERSION, "domid", (int)dom->domid, "uuid", dom->uuid,
        "name", dom->cfg->name, "state", dom_state_name(dom->state), "restart",
        dom->restart, "start_paused", dom->start_paused, "launched",
        dom->launched, "stopped", dom->stopped && !dom->unanswered, "started",
        (json_int_t)dom->started, "store_frame", (json_int_t)dom->store_frame,
        "store_port", (json_int_t)dom->store_port, "uart", dom->uart, "core",
        dom->core, "dump", dom->dump_partial, "dump_paused", dom->dump_paused,
        "dump_keeps_paused", dom->dump_keeps_paused, "config",
        domain_config_to_json(dom->cfg));
    if (!rec)
        return -ENOMEM;
    rc = record_write(path, rec);
    if (rc)
        dom0_error("%s: cannot write the domain's record: %s", path,
                   strerror(-rc));
    json_decref(rec);
    return rc;
}

static char *rec_str(const json_t *rec, const char *key)
{
    const char *text = json_string_value(json_object_get(rec, key));

    return text ? strdup(text) : NULL;
}

static bool rec_bool(const json_t *rec, const char *key)
{
    return json_is_true(json_object_get(rec, key));
}

static json_int_t rec_int(const json_t *rec, const char *key)
{
    return json_integer_value(json_object_get(rec, key));
}

struct dom *dom_from_record(struct dom0 *d0, const json_t *rec, struct why *why)
{
    const char *uart = json_string_value(json_object_get(rec, "uart"));
    struct domain_config *cfg = NULL;
    struct config_error err = {.text = "out of memory"};
    enum dom_state state;
    struct dom *dom;

    if (rec_int(rec, "version") != RECORD_VERSION ||
        state_parse(json_string_value(json_object_get(rec, "state")), &state)) {
        why_set(why, -EINVAL, NULL, "a record of another version");
        return NULL;
    }
    if (domain_config_from_json(json_object_get(rec, "config"), &cfg, &err)) {
        why_set(why, -EINVAL, NULL, "%s", err.text);
        return NULL;
    }
    dom = dom_new(d0, cfg);
    if (!dom) {
        domain_config_free(cfg);
        why_set(why, -ENOMEM, NULL, "out of memory");
        return NULL;
    }
    dom->domid = rec_int(rec, "domid");
    dom->state = state;
    dom->restart = rec_bool(rec, "restart");
    dom->start_paused = rec_bool(rec, "start_paused");
    dom->launched = rec_bool(rec, "launched");
    dom->stopped = rec_bool(rec, "stopped");
    dom->core = rec_str(rec, "core");
    dom->dump_partial = rec_str(rec, "dump");
    dom->dump_paused = rec_bool(rec, "dump_paused");
    dom->dump_keeps_paused = rec_bool(rec, "dump_keeps_paused");
    dom->started = rec_int(rec, "started");
    dom->store_frame = rec_int(rec, "store_frame");
    dom->store_port = rec_int(rec, "store_port");
    snprintf(dom->uart, sizeof(dom->uart), "%s", uart ? uart : "");
    return dom;
}

void uuid_to_handle(const char *uuid, xen_domain_handle_t handle)
{
    unsigned i, byte;

    memset(handle, 0, sizeof(xen_domain_handle_t));
    for (i = 0; i < sizeof(xen_domain_handle_t) && *uuid; i++) {
        if (*uuid == '-')
            uuid++;
        if (sscanf(uuid, "%2x", &byte) != 1)
            return;
        handle[i] = byte;
        uuid += 2;
    }
}

void handle_to_uuid(const xen_domain_handle_t handle,
                    char uuid[DOMAIN_UUID_CHARS + 1])
{
    char *p = uuid;
    unsigned i;

    for (i = 0; i < sizeof(xen_domain_handle_t); i++)
        p += sprintf(p, "%s%02x",
                     i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                     handle[i]);
}
