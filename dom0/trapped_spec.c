/* SPDX-License-Identifier: MIT */
#include "dom0/trapped_spec.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "dom0/spec_param.h"

static const char *const kinds[] = {
    [TRAPPED_UART] = "uart",
    [TRAPPED_ATA] = "ata",
    [TRAPPED_VIRTIO] = "virtio",
};

static int parse_kind(struct spec_cursor *cursor, struct trapped_spec *dev,
                      struct spec_error *err)
{
    struct spec_param param;
    int rc = spec_next(cursor, &param, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; !param.key[0] && i < 3; i++)
        if (spec_is(&param, kinds[i])) {
            dev->kind = i;
            return 0;
        }
    return spec_fail(
        err, param.offset, "expected uart, ata or virtio first, found '%.*s'",
        (int)(param.end - param.offset), cursor->text + param.offset);
}

static int parse_option(const struct spec_param *param,
                        struct trapped_spec *dev, struct spec_error *err)
{
    bool disk = dev->kind != TRAPPED_UART;

    if (disk && !strcmp(param->key, "target"))
        return spec_string(param, &dev->target, err);
    if (disk && !param->key[0] && spec_is(param, "ro")) {
        dev->readonly = true;
        return 0;
    }
    if (disk && !param->key[0] && spec_is(param, "rw"))
        return 0;
    if (dev->kind == TRAPPED_VIRTIO && !param->key[0] &&
        spec_is(param, "ioeventfd")) {
        dev->ioeventfd = true;
        return 0;
    }
    return spec_fail(err, param->offset, "expected %s, found '%.*s'",
                     dev->kind == TRAPPED_UART  ? "nothing after uart"
                     : dev->kind == TRAPPED_ATA ? "target=PATH or ro"
                                                : "target=PATH, ro or "
                                                  "ioeventfd",
                     (int)param->len, param->value);
}

static int parse_all(const char *text, struct trapped_spec *dev,
                     struct spec_error *err)
{
    struct spec_cursor cursor = {.text = text};
    struct spec_param param;
    int rc = parse_kind(&cursor, dev, err);

    while (!rc && (rc = spec_next(&cursor, &param, err)) > 0)
        rc = parse_option(&param, dev, err);
    if (!rc && dev->kind != TRAPPED_UART && !dev->target)
        rc = spec_fail(err, strlen(text),
                       "expected target=PATH, the image of the disk, found "
                       "none");
    return rc;
}

int trapped_spec_parse(const char *text, struct trapped_spec *dev,
                       struct spec_error *err)
{
    *dev = (struct trapped_spec){0};
    int rc = parse_all(text, dev, err);

    if (rc < 0)
        trapped_spec_free(dev);
    return rc;
}

void trapped_spec_free(struct trapped_spec *dev)
{
    free(dev->target);
    *dev = (struct trapped_spec){0};
}

const char *trapped_kind_name(enum trapped_kind kind)
{
    return kinds[kind];
}
