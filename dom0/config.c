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
#include "dom0/config_reader.h"
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

void *domain_config_grow(void *list, size_t nr, size_t size)
{
    char *grown = reallocarray(list, nr + 1, size);

    if (grown)
        memset(grown + nr * size, 0, size);
    return grown;
}

int config_warn(struct domain_config *cfg, const char *fmt, ...)
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

int domain_name_check(const char *name, char *message, size_t size)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++)
        if (name[i] == '/' || iscntrl((unsigned char)name[i])) {
            snprintf(message, size,
                     "expected a name without '/' and control characters, "
                     "found '%.40s'",
                     name);
            return -EINVAL;
        }
    if (len && len <= DOMAIN_NAME_MAX)
        return 0;
    snprintf(message, size, "expected a name of 1 to %d bytes, found %zu",
             DOMAIN_NAME_MAX, len);
    return -EINVAL;
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

/* cmdline= stands alone; else root=R and the words of extra. */
static int join_cmdline(struct config_reader *r)
{
    struct domain_config *cfg = r->cfg;
    const char *root = cfg->root, *extra = cfg->extra;

    if (r->cmdline && (root || extra))
        return config_warn(cfg,
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

static int finish_memory(struct config_reader *r)
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
        return config_warn(cfg, "'memory' is not set: the domain gets %d MiB",
                           MEMORY_DEFAULT_MIB);
    return 0;
}

static int finish_vcpus(struct config_reader *r)
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

static int finish(struct config_reader *r, const char *file)
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
        /* What is missing may be there, but misspelt. */
        snprintf(r->err->text, sizeof(r->err->text), "%.256s: %s%s%s", file,
                 message, cfg->nr_warnings ? "\n    " : "",
                 cfg->nr_warnings ? cfg->warnings[0] : "");
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
    cfg->event_channels = DOMAIN_EVTCHNS;
    cfg->max_grant_frames = cfg->max_maptrack_frames = -1;
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
    struct config_reader r = {.cfg = domain_config_new(), .err = err};
    int rc = r.cfg ? 0 : -ENOMEM;

    for (const struct config_setting *s = tree->first; !rc && s; s = s->next)
        rc = config_apply(&r, s);
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
    struct image_error why = {""};
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
    free(cfg->cpus);
    free(cfg);
}
