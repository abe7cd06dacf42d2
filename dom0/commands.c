/* SPDX-License-Identifier: MIT */
/* The control socket's commands: each takes its arguments and answers. */
#include "dom0/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dom0/dom0_log.h"

#define STORE_WAIT_MS 5000 /* for a store that is being restarted */
#define LIST_MAX      512
#define DMESG_MAX     (256u << 10)

const char *arg_str(json_t *args, const char *key)
{
    return json_string_value(json_object_get(args, key));
}

struct dom *arg_dom(struct dom0 *d0, struct request *req, json_t *args)
{
    json_t *key = json_object_get(args, "domain");
    char number[24];
    const char *name = json_string_value(key);
    struct dom *dom;

    if (json_is_integer(key)) {
        snprintf(number, sizeof(number), "%lld",
                 (long long)json_integer_value(key));
        name = number;
    }
    if (!name || !*name) {
        request_fail(req, "name it or give its id", "which domain?");
        return NULL;
    }
    dom = dom_find(d0, name);
    if (!dom)
        request_fail(req, "kxl list shows those there are",
                     "no domain is called \"%s\"", name);
    return dom;
}

static bool store_ready(const struct dom0 *d0)
{
    return d0->adopted && tstore_up(d0->store);
}

static struct deferred *deferred_take(struct deferred *d)
{
    struct deferred **at = &d->d0->deferred;

    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    loop_disarm(d->d0->loop, &d->timer);
    return d;
}

static void deferred_free(struct deferred *d)
{
    json_decref(d->args);
    free(d);
}

static void deferred_expired(void *arg)
{
    struct deferred *d = deferred_take(arg);

    request_fail(d->req, "look into kxenstored.log; it may be on its way",
                 "the store does not answer");
    deferred_free(d);
}

void defer(struct dom0 *d0, struct request *req, json_t *args, control_fn *fn)
{
    struct deferred *d = calloc(1, sizeof(*d));
    struct deferred **at = &d0->deferred;

    if (!d) {
        request_fail(req, NULL, "out of memory");
        return;
    }
    *d = (struct deferred){.d0 = d0, .req = req, .fn = fn};
    d->args = json_incref(args);
    d->timer.fn = deferred_expired;
    d->timer.arg = d;
    while (*at)
        at = &(*at)->next;
    *at = d;
    loop_arm(d0->loop, &d->timer, STORE_WAIT_MS);
}

void deferred_run(struct dom0 *d0)
{
    while (d0->deferred && store_ready(d0)) {
        struct deferred *d = deferred_take(d0->deferred);

        d->fn(d0, d->req, d->args);
        deferred_free(d);
    }
}

void deferred_drop(struct dom0 *d0)
{
    while (d0->deferred)
        deferred_expired(d0->deferred);
}

static void cmd_help(void *owner, struct request *req, json_t *args)
{
    const struct control_command *cmd;
    json_t *names = json_array();

    (void)owner;
    (void)args;
    for (cmd = dom0_commands; cmd->name; cmd++)
        json_array_append_new(names, json_string(cmd->name));
    request_ok(req, json_pack("{s:o}", "commands", names));
}

/* NULL-terminated, borrowed strings; free() the array alone. */
static const char **overrides_of(json_t *args)
{
    json_t *list = json_object_get(args, "overrides"), *item;
    const char **out = calloc(json_array_size(list) + 1, sizeof(const char *));
    size_t i, n = 0;

    json_array_foreach (list, i, item)
        if (out && json_is_string(item))
            out[n++] = json_string_value(item);
    return out;
}

static void cmd_create(void *owner, struct request *req, json_t *args)
{
    const char *text = arg_str(args, "config"), *file = arg_str(args, "file");
    const char *cwd = arg_str(args, "cwd");
    struct config_error err = {.text = "out of memory"};
    struct domain_config *cfg = NULL;
    struct dom0 *d0 = owner;
    const char **overrides;
    int rc;

    if (!text) {
        request_fail(req, NULL,
                     "create needs \"config\": the text of an "
                     "xl.cfg file");
        return;
    }
    if (!store_ready(d0)) {
        defer(d0, req, args, cmd_create);
        return;
    }
    file = file ? file : "config";
    overrides = overrides_of(args);
    rc = domain_config_parse(file, text, strlen(text), overrides, &cfg, &err);
    free(overrides);
    if (!rc)
        rc = config_resolve_paths(cfg, cwd ? cwd : "/", file);
    if (rc) {
        request_fail(req, NULL, "%s", err.text);
        domain_config_free(cfg);
        return;
    }
    dom_create(d0, cfg, json_is_true(json_object_get(args, "paused")), req);
}

/* Of this client: a create that is not finished is taken back. */
static void cmd_cancel(void *owner, struct request *req, json_t *args)
{
    struct request *which = request_sibling(req, json_object_get(args, "of"));
    struct dom0 *d0 = owner;
    struct deferred *d = d0->deferred;
    struct dom *dom = d0->doms;

    while (dom && (!which || dom->creator != which))
        dom = dom->next;
    while (d && d->req != which)
        d = d->next;
    if (dom) {
        why_set(&dom->failed, -EINTR, NULL,
                "interrupted: nothing is left of "
                "it");
        dom->restart = false;
        dom_end(dom);
    } else if (which && d) {
        deferred_take(d);
        request_fail(d->req, NULL, "interrupted: nothing was made");
        deferred_free(d);
    }
    request_ok(req, json_pack("{s:b}", "found", (dom || (which && d))));
}

/* xl's six letters: running, blocked, paused, shutdown, crashed, dying. */
static void state_letters(uint32_t flags, char out[7])
{
    bool down = flags & XEN_DOMINF_shutdown;
    unsigned reason =
        flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;

    strcpy(out, "------");
    if (flags & XEN_DOMINF_dying)
        out[5] = 'd';
    if (down)
        out[reason == SHUTDOWN_crash ? 4 : 3] =
            reason == SHUTDOWN_crash ? 'c' : 's';
    if (flags & XEN_DOMINF_paused)
        out[2] = 'p';
    if (down || (flags & XEN_DOMINF_dying))
        return;
    if (flags & XEN_DOMINF_blocked)
        out[1] = 'b';
    if (flags & XEN_DOMINF_running)
        out[0] = 'r';
}

/* Of a domain that is down: how that came. */
static void add_end(json_t *out, struct dom *dom, unsigned reason)
{
    char story[768];

    dom_story(dom, story, sizeof(story));
    json_object_set_new(out, "reason",
                        json_string(shutdown_reason_name(reason)));
    json_object_set_new(out, "story", json_string(story));
    if (dom->core)
        json_object_set_new(out, "core", json_string(dom->core));
}

static json_t *info_json(struct dom0 *d0,
                         const struct xen_domctl_getdomaininfo *info)
{
    struct dom *dom = dom_by_id(d0, info->domain);
    char uuid[DOMAIN_UUID_CHARS + 1], letters[7];
    json_t *out;

    handle_to_uuid(info->handle, uuid);
    state_letters(info->flags, letters);
    out = json_pack("{s:i, s:s, s:s, s:I, s:I, s:i, s:i, s:s, s:f, s:s}",
                    "domid", (int)info->domain, "name",
                    dom             ? dom->cfg->name
                    : !info->domain ? "Domain-0"
                                    : "(unknown)",
                    "uuid", uuid, "memory_kib", (json_int_t)info->tot_pages * 4,
                    "maxmem_kib", (json_int_t)info->max_pages * 4, "vcpus",
                    (int)info->nr_online_vcpus, "max_vcpus",
                    (int)info->max_vcpu_id + 1, "state", letters, "cpu_seconds",
                    info->cpu_time / 1e9, "managed",
                    dom ? dom_state_name(dom->state) : "no");
    if (dom)
        json_object_set_new(out, "started", json_integer(dom->started));
    if (dom && (info->flags & XEN_DOMINF_shutdown))
        add_end(out, dom,
                info->flags >> XEN_DOMINF_shutdownshift &
                    XEN_DOMINF_shutdownmask);
    return out;
}

static void cmd_list(void *owner, struct request *req, json_t *args)
{
    struct xen_domctl_getdomaininfo *list = calloc(LIST_MAX, sizeof(*list));
    struct dom0 *d0 = owner;
    json_t *out = json_array();
    int i, n = -ENOMEM;

    (void)args;
    if (list)
        n = kxctrl_domain_getinfolist(d0->hv, 0, LIST_MAX, list);
    for (i = 0; i < n; i++)
        json_array_append_new(out, info_json(d0, &list[i]));
    free(list);
    if (n >= 0) {
        request_ok(req, json_pack("{s:o}", "domains", out));
        return;
    }
    json_decref(out);
    request_fail(req, NULL, "hv does not list its domains: %s", strerror(-n));
}

static void host_info(struct dom0 *d0, struct request *req)
{
    struct xen_sysctl_physinfo phys = {0};
    int rc = kxctrl_physinfo(d0->hv, &phys);
    json_t *out;

    if (rc) {
        request_fail(req, NULL, "hv does not tell of the host: %s",
                     strerror(-rc));
        return;
    }
    out = json_pack("{s:s, s:i, s:I, s:I, s:b}", "run_dir", d0->run_dir,
                    "nr_cpus", (int)phys.nr_cpus, "total_memory_kib",
                    (json_int_t)phys.total_pages * 4, "free_memory_kib",
                    (json_int_t)phys.free_pages * 4, "store_up",
                    tstore_up(d0->store));
    json_object_set_new(out, "backends", backends_stats_json(d0->backends));
    request_ok(req, out);
}

/* Of the backends' figures, this domain's. */
static json_t *stats_of(struct dom0 *d0, uint32_t domid, const char *what)
{
    json_t *all = backends_stats_json(d0->backends), *out = json_array(), *item;
    size_t i;

    json_array_foreach (json_object_get(all, what), i, item)
        if (json_integer_value(json_object_get(item, "domid")) == domid)
            json_array_append(out, item);
    json_decref(all);
    return out;
}

/* What it has cost, as hv tells it. */
static json_t *counters_of(struct dom0 *d0, uint32_t domid)
{
    char *text = NULL;
    json_t *out = NULL;

    if (!kxctrl_counters(d0->hv, domid, &text))
        out = json_loads(text, 0, NULL);
    free(text);
    return out ? out : json_object();
}

static void cmd_info(void *owner, struct request *req, json_t *args)
{
    struct xen_domctl_getdomaininfo info;
    struct dom0 *d0 = owner;
    struct dom *dom;
    json_t *out;
    int rc;

    if (!json_object_get(args, "domain")) {
        host_info(d0, req);
        return;
    }
    dom = arg_dom(d0, req, args);
    if (!dom)
        return;
    rc = kxctrl_domain_getinfo(d0->hv, dom->domid, &info);
    if (rc) {
        request_fail(req, NULL, "hv does not tell of domain %u: %s", dom->domid,
                     strerror(-rc));
        return;
    }
    out = info_json(d0, &info);
    json_object_set_new(out, "config", domain_config_to_json(dom->cfg));
    json_object_set_new(out, "devices", stats_of(d0, dom->domid, "devices"));
    json_object_set_new(out, "consoles", stats_of(d0, dom->domid, "consoles"));
    json_object_set_new(out, "counters", counters_of(d0, dom->domid));
    request_ok(req, out);
}

static void cmd_domid(void *owner, struct request *req, json_t *args)
{
    struct dom *dom = arg_dom(owner, req, args);

    if (dom)
        request_ok(req, json_pack("{s:i, s:s, s:s}", "domid", (int)dom->domid,
                                  "name", dom->cfg->name, "uuid", dom->uuid));
}

void answer(struct request *req, struct dom *dom, int rc, const char *what)
{
    if (!rc)
        request_ok(req, json_pack("{s:i}", "domid", (int)dom->domid));
    else
        request_fail(req, NULL, "cannot %s domain \"%s\" (%u): %s", what,
                     dom->cfg->name, dom->domid, strerror(-rc));
}

struct dom *arg_dom_running(struct dom0 *d0, struct request *req, json_t *args)
{
    struct dom *dom = arg_dom(d0, req, args);

    if (!dom || (dom->state == DOM_RUNNING && !dom->unanswered))
        return dom;
    request_fail(req, NULL, "domain \"%s\" (%u) is %s", dom->cfg->name,
                 dom->domid,
                 dom->unanswered              ? "down"
                 : dom->state == DOM_BUILDING ? "still being built"
                 : dom->state == DOM_ENDING   ? "already ending"
                                            : "down, and kept for inspection");
    return NULL;
}

static bool is_paused(struct dom *dom)
{
    struct xen_domctl_getdomaininfo info;

    return !kxctrl_domain_getinfo(dom->d0->hv, dom->domid, &info) &&
           (info.flags & XEN_DOMINF_paused);
}

/* hv counts pauses; for the user there are only two states. */
static void cmd_pause(void *owner, struct request *req, json_t *args)
{
    struct dom *dom = arg_dom_running(owner, req, args);

    if (dom && dom->dump_paused) {
        dom->dump_keeps_paused = true;
        dom_record(dom);
    }
    if (dom)
        answer(req, dom,
               is_paused(dom) ? 0
                              : kxctrl_domain_pause(dom->d0->hv, dom->domid),
               "pause");
}

static void cmd_unpause(void *owner, struct request *req, json_t *args)
{
    struct dom *dom = arg_dom_running(owner, req, args);
    int rc = 0;

    if (!dom)
        return;
    if (dom->dump_paused) { /* as soon as the dump is made */
        dom->dump_keeps_paused = false;
        rc = dom_record(dom);
    } else if (!dom->launched) {
        dom->start_paused = false;
        rc = dom_launch(dom);
    } else if (is_paused(dom)) {
        rc = kxctrl_domain_unpause(dom->d0->hv, dom->domid);
    }
    answer(req, dom, rc, "unpause");
}

static void cmd_shutdown(void *owner, struct request *req, json_t *args)
{
    static const char *const words[] = {"poweroff", "reboot", "halt", "suspend",
                                        NULL};
    const char *word = arg_str(args, "reason");
    struct dom *dom;
    int i, rc;

    word = word ? word : "poweroff";
    for (i = 0; words[i] && strcmp(words[i], word);)
        i++;
    if (!words[i]) {
        request_fail(req, "one of poweroff, reboot, halt, suspend",
                     "\"%.40s\" is no way to shut down", word);
        return;
    }
    dom = arg_dom_running(owner, req, args);
    if (!dom)
        return;
    rc = dom_ask_shutdown(dom, word);
    if (rc == -ENOTCONN)
        defer(owner, req, args, cmd_shutdown);
    else
        answer(req, dom, rc, "shut down");
}

static void cmd_destroy(void *owner, struct request *req, json_t *args)
{
    struct dom *dom = arg_dom(owner, req, args);

    if (!dom)
        return;
    if (waiters_add(&dom->destroyers, req)) {
        request_fail(req, NULL, "out of memory");
        return;
    }
    dom->restart = false;
    dom_end(dom);
}

/* Answered when the domain has ended for good; see dom_note_end(). */
static void cmd_wait(void *owner, struct request *req, json_t *args)
{
    const char *key = arg_str(args, "domain");
    struct dom *dom = key ? dom_find(owner, key) : NULL;
    json_t *end = key ? ended_find(owner, key) : NULL;

    if (dom && !dom->noted) {
        if (waiters_add(&dom->enders, req))
            request_fail(req, NULL, "out of memory");
    } else if (end) {
        request_ok(req, json_deep_copy(end));
    } else {
        request_fail(req, "kxl list shows those there are",
                     "no domain is called \"%s\"", key ? key : "");
    }
}

static void cmd_dmesg(void *owner, struct request *req, json_t *args)
{
    struct dom0 *d0 = owner;
    char *buf = calloc(1, DMESG_MAX + 1);
    json_t *text = NULL;
    int i, n = -ENOMEM;

    if (buf)
        n = kxctrl_readconsole(d0->hv, buf, DMESG_MAX,
                               json_is_true(json_object_get(args, "clear")));
    for (i = 0; i < n; i++) /* guests write there: keep it text */
        if ((buf[i] & 0x80) || !buf[i])
            buf[i] = '?';
    if (n >= 0)
        text = json_stringn(buf, n);
    free(buf);
    if (text)
        request_ok(req, json_pack("{s:o}", "text", text));
    else
        request_fail(req, NULL, "hv does not give its messages: %s",
                     strerror(n < 0 ? -n : ENOMEM));
}

/* Where a console's attach socket and log are; the client goes there. */
static void cmd_console(void *owner, struct request *req, json_t *args)
{
    struct dom *dom = arg_dom(owner, req, args);
    const char *stream = arg_str(args, "stream");
    bool uart = stream && !strcmp(stream, "uart");
    const char *dot = uart ? ".uart" : "";
    char sock[512], log[512];

    if (!dom)
        return;
    if (stream && !uart && strcmp(stream, "pv")) {
        request_fail(req, "pv or uart", "no console is called \"%.40s\"",
                     stream);
        return;
    }
    if (uart && !dom->uart[0]) {
        request_fail(req,
                     "trapped = [ \"uart\" ] in the configuration gives "
                     "it one",
                     "domain \"%s\" has no UART", dom->cfg->name);
        return;
    }
    snprintf(sock, sizeof(sock), "%s/console/%u%s.sock", dom->d0->run_dir,
             dom->domid, dot);
    snprintf(log, sizeof(log), "%s/console/%u%s.log", dom->d0->run_dir,
             dom->domid, dot);
    request_ok(req, json_pack("{s:i, s:s, s:s, s:s}", "domid", (int)dom->domid,
                              "uuid", dom->uuid, "socket", sock, "log", log));
}

const struct control_command dom0_commands[] = {
    {"help", cmd_help},           {"create", cmd_create},
    {"list", cmd_list},           {"info", cmd_info},
    {"domid", cmd_domid},         {"pause", cmd_pause},
    {"unpause", cmd_unpause},     {"shutdown", cmd_shutdown},
    {"destroy", cmd_destroy},     {"wait", cmd_wait},
    {"dmesg", cmd_dmesg},         {"console", cmd_console},
    {"cancel", cmd_cancel},       {"rename", cmd_rename},
    {"sysrq", cmd_sysrq},         {"dump-core", cmd_dump_core},
    {"mem-set", cmd_mem_set},     {"mem-max", cmd_mem_max},
    {"vcpu-list", cmd_vcpu_list}, {"vcpu-set", cmd_vcpu_set},
    {"vcpu-pin", cmd_vcpu_pin},   {NULL, NULL},
};
