/* SPDX-License-Identifier: MIT */
/* The control socket's commands about a domain's vCPUs. */
#include "dom0/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dom0/cpu_list.h"
#include "dom0/dom0_log.h"

static const char *vcpu_state(const struct xen_domctl_getvcpuinfo *info,
                              bool paused)
{
    if (!info->online)
        return paused ? "--p" : "---";
    if (paused)
        return "--p";
    if (info->running)
        return "r--";
    return info->blocked ? "-b-" : "---";
}

static json_t *vcpu_json(struct dom *dom, unsigned vcpu, bool paused)
{
    uint8_t map[CPU_LIST_BYTES] = {0};
    struct xen_domctl_getvcpuinfo info = {0};
    char cpus[512] = "-";

    if (kxctrl_vcpu_getinfo(dom->d0->hv, dom->domid, vcpu, &info))
        return NULL;
    if (!kxctrl_vcpu_getaffinity(dom->d0->hv, dom->domid, vcpu, map,
                                 sizeof(map)))
        cpu_list_format(map, sysconf(_SC_NPROCESSORS_ONLN), cpus, sizeof(cpus));
    return json_pack("{s:i, s:b, s:s, s:i, s:f, s:s}", "vcpu", (int)vcpu,
                     "online", (int)info.online, "state",
                     vcpu_state(&info, paused), "cpu", (int)info.cpu,
                     "cpu_seconds", info.cpu_time / 1e9, "affinity", cpus);
}

static bool list_vcpus(struct dom *dom, json_t *domains)
{
    struct xen_domctl_getdomaininfo info;
    json_t *vcpus = json_array(), *one;
    unsigned i;

    if (kxctrl_domain_getinfo(dom->d0->hv, dom->domid, &info)) {
        json_decref(vcpus);
        return false;
    }
    for (i = 0; i <= info.max_vcpu_id; i++) {
        one = vcpu_json(dom, i, info.flags & XEN_DOMINF_paused);
        if (one)
            json_array_append_new(vcpus, one);
    }
    json_array_append_new(domains,
                          json_pack("{s:s, s:i, s:o}", "name", dom->cfg->name,
                                    "domid", (int)dom->domid, "vcpus", vcpus));
    return true;
}

void cmd_vcpu_list(void *owner, struct request *req, json_t *args)
{
    json_t *domains = json_array();
    struct dom0 *d0 = owner;
    struct dom *dom;

    if (json_object_get(args, "domain")) {
        dom = arg_dom(d0, req, args);
        if (!dom) {
            json_decref(domains);
            return;
        }
        if (!list_vcpus(dom, domains)) {
            json_decref(domains);
            request_fail(req, NULL, "hv does not tell of domain %u",
                         dom->domid);
            return;
        }
    } else {
        for (dom = d0->doms; dom; dom = dom->next)
            list_vcpus(dom, domains);
    }
    request_ok(req, json_pack("{s:o}", "domains", domains));
}

static int write_availability(struct dom *dom, uint32_t vcpus)
{
    struct plan plan = {.domid = dom->domid};
    uint32_t i;
    int rc;

    for (i = 0; i < dom->cfg->maxvcpus; i++)
        plan_add(&plan, NODE_INHERIT, i < vcpus ? "online" : "offline",
                 "/local/domain/%u/cpu/%u/availability", dom->domid, i);
    rc = tstore_apply(dom->d0->store, &plan);
    plan_free(&plan);
    return rc;
}

/* The guest does it, when it sees what the store says. */
void cmd_vcpu_set(void *owner, struct request *req, json_t *args)
{
    struct dom *dom = arg_dom_running(owner, req, args);
    json_int_t n = json_integer_value(json_object_get(args, "vcpus"));
    int rc;

    if (!dom)
        return;
    if (n < 1 || n > dom->cfg->maxvcpus) {
        request_fail(req,
                     "maxvcpus = N in the configuration says how many there "
                     "can be",
                     "domain \"%s\" can have 1 to %u vCPUs", dom->cfg->name,
                     dom->cfg->maxvcpus);
        return;
    }
    rc = write_availability(dom, n);
    if (rc == -ENOTCONN) {
        defer(owner, req, args, cmd_vcpu_set);
        return;
    }
    if (!rc) {
        dom->cfg->vcpus = n; /* also when it restarts */
        dom_record(dom);
    }
    answer(req, dom, rc, "set the vCPUs of");
}

static int pin(struct dom *dom, unsigned vcpu, const uint8_t *map,
               uint8_t *effective)
{
    memcpy(effective, map, CPU_LIST_BYTES);
    return kxctrl_vcpu_setaffinity(dom->d0->hv, dom->domid, vcpu, effective,
                                   CPU_LIST_BYTES);
}

static void pin_answer(struct dom *dom, struct request *req, int rc,
                       const char *cpus, const uint8_t *effective)
{
    char text[512];

    if (rc == -EINVAL) {
        request_fail(req, "kxl info tells how many there are",
                     "none of the CPUs \"%s\" is hv's to use", cpus);
    } else if (rc) {
        answer(req, dom, rc, "pin the vCPUs of");
    } else {
        cpu_list_format(effective, sysconf(_SC_NPROCESSORS_ONLN), text,
                        sizeof(text));
        request_ok(req, json_pack("{s:i, s:s}", "domid", (int)dom->domid,
                                  "affinity", text));
    }
}

void cmd_vcpu_pin(void *owner, struct request *req, json_t *args)
{
    uint8_t map[CPU_LIST_BYTES], effective[CPU_LIST_BYTES];
    json_t *which = json_object_get(args, "vcpu");
    const char *cpus = arg_str(args, "cpus");
    struct dom *dom = arg_dom(owner, req, args);
    unsigned from = 0, to, i;
    int rc = 0;

    if (!dom)
        return;
    to = dom->cfg->maxvcpus - 1;
    if (which && !json_is_integer(which)) {
        request_fail(req, NULL, "\"vcpu\" is a number");
        return;
    }
    if (which)
        from = json_integer_value(which);
    if (which && from > to) {
        request_fail(req, "kxl vcpu-list shows them",
                     "domain \"%s\" has no vCPU %u", dom->cfg->name, from);
        return;
    }
    to = which ? from : to;
    if (!cpus || cpu_list_parse(cpus, map)) {
        request_fail(req, "write 0-3,^1 or all",
                     "\"%.100s\" is no list of CPUs", cpus ? cpus : "");
        return;
    }
    for (i = from; i <= to && !rc; i++)
        rc = pin(dom, i, map, effective);
    pin_answer(dom, req, rc, cpus, effective);
}
