/* SPDX-License-Identifier: MIT */
/* The control socket's commands that do something to a running domain. */
#include "dom0/commands.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dom0/config.h"
#include "dom0/dom0_log.h"
#include "dom0/dump.h"

void cmd_dump_core(void *owner, struct request *req, json_t *args)
{
    unsigned flags =
        (json_is_true(json_object_get(args, "live")) ? DUMP_LIVE : 0) |
        (json_is_true(json_object_get(args, "xen")) ? DUMP_XEN : 0);
    const char *file = arg_str(args, "file");
    struct dom *dom = arg_dom(owner, req, args);
    struct why why = {{0}, {0}};

    if (!dom)
        return;
    if (!file)
        request_fail(req, NULL, "dump-core needs \"file\": an absolute path");
    else if (dom->state != DOM_RUNNING && dom->state != DOM_PRESERVED)
        request_fail(req, NULL, "domain \"%s\" (%u) is %s", dom->cfg->name,
                     dom->domid, dom_state_name(dom->state));
    else if (dump_start(dom, file, flags, req, NULL, &why))
        request_fail(req, why.hint, "%s", why.text);
}

void cmd_sysrq(void *owner, struct request *req, json_t *args)
{
    const char *letter = arg_str(args, "letter");
    struct dom *dom;
    int rc;

    if (!letter || strlen(letter) != 1 || !isalnum((unsigned char)*letter)) {
        request_fail(req, "h has the guest list them on its console",
                     "a SysRq request is one letter or digit");
        return;
    }
    dom = arg_dom_running(owner, req, args);
    if (!dom)
        return;
    rc = tstore_write(dom->d0->store, letter, "/local/domain/%u/control/sysrq",
                      dom->domid);
    if (rc == -ENOTCONN)
        defer(owner, req, args, cmd_sysrq);
    else
        answer(req, dom, rc, "send a SysRq to");
}

/* "memory_kib" of a command, within what makes sense; 0 when refused. */
static uint64_t arg_kib(struct request *req, json_t *args)
{
    json_int_t kib = json_integer_value(json_object_get(args, "memory_kib"));

    if (kib >= 1024 && kib <= (json_int_t)1 << 40)
        return kib;
    request_fail(req, NULL, "how much memory? At least 1 MiB");
    return 0;
}

/* What it has now beside what it is to have: the guest may take its time. */
static void memory_answer(struct dom *dom, struct request *req, uint64_t target)
{
    struct xen_domctl_getdomaininfo info = {0};

    kxctrl_domain_getinfo(dom->d0->hv, dom->domid, &info);
    request_ok(req, json_pack("{s:i, s:I, s:I}", "domid", (int)dom->domid,
                              "target_kib", (json_int_t)target, "memory_kib",
                              (json_int_t)info.tot_pages * 4));
}

static int write_memory_node(struct dom *dom, const char *node, uint64_t kib)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)kib);
    return tstore_write(dom->d0->store, text, "/local/domain/%u/memory/%s",
                        dom->domid, node);
}

/* It keeps the amount over a restart: one that it cannot start with is none. */
static bool could_start(struct dom *dom, struct request *req, uint64_t kib)
{
    struct domain_config cfg = *dom->cfg;
    struct image_error err = {{0}};

    cfg.memory_mib = kib >> 10;
    if (builder_check(&cfg, NULL, &err) != -ENOMEM)
        return true; /* or its kernel is gone: that is another matter */
    request_fail(req, NULL, "with so little it could not start again: %s",
                 err.text);
    return false;
}

void cmd_mem_set(void *owner, struct request *req, json_t *args)
{
    uint64_t kib = arg_kib(req, args);
    struct dom *dom = kib ? arg_dom_running(owner, req, args) : NULL;
    int rc;

    if (!dom)
        return;
    if (kib > dom->cfg->maxmem_mib << 10) {
        request_fail(req, "maxmem = N in the configuration leaves room to grow",
                     "domain \"%s\" can have at most %llu MiB", dom->cfg->name,
                     (unsigned long long)dom->cfg->maxmem_mib);
        return;
    }
    if (!could_start(dom, req, kib))
        return;
    rc = write_memory_node(dom, "target", kib);
    if (rc == -ENOTCONN) {
        defer(owner, req, args, cmd_mem_set);
        return;
    }
    if (rc) {
        answer(req, dom, rc, "set the memory of");
        return;
    }
    dom->cfg->memory_mib = kib >> 10; /* also when it restarts */
    dom_record(dom);
    memory_answer(dom, req, kib);
}

void cmd_mem_max(void *owner, struct request *req, json_t *args)
{
    uint64_t kib = arg_kib(req, args);
    struct dom *dom = kib ? arg_dom_running(owner, req, args) : NULL;
    int rc;

    if (!dom)
        return;
    if (!tstore_up(dom->d0->store)) {
        defer(owner, req, args, cmd_mem_max);
        return;
    }
    rc = kxctrl_domain_max_mem(dom->d0->hv, dom->domid, kib);
    if (rc == -ENOMEM) {
        request_fail(req,
                     "set maxmem = N in its configuration and start it "
                     "again",
                     "domain \"%s\" was started with less room than that",
                     dom->cfg->name);
        return;
    }
    if (!rc)
        rc = write_memory_node(dom, "static-max", kib);
    if (rc) {
        answer(req, dom, rc, "set the memory limit of");
        return;
    }
    /* A limit below what it has binds later; its start needs the memory. */
    if (kib >> 10 >= dom->cfg->memory_mib)
        dom->cfg->maxmem_mib = kib >> 10;
    dom_record(dom);
    memory_answer(dom, req, kib);
}

static bool name_is_free(struct dom *dom, struct request *req, const char *name)
{
    struct dom *other = dom_by_name(dom->d0, name);
    struct why why = {{0}, {0}};

    if (domain_name_check(name, why.text, sizeof(why.text)))
        request_fail(req, NULL, "%s", why.text);
    else if (other || !strcmp(name, "Domain-0"))
        request_fail(req, "choose another", "a domain called \"%s\" exists",
                     name);
    else
        return true;
    return false;
}

static int rename_in_store(struct dom *dom, const char *name)
{
    struct plan plan = {.domid = dom->domid};
    int rc;

    plan_add(&plan, NODE_INHERIT, name, "/local/domain/%u/name", dom->domid);
    plan_add(&plan, NODE_INHERIT, name, "/vm/%s/name", dom->uuid);
    rc = tstore_apply(dom->d0->store, &plan);
    plan_free(&plan);
    return rc;
}

void cmd_rename(void *owner, struct request *req, json_t *args)
{
    struct dom *dom = arg_dom(owner, req, args);
    const char *name = arg_str(args, "name");
    char *copy;
    int rc;

    if (!dom)
        return;
    if (dom->state == DOM_ENDING) {
        request_fail(req, NULL, "domain \"%s\" (%u) is already ending",
                     dom->cfg->name, dom->domid);
        return;
    }
    if (!name_is_free(dom, req, name ? name : ""))
        return;
    copy = strdup(name);
    rc = copy ? rename_in_store(dom, name) : -ENOMEM;
    if (rc == -ENOTCONN) {
        free(copy);
        defer(owner, req, args, cmd_rename);
        return;
    }
    if (rc) {
        free(copy);
    } else {
        dom0_info("domain \"%s\" (%u) is called \"%s\" now", dom->cfg->name,
                  dom->domid, name);
        free(dom->cfg->name);
        dom->cfg->name = copy;
        dom_record(dom);
    }
    answer(req, dom, rc, "rename");
}
