/* SPDX-License-Identifier: MIT */
#include "dom0/disk_spec.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "dom0/spec_param.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const char *const formats[] = {
    [DISK_FORMAT_RAW] = "raw",     [DISK_FORMAT_QCOW] = "qcow",
    [DISK_FORMAT_QCOW2] = "qcow2", [DISK_FORMAT_VHD] = "vhd",
    [DISK_FORMAT_QED] = "qed",     [DISK_FORMAT_EMPTY] = "empty",
};

static const char *const backendtypes[] = {
    [DISK_BACKEND_AUTO] = "auto",
    [DISK_BACKEND_PHY] = "phy",
    [DISK_BACKEND_TAP] = "tap",
    [DISK_BACKEND_QDISK] = "qdisk",
    [DISK_BACKEND_STANDALONE] = "standalone",
};

/* The parse of one specification. */
struct disk_parse {
    struct disk_spec *disk;
    struct spec_error *err;
    struct spec_cursor cursor;
    bool had_target, had_format, had_vdev, had_access;
    bool had_backendtype, had_discard;
    size_t format_offset;
};

static int once(struct disk_parse *p, const struct spec_param *param, bool *had,
                const char *what)
{
    if (*had)
        return spec_fail(p->err, param->offset,
                         "expected %s only once, found it again", what);
    *had = true;
    return 0;
}

static int set_format(struct disk_parse *p, const struct spec_param *param)
{
    int rc = once(p, param, &p->had_format, "the format");

    p->format_offset = param->value_offset;
    if (rc || !param->len)
        return rc;
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
        if (spec_is(param, formats[i])) {
            p->disk->format = i;
            return 0;
        }
    if (spec_is(param, "aio"))
        return 0;
    return spec_fail(p->err, param->value_offset,
                     "expected a format (raw, qcow, qcow2, vhd, qed), found "
                     "'%.*s'%s",
                     (int)param->len, param->value,
                     param->key[0] ? ""
                                   : " (the order is target,format,vdev,"
                                     "access)");
}

static int set_vdev_name(struct disk_parse *p, const struct spec_param *param,
                         size_t len)
{
    p->disk->vdev = strndup(param->value, len);
    if (!p->disk->vdev)
        return -ENOMEM;
    if (vdev_to_devid(p->disk->vdev, &p->disk->devid) < 0)
        return spec_fail(p->err, param->value_offset,
                         "expected a virtual device such as xvda, hda1, sdb, "
                         "d0p1 or a number, found '%.40s'",
                         p->disk->vdev);
    return 0;
}

/* "hdc:cdrom" is the old way to say devtype=cdrom. */
static int set_vdev(struct disk_parse *p, const struct spec_param *param)
{
    const char *colon = memchr(param->value, ':', param->len);
    size_t len = colon ? (size_t)(colon - param->value) : param->len;
    size_t type_len = param->len - len;
    int rc = once(p, param, &p->had_vdev, "the vdev");

    if (rc || !param->len)
        return rc;
    if (colon && type_len == 6 && !memcmp(colon, ":cdrom", 6))
        p->disk->cdrom = true;
    else if (colon && (type_len != 5 || memcmp(colon, ":disk", 5)))
        return spec_fail(p->err, param->value_offset + len,
                         "expected ':cdrom' or ':disk', found '%.*s'",
                         (int)type_len, colon);
    return set_vdev_name(p, param, len);
}

static int set_access(struct disk_parse *p, const struct spec_param *param)
{
    int rc = once(p, param, &p->had_access, "the access mode");

    if (rc || !param->len || spec_is(param, "w") || spec_is(param, "rw"))
        return rc;
    if (!spec_is(param, "r") && !spec_is(param, "ro"))
        return spec_fail(p->err, param->value_offset,
                         "expected an access mode (ro, r, rw or w), found "
                         "'%.*s'",
                         (int)param->len, param->value);
    p->disk->readonly = true;
    return 0;
}

static int set_devtype(struct disk_parse *p, const struct spec_param *param)
{
    if (spec_is(param, "cdrom"))
        p->disk->cdrom = true;
    else if (param->len && !spec_is(param, "disk"))
        return spec_fail(p->err, param->value_offset,
                         "expected devtype to be cdrom or disk, found '%.*s'",
                         (int)param->len, param->value);
    return 0;
}

static int set_backendtype(struct disk_parse *p, const struct spec_param *param)
{
    int rc = once(p, param, &p->had_backendtype, "backendtype");

    if (rc || !param->len)
        return rc;
    for (size_t i = DISK_BACKEND_PHY; i < ARRAY_SIZE(backendtypes); i++)
        if (spec_is(param, backendtypes[i])) {
            p->disk->backendtype = i;
            return 0;
        }
    return spec_fail(p->err, param->value_offset,
                     "expected a backendtype (phy, tap, qdisk, standalone), "
                     "found '%.*s'",
                     (int)param->len, param->value);
}

static int set_target(struct disk_parse *p, const struct spec_param *param)
{
    int rc = once(p, param, &p->had_target, "the target");

    return rc ? rc : spec_string(param, &p->disk->target, p->err);
}

/* target= takes all that is left, commas included. */
static int set_last_target(struct disk_parse *p, const struct spec_param *param)
{
    struct spec_param rest = *param;

    rest.len = strlen(rest.value);
    while (rest.len && strchr(" \t\n", rest.value[rest.len - 1]))
        rest.len--;
    p->cursor.done = true;
    return set_target(p, &rest);
}

static int set_backend(struct disk_parse *p, const struct spec_param *param)
{
    return spec_string(param, &p->disk->backend, p->err);
}

static int set_script(struct disk_parse *p, const struct spec_param *param)
{
    return spec_string(param, &p->disk->script, p->err);
}

static int set_specification(struct disk_parse *p,
                             const struct spec_param *param)
{
    if (!param->len || spec_is(param, "xen"))
        return 0;
    return spec_fail(p->err, param->value_offset,
                     "expected specification=xen, found '%.*s' (a virtio disk "
                     "goes in trapped = [ \"virtio,target=...\" ])",
                     (int)param->len, param->value);
}

static const struct {
    const char *key;
    int (*set)(struct disk_parse *p, const struct spec_param *param);
} keys[] = {
    {"target", set_last_target},
    {"format", set_format},
    {"vdev", set_vdev},
    {"access", set_access},
    {"devtype", set_devtype},
    {"backendtype", set_backendtype},
    {"backend", set_backend},
    {"script", set_script},
    {"specification", set_specification},
};

static int set_key(struct disk_parse *p, const struct spec_param *param)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (!strcmp(param->key, keys[i].key))
            return keys[i].set(p, param);
    return spec_fail(p->err, param->offset,
                     "expected target, format, vdev, access, devtype, "
                     "backendtype, backend or script before '=', found '%s'",
                     param->key);
}

static int set_discard(struct disk_parse *p, const struct spec_param *param,
                       bool on)
{
    int rc = once(p, param, &p->had_discard, "discard or no-discard");

    p->disk->discard = on;
    return rc;
}

/* 1 when the parameter was a flag. */
static int set_flag(struct disk_parse *p, const struct spec_param *param)
{
    int rc = 0;

    if (spec_is(param, "cdrom"))
        p->disk->cdrom = true;
    else if (spec_is(param, "removable"))
        p->disk->removable = true;
    else if (spec_is(param, "direct-io-safe"))
        p->disk->direct_io_safe = true;
    else if (spec_is(param, "discard"))
        rc = set_discard(p, param, true);
    else if (spec_is(param, "no-discard"))
        rc = set_discard(p, param, false);
    else
        return 0;
    return rc ? rc : 1;
}

static int set_positional(struct disk_parse *p, const struct spec_param *param)
{
    if (!p->had_target)
        return set_target(p, param);
    if (!p->had_format)
        return set_format(p, param);
    if (!p->had_vdev)
        return set_vdev(p, param);
    if (!p->had_access)
        return set_access(p, param);
    if (!param->len)
        return 0;
    return spec_fail(p->err, param->offset,
                     "expected at most target,format,vdev,access, found "
                     "'%.*s' after them",
                     (int)param->len, param->value);
}

/*
 * Strips one deprecated prefix off the front: 1 when there was one.  All but
 * script prefixes settle the format, so that no format is looked for in the
 * second place: "phy:/dev/sdb,xvda,w".
 */
static int strip_prefix(struct disk_parse *p)
{
    static const struct {
        const char *prefix;
        enum disk_format format;
    } prefixes[] = {
        {"phy:", DISK_FORMAT_RAW},     {"file:", DISK_FORMAT_RAW},
        {"raw:", DISK_FORMAT_RAW},     {"aio:", DISK_FORMAT_RAW},
        {"tap:", DISK_FORMAT_RAW},     {"tap2:", DISK_FORMAT_RAW},
        {"tapdisk:", DISK_FORMAT_RAW}, {"ioemu:", DISK_FORMAT_RAW},
        {"qcow:", DISK_FORMAT_QCOW},   {"qcow2:", DISK_FORMAT_QCOW2},
        {"vhd:", DISK_FORMAT_VHD},     {"qed:", DISK_FORMAT_QED},
    };
    const char *s = p->cursor.text + p->cursor.at;

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        size_t len = strlen(prefixes[i].prefix);

        if (strncmp(s, prefixes[i].prefix, len))
            continue;
        if (prefixes[i].format != DISK_FORMAT_RAW)
            p->disk->format = prefixes[i].format;
        p->had_format = true;
        p->cursor.at += len;
        return 1;
    }
    return 0;
}

/* nbd:, iscsi: ...: the script block-nbd finds the device. */
static int strip_script_prefix(struct disk_parse *p)
{
    static const char *const names[] = {"iscsi", "nbd", "enbd", "drbd"};
    const char *s = p->cursor.text + p->cursor.at;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        size_t len = strlen(names[i]);

        if (strncmp(s, names[i], len) || s[len] != ':')
            continue;
        p->disk->script = malloc(len + sizeof("block-"));
        if (!p->disk->script)
            return -ENOMEM;
        stpcpy(stpcpy(p->disk->script, "block-"), names[i]);
        p->had_format = true;
        p->cursor.at += len + 1;
        return 0;
    }
    return 0;
}

static int parse_param(struct disk_parse *p, const struct spec_param *param)
{
    if (param->key[0])
        return set_key(p, param);
    int rc = set_flag(p, param);

    if (rc)
        return rc < 0 ? rc : 0;
    return set_positional(p, param);
}

/* What only the whole can tell. */
static int finish(struct disk_parse *p)
{
    struct disk_spec *disk = p->disk;

    if (disk->cdrom) {
        disk->removable = true;
        disk->readonly = true;
    }
    if (!disk->vdev)
        return spec_fail(p->err, strlen(p->cursor.text),
                         "expected a vdev, as in target=/disk.img,vdev=xvda, "
                         "found none");
    if (!disk->target && !disk->removable)
        return spec_fail(p->err, strlen(p->cursor.text),
                         "expected a target, the path of the image, found "
                         "none");
    if (disk->target && disk->format == DISK_FORMAT_EMPTY)
        return spec_fail(p->err, p->format_offset,
                         "expected no target with format=empty");
    if (!disk->target)
        disk->format = DISK_FORMAT_EMPTY;
    return 0;
}

static int parse_all(struct disk_parse *p)
{
    struct spec_param param;
    int rc;

    p->cursor.at = strspn(p->cursor.text, " \t\n");
    while (strip_prefix(p))
        ;
    rc = strip_script_prefix(p);
    while (!rc && (rc = spec_next(&p->cursor, &param, p->err)) > 0)
        rc = parse_param(p, &param);
    return rc ? rc : finish(p);
}

int disk_spec_parse(const char *text, struct disk_spec *disk,
                    struct spec_error *err)
{
    struct disk_parse p = {.disk = disk, .err = err, .cursor.text = text};

    *disk = (struct disk_spec){.discard = true};
    int rc = parse_all(&p);

    if (rc < 0)
        disk_spec_free(disk);
    return rc;
}

void disk_spec_free(struct disk_spec *disk)
{
    free(disk->target);
    free(disk->vdev);
    free(disk->backend);
    free(disk->script);
    *disk = (struct disk_spec){0};
}

const char *disk_format_name(enum disk_format format)
{
    return formats[format];
}

const char *disk_backendtype_name(enum disk_backendtype type)
{
    return backendtypes[type];
}
