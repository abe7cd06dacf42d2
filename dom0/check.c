/* SPDX-License-Identifier: MIT */
#include "dom0/dom0.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Which image it is, however the path was written. */
struct identity {
    dev_t dev;
    ino_t ino;
    bool device;
};

/* A disk of whichever kind, for the checks they share. */
struct disk_ref {
    const char *target;
    bool readonly;
};

static bool identity_get(const char *path, struct identity *id)
{
    struct stat st;

    if (stat(path, &st))
        return false;
    id->device = S_ISBLK(st.st_mode);
    id->dev = id->device ? st.st_rdev : st.st_dev;
    id->ino = id->device ? 0 : st.st_ino;
    return true;
}

static bool identity_same(const char *a, const char *b)
{
    struct identity x, y;

    return identity_get(a, &x) && identity_get(b, &y) && x.dev == y.dev &&
           x.ino == y.ino && x.device == y.device;
}

/* The i'th disk, split driver ones first; false past the end. */
static bool disk_ref_get(const struct domain_config *cfg, size_t i,
                         struct disk_ref *ref)
{
    if (i < cfg->nr_disks) {
        ref->target = cfg->disks[i].target;
        ref->readonly = cfg->disks[i].readonly;
        return true;
    }
    i -= cfg->nr_disks;
    if (i >= cfg->nr_trapped)
        return false;
    ref->target = cfg->trapped[i].target;
    ref->readonly = cfg->trapped[i].readonly;
    return true;
}

static bool refs_clash(const struct disk_ref *a, const struct disk_ref *b)
{
    return a->target && b->target && !(a->readonly && b->readonly) &&
           identity_same(a->target, b->target);
}

/* Not one that is about to be freed, its devices gone: it may be us. */
static bool dom_holds_images(const struct dom *dom)
{
    return dom->state != DOM_ENDING || dom->existed;
}

static int check_shared(struct dom0 *d0, const struct domain_config *cfg,
                        struct why *why)
{
    const char *hint = "a writable image belongs to one disk of one domain; "
                       "give each its own copy, or make all read-only";
    struct disk_ref a, b;
    struct dom *dom;
    size_t i, j;

    for (i = 0; disk_ref_get(cfg, i, &a); i++) {
        for (j = 0; j < i && disk_ref_get(cfg, j, &b); j++)
            if (refs_clash(&a, &b))
                return why_set(why, -EBUSY, hint,
                               "disk image %s is given twice in this "
                               "configuration",
                               a.target);
        for (dom = d0->doms; dom; dom = dom->next)
            for (j = 0; dom_holds_images(dom) && disk_ref_get(dom->cfg, j, &b);
                 j++)
                if (refs_clash(&a, &b))
                    return why_set(why, -EBUSY, hint,
                                   "disk image %s is in use by domain \"%s\" "
                                   "(%u)",
                                   a.target, dom->cfg->name, dom->domid);
    }
    return 0;
}

static int check_image(const char *what, const char *path, bool readonly,
                       struct why *why)
{
    char err[1024] = "";
    int rc = vbd_check_image(path, readonly, err, sizeof(err));

    if (!rc)
        return 0;
    if (!*err)
        snprintf(err, sizeof(err), "%s: %s", path, strerror(-rc));
    return why_set(why, rc, NULL, "%s: %s", what, err);
}

static int check_disk(const struct domain_config *cfg, size_t i,
                      struct why *why)
{
    const struct disk_spec *disk = &cfg->disks[i];
    size_t j;

    if (disk->backend && strcmp(disk->backend, "0") &&
        strcmp(disk->backend, "Domain-0"))
        return why_set(why, -EOPNOTSUPP, "leave out backend=",
                       "disk %s: served by domain \"%s\": only domain 0 "
                       "serves disks",
                       disk->vdev, disk->backend);
    for (j = 0; j < i; j++)
        if (cfg->disks[j].devid == disk->devid)
            return why_set(why, -EEXIST, "give each disk its own vdev=",
                           "two disks are called %s", disk->vdev);
    if (disk->format == DISK_FORMAT_EMPTY || !disk->target)
        return 0;
    if (disk->format != DISK_FORMAT_RAW)
        return why_set(why, -EOPNOTSUPP,
                       "convert it: qemu-img convert -O raw OLD NEW",
                       "disk %s: format %s is not served, only raw images and "
                       "block devices",
                       disk->vdev, disk_format_name(disk->format));
    return check_image(disk->vdev, disk->target, disk->readonly, why);
}

static int check_trapped(const struct domain_config *cfg, struct why *why)
{
    unsigned seen[TRAPPED_VIRTIO + 1] = {0};
    size_t i;
    int rc;

    for (i = 0; i < cfg->nr_trapped; i++) {
        const struct trapped_spec *dev = &cfg->trapped[i];

        if (seen[dev->kind]++ && dev->kind != TRAPPED_VIRTIO)
            return why_set(why, -EEXIST, NULL,
                           "trapped: a domain has at most one %s",
                           trapped_kind_name(dev->kind));
        if (!dev->target)
            continue;
        rc = check_image(trapped_kind_name(dev->kind), dev->target,
                         dev->readonly, why);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_names(struct dom0 *d0, const struct domain_config *cfg,
                       struct why *why)
{
    struct dom *dom = dom_by_name(d0, cfg->name);

    if (!strcmp(cfg->name, "Domain-0"))
        return why_set(why, -EINVAL, "choose another name=",
                       "\"Domain-0\" is the host's own name");
    if (dom)
        return why_set(why, -EEXIST,
                       "destroy it first (kxl destroy NAME), or create this "
                       "one with another: kxl create CFG name=OTHER",
                       "a domain called \"%s\" exists already (%u)", cfg->name,
                       dom->domid);
    dom = dom_by_uuid(d0, cfg->uuid);
    if (dom)
        return why_set(why, -EEXIST, "leave out uuid= to get a fresh one",
                       "uuid %s belongs to domain \"%s\"", cfg->uuid,
                       dom->cfg->name);
    return 0;
}

int create_check(struct dom0 *d0, struct domain_config *cfg,
                 struct builder_images *images, struct why *why)
{
    struct image_error err = {{0}};
    size_t i;
    int rc = check_names(d0, cfg, why);

    if (rc)
        return rc;
    rc = builder_check(cfg, images, &err);
    if (rc)
        return why_set(why, rc, NULL, "%s", err.text);
    rc = check_shared(d0, cfg, why);
    for (i = 0; !rc && i < cfg->nr_disks; i++)
        rc = check_disk(cfg, i, why);
    if (!rc)
        rc = check_trapped(cfg, why);
    if (rc)
        builder_images_free(images);
    return rc;
}
