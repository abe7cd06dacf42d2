/* SPDX-License-Identifier: MIT */
#include "xenstore/core/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore_lib.h>

#include "xenstore/core/conn.h"
#include "xenstore/core/domain.h"
#include "xenstore/core/journal.h"

static struct watch_point *find_point(struct store *s, const char *path,
                                      size_t len, uint64_t hash)
{
    struct hlink *l = hmap_first(&s->watch_points, hash);

    for (; l; l = l->next) {
        struct watch_point *p = hmap_entry(l, struct watch_point, link);

        if (l->hash == hash && !strncmp(p->path, path, len) && !p->path[len])
            return p;
    }
    return NULL;
}

static struct watch_point *get_point(struct store *s, const char *path)
{
    size_t len = strlen(path);
    uint64_t hash = hmap_hash(path, len);
    struct watch_point *p = find_point(s, path, len, hash);

    if (p)
        return p;
    p = calloc(1, sizeof(*p) + len + 1);
    if (!p)
        return NULL;
    CDS_INIT_LIST_HEAD(&p->watches);
    memcpy(p->path, path, len + 1);
    if (hmap_insert(&s->watch_points, &p->link, hash)) {
        free(p);
        return NULL;
    }
    return p;
}

static void put_point(struct store *s, struct watch_point *p)
{
    if (!cds_list_empty(&p->watches))
        return;
    hmap_remove(&s->watch_points, &p->link);
    free(p);
}

static struct watch *find_watch(struct sconn *c, const char *path,
                                const char *token)
{
    size_t len = strlen(path);
    struct watch_point *p =
        find_point(c->store, path, len, hmap_hash(path, len));
    struct watch *w;

    if (!p)
        return NULL;
    cds_list_for_each_entry (w, &p->watches, at_point)
        if (w->conn == c && !strcmp(w->token, token))
            return w;
    return NULL;
}

/* Levels that path lies below the watched one. */
static int levels_below(const char *path, size_t watched_len)
{
    int levels = 0;

    if (watched_len == 1)
        watched_len = path[1] ? 0 : 1;
    for (const char *p = path + watched_len; *p; p++)
        levels += *p == '/';
    return levels;
}

static void deliver(const struct watch *w, const char *path, size_t point_len)
{
    if (w->depth != WATCH_ANY_DEPTH && levels_below(path, point_len) > w->depth)
        return;
    sconn_event(w->conn, path + w->hidden, w->token);
}

/* What a watch is charged for: also its path, though others may share it. */
static size_t watch_size(const char *path, const char *token)
{
    return sizeof(struct watch) + strlen(token) + 1 +
           sizeof(struct watch_point) + strlen(path) + 1;
}

static void count_watch(const struct watch *w, int n)
{
    struct store *s = w->conn->store;
    struct sdom *d = sdom_get(s, w->conn->who.id);

    s->nr_watches += n;
    if (!d)
        return;
    d->watches += n;
    sdom_account(s, d->id, 0, n * (long)watch_size(w->point->path, w->token));
}

static int watch_quota(struct sconn *c, const char *path, const char *token)
{
    struct sdom *d = sdom_find(c->store, c->who.id);
    long size = watch_size(path, token);

    if (caller_privileged(&c->who))
        return 0;
    if (!quota_allows(c->store, c->who.id, QUOTA_WATCHES,
                      (d ? d->watches : 0) + 1))
        return -ENOSPC;
    if (!quota_allows(c->store, c->who.id, QUOTA_MEMORY,
                      (d ? d->memory : 0) + size))
        return -ENOMEM;
    return 0;
}

int watch_add(struct sconn *c, const char *path, const char *token,
              size_t hidden, int depth)
{
    struct watch_point *p;
    struct watch *w;
    int rc;

    if (find_watch(c, path, token))
        return -EEXIST;
    rc = watch_quota(c, path, token);
    if (rc)
        return rc;
    p = get_point(c->store, path);
    if (!p)
        return -ENOMEM;
    w = calloc(1, sizeof(*w) + strlen(token) + 1);
    if (!w) {
        put_point(c->store, p);
        return -ENOMEM;
    }
    strcpy(w->token, token);
    w->conn = c;
    w->point = p;
    w->hidden = hidden;
    w->depth = depth;
    cds_list_add(&w->at_point, &p->watches);
    cds_list_add(&w->of_conn, &c->watches);
    count_watch(w, 1);
    journal_watch(w);
    return 0;
}

static void remove_watch(struct watch *w)
{
    cds_list_del(&w->at_point);
    cds_list_del(&w->of_conn);
    count_watch(w, -1);
    put_point(w->conn->store, w->point);
    free(w);
}

int watch_del(struct sconn *c, const char *path, const char *token)
{
    struct watch *w = find_watch(c, path, token);

    if (!w)
        return -ENOENT;
    journal_unwatch(w);
    remove_watch(w);
    return 0;
}

void watch_del_all(struct sconn *c)
{
    struct watch *w, *next;

    cds_list_for_each_entry_safe (w, next, &c->watches, of_conn)
        remove_watch(w);
}

/* A watcher hears of nodes it can read, could read, or whose parent it can. */
static bool may_hear(const struct sconn *c, const struct change *ch,
                     const struct tnode *parent)
{
    const struct caller *who = &c->who;

    if (caller_privileged(who))
        return true;
    if (ch->now && perms_for(who, ch->now) & XS_PERM_READ)
        return true;
    if (ch->before && perms_for(who, ch->before) & XS_PERM_READ)
        return true;
    return parent && perms_for(who, parent->data) & XS_PERM_READ;
}

static void fire_point(struct store *s, const struct change *ch, size_t len,
                       uint64_t hash, const struct tnode *parent)
{
    struct watch_point *p = find_point(s, ch->path, len, hash);
    struct watch *w;

    if (!p)
        return;
    cds_list_for_each_entry (w, &p->watches, at_point)
        if (may_hear(w->conn, ch, parent))
            deliver(w, ch->path, len);
}

void watch_fire(struct store *s, const struct change *ch)
{
    size_t len = strlen(ch->path);
    uint64_t hash = HMAP_HASH_START;
    const struct tnode *parent;

    if (!s->nr_watches || s->loading)
        return;
    parent = tree_lookup(ch->root, ch->path, path_parent_len(ch->path, len));
    for (size_t i = 0; i < len; i++) {
        bool prefix = i && ch->path[i] == '/';

        if (prefix && !ch->exact)
            fire_point(s, ch, i, hash, parent);
        hash = hmap_hash_byte(hash, ch->path[i]);
        if (i == 0 && len > 1 && !ch->exact)
            fire_point(s, ch, 1, hash, parent);
    }
    fire_point(s, ch, len, hash, parent);
}

/* Tells those who watch `at`; `deep` replaces it for a watch of depth 1. */
static void fire_special_at(struct store *s, const struct store_special *sp,
                            const char *at, const char *deep)
{
    struct change ch = {.path = at, .now = sp->data};
    size_t len = strlen(at);
    struct watch_point *p = find_point(s, at, len, hmap_hash(at, len));
    struct watch *w;

    if (!p)
        return;
    cds_list_for_each_entry (w, &p->watches, at_point)
        if (may_hear(w->conn, &ch, NULL))
            sconn_event(w->conn, w->depth == 1 ? deep : at, w->token);
}

void watch_fire_special(struct store *s, int which, uint32_t domid)
{
    struct store_special *sp = &s->special[which];
    char named[64];

    snprintf(named, sizeof(named), "%s/%u", sp->name, domid);
    fire_special_at(s, sp, sp->name, named);
    fire_special_at(s, sp, named, named);
}
