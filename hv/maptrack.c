/* SPDX-License-Identifier: MIT */
#include "hv/maptrack.h"

#include <errno.h>
#include <stdlib.h>

/* Ends the free list. */
#define NO_HANDLE UINT32_MAX
/* Nobody needs more than a million mappings. */
#define MAX_FRAMES 4096u

int maptrack_owner_init(struct maptrack_owner *o, struct domain *d,
                        uint32_t max_frames)
{
    if (max_frames > MAX_FRAMES)
        max_frames = MAX_FRAMES;
    *o = (struct maptrack_owner){
        .d = d,
        .max_frames = max_frames,
        .free_head = NO_HANDLE,
    };
    o->frames = calloc(max_frames ? max_frames : 1, sizeof(*o->frames));
    if (!o->frames)
        return -ENOMEM;
    pthread_mutex_init(&o->lock, NULL);
    return 0;
}

void maptrack_owner_free(struct maptrack_owner *o)
{
    if (!o->frames)
        return;
    for (uint32_t i = 0; i < o->nr_frames; i++)
        free(o->frames[i]);
    free(o->frames);
    pthread_mutex_destroy(&o->lock);
    o->frames = NULL;
    o->nr_frames = 0;
}

/* Lock held, or handle BUSY by the caller: frames never move or go. */
static struct maptrack_entry *lookup(struct maptrack_owner *o, uint32_t handle)
{
    if (handle / MAPTRACK_PER_FRAME >= o->nr_frames)
        return NULL;
    return &o->frames[handle / MAPTRACK_PER_FRAME][handle % MAPTRACK_PER_FRAME];
}

static int grow(struct maptrack_owner *o)
{
    uint32_t base = o->nr_frames * MAPTRACK_PER_FRAME;
    struct maptrack_entry *f;

    if (o->nr_frames == o->max_frames)
        return -ENOSPC;
    f = calloc(MAPTRACK_PER_FRAME, sizeof(*f));
    if (!f)
        return -ENOMEM;
    for (uint32_t i = 0; i < MAPTRACK_PER_FRAME; i++)
        f[i].next = i + 1 < MAPTRACK_PER_FRAME ? base + i + 1 : o->free_head;
    o->frames[o->nr_frames++] = f;
    o->free_head = base;
    return 0;
}

int maptrack_get(struct maptrack_owner *o, uint32_t *handle)
{
    struct maptrack_entry *e;
    int rc = 0;

    pthread_mutex_lock(&o->lock);
    if (o->free_head == NO_HANDLE)
        rc = grow(o);
    if (!rc) {
        *handle = o->free_head;
        e = lookup(o, *handle);
        o->free_head = e->next;
        e->state = MAPTRACK_BUSY;
        o->in_use++;
    }
    pthread_mutex_unlock(&o->lock);
    return rc;
}

struct maptrack_entry *maptrack_claim(struct maptrack_owner *o, uint32_t handle)
{
    struct maptrack_entry *e;

    pthread_mutex_lock(&o->lock);
    e = lookup(o, handle);
    if (e && e->state == MAPTRACK_MAPPED)
        e->state = MAPTRACK_BUSY;
    else
        e = NULL;
    pthread_mutex_unlock(&o->lock);
    return e;
}

struct maptrack_entry *maptrack_entry(struct maptrack_owner *o, uint32_t handle)
{
    struct maptrack_entry *e;

    pthread_mutex_lock(&o->lock);
    e = lookup(o, handle);
    pthread_mutex_unlock(&o->lock);
    return e;
}

void maptrack_publish(struct maptrack_owner *o, uint32_t handle)
{
    pthread_mutex_lock(&o->lock);
    lookup(o, handle)->state = MAPTRACK_MAPPED;
    pthread_mutex_unlock(&o->lock);
}

void maptrack_put(struct maptrack_owner *o, uint32_t handle)
{
    struct maptrack_entry *e;

    pthread_mutex_lock(&o->lock);
    e = lookup(o, handle);
    *e = (struct maptrack_entry){.state = MAPTRACK_FREE, .next = o->free_head};
    o->free_head = handle;
    o->in_use--;
    pthread_mutex_unlock(&o->lock);
}
