/* SPDX-License-Identifier: MIT */
#include "dom0/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dom0/dom0_log.h"

/* The rename must reach the disk as well. */
static void folder_sync(const char *path)
{
    char dir[512];
    char *slash;
    int fd;

    snprintf(dir, sizeof(dir), "%s", path);
    slash = strrchr(dir, '/');
    if (!slash)
        return;
    *slash = 0;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

int record_write(const char *path, const json_t *json)
{
    char tmp[512];
    int fd, rc = 0;

    if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
        return -ENAMETOOLONG;
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    errno = 0;
    if (json_dumpfd(json, fd, JSON_INDENT(2)) || fsync(fd))
        rc = errno ? -errno : -EIO;
    close(fd);
    if (!rc && rename(tmp, path))
        rc = -errno;
    if (rc)
        unlink(tmp);
    else
        folder_sync(path);
    return rc;
}

json_t *record_read(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    json_error_t err;
    json_t *rec;

    if (fd < 0)
        return NULL;
    rec = json_loadfd(fd, JSON_REJECT_DUPLICATES, &err);
    close(fd);
    if (rec)
        return rec;
    dom0_warn("%s:%d: damaged record: %s", path, err.line, err.text);
    errno = EBADMSG;
    return NULL;
}

static void record_set_aside(const char *path)
{
    char bad[512];

    if (snprintf(bad, sizeof(bad), "%s.bad", path) < (int)sizeof(bad) &&
        !rename(path, bad))
        dom0_warn("kept as %s; its domain is no longer managed", bad);
}

static void record_visit(const char *dir, const char *name,
                         void (*fn)(void *, uint32_t, json_t *), void *arg)
{
    char path[512], *end;
    unsigned long domid = strtoul(name, &end, 10);
    json_t *rec;

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
        return;
    if (end != name && !strcmp(end, ".json.tmp"))
        unlink(path);
    if (end == name || strcmp(end, ".json"))
        return;
    rec = record_read(path);
    if (!json_is_object(rec))
        record_set_aside(path);
    else
        fn(arg, domid, rec);
    json_decref(rec);
}

int record_each(const char *dir,
                void (*fn)(void *arg, uint32_t domid, json_t *rec), void *arg)
{
    struct dirent **names;
    int i, n = scandir(dir, &names, NULL, versionsort);

    if (n < 0)
        return -errno;
    for (i = 0; i < n; i++) {
        record_visit(dir, names[i]->d_name, fn, arg);
        free(names[i]);
    }
    free(names);
    return 0;
}
