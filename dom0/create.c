/* SPDX-License-Identifier: MIT */
#include "dom0/dom0.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dom0/cpu_list.h"
#include "dom0/devices.h"
#include "dom0/dom0_log.h"

#define BACKENDS_MS   10000 /* as long as libxl waits for a backend */
#define CMDLINE_EXTRA 1024

/* The linker's list of the backends in this program, see BACKEND_REGISTER. */
extern const struct backend_ops *const __start_backend_ops_set[]
    __attribute__((weak));
extern const struct backend_ops *const __stop_backend_ops_set[]
    __attribute__((weak));

static bool backend_served(const char *type)
{
    const struct backend_ops *const *ops = __start_backend_ops_set;

    for (; ops && ops < __stop_backend_ops_set; ops++)
        if (!strcmp((*ops)->type, type))
            return true;
    return false;
}

/* Replaces *path by one that does not hang on our working directory. */
static int resolve(char **path, const char *cwd, const char *dir)
{
    char *near_cwd = NULL, *near_file = NULL;
    int rc = -ENOMEM;

    if (!*path || **path == '/' || !**path)
        return 0;
    if (asprintf(&near_cwd, "%s/%s", cwd, *path) < 0)
        return -ENOMEM;
    if (asprintf(&near_file, "%s/%s", dir, *path) < 0) {
        near_file = NULL;
        goto out;
    }
    free(*path);
    if (access(near_cwd, F_OK) && !access(near_file, F_OK)) {
        *path = near_file;
        near_file = NULL;
    } else {
        *path = near_cwd;
        near_cwd = NULL;
    }
    rc = 0;
out:
    free(near_cwd);
    free(near_file);
    return rc;
}

int config_resolve_paths(struct domain_config *cfg, const char *cwd,
                         const char *config_file)
{
    char *dir, *slash;
    size_t i;
    int rc;

    if (asprintf(&dir, "%s%s%s", *config_file == '/' ? "" : cwd,
                 *config_file == '/' ? "" : "/", config_file) < 0)
        return -ENOMEM;
    slash = strrchr(dir, '/');
    if (slash)
        *slash = 0;
    rc = resolve(&cfg->kernel, cwd, dir);
    if (!rc)
        rc = resolve(&cfg->ramdisk, cwd, dir);
    for (i = 0; i < cfg->nr_disks && !rc; i++)
        rc = resolve(&cfg->disks[i].target, cwd, dir);
    for (i = 0; i < cfg->nr_trapped && !rc; i++)
        rc = resolve(&cfg->trapped[i].target, cwd, dir);
    free(dir);
    return rc;
}

static int make_domain(struct dom *dom, struct why *why)
{
    struct xen_domctl_createdomain c = {
        .max_vcpus = dom->cfg->maxvcpus,
        .max_evtchn_port = dom->cfg->event_channels,
        .max_grant_frames = dom->cfg->max_grant_frames,
        .max_maptrack_frames = dom->cfg->max_maptrack_frames,
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
    };
    int rc;

    uuid_to_handle(dom->uuid, c.handle);
    rc = kxctrl_domain_create(dom->d0->hv, &c, &dom->domid);
    if (rc)
        return why_set(why, rc, "see kxl dmesg and kxl check",
                       "hv cannot create a domain: %s", strerror(-rc));
    dom->existed = true;
    return 0;
}

/* Once hv has made the vCPUs. */
static int pin_vcpus(struct dom *dom, struct why *why)
{
    uint8_t map[CPU_LIST_BYTES];
    uint32_t i;
    int rc = 0;

    for (i = 0; dom->cfg->cpus && !rc && i < dom->cfg->maxvcpus; i++) {
        rc = cpu_list_parse(dom->cfg->cpus, map);
        if (!rc)
            rc = kxctrl_vcpu_setaffinity(dom->d0->hv, dom->domid, i, map,
                                         sizeof(map));
    }
    return rc ? why_set(why, rc, "kxl info tells how many CPUs there are",
                        "cpus = \"%s\": none of them is hv's to use",
                        dom->cfg->cpus)
              : 0;
}

static int build(struct dom *dom, struct builder_images *images,
                 struct builder_result *built, struct why *why)
{
    struct image_error err = {{0}};
    char extra[CMDLINE_EXTRA];
    xen_pfn_t *gfns;
    uint64_t nr;
    int rc;

    rc = dom_record(dom);
    if (rc)
        return why_set(why, rc, "is the run directory's disk full?",
                       "cannot write the domain's record: %s", strerror(-rc));
    rc = builder_populate(dom->d0->hv, dom->domid, dom->cfg, &gfns, &nr, &err);
    if (rc)
        return why_set(why, rc, NULL, "%s", err.text);
    rc = pin_vcpus(dom, why);
    if (rc) {
        free(gfns);
        return rc;
    }
    /* Their addresses depend on the memory, the command line on them. */
    rc = trapped_add_all(dom, extra, sizeof(extra), why);
    if (!rc) {
        rc = builder_build(dom->d0->hv, dom->domid, dom->cfg, gfns,
                           extra[0] ? extra : NULL, images, built, &err);
        if (rc)
            why_set(why, rc, NULL, "%s", err.text);
    }
    free(gfns);
    if (rc)
        return rc;
    dom->store_frame = built->store_frame;
    dom->store_port = built->store_port;
    return 0;
}

static void plan_vifs(struct dom *dom, struct plan *plan)
{
    bool served = backend_served("vif");
    unsigned next = 0;
    size_t i;

    if (dom->cfg->nr_vifs && !served) {
        dom0_warn("d%u: vif= is left out: this dom0 has no network backend",
                  dom->domid);
        if (dom->creator)
            request_progress(dom->creator,
                             "warning: vif= is left out: this version has no "
                             "network backend");
        return;
    }
    for (i = 0; i < dom->cfg->nr_vifs; i++) {
        const struct vif_spec *vif = &dom->cfg->vifs[i];
        unsigned devid = vif->devid >= 0 ? (unsigned)vif->devid : next;

        plan_vif(plan, vif, devid, dom->uuid);
        next = devid + 1;
    }
}

static int publish_devices(struct dom *dom, const struct builder_result *built)
{
    struct plan plan = {.domid = dom->domid};
    size_t i;
    int rc;

    plan_console(&plan, built);
    for (i = 0; i < dom->cfg->nr_disks; i++)
        plan_disk(&plan, &dom->cfg->disks[i]);
    plan_vifs(dom, &plan);
    rc = tstore_apply(dom->d0->store, &plan);
    plan_free(&plan);
    return rc;
}

static int publish(struct dom *dom, const struct builder_result *built,
                   struct why *why)
{
    struct plan plan = {.domid = dom->domid};
    int rc;

    /* What an earlier bearer of the domid left must not reach this one. */
    store_clean(dom->d0, dom->domid, dom->uuid);
    plan_domain(&plan, dom->cfg, built, dom->started);
    rc = tstore_apply(dom->d0->store, &plan);
    plan_free(&plan);
    if (!rc)
        rc = tstore_introduce(dom->d0->store, dom->domid, built->store_frame,
                              built->store_port);
    if (!rc)
        rc = publish_devices(dom, built);
    if (rc)
        why_set(why, rc,
                rc == -ENOTCONN ? "it is being restarted; try again"
                                : "see the log of kxenstored",
                "cannot write the domain's nodes to the store: %s",
                strerror(-rc));
    return rc;
}

/* The words a backend left for a device that would not start. */
static char *backend_error_text(struct dom *dom, const struct node *dev)
{
    struct tstore *store = dom->d0->store;
    char *type = strdup(dev->value), *text, *slash;

    if (!type)
        return NULL;
    slash = strchr(type, '/');
    *slash = 0;
    text = tstore_read(store, "/local/domain/0/error/backend/%s/%u/%s/error",
                       type, dom->domid, slash + 1);
    if (!text)
        text = tstore_read(store, "%s/error", dev->path);
    free(type);
    return text;
}

static int check_backends(struct dom *dom, struct why *why)
{
    struct plan devs = {0};
    size_t i;
    int rc = 0;

    devwait_find(dom, &devs);
    for (i = 0; i < devs.nr && !rc; i++) {
        const struct node *dev = &devs.nodes[i];
        char *text = tstore_read(dom->d0->store, "%s/state", dev->path);
        int state = text ? atoi(text) : XenbusStateUnknown;

        free(text);
        if (state >= XenbusStateInitWait && state <= XenbusStateConnected)
            continue;
        text = backend_error_text(dom, dev);
        rc = why_set(why, -EIO, "see the log of dom0",
                     "the backend of device %s does not start: %s", dev->value,
                     text ? text : "no answer");
        free(text);
    }
    plan_free(&devs);
    return rc;
}

static void create_failed(struct dom *dom)
{
    dom0_error("domain \"%s\" (%u): %s", dom->cfg->name, dom->domid,
               dom->failed.text);
    dom->restart = false;
    dom_end(dom);
}

static json_t *created_json(const struct dom *dom)
{
    json_t *warnings = json_array();
    size_t i;

    for (i = 0; i < dom->cfg->nr_warnings; i++)
        json_array_append_new(warnings, json_string(dom->cfg->warnings[i]));
    return json_pack("{s:i, s:s, s:s, s:o}", "domid", (int)dom->domid, "name",
                     dom->cfg->name, "uuid", dom->uuid, "warnings", warnings);
}

int dom_launch(struct dom *dom)
{
    int rc;

    if (dom->launched || dom->start_paused)
        return 0;
    rc = kxctrl_domain_unpause(dom->d0->hv, dom->domid);
    if (rc)
        return rc;
    dom->launched = true;
    return dom_record(dom);
}

/* All there: from the record on, a restarted dom0 keeps the domain. */
static int set_running(struct dom *dom, struct why *why)
{
    int rc;

    dom->state = DOM_RUNNING;
    dom->restart = false;
    rc = dom_record(dom);
    if (rc)
        return why_set(why, rc, "is the run directory's disk full?",
                       "cannot write the domain's record: %s", strerror(-rc));
    trapped_attach_uart(dom);
    rc = dom_launch(dom);
    if (rc)
        return why_set(why, rc, "see kxl dmesg",
                       "hv cannot start the domain: %s", strerror(-rc));
    return 0;
}

static void create_ready(struct dom *dom)
{
    int rc = check_backends(dom, &dom->failed);

    /* Whoever is killed while waiting does not know what became of it. */
    if (!rc && dom->creator && !request_alive(dom->creator))
        rc = why_set(&dom->failed, -EINTR, NULL,
                     "who asked for it has gone meanwhile");
    if (!rc)
        rc = set_running(dom, &dom->failed);
    if (rc) {
        create_failed(dom);
        return;
    }
    dom0_info("domain \"%s\" (%u) is %s", dom->cfg->name, dom->domid,
              dom->start_paused ? "built, and paused" : "running");
    if (dom->creator)
        request_ok(dom->creator, created_json(dom));
    dom->creator = NULL;
}

/* From here on dom is linked, or gone; so are the images. */
static void create_build(struct dom *dom, struct builder_images *images)
{
    struct builder_result built = {0};
    int rc;

    rc = make_domain(dom, &dom->failed);
    dom_link(dom);
    if (!rc) {
        dom0_info("building domain \"%s\" (%u)", dom->cfg->name, dom->domid);
        if (dom->creator)
            request_progress(dom->creator, "building domain %u", dom->domid);
        rc = build(dom, images, &built, &dom->failed);
    }
    builder_images_free(images);
    if (!rc)
        rc = publish(dom, &built, &dom->failed);
    if (rc)
        create_failed(dom);
    else
        devwait_start(dom, false, BACKENDS_MS, create_ready);
}

void dom_create(struct dom0 *d0, struct domain_config *cfg, bool paused,
                struct request *req)
{
    struct builder_images images = {0};
    struct why why = {{0}, {0}};
    struct dom *dom;

    if (create_check(d0, cfg, &images, &why)) {
        request_fail(req, why.hint, "%s", why.text);
        domain_config_free(cfg);
        return;
    }
    dom = dom_new(d0, cfg);
    if (!dom) {
        request_fail(req, NULL, "out of memory");
        builder_images_free(&images);
        domain_config_free(cfg);
        return;
    }
    dom->creator = req;
    dom->start_paused = paused;
    create_build(dom, &images);
}

static void tell_restart(struct dom *dom)
{
    size_t i;

    for (i = 0; i < dom->enders.nr; i++)
        request_event(dom->enders.reqs[i], "restart",
                      json_pack("{s:s}", "name", dom->cfg->name));
}

void dom_restart(struct dom0 *d0, struct domain_config *cfg,
                 const struct waiters *enders)
{
    struct dom *dom = dom_new(d0, cfg);
    struct builder_images images = {0};

    if (!dom) {
        dom0_error("domain \"%s\": out of memory, not restarted", cfg->name);
        domain_config_free(cfg);
        return;
    }
    dom->enders = *enders;
    dom->restart = true; /* in the record: survives our death meanwhile */
    tell_restart(dom);
    if (create_check(d0, cfg, &images, &dom->failed)) {
        dom_link(dom);
        create_failed(dom);
    } else {
        create_build(dom, &images);
    }
}
