/* SPDX-License-Identifier: MIT */
#include "xenstore/core/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <urcu.h>
#include <xenstore_lib.h>

#include "xenstore/core/conn.h"
#include "xenstore/core/domain.h"
#include "xenstore/core/journal.h"

#define LOCK_TRIES 200

static const uint64_t default_quota[QUOTA_COUNT] = {
    [QUOTA_NODES] = 1000,
    [QUOTA_WATCHES] = 128,
    [QUOTA_TRANSACTIONS] = 10,
    [QUOTA_TXN_NODES] = 1024,
    [QUOTA_PERMS] = 5,
    [QUOTA_NODE_SIZE] = 2048,
    [QUOTA_PATH_LEN] = 2048,
    [QUOTA_OUTSTANDING] = 20,
    [QUOTA_MEMORY] = 2560 * 1024,
    [QUOTA_MEMORY_SOFT] = 2048 * 1024,
};

void store_thread_enter(void)
{
    rcu_register_thread();
}

void store_thread_leave(void)
{
    rcu_unregister_thread();
}

/*
 * A change takes about a microsecond, to sleep and be woken several: who finds
 * the store locked looks again for a while.
 */
void store_lock(struct store *s)
{
    int tries = LOCK_TRIES;

    while (tries && pthread_mutex_trylock(&s->lock)) {
        caa_cpu_relax();
        tries--;
    }
    if (!tries)
        pthread_mutex_lock(&s->lock);
    s->depth++;
}

void store_unlock(struct store *s)
{
    if (s->depth == 1) {
        journal_commit(s);
        sconn_push_all(s);
    }
    s->depth--;
    pthread_mutex_unlock(&s->lock);
}

void store_log(struct store *s, const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (s->log)
        s->log(s->log_ctx, line);
    else
        fprintf(stderr, "kxenstored: %s\n", line);
}

bool caller_privileged(const struct caller *who)
{
    return who->id == 0;
}

static bool acts_for(const struct caller *who, uint32_t id)
{
    return who->id == id || (who->has_target && who->target == id);
}

uint32_t perms_for(const struct caller *who, const struct ndata *d)
{
    if (caller_privileged(who) || acts_for(who, d->perms[0].id))
        return XS_PERM_READ | XS_PERM_WRITE | XS_PERM_OWNER;
    for (unsigned int i = 1; i < d->nr_perms; i++)
        if (acts_for(who, d->perms[i].id))
            return d->perms[i].perms;
    return d->perms[0].perms;
}

struct store_special *special_find(struct store *s, const char *name,
                                   size_t len)
{
    for (int i = 0; i < STORE_NR_SPECIAL; i++)
        if (!strncmp(s->special[i].name, name, len) && !s->special[i].name[len])
            return &s->special[i];
    return NULL;
}

int special_set_perms(struct view *v, const char *name,
                      const struct store_perm *perms, unsigned int nr)
{
    struct store *s = v->store;
    struct store_special *sp = special_find(s, name, strlen(name));
    struct ndata *d, *old;

    if (!sp)
        return -EINVAL;
    if (!caller_privileged(v->who))
        return -EACCES;
    store_lock(s);
    d = ndata_create(&s->tree, "", 0, perms, nr, NULL, 0);
    if (d) {
        old = sp->data;
        rcu_assign_pointer(sp->data, d);
        ndata_put(&s->tree, old);
        journal_special(s, sp - s->special);
    }
    store_unlock(s);
    return d ? 0 : -ENOMEM;
}

/* The tree of an empty store: what Xen's own has at start. */
static int plant(struct store *s)
{
    const struct store_perm own = {.id = 0, .perms = XS_PERM_NONE};
    struct caller who = {.id = 0};
    struct view v = {.store = s, .who = &who};
    struct ndata *d = ndata_create(&s->tree, "", 0, &own, 1, NULL, 0);

    s->root = d ? tree_create(&s->tree, d) : NULL;
    if (!s->root)
        return -ENOMEM;
    s->special[STORE_INTRODUCE].name = "@introduceDomain";
    s->special[STORE_RELEASE].name = "@releaseDomain";
    for (int i = 0; i < STORE_NR_SPECIAL; i++) {
        s->special[i].data = ndata_create(&s->tree, "", 0, &own, 1, NULL, 0);
        if (!s->special[i].data)
            return -ENOMEM;
    }
    return node_write(&v, "/tool/xenstored", "", 0);
}

struct store *store_create(void)
{
    struct store *s = calloc(1, sizeof(*s));
    pthread_mutexattr_t attr;

    if (!s)
        return NULL;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_mutex_init(&s->admin, NULL);
    memcpy(s->quota, default_quota, sizeof(s->quota));
    s->features =
        XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR;
    if (getrandom(&s->tree.seed, sizeof(s->tree.seed), GRND_NONBLOCK) < 0)
        s->tree.seed = (uintptr_t)s;
    if (plant(s)) {
        store_destroy(s);
        return NULL;
    }
    return s;
}

static void drop_domains(struct store *s)
{
    struct hlink *l, *tmp;
    size_t i;

    hmap_for_each(&s->domains, l, tmp, i)
    {
        struct sdom *d = hmap_entry(l, struct sdom, link);

        if (d->conn && d->conn->parked)
            sconn_unpark(d->conn);
    }
    hmap_for_each(&s->domains, l, tmp, i)
        free(hmap_entry(l, struct sdom, link));
    hmap_free(&s->domains);
}

void store_destroy(struct store *s)
{
    journal_close(s, false);
    drop_domains(s);
    sconn_unpark_sockets(s);
    for (int k = 0; k < STORE_NR_SPECIAL; k++)
        ndata_put(&s->tree, s->special[k].data);
    tree_put(&s->tree, s->root);
    tree_destroy(&s->tree);
    hmap_free(&s->watch_points);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->admin);
    free(s->new_binary);
    free(s->new_arguments);
    free(s);
}
