/* SPDX-License-Identifier: MIT */
#include "dom0/vif_spec.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dom0/spec_param.h"

#define ARRAY_SIZE(a)          (sizeof(a) / sizeof((a)[0]))
#define RATE_INTERVAL_DEFAULT  50000u /* microseconds, as xl */
#define RATE_INTERVAL_MAX      UINT32_MAX
#define RATE_BYTES_PER_SEC_MAX (UINT64_MAX / RATE_INTERVAL_MAX)

static int set_mac(const struct spec_param *param, struct vif_spec *vif,
                   struct spec_error *err)
{
    bool ok = param->len == 17;

    for (size_t i = 0; ok && i < 17; i++) {
        unsigned char c = param->value[i];

        ok = i % 3 == 2 ? c == ':' || c == '-' : isxdigit(c);
    }
    for (size_t i = 0; ok && i < 6; i++)
        vif->mac[i] = strtoul(param->value + 3 * i, NULL, 16);
    if (!ok || vif->mac[0] & 1)
        return spec_fail(err, param->value_offset,
                         "expected a %s address such as 00:16:3e:12:34:56, "
                         "found '%.*s'",
                         ok ? "unicast" : "MAC", (int)param->len, param->value);
    vif->has_mac = true;
    return 0;
}

static int set_type(const struct spec_param *param, struct vif_spec *vif,
                    struct spec_error *err)
{
    (void)vif;
    if (!param->len || spec_is(param, "vif"))
        return 0;
    return spec_fail(err, param->value_offset,
                     "expected type=vif (a PV guest has no emulated cards), "
                     "found '%.*s'",
                     (int)param->len, param->value);
}

/* Digits; moves *s. -1 when there are none or too many. */
static int64_t read_digits(const char **s)
{
    int64_t n = 0;

    if (!isdigit((unsigned char)**s))
        return -1;
    for (; isdigit((unsigned char)**s); (*s)++) {
        n = n * 10 + **s - '0';
        if (n > UINT32_MAX)
            return -1;
    }
    return n;
}

/* The K, M or G of a rate, or 1. */
static uint64_t read_scale(const char **s)
{
    static const char scales[] = "KMG";
    const char *p = **s ? strchr(scales, **s) : NULL;
    uint64_t scale = 1;

    if (!p)
        return 1;
    (*s)++;
    for (; p >= scales; p--)
        scale *= 1000;
    return scale;
}

/* "@20ms", "@500us", "@1s" or nothing: microseconds, 0 when wrong. */
static uint64_t read_interval(const char *s)
{
    if (!*s)
        return RATE_INTERVAL_DEFAULT;
    if (*s++ != '@')
        return 0;
    int64_t n = read_digits(&s);
    uint64_t scale = !strcmp(s, "us")                    ? 1
                     : !strcmp(s, "ms")                  ? 1000
                     : !strcmp(s, "s") || !strcmp(s, "") ? 1000000
                                                         : 0;

    if (n <= 0 || n * scale > RATE_INTERVAL_MAX)
        return 0;
    return n * scale;
}

/* "10Mb/s@20ms" into the bytes of one interval. 0 or -EINVAL. */
static int read_rate(const char *s, struct vif_spec *vif)
{
    int64_t n = read_digits(&s);
    uint64_t bytes, usecs;

    if (n <= 0)
        return -EINVAL;
    bytes = n * read_scale(&s);
    if (*s == 'b')
        bytes /= 8;
    else if (*s != 'B')
        return -EINVAL;
    if (strncmp(s + 1, "/s", 2))
        return -EINVAL;
    usecs = read_interval(s + 3);
    if (!usecs || bytes > RATE_BYTES_PER_SEC_MAX)
        return -EINVAL;
    vif->rate_bytes = bytes * usecs / 1000000;
    vif->rate_usecs = usecs;
    return vif->rate_bytes ? 0 : -EINVAL;
}

static int set_rate(const struct spec_param *param, struct vif_spec *vif,
                    struct spec_error *err)
{
    char text[64];

    snprintf(text, sizeof(text), "%.*s", (int)param->len, param->value);
    if (param->len >= sizeof(text) || read_rate(text, vif) < 0)
        return spec_fail(err, param->value_offset,
                         "expected a rate such as 10Mb/s or 1MB/s@20ms, found "
                         "'%.60s'",
                         text);
    return 0;
}

static int set_devid(const struct spec_param *param, struct vif_spec *vif,
                     struct spec_error *err)
{
    unsigned long n;
    int rc = spec_number(param, 0, 65535, &n, err);

    if (!rc)
        vif->devid = n;
    return rc;
}

static int set_mtu(const struct spec_param *param, struct vif_spec *vif,
                   struct spec_error *err)
{
    unsigned long n;
    int rc = spec_number(param, 68, 65535, &n, err);

    if (!rc)
        vif->mtu = n;
    return rc;
}

/* A key is either a string at an offset or has a function of its own. */
static const struct {
    const char *key;
    size_t string;
    int (*set)(const struct spec_param *param, struct vif_spec *vif,
               struct spec_error *err);
} keys[] = {
    {"mac", 0, set_mac},
    {"type", 0, set_type},
    {"rate", 0, set_rate},
    {"devid", 0, set_devid},
    {"mtu", 0, set_mtu},
    {"bridge", offsetof(struct vif_spec, bridge), NULL},
    {"gatewaydev", offsetof(struct vif_spec, gatewaydev), NULL},
    {"vifname", offsetof(struct vif_spec, vifname), NULL},
    {"script", offsetof(struct vif_spec, script), NULL},
    {"ip", offsetof(struct vif_spec, ip), NULL},
    {"backend", offsetof(struct vif_spec, backend), NULL},
    {"model", offsetof(struct vif_spec, model), NULL},
};

static int parse_param(const struct spec_param *param, struct vif_spec *vif,
                       struct spec_error *err)
{
    if (!param->key[0] && !param->len)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (strcmp(param->key, keys[i].key))
            continue;
        if (keys[i].set)
            return keys[i].set(param, vif, err);
        return spec_string(param, (char **)((char *)vif + keys[i].string), err);
    }
    return spec_fail(err, param->offset,
                     "expected mac=, bridge=, gatewaydev=, type=, model=, "
                     "vifname=, script=, ip=, backend=, rate=, devid= or "
                     "mtu=, found '%.*s'",
                     (int)(param->key[0] ? strlen(param->key) : param->len),
                     param->key[0] ? param->key : param->value);
}

int vif_spec_parse(const char *text, struct vif_spec *vif,
                   struct spec_error *err)
{
    struct spec_cursor cursor = {.text = text};
    struct spec_param param;
    int rc;

    *vif = (struct vif_spec){.devid = -1};
    while ((rc = spec_next(&cursor, &param, err)) > 0) {
        rc = parse_param(&param, vif, err);
        if (rc < 0)
            break;
    }
    if (rc < 0)
        vif_spec_free(vif);
    return rc;
}

void vif_spec_free(struct vif_spec *vif)
{
    free(vif->bridge);
    free(vif->gatewaydev);
    free(vif->vifname);
    free(vif->script);
    free(vif->ip);
    free(vif->backend);
    free(vif->model);
    *vif = (struct vif_spec){.devid = -1};
}
