/* SPDX-License-Identifier: MIT */
/*
 * A configuration as JSON and back.  The device lists are one object per
 * device under xl's own key names, so that a record can be read by eye.
 */
#include "dom0/config.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dom0/config_private.h"
#include "dom0/cpu_list.h"

static json_t *disk_to_json(const struct disk_spec *d)
{
    return json_pack("{s:s*, s:s, s:i, s:s, s:s, s:s*, s:s*, s:b, s:b, s:b, "
                     "s:b, s:b}",
                     "target", d->target, "vdev", d->vdev, "devid",
                     (int)d->devid, "format", disk_format_name(d->format),
                     "backendtype", disk_backendtype_name(d->backendtype),
                     "backend", d->backend, "script", d->script, "readonly",
                     d->readonly, "cdrom", d->cdrom, "removable", d->removable,
                     "discard", d->discard, "direct-io-safe",
                     d->direct_io_safe);
}

static json_t *vif_to_json(const struct vif_spec *v)
{
    char mac[18] = "";

    if (v->has_mac)
        snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", v->mac[0],
                 v->mac[1], v->mac[2], v->mac[3], v->mac[4], v->mac[5]);
    return json_pack(
        "{s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, s:I, s:I, s:i, s:i}",
        "mac", v->has_mac ? mac : NULL, "bridge", v->bridge, "gatewaydev",
        v->gatewaydev, "vifname", v->vifname, "script", v->script, "ip", v->ip,
        "backend", v->backend, "model", v->model, "rate-bytes",
        (json_int_t)v->rate_bytes, "rate-usecs", (json_int_t)v->rate_usecs,
        "devid", v->devid, "mtu", (int)v->mtu);
}

static json_t *trapped_to_json(const struct trapped_spec *t)
{
    return json_pack("{s:s, s:s*, s:b, s:b}", "kind",
                     trapped_kind_name(t->kind), "target", t->target,
                     "readonly", t->readonly, "ioeventfd", t->ioeventfd);
}

/* The three lists; NULL when out of memory. */
static json_t *devices_to_json(const struct domain_config *cfg)
{
    json_t *disks = json_array(), *vifs = json_array();
    json_t *trapped = json_array();
    bool bad = false;

    for (size_t i = 0; i < cfg->nr_disks; i++)
        bad |= json_array_append_new(disks, disk_to_json(&cfg->disks[i])) < 0;
    for (size_t i = 0; i < cfg->nr_vifs; i++)
        bad |= json_array_append_new(vifs, vif_to_json(&cfg->vifs[i])) < 0;
    for (size_t i = 0; i < cfg->nr_trapped; i++)
        bad |= json_array_append_new(trapped,
                                     trapped_to_json(&cfg->trapped[i])) < 0;
    json_t *all = json_pack("{s:o, s:o, s:o}", "disk", disks, "vif", vifs,
                            "trapped", trapped);

    if (bad) {
        json_decref(all);
        return NULL;
    }
    return all;
}

json_t *domain_config_to_json(const struct domain_config *cfg)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s*, s:s*, s:s*, s:s, s:I, s:I, s:i, s:i, s:s*, s:i, "
        "s:i, s:i, s:s, s:s, s:s, s:s}",
        "name", cfg->name, "uuid", cfg->uuid, "kernel", cfg->kernel, "ramdisk",
        cfg->ramdisk, "root", cfg->root, "extra", cfg->extra, "cmdline",
        cfg->cmdline, "memory", (json_int_t)cfg->memory_mib, "maxmem",
        (json_int_t)cfg->maxmem_mib, "vcpus", (int)cfg->vcpus, "maxvcpus",
        (int)cfg->maxvcpus, "cpus", cfg->cpus, "event_channels",
        (int)cfg->event_channels, "max_grant_frames",
        (int)cfg->max_grant_frames, "max_maptrack_frames",
        (int)cfg->max_maptrack_frames, "on_poweroff",
        domain_action_name(cfg->on_poweroff), "on_reboot",
        domain_action_name(cfg->on_reboot), "on_watchdog",
        domain_action_name(cfg->on_watchdog), "on_crash",
        domain_action_name(cfg->on_crash));
    json_t *devices = devices_to_json(cfg);

    if (!json || !devices || json_object_update_missing(json, devices) < 0) {
        json_decref(json);
        json = NULL;
    }
    json_decref(devices);
    return json;
}

/* The reading of one record. */
struct json_reader {
    struct domain_config *cfg;
    struct config_error *err;
};

static int fail(struct json_reader *r, const char *where, const char *what)
{
    *r->err = (struct config_error){0};
    snprintf(r->err->text, sizeof(r->err->text),
             "a domain's record is damaged: %s: %s", where, what);
    return -EINVAL;
}

/* An owned copy of an optional string. */
static int copy(const char *from, char **to)
{
    *to = from ? strdup(from) : NULL;
    return from && !*to ? -ENOMEM : 0;
}

/* The index of word among names as name(i) gives them, or -1. */
static int find_word(const char *word, const char *(*name)(int i), int nr)
{
    for (int i = 0; i < nr; i++)
        if (!strcmp(word, name(i)))
            return i;
    return -1;
}

static const char *format_name(int i)
{
    return disk_format_name(i);
}

static const char *backendtype_name(int i)
{
    return disk_backendtype_name(i);
}

static const char *kind_name(int i)
{
    return trapped_kind_name(i);
}

static int disk_words(struct json_reader *r, struct disk_spec *d,
                      const char *format, const char *type)
{
    int f = find_word(format, format_name, DISK_FORMAT_EMPTY + 1);
    int t = find_word(type, backendtype_name, DISK_BACKEND_STANDALONE + 1);

    if (f < 0 || t < 0)
        return fail(r, "disk", "unknown format or backendtype");
    d->format = f;
    d->backendtype = t;
    if (vdev_to_devid(d->vdev, &d->devid) < 0)
        return fail(r, "disk", "not a virtual device");
    if (!d->target != (d->format == DISK_FORMAT_EMPTY))
        return fail(r, "disk", "target and format do not go together");
    return 0;
}

static int disk_from_json(struct json_reader *r, json_t *json)
{
    struct disk_spec *d = &r->cfg->disks[r->cfg->nr_disks++];
    const char *target = NULL, *vdev, *format, *type, *backend = NULL;
    const char *script = NULL;
    int readonly, cdrom, removable, discard, safe;
    json_error_t why;

    if (json_unpack_ex(json, &why, 0,
                       "{s?s, s:s, s:s, s:s, s?s, s?s, s:b, s:b, s:b, s:b, "
                       "s:b}",
                       "target", &target, "vdev", &vdev, "format", &format,
                       "backendtype", &type, "backend", &backend, "script",
                       &script, "readonly", &readonly, "cdrom", &cdrom,
                       "removable", &removable, "discard", &discard,
                       "direct-io-safe", &safe) < 0)
        return fail(r, "disk", why.text);
    d->readonly = readonly;
    d->cdrom = cdrom;
    d->removable = removable;
    d->discard = discard;
    d->direct_io_safe = safe;
    if (copy(target, &d->target) || copy(vdev, &d->vdev) ||
        copy(backend, &d->backend) || copy(script, &d->script))
        return -ENOMEM;
    return disk_words(r, d, format, type);
}

static int vif_mac(struct json_reader *r, struct vif_spec *v, const char *mac)
{
    struct vif_spec parsed;
    struct spec_error spec;
    char text[32];

    if (!mac)
        return 0;
    snprintf(text, sizeof(text), "mac=%s", mac);
    if (vif_spec_parse(text, &parsed, &spec) < 0 || !parsed.has_mac)
        return fail(r, "vif", "not a MAC address");
    memcpy(v->mac, parsed.mac, sizeof(v->mac));
    v->has_mac = true;
    vif_spec_free(&parsed);
    return 0;
}

static int vif_from_json(struct json_reader *r, json_t *json)
{
    struct vif_spec *v = &r->cfg->vifs[r->cfg->nr_vifs++];
    const char *mac = NULL, *s[7] = {0};
    json_int_t bytes, usecs;
    int devid, mtu;
    json_error_t why;

    if (json_unpack_ex(json, &why, 0,
                       "{s?s, s?s, s?s, s?s, s?s, s?s, s?s, s?s, s:I, s:I, "
                       "s:i, s:i}",
                       "mac", &mac, "bridge", &s[0], "gatewaydev", &s[1],
                       "vifname", &s[2], "script", &s[3], "ip", &s[4],
                       "backend", &s[5], "model", &s[6], "rate-bytes", &bytes,
                       "rate-usecs", &usecs, "devid", &devid, "mtu", &mtu) < 0)
        return fail(r, "vif", why.text);
    v->rate_bytes = bytes;
    v->rate_usecs = usecs;
    v->devid = devid;
    v->mtu = mtu;
    if (copy(s[0], &v->bridge) || copy(s[1], &v->gatewaydev) ||
        copy(s[2], &v->vifname) || copy(s[3], &v->script) ||
        copy(s[4], &v->ip) || copy(s[5], &v->backend) || copy(s[6], &v->model))
        return -ENOMEM;
    return vif_mac(r, v, mac);
}

static int trapped_from_json(struct json_reader *r, json_t *json)
{
    struct trapped_spec *t = &r->cfg->trapped[r->cfg->nr_trapped++];
    const char *kind, *target = NULL;
    int readonly, ioeventfd, k;
    json_error_t why;

    if (json_unpack_ex(json, &why, 0, "{s:s, s?s, s:b, s:b}", "kind", &kind,
                       "target", &target, "readonly", &readonly, "ioeventfd",
                       &ioeventfd) < 0)
        return fail(r, "trapped", why.text);
    k = find_word(kind, kind_name, TRAPPED_VIRTIO + 1);
    if (k < 0 || !target != (k == TRAPPED_UART))
        return fail(r, "trapped", "unknown kind or wrong target");
    t->kind = k;
    t->readonly = readonly;
    t->ioeventfd = ioeventfd;
    return copy(target, &t->target);
}

/* One list: room for all of it, then each element by read. */
static int list_from_json(struct json_reader *r, json_t *list, void **room,
                          size_t size,
                          int (*read)(struct json_reader *r, json_t *json))
{
    int rc = 0;

    if (!json_is_array(list))
        return fail(r, "devices", "not a list");
    *room = calloc(json_array_size(list) + 1, size);
    if (!*room)
        return -ENOMEM;
    for (size_t i = 0; !rc && i < json_array_size(list); i++)
        rc = read(r, json_array_get(list, i));
    return rc;
}

static int devices_from_json(struct json_reader *r, json_t *json)
{
    struct domain_config *cfg = r->cfg;
    json_t *disks, *vifs, *trapped;
    json_error_t why;
    int rc;

    if (json_unpack_ex(json, &why, 0, "{s:o, s:o, s:o}", "disk", &disks, "vif",
                       &vifs, "trapped", &trapped) < 0)
        return fail(r, "devices", why.text);
    rc = list_from_json(r, disks, (void **)&cfg->disks, sizeof(*cfg->disks),
                        disk_from_json);
    if (!rc)
        rc = list_from_json(r, vifs, (void **)&cfg->vifs, sizeof(*cfg->vifs),
                            vif_from_json);
    if (!rc)
        rc = list_from_json(r, trapped, (void **)&cfg->trapped,
                            sizeof(*cfg->trapped), trapped_from_json);
    return rc;
}

static int numbers_from_json(struct json_reader *r, json_t *json)
{
    struct domain_config *cfg = r->cfg;
    json_int_t memory, maxmem, vcpus, maxvcpus;
    json_error_t why;

    if (json_unpack_ex(json, &why, 0, "{s:I, s:I, s:I, s:I}", "memory", &memory,
                       "maxmem", &maxmem, "vcpus", &vcpus, "maxvcpus",
                       &maxvcpus) < 0)
        return fail(r, "numbers", why.text);
    if (memory < 1 || maxmem < memory || maxmem > DOMAIN_MEMORY_MAX_MIB ||
        vcpus < 1 || maxvcpus < vcpus || maxvcpus > DOMAIN_VCPUS_MAX)
        return fail(r, "numbers", "memory or vcpus out of range");
    cfg->memory_mib = memory;
    cfg->maxmem_mib = maxmem;
    cfg->vcpus = vcpus;
    cfg->maxvcpus = maxvcpus;
    return 0;
}

/* Not in the records of earlier versions: the defaults then. */
static int limits_from_json(struct json_reader *r, json_t *json)
{
    struct domain_config *cfg = r->cfg;
    int ports = cfg->event_channels, grants = -1, maptrack = -1;
    const char *cpus = NULL;
    uint8_t map[CPU_LIST_BYTES];
    json_error_t why;

    if (json_unpack_ex(json, &why, 0, "{s?i, s?i, s?i, s?s}", "event_channels",
                       &ports, "max_grant_frames", &grants,
                       "max_maptrack_frames", &maptrack, "cpus", &cpus) < 0)
        return fail(r, "limits", why.text);
    if (ports < 2 || ports > DOMAIN_EVTCHNS_MAX || grants < -1 || !grants ||
        grants > DOMAIN_GRANT_FRAMES_MAX || maptrack < -1 ||
        maptrack > DOMAIN_MAPTRACK_FRAMES_MAX ||
        (cpus && cpu_list_parse(cpus, map)))
        return fail(r, "limits", "out of range");
    cfg->event_channels = ports;
    cfg->max_grant_frames = grants;
    cfg->max_maptrack_frames = maptrack;
    return copy(cpus, &cfg->cpus);
}

static int actions_from_json(struct json_reader *r, json_t *json)
{
    struct domain_config *cfg = r->cfg;
    const char *s[4];
    json_error_t why;

    if (json_unpack_ex(json, &why, 0, "{s:s, s:s, s:s, s:s}", "on_poweroff",
                       &s[0], "on_reboot", &s[1], "on_watchdog", &s[2],
                       "on_crash", &s[3]) < 0)
        return fail(r, "actions", why.text);
    if (domain_action_parse(s[0], &cfg->on_poweroff) < 0 ||
        domain_action_parse(s[1], &cfg->on_reboot) < 0 ||
        domain_action_parse(s[2], &cfg->on_watchdog) < 0 ||
        domain_action_parse(s[3], &cfg->on_crash) < 0)
        return fail(r, "actions", "unknown action");
    return 0;
}

static int strings_from_json(struct json_reader *r, json_t *json)
{
    struct domain_config *cfg = r->cfg;
    const char *name, *uuid, *kernel, *cmdline;
    const char *ramdisk = NULL, *root = NULL, *extra = NULL;
    json_error_t why;

    if (json_unpack_ex(json, &why, 0, "{s:s, s:s, s:s, s:s, s?s, s?s, s?s}",
                       "name", &name, "uuid", &uuid, "kernel", &kernel,
                       "cmdline", &cmdline, "ramdisk", &ramdisk, "root", &root,
                       "extra", &extra) < 0)
        return fail(r, "strings", why.text);
    if (domain_uuid_check(uuid) < 0)
        return fail(r, "uuid", "not a UUID");
    memcpy(cfg->uuid, uuid, sizeof(cfg->uuid));
    if (copy(name, &cfg->name) || copy(kernel, &cfg->kernel) ||
        copy(cmdline, &cfg->cmdline) || copy(ramdisk, &cfg->ramdisk) ||
        copy(root, &cfg->root) || copy(extra, &cfg->extra))
        return -ENOMEM;
    return 0;
}

static int read_json(struct json_reader *r, json_t *json)
{
    char message[256];
    int rc = strings_from_json(r, json);

    if (!rc)
        rc = numbers_from_json(r, json);
    if (!rc)
        rc = limits_from_json(r, json);
    if (!rc)
        rc = actions_from_json(r, json);
    if (!rc)
        rc = devices_from_json(r, json);
    if (!rc && domain_config_check(r->cfg, message, sizeof(message)) < 0)
        rc = fail(r, "configuration", message);
    return rc;
}

int domain_config_from_json(const json_t *json, struct domain_config **out,
                            struct config_error *err)
{
    struct json_reader r = {.cfg = domain_config_new(), .err = err};

    if (!r.cfg)
        return -ENOMEM;
    /* jansson reads through a pointer to non-const. */
    int rc = read_json(&r, (json_t *)json);

    if (rc)
        domain_config_free(r.cfg);
    else
        *out = r.cfg;
    return rc;
}
