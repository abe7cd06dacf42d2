/* SPDX-License-Identifier: MIT */
#include "dom0/config.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xen/xen.h>
#include "dom0/config_private.h"
#include "dom0/config_syntax.h"
#include "dom0/image.h"

#define ARRAY_SIZE(a)   (sizeof(a) / sizeof((a)[0]))
#define CONFIG_FILE_MAX ((size_t)1 << 20)
/* As libxl, which gives this much when nothing is said. */
#define MEMORY_DEFAULT_MIB 32

static const char *const actions[] = {
    [DOMAIN_ACTION_DESTROY] = "destroy",
    [DOMAIN_ACTION_RESTART] = "restart",
    [DOMAIN_ACTION_RENAME_RESTART] = "rename-restart",
    [DOMAIN_ACTION_PRESERVE] = "preserve",
    [DOMAIN_ACTION_COREDUMP_DESTROY] = "coredump-destroy",
    [DOMAIN_ACTION_COREDUMP_RESTART] = "coredump-restart",
};

const char *domain_action_name(enum domain_action action)
{
    return actions[action];
}

int domain_action_parse(const char *word, enum domain_action *action)
{
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        if (!strcmp(word, actions[i])) {
            *action = i;
            return 0;
        }
    return -EINVAL;
}

/* The reading of one configuration. */
struct reader {
    struct domain_config *cfg;
    struct config_error *err;
    /* Settings that are judged together at the end; NULL when not given. */
    const struct config_setting *cmdline, *memory, *maxmem, *vcpus, *maxvcpus;
};

struct key {
    const char *name;
    int (*apply)(struct reader *r, const struct config_setting *s,
                 const struct key *key);
    size_t offset;          /* of the field in domain_config */
    unsigned long min, max; /* of numbers */
    const char *hint;       /* for keys that are refused or of no effect */
};

void *domain_config_grow(void *list, size_t nr, size_t size)
{
    char *grown = reallocarray(list, nr + 1, size);

    if (grown)
        memset(grown + nr * size, 0, size);
    return grown;
}

static int warn(struct domain_config *cfg, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int warn(struct domain_config *cfg, const char *fmt, ...)
{
    char **list =
        domain_config_grow(cfg->warnings, cfg->nr_warnings, sizeof(*list));
    va_list ap;
    int rc;

    if (!list)
        return -ENOMEM;
    cfg->warnings = list;
    va_start(ap, fmt);
    rc = vasprintf(&list[cfg->nr_warnings], fmt, ap);
    va_end(ap);
    if (rc < 0)
        return -ENOMEM;
    cfg->nr_warnings++;
    return 0;
}

static int want_string(struct reader *r, const struct config_value *v,
                       const char *what)
{
    if (v->type != CONFIG_LIST)
        return 0;
    return config_fail(r->err, &v->pos, "expected %s, found a list", what);
}

static int apply_string(struct reader *r, const struct config_setting *s,
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

static int number(struct reader *r, const struct config_setting *s,
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

static int apply_memory(struct reader *r, const struct config_setting *s,
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

static int apply_vcpus(struct reader *r, const struct config_setting *s,
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

static int apply_action(struct reader *r, const struct config_setting *s,
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

static int apply_name(struct reader *r, const struct config_setting *s,
                      const struct key *key)
{
    const char *str = s->value.str;
    int rc = apply_string(r, s, key);

    if (rc)
        return rc;
    for (size_t i = 0; str[i]; i++)
        if (str[i] == '/' || iscntrl((unsigned char)str[i])) {
            struct config_pos at = config_value_pos(&s->value, i);

            return config_fail(r->err, &at,
                               "expected a name without '/' and control "
                               "characters, found '%.40s'",
                               str);
        }
    if (!*str || strlen(str) > DOMAIN_NAME_MAX)
        return config_fail(r->err, &s->value.pos,
                           "expected a name of 1 to %d bytes, found %zu",
                           DOMAIN_NAME_MAX, strlen(str));
    return 0;
}

int domain_uuid_check(const char *text)
{
    if (strlen(text) != DOMAIN_UUID_CHARS)
        return -EINVAL;
    for (int i = 0; i < DOMAIN_UUID_CHARS; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return -EINVAL;
    }
    return 0;
}

static int apply_uuid(struct reader *r, const struct config_setting *s,
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

static int apply_type(struct reader *r, const struct config_setting *s,
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

static int apply_cmdline(struct reader *r, const struct config_setting *s,
                         const struct key *key)
{
    if (key->offset == offsetof(struct domain_config, cmdline))
        r->cmdline = s;
    return apply_string(r, s, key);
}

static int spec_failed(struct reader *r, const struct config_value *item,
                       const struct spec_error *spec)
{
    struct config_pos at = config_value_pos(item, spec->offset);

    return config_fail(r->err, &at, "%s", spec->text);
}

static int add_disk(struct reader *r, const struct config_value *item)
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

static int add_vif(struct reader *r, const struct config_value *item)
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

static int add_trapped(struct reader *r, const struct config_value *item)
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
static int for_each_string(struct reader *r, const struct config_setting *s,
                           int (*add)(struct reader *r,
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

static int apply_disk(struct reader *r, const struct config_setting *s,
                      const struct key *key)
{
    (void)key;
    return for_each_string(r, s, add_disk);
}

static int apply_vif(struct reader *r, const struct config_setting *s,
                     const struct key *key)
{
    (void)key;
    return for_each_string(r, s, add_vif);
}

static int apply_trapped(struct reader *r, const struct config_setting *s,
                         const struct key *key)
{
    (void)key;
    return for_each_string(r, s, add_trapped);
}

/* A key whose absence would surprise: better no domain than another one. */
static int apply_refused(struct reader *r, const struct config_setting *s,
                         const struct key *key)
{
    return config_fail(r->err, &s->pos, "expected no '%s': %s", s->name,
                       key->hint);
}

static int apply_ignored(struct reader *r, const struct config_setting *s,
                         const struct key *key)
{
    (void)key;
    return warn(r->cfg, "%s:%u: '%s' has no effect on this host",
                s->pos.source->name, s->pos.line, s->name);
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
    IGNORED(cpus),
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
    IGNORED(max_grant_frames),
    IGNORED(max_maptrack_frames),
    IGNORED(max_grant_version),
    IGNORED(event_channels),
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

static int apply_setting(struct reader *r, const struct config_setting *s)
{
    int rc = 0;

    if (s->replaced_line)
        rc = warn(r->cfg, "%s:%u: '%s' is set again, line %u does not count",
                  s->pos.source->name, s->pos.line, s->name, s->replaced_line);
    if (rc)
        return rc;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (!strcmp(s->name, keys[i].name))
            return keys[i].apply(r, s, &keys[i]);
    return warn(r->cfg, "%s:%u: unknown key '%s' is ignored",
                s->pos.source->name, s->pos.line, s->name);
}

/* cmdline= stands alone; else root=R and the words of extra. */
static int join_cmdline(struct reader *r)
{
    struct domain_config *cfg = r->cfg;
    const char *root = cfg->root, *extra = cfg->extra;

    if (r->cmdline && (root || extra))
        return warn(cfg,
                    "%s:%u: 'cmdline' is set, so 'root' and 'extra' do "
                    "not count",
                    r->cmdline->pos.source->name, r->cmdline->pos.line);
    if (r->cmdline)
        return 0;
    if (asprintf(&cfg->cmdline, "%s%s%s%s", root ? "root=" : "",
                 root ? root : "", root && extra ? " " : "",
                 extra ? extra : "") < 0) {
        cfg->cmdline = NULL;
        return -ENOMEM;
    }
    return 0;
}

static int finish_memory(struct reader *r)
{
    struct domain_config *cfg = r->cfg;

    if (r->memory && !r->maxmem)
        cfg->maxmem_mib = cfg->memory_mib;
    if (!r->memory && r->maxmem)
        cfg->memory_mib = cfg->maxmem_mib;
    if (cfg->memory_mib > cfg->maxmem_mib)
        return config_fail(r->err, &r->memory->value.pos,
                           "expected memory to be at most maxmem (%llu), found "
                           "%llu",
                           (unsigned long long)cfg->maxmem_mib,
                           (unsigned long long)cfg->memory_mib);
    if (!r->memory && !r->maxmem)
        return warn(cfg, "'memory' is not set: the domain gets %d MiB",
                    MEMORY_DEFAULT_MIB);
    return 0;
}

static int finish_vcpus(struct reader *r)
{
    struct domain_config *cfg = r->cfg;

    if (!r->maxvcpus)
        cfg->maxvcpus = cfg->vcpus;
    if (!r->vcpus && r->maxvcpus)
        cfg->vcpus = cfg->maxvcpus;
    if (cfg->vcpus > cfg->maxvcpus)
        return config_fail(r->err, &r->vcpus->value.pos,
                           "expected vcpus to be at most maxvcpus (%u), found "
                           "%u",
                           cfg->maxvcpus, cfg->vcpus);
    return 0;
}

/* RFC 4122 version 4. */
static int make_uuid(char *uuid)
{
    uint8_t b[16];

    if (getrandom(b, sizeof(b), 0) != sizeof(b))
        return -EIO;
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    for (int i = 0; i < 16; i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;

        uuid += sprintf(uuid, "%s%02x", dash ? "-" : "", b[i]);
    }
    return 0;
}

int domain_config_check(const struct domain_config *cfg, char *message,
                        size_t size)
{
    if (!cfg->name)
        snprintf(message, size,
                 "expected a name, as in name = \"guest\", found none");
    else if (!cfg->kernel || !*cfg->kernel)
        snprintf(message, size,
                 "expected a kernel, as in kernel = \"/boot/vmlinuz\", found "
                 "none");
    else if (strlen(cfg->cmdline) >= MAX_GUEST_CMDLINE)
        snprintf(message, size,
                 "expected a kernel command line of at most %d bytes, found "
                 "%zu",
                 MAX_GUEST_CMDLINE - 1, strlen(cfg->cmdline));
    else
        return 0;
    return -EINVAL;
}

static int finish(struct reader *r, const char *file)
{
    struct domain_config *cfg = r->cfg;
    char message[256];
    int rc = join_cmdline(r);

    if (!rc)
        rc = finish_memory(r);
    if (!rc)
        rc = finish_vcpus(r);
    if (!rc && !cfg->uuid[0])
        rc = make_uuid(cfg->uuid);
    if (rc)
        return rc;
    rc = domain_config_check(cfg, message, sizeof(message));
    if (rc) {
        *r->err = (struct config_error){0};
        snprintf(r->err->file, sizeof(r->err->file), "%s", file);
        snprintf(r->err->text, sizeof(r->err->text), "%.256s: %s", file,
                 message);
    }
    return rc;
}

struct domain_config *domain_config_new(void)
{
    struct domain_config *cfg = calloc(1, sizeof(*cfg));

    if (!cfg)
        return NULL;
    cfg->memory_mib = MEMORY_DEFAULT_MIB;
    cfg->maxmem_mib = MEMORY_DEFAULT_MIB;
    cfg->vcpus = 1;
    cfg->maxvcpus = 1;
    cfg->on_poweroff = DOMAIN_ACTION_DESTROY;
    cfg->on_reboot = DOMAIN_ACTION_RESTART;
    cfg->on_watchdog = DOMAIN_ACTION_DESTROY;
    cfg->on_crash = DOMAIN_ACTION_DESTROY;
    return cfg;
}

/* The settings of a tree into a configuration. */
static int read_tree(const struct config_tree *tree, const char *file,
                     struct domain_config **out, struct config_error *err)
{
    struct reader r = {.cfg = domain_config_new(), .err = err};
    int rc = r.cfg ? 0 : -ENOMEM;

    for (const struct config_setting *s = tree->first; !rc && s; s = s->next)
        rc = apply_setting(&r, s);
    if (!rc)
        rc = finish(&r, file);
    if (rc)
        domain_config_free(r.cfg);
    else
        *out = r.cfg;
    return rc;
}

int domain_config_parse(const char *file, const char *text, size_t len,
                        const char *const *overrides,
                        struct domain_config **out, struct config_error *err)
{
    size_t nr = 1;
    struct config_source *sources;
    struct config_tree tree;
    int rc = 0;

    *err = (struct config_error){0};
    for (const char *const *o = overrides; o && *o; o++)
        nr++;
    sources = calloc(nr, sizeof(*sources));
    if (!sources)
        return -ENOMEM;
    sources[0] = (struct config_source){file, text, len, false};
    for (size_t i = 1; i < nr; i++)
        sources[i] = (struct config_source){"command line", overrides[i - 1],
                                            strlen(overrides[i - 1]), true};
    config_tree_init(&tree);
    for (size_t i = 0; !rc && i < nr; i++)
        rc = config_tree_parse(&tree, &sources[i], err);
    if (!rc)
        rc = read_tree(&tree, file, out, err);
    config_tree_free(&tree);
    free(sources);
    if (rc == -ENOMEM)
        snprintf(err->text, sizeof(err->text), "%.256s: out of memory", file);
    return rc;
}

int domain_config_load(const char *path, const char *const *overrides,
                       struct domain_config **out, struct config_error *err)
{
    struct image_error why;
    struct image img;
    int rc = image_load_raw(path, CONFIG_FILE_MAX, &img, &why);

    if (rc) {
        *err = (struct config_error){0};
        snprintf(err->file, sizeof(err->file), "%s", path);
        snprintf(err->text, sizeof(err->text), "%s", why.text);
        return rc;
    }
    rc = domain_config_parse(path, (const char *)img.data, img.len, overrides,
                             out, err);
    image_free(&img);
    return rc;
}

void domain_config_free(struct domain_config *cfg)
{
    if (!cfg)
        return;
    for (size_t i = 0; i < cfg->nr_disks; i++)
        disk_spec_free(&cfg->disks[i]);
    for (size_t i = 0; i < cfg->nr_vifs; i++)
        vif_spec_free(&cfg->vifs[i]);
    for (size_t i = 0; i < cfg->nr_trapped; i++)
        trapped_spec_free(&cfg->trapped[i]);
    for (size_t i = 0; i < cfg->nr_warnings; i++)
        free(cfg->warnings[i]);
    free(cfg->disks);
    free(cfg->vifs);
    free(cfg->trapped);
    free(cfg->warnings);
    free(cfg->name);
    free(cfg->kernel);
    free(cfg->ramdisk);
    free(cfg->root);
    free(cfg->extra);
    free(cfg->cmdline);
    free(cfg);
}
