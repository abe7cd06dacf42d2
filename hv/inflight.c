/* SPDX-License-Identifier: MIT */
#include "hv/inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct inflight {
    struct inflight *next;
    char key[INFLIGHT_KEY_MAX];
    size_t size;
    int fd;
};

static struct inflight **find(struct domain *d, const char *key)
{
    struct inflight **p = &d->inflight;

    while (*p && strcmp((*p)->key, key))
        p = &(*p)->next;
    return p;
}

static unsigned int count(const struct domain *d)
{
    unsigned int n = 0;

    for (const struct inflight *i = d->inflight; i; i = i->next)
        n++;
    return n;
}

static struct inflight *make(const char *key, size_t size)
{
    struct inflight *i = calloc(1, sizeof(*i));

    if (!i)
        return NULL;
    strcpy(i->key, key);
    i->size = size;
    i->fd = memfd_create("kxen-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (i->fd < 0 || ftruncate(i->fd, size) < 0 ||
        fcntl(i->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
            0) {
        if (i->fd >= 0)
            close(i->fd);
        free(i);
        return NULL;
    }
    return i;
}

int inflight_get(struct domain *d, const char *key, size_t size)
{
    struct inflight **p;
    int fd = -EINVAL;

    if (!*key || strlen(key) >= INFLIGHT_KEY_MAX || !size ||
        size > INFLIGHT_SIZE)
        return -EINVAL;
    pthread_mutex_lock(&d->lock);
    p = find(d, key);
    if (!*p && count(d) >= INFLIGHT_MAX)
        fd = -ENOSPC;
    else if (!*p && !(*p = make(key, size)))
        fd = -ENOMEM;
    else if ((*p)->size == size) {
        fd = fcntl((*p)->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            fd = -errno;
    }
    pthread_mutex_unlock(&d->lock);
    return fd;
}

int inflight_drop(struct domain *d, const char *key)
{
    struct inflight **p, *i;

    pthread_mutex_lock(&d->lock);
    p = find(d, key);
    i = *p;
    if (i)
        *p = i->next;
    pthread_mutex_unlock(&d->lock);
    if (!i)
        return -ENOENT;
    close(i->fd);
    free(i);
    return 0;
}

void inflight_free(struct domain *d)
{
    while (d->inflight)
        inflight_drop(d, d->inflight->key);
}
