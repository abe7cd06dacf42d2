/* SPDX-License-Identifier: MIT */
#include "dom0/devices.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xenbus.h>

#define CONSOLE_LIMIT 1048576 /* bytes a console daemon buffers */

/* Where one device stands: both ends, and the toolstack's own copy. */
struct device {
    struct plan *plan;
    char front[128], back[128], libxl[128];
};

void plan_dom0(struct plan *plan)
{
    plan_add(plan, NODE_PRIVATE, "0", "/local/domain/0/domid");
    plan_add(plan, NODE_PRIVATE, "Domain-0", "/local/domain/0/name");
    plan_add(plan, NODE_INHERIT, NULL, "/local/domain/0/backend");
    plan_add(plan, NODE_INHERIT, NULL, "/local/domain/0/device-model");
    plan_add(plan, NODE_PRIVATE, NULL, "/libxl");
    plan_add(plan, NODE_INHERIT, NULL, "/vm");
}

static void plan_vm(struct plan *plan, const struct domain_config *cfg,
                    time_t started)
{
    const char *uuid = cfg->uuid;

    plan_add(plan, NODE_RO, NULL, "/vm/%s", uuid);
    plan_add(plan, NODE_INHERIT, cfg->name, "/vm/%s/name", uuid);
    plan_add(plan, NODE_INHERIT, uuid, "/vm/%s/uuid", uuid);
    plan_add(plan, NODE_INHERIT, "linux", "/vm/%s/image/ostype", uuid);
    plan_add(plan, NODE_INHERIT, cfg->kernel, "/vm/%s/image/kernel", uuid);
    if (cfg->ramdisk)
        plan_add(plan, NODE_INHERIT, cfg->ramdisk, "/vm/%s/image/ramdisk",
                 uuid);
    plan_add(plan, NODE_INHERIT, cfg->cmdline, "/vm/%s/image/cmdline", uuid);
    plan_add_num(plan, NODE_INHERIT, started, "/vm/%s/start_time", uuid);
}

static void plan_cpus(struct plan *plan, const struct domain_config *cfg)
{
    uint32_t i;

    for (i = 0; i < cfg->maxvcpus; i++)
        plan_add(plan, NODE_INHERIT, i < cfg->vcpus ? "online" : "offline",
                 "/local/domain/%u/cpu/%u/availability", plan->domid, i);
}

static void plan_control(struct plan *plan)
{
    static const char *const guests[] = {"shutdown", "feature-poweroff",
                                         "feature-reboot", "feature-suspend",
                                         "sysrq"};
    size_t i;

    plan_add(plan, NODE_RO, NULL, "/local/domain/%u/control", plan->domid);
    for (i = 0; i < sizeof(guests) / sizeof(guests[0]); i++)
        plan_add(plan, NODE_RW, "", "/local/domain/%u/control/%s", plan->domid,
                 guests[i]);
    plan_add(plan, NODE_INHERIT, "1",
             "/local/domain/%u/control/"
             "platform-feature-multiprocessor-suspend",
             plan->domid);
    plan_add(plan, NODE_INHERIT, "1",
             "/local/domain/%u/control/platform-feature-xs_reset_watches",
             plan->domid);
}

static void plan_guest_folders(struct plan *plan)
{
    static const char *const own[] = {"data", "drivers", "feature", "attr",
                                      "error"};
    size_t i;

    plan_add(plan, NODE_RO, NULL, "/local/domain/%u/device", plan->domid);
    plan_add(plan, NODE_RW, "", "/local/domain/%u/device/suspend/event-channel",
             plan->domid);
    for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        plan_add(plan, NODE_RW, NULL, "/local/domain/%u/%s", plan->domid,
                 own[i]);
}

void plan_domain(struct plan *plan, const struct domain_config *cfg,
                 const struct builder_result *built, time_t started)
{
    uint32_t id = plan->domid;
    char vm[64];

    snprintf(vm, sizeof(vm), "/vm/%s", cfg->uuid);
    plan_vm(plan, cfg, started);
    plan_add(plan, NODE_PRIVATE, NULL, "/libxl/%u", id);
    plan_add(plan, NODE_INHERIT, "pv", "/libxl/%u/type", id);

    plan_add(plan, NODE_RO, NULL, "/local/domain/%u", id);
    plan_add(plan, NODE_INHERIT, cfg->name, "/local/domain/%u/name", id);
    plan_add_num(plan, NODE_INHERIT, id, "/local/domain/%u/domid", id);
    plan_add(plan, NODE_INHERIT, vm, "/local/domain/%u/vm", id);
    plan_add(plan, NODE_RO, NULL, "/local/domain/%u/memory", id);
    plan_add_num(plan, NODE_INHERIT, (long long)cfg->maxmem_mib * 1024,
                 "/local/domain/%u/memory/static-max", id);
    plan_add_num(plan, NODE_INHERIT, (long long)cfg->memory_mib * 1024,
                 "/local/domain/%u/memory/target", id);
    plan_add_num(plan, NODE_INHERIT, 0, "/local/domain/%u/memory/videoram", id);
    plan_cpus(plan, cfg);
    plan_control(plan);
    plan_guest_folders(plan);
    plan_add_num(plan, NODE_INHERIT, built->store_port,
                 "/local/domain/%u/store/port", id);
    plan_add_num(plan, NODE_INHERIT, (long long)built->store_frame,
                 "/local/domain/%u/store/ring-ref", id);
}

static void front(struct device *dev, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void back(struct device *dev, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void front(struct device *dev, const char *key, const char *fmt, ...)
{
    char value[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    plan_add(dev->plan, NODE_INHERIT, value, "%s/%s", dev->front, key);
}

/* libxl keeps a copy of the backend's nodes where no driver domain writes. */
static void back(struct device *dev, const char *key, const char *fmt, ...)
{
    char *value = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&value, fmt, ap) < 0)
        value = NULL;
    va_end(ap);
    if (!value) {
        dev->plan->failed = true;
        return;
    }
    plan_add(dev->plan, NODE_INHERIT, value, "%s/%s", dev->back, key);
    plan_add(dev->plan, NODE_INHERIT, value, "%s/%s", dev->libxl, key);
    free(value);
}

/* What every device has: the folders, and each end's pointer to the other. */
static void device_init(struct device *dev, struct plan *plan, const char *kind,
                        unsigned devid)
{
    unsigned id = plan->domid;
    bool primary = !strcmp(kind, "console") && devid == 0;

    dev->plan = plan;
    if (primary)
        snprintf(dev->front, sizeof(dev->front), "/local/domain/%u/console",
                 id);
    else
        snprintf(dev->front, sizeof(dev->front),
                 "/local/domain/%u/device/%s/%u", id, kind, devid);
    snprintf(dev->back, sizeof(dev->back), "/local/domain/0/backend/%s/%u/%u",
             kind, id, devid);
    snprintf(dev->libxl, sizeof(dev->libxl), "/libxl/%u/device/%s/%u", id, kind,
             devid);
    plan_add(plan, primary ? NODE_RO : NODE_FRONT, NULL, "%s", dev->front);
    plan_add(plan, NODE_RO, NULL, "%s", dev->back);
    plan_add(plan, NODE_PRIVATE, NULL, "%s", dev->libxl);
    plan_add(plan, NODE_INHERIT, dev->front, "%s/frontend", dev->libxl);
    plan_add(plan, NODE_INHERIT, dev->back, "%s/backend", dev->libxl);

    front(dev, "backend", "%s", dev->back);
    front(dev, "backend-id", "0");
    back(dev, "frontend", "%s", dev->front);
    back(dev, "frontend-id", "%u", id);
    back(dev, "online", "1");
}

void plan_console(struct plan *plan, const struct builder_result *built)
{
    struct device dev;

    device_init(&dev, plan, "console", 0);
    front(&dev, "limit", "%d", CONSOLE_LIMIT);
    front(&dev, "type", "xenconsoled");
    front(&dev, "output", "pty");
    front(&dev, "tty", "%s", "");
    front(&dev, "port", "%u", built->console_port);
    front(&dev, "ring-ref", "%llu", (unsigned long long)built->console_frame);
    back(&dev, "protocol", "vt100");
    back(&dev, "state", "%d", XenbusStateInitialising);
}

void plan_disk(struct plan *plan, const struct disk_spec *disk)
{
    const char *kind = disk->cdrom ? "cdrom" : "disk";
    struct device dev;

    device_init(&dev, plan, "vbd", disk->devid);
    front(&dev, "virtual-device", "%u", disk->devid);
    front(&dev, "device-type", "%s", kind);
    back(&dev, "removable", "%d", disk->removable);
    back(&dev, "bootable", "1");
    back(&dev, "dev", "%s", disk->vdev);
    back(&dev, "type", "%s",
         disk->backendtype == DISK_BACKEND_AUTO
             ? "phy"
             : disk_backendtype_name(disk->backendtype));
    back(&dev, "mode", "%s", disk->readonly ? "r" : "w");
    back(&dev, "device-type", "%s", kind);
    back(&dev, "discard-enable", "%d", disk->discard);
    back(&dev, "params", "%s", disk->target ? disk->target : "");
    if (disk->script)
        back(&dev, "script", "%s", disk->script);
    if (disk->direct_io_safe)
        back(&dev, "direct-io-safe", "1");
    /* The states come last: with them the two ends begin to look. */
    back(&dev, "state", "%d", XenbusStateInitialising);
    front(&dev, "state", "%d", XenbusStateInitialising);
}

/* Stable over reboots: made from the domain's uuid, in Xen's own range. */
static void vif_mac(const struct vif_spec *vif, unsigned devid,
                    const char *uuid, uint8_t mac[6])
{
    uint32_t h = 2166136261u + devid;

    if (vif->has_mac) {
        memcpy(mac, vif->mac, 6);
        return;
    }
    for (; *uuid; uuid++)
        h = (h ^ (uint8_t)*uuid) * 16777619u;
    mac[0] = 0x00;
    mac[1] = 0x16;
    mac[2] = 0x3e;
    mac[3] = h >> 16 & 0x7f;
    mac[4] = h >> 8;
    mac[5] = h;
}

void plan_vif(struct plan *plan, const struct vif_spec *vif, unsigned devid,
              const char *uuid)
{
    struct device dev;
    uint8_t m[6];
    char mac[18];

    vif_mac(vif, devid, uuid, m);
    snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1],
             m[2], m[3], m[4], m[5]);
    device_init(&dev, plan, "vif", devid);
    front(&dev, "handle", "%u", devid);
    front(&dev, "mac", "%s", mac);
    back(&dev, "handle", "%u", devid);
    back(&dev, "mac", "%s", mac);
    back(&dev, "bridge", "%s", vif->bridge ? vif->bridge : "");
    back(&dev, "type", "vif");
    if (vif->script)
        back(&dev, "script", "%s", vif->script);
    if (vif->vifname)
        back(&dev, "vifname", "%s", vif->vifname);
    if (vif->ip)
        back(&dev, "ip", "%s", vif->ip);
    if (vif->rate_bytes)
        back(&dev, "rate", "%llu,%u", (unsigned long long)vif->rate_bytes,
             vif->rate_usecs);
    if (vif->mtu) {
        back(&dev, "mtu", "%u", vif->mtu);
        front(&dev, "mtu", "%u", vif->mtu);
    }
    back(&dev, "state", "%d", XenbusStateInitialising);
    front(&dev, "state", "%d", XenbusStateInitialising);
}
