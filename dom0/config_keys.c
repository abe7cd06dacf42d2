/* SPDX-License-Identifier: MIT */
/* What each key of xl.cfg does to a configuration, as one table. */
#include "dom0/config_reader.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "dom0/config_private.h"
#include "dom0/cpu_list.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct key {
    const char *name;
    int (*apply)(struct config_reader *r, const struct config_setting *s,
                 const struct key *key);
    size_t offset;          /* of the field in domain_config */
    unsigned long min, max; /* of numbers */
    const char *hint;       /* for keys that are refused or of no effect */
};

static int want_string(struct config_reader *r, const struct config_value *v,
                       const char *what)
{
    if (v->type != CONFIG_LIST)
        return 0;
    return config_fail(r->err, &v->pos, "expected %s, found a list", what);
}

static int apply_string(struct config_reader *r, const struct config_setting *s,
                        const struct key *key)
{
    char **field = (char **)((char *)r->cfg + key->offset);
    int rc = want_string(r, &s->value, "a \"string\"");

    if (rc)
        return rc;
    free(*field);
    *field = strdup(s->value.str);
    return *field ? 0 : -ENOMEM;
}

/* Decimal, 0x hexadecimal or 0 octal, all of str. 0 or -EINVAL. */
static int read_number(const char *str, unsigned long long *value)
{
    char *end;

    if (!isdigit((unsigned char)*str))
        return -EINVAL;
    errno = 0;
    *value = strtoull(str, &end, 0);
    return errno || *end ? -EINVAL : 0;
}

static int number(struct config_reader *r, const struct config_setting *s,
                  const struct key *key, unsigned long long *value)
{
    int rc = want_string(r, &s->value, "a number");

    if (rc)
        return rc;
    if (read_number(s->value.str, value) < 0 || *value < key->min ||
        *value > key->max)
        return config_fail(r->err, &s->value.pos,
                           "expected %s to be a number from %lu to %lu, found "
                           "'%.40s'",
                           s->name, key->min, key->max, s->value.str);
    return 0;
}

static int apply_memory(struct config_reader *r, const struct config_setting *s,
                        const struct key *key)
{
    unsigned long long value;
    int rc = number(r, s, key, &value);

    if (rc)
        return rc;
    *(uint64_t *)((char *)r->cfg + key->offset) = value;
    if (key->offset == offsetof(struct domain_config, memory_mib))
        r->memory = s;
    else
        r->maxmem = s;
    return 0;
}

static int apply_vcpus(struct config_reader *r, const struct config_setting *s,
                       const struct key *key)
{
    unsigned long long value;
    int rc = number(r, s, key, &value);

    if (rc)
        return rc;
    *(uint32_t *)((char *)r->cfg + key->offset) = value;
    if (key->offset == offsetof(struct domain_config, vcpus))
        r->vcpus = s;
    else
        r->maxvcpus = s;
    return 0;
}

static int apply_ignored(struct config_reader *r,
                         const struct config_setting *s, const struct key *key)
{
    (void)key;
    return config_warn(r->cfg, "%s:%u: '%s' has no effect on this host",
                       s->pos.source->name, s->pos.line, s->name);
}

/* -1 leaves the default. */
static int apply_limit(struct config_reader *r, const struct config_setting *s,
                       const struct key *key)
{
    unsigned long long value;
    int rc;

    if (s->value.type != CONFIG_LIST && !strcmp(s->value.str, "-1"))
        return 0;
    rc = number(r, s, key, &value);
    if (!rc)
        *(int32_t *)((char *)r->cfg + key->offset) = value;
    return rc;
}

/* A string is for all vCPUs; xl's list of one for each is not done here. */
static int apply_cpus(struct config_reader *r, const struct config_setting *s,
                      const struct key *key)
{
    uint8_t map[CPU_LIST_BYTES];

    if (s->value.type == CONFIG_LIST)
        return apply_ignored(r, s, key);
    if (cpu_list_parse(s->value.str, map))
        return config_fail(r->err, &s->value.pos,
                           "expected host CPUs, as in cpus = \"0-3,^1\", found "
                           "'%.60s'",
                           s->value.str);
    return apply_string(r, s, key);
}

static int apply_action(struct config_reader *r, const struct config_setting *s,
                        const struct key *key)
{
    enum domain_action *field = (void *)((char *)r->cfg + key->offset);
    int rc = want_string(r, &s->value, "an action");

    if (rc)
        return rc;
    if (domain_action_parse(s->value.str, field) < 0)
        return config_fail(r->err, &s->value.pos,
                           "expected destroy, restart, rename-restart, "
                           "preserve, coredump-destroy or coredump-restart, "
                           "found '%.40s'",
                           s->value.str);
    return 0;
}

static int apply_name(struct config_reader *r, const struct config_setting *s,
                      const struct key *key)
{
    const char *str = s->value.str;
    char message[128];
    size_t bad;
    int rc = apply_string(r, s, key);

    if (rc)
        return rc;
    for (bad = 0;
         str[bad] && str[bad] != '/' && !iscntrl((unsigned char)str[bad]);)
        bad++;
    if (domain_name_check(str, message, sizeof(message))) {
        struct config_pos at =
            str[bad] ? config_value_pos(&s->value, bad) : s->value.pos;

        return config_fail(r->err, &at, "%s", message);
    }
    return 0;
}

static int apply_uuid(struct config_reader *r, const struct config_setting *s,
                      const struct key *key)
{
    char *field = (char *)r->cfg + key->offset;
    int rc = want_string(r, &s->value, "a UUID");

    if (rc)
        return rc;
    if (domain_uuid_check(s->value.str) < 0)
        return config_fail(r->err, &s->value.pos,
                           "expected a UUID such as "
                           "123e4567-e89b-42d3-a456-426614174000, found "
                           "'%.60s'",
                           s->value.str);
    for (int i = 0; i <= DOMAIN_UUID_CHARS; i++)
        field[i] = tolower((unsigned char)s->value.str[i]);
    return 0;
}

static int apply_type(struct config_reader *r, const struct config_setting *s,
                      const struct key *key)
{
    const char *str = s->value.str;
    int rc = want_string(r, &s->value, "a type");

    (void)key;
    if (rc)
        return rc;
    if (!strcasecmp(str, "pv") || !strcmp(str, "generic") ||
        !strcmp(str, "linux"))
        return 0;
    if (!strcasecmp(str, "pvh") || !strcasecmp(str, "hvm"))
        return config_fail(r->err, &s->value.pos,
                           "expected type=\"pv\", found '%s': this host runs "
                           "paravirtual guests only, boot the kernel as PV",
                           str);
    return config_fail(r->err, &s->value.pos,
                       "expected type=\"pv\", found '%.40s'", str);
}

static int apply_cmdline(struct config_reader *r,
                         const struct config_setting *s, const struct key *key)
{
    if (key->offset == offsetof(struct domain_config, cmdline))
        r->cmdline = s;
    return apply_string(r, s, key);
}

static int spec_failed(struct config_reader *r, const struct config_value *item,
                       const struct spec_error *spec)
{
    struct config_pos at = config_value_pos(item, spec->offset);

    return config_fail(r->err, &at, "%s", spec->text);
}

static int add_disk(struct config_reader *r, const struct config_value *item)
{
    struct domain_config *cfg = r->cfg;
    struct disk_spec *list =
        domain_config_grow(cfg->disks, cfg->nr_disks, sizeof(*list));
    struct spec_error spec;

    if (!list)
        return -ENOMEM;
    cfg->disks = list;
    int rc = disk_spec_parse(item->str, &list[cfg->nr_disks], &spec);

    if (rc)
        return rc == -EINVAL ? spec_failed(r, item, &spec) : rc;
    cfg->nr_disks++;
    for (size_t i = 0; i + 1 < cfg->nr_disks; i++)
        if (list[i].devid == list[cfg->nr_disks - 1].devid)
            return config_fail(r->err, &item->pos,
                               "expected each vdev once, but '%s' is taken by "
                               "an earlier disk",
                               list[cfg->nr_disks - 1].vdev);
    return 0;
}

static int add_vif(struct config_reader *r, const struct config_value *item)
{
    struct domain_config *cfg = r->cfg;
    struct vif_spec *list =
        domain_config_grow(cfg->vifs, cfg->nr_vifs, sizeof(*list));
    struct spec_error spec;

    if (!list)
        return -ENOMEM;
    cfg->vifs = list;
    int rc = vif_spec_parse(item->str, &list[cfg->nr_vifs], &spec);

    if (rc)
        return rc == -EINVAL ? spec_failed(r, item, &spec) : rc;
    cfg->nr_vifs++;
    return 0;
}

static int add_trapped(struct config_reader *r, const struct config_value *item)
{
    struct domain_config *cfg = r->cfg;
    struct trapped_spec *list =
        domain_config_grow(cfg->trapped, cfg->nr_trapped, sizeof(*list));
    struct spec_error spec;

    if (!list)
        return -ENOMEM;
    cfg->trapped = list;
    int rc = trapped_spec_parse(item->str, &list[cfg->nr_trapped], &spec);

    if (rc)
        return rc == -EINVAL ? spec_failed(r, item, &spec) : rc;
    cfg->nr_trapped++;
    return 0;
}

/* A list of strings, each given to add. */
static int for_each_string(struct config_reader *r,
                           const struct config_setting *s,
                           int (*add)(struct config_reader *r,
                                      const struct config_value *item))
{
    int rc = 0;

    if (s->value.type != CONFIG_LIST)
        return config_fail(r->err, &s->value.pos,
                           "expected a list, as in %s = [ \"...\" ], found "
                           "the string \"%.40s\"",
                           s->name, s->value.str);
    for (size_t i = 0; !rc && i < s->value.nr_items; i++) {
        rc = want_string(r, &s->value.items[i], "a \"string\"");
        if (!rc)
            rc = add(r, &s->value.items[i]);
    }
    return rc;
}

static int apply_disk(struct config_reader *r, const struct config_setting *s,
                      const struct key *key)
{
    (void)key;
    return for_each_string(r, s, add_disk);
}

static int apply_vif(struct config_reader *r, const struct config_setting *s,
                     const struct key *key)
{
    (void)key;
    return for_each_string(r, s, add_vif);
}

static int apply_trapped(struct config_reader *r,
                         const struct config_setting *s, const struct key *key)
{
    (void)key;
    return for_each_string(r, s, add_trapped);
}

/* A key whose absence would surprise: better no domain than another one. */
static int apply_refused(struct config_reader *r,
                         const struct config_setting *s, const struct key *key)
{
    return config_fail(r->err, &s->pos, "expected no '%s': %s", s->name,
                       key->hint);
}

#define FIELD(f) offsetof(struct domain_config, f)
#define STRING(f)                                                              \
    {                                                                          \
#f, apply_string, FIELD(f), 0, 0, NULL                                 \
    }
#define ACTION(f)                                                              \
    {                                                                          \
#f, apply_action, FIELD(f), 0, 0, NULL                                 \
    }
#define LIST(f)                                                                \
    {                                                                          \
#f, apply_##f, 0, 0, 0, NULL                                           \
    }
#define IGNORED(f)                                                             \
    {                                                                          \
#f, apply_ignored, 0, 0, 0, NULL                                       \
    }

static const struct key keys[] = {
    {"name", apply_name, FIELD(name), 0, 0, NULL},
    {"uuid", apply_uuid, FIELD(uuid), 0, 0, NULL},
    {"type", apply_type, 0, 0, 0, NULL},
    {"builder", apply_type, 0, 0, 0, NULL},
    STRING(kernel),
    STRING(ramdisk),
    {"cmdline", apply_cmdline, FIELD(cmdline), 0, 0, NULL},
    {"root", apply_cmdline, FIELD(root), 0, 0, NULL},
    {"extra", apply_cmdline, FIELD(extra), 0, 0, NULL},
    {"memory", apply_memory, FIELD(memory_mib), 1, DOMAIN_MEMORY_MAX_MIB, NULL},
    {"maxmem", apply_memory, FIELD(maxmem_mib), 1, DOMAIN_MEMORY_MAX_MIB, NULL},
    {"vcpus", apply_vcpus, FIELD(vcpus), 1, DOMAIN_VCPUS_MAX, NULL},
    {"maxvcpus", apply_vcpus, FIELD(maxvcpus), 1, DOMAIN_VCPUS_MAX, NULL},
    {"cpus", apply_cpus, FIELD(cpus), 0, 0, NULL},
    {"event_channels", apply_limit, FIELD(event_channels), 2,
     DOMAIN_EVTCHNS_MAX, NULL},
    {"max_event_channels", apply_limit, FIELD(event_channels), 2,
     DOMAIN_EVTCHNS_MAX, NULL},
    /* The first frame has the grants of the console and the store. */
    {"max_grant_frames", apply_limit, FIELD(max_grant_frames), 1,
     DOMAIN_GRANT_FRAMES_MAX, NULL},
    {"max_maptrack_frames", apply_limit, FIELD(max_maptrack_frames), 0,
     DOMAIN_MAPTRACK_FRAMES_MAX, NULL},
    LIST(disk),
    LIST(vif),
    LIST(trapped),
    ACTION(on_poweroff),
    ACTION(on_reboot),
    ACTION(on_watchdog),
    ACTION(on_crash),
    {"bootloader", apply_refused, 0, 0, 0,
     "this host runs no boot loader in domain 0, use kernel= (pvgrub2 of the "
     "package grub-xen-host boots from the guest's disk)"},
    {"pci", apply_refused, 0, 0, 0,
     "this host passes no PCI devices through to guests"},
    {"driver_domain", apply_refused, 0, 0, 0,
     "this host's backends run in domain 0"},
    IGNORED(on_soft_reset),
    IGNORED(cpus_soft),
    IGNORED(cpu_weight),
    IGNORED(cap),
    IGNORED(pool),
    IGNORED(nodes),
    IGNORED(numa_placement),
    IGNORED(seclabel),
    IGNORED(init_seclabel),
    IGNORED(localtime),
    IGNORED(rtc_timeoffset),
    IGNORED(tsc_mode),
    IGNORED(nomigrate),
    IGNORED(e820_host),
    IGNORED(claim_mode),
    IGNORED(gpt),
    IGNORED(max_grant_version),
    IGNORED(vnc),
    IGNORED(sdl),
    IGNORED(vfb),
    IGNORED(keymap),
    IGNORED(serial),
    IGNORED(vtpm),
    IGNORED(p9),
    IGNORED(channel),
    IGNORED(vkb),
    IGNORED(vsnd),
    IGNORED(usbctrl),
    IGNORED(usbdev),
    IGNORED(device_model_version),
    IGNORED(device_model_override),
    IGNORED(autoballoon),
};

int config_apply(struct config_reader *r, const struct config_setting *s)
{
    int rc = 0;

    if (s->replaced_line)
        rc = config_warn(
            r->cfg, "%s:%u: '%s' is set again, line %u does not count",
            s->pos.source->name, s->pos.line, s->name, s->replaced_line);
    if (rc)
        return rc;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (!strcmp(s->name, keys[i].name))
            return keys[i].apply(r, s, &keys[i]);
    return config_warn(r->cfg, "%s:%u: unknown key '%s' is ignored",
                       s->pos.source->name, s->pos.line, s->name);
}
