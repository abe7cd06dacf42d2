/* SPDX-License-Identifier: MIT */
#include "xenstore/core/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "xenstore/core/conn.h"
#include "xenstore/core/domain.h"
#include "xenstore/core/journal_file.h"
#include "xenstore/core/txn.h"
#include "xenstore/core/watch.h"

#define FIRST_SIZE (1u << 20)
#define MIN_LIMIT  (8u << 20)
#define AHEAD      (64u << 10)
#define LINE       64 /* bytes a cache fetches at once, about */
#define AHEAD_MASK ((size_t)AHEAD - 1)
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; without, it is only slower */
#endif

/* Room is allocated, not only promised: a full disk is no SIGBUS here. */
static int grow(struct journal *j, size_t size)
{
    void *map;
    int rc = posix_fallocate(j->fd, 0, size);

    if (rc)
        return -rc;
    if (j->map)
        map = mremap(j->map, j->size, size, MREMAP_MAYMOVE);
    else
        map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, j->fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    j->map = map;
    j->size = size;
    return 0;
}

void jfile_close(struct journal *j)
{
    if (j->map)
        munmap(j->map, j->size);
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j);
}

/* Checks or writes the header; what is committed counts. */
static int start(struct journal *j, bool fresh)
{
    struct jheader *h = (struct jheader *)j->map;

    if (fresh) {
        memset(h, 0, sizeof(*h));
        memcpy(h->magic, J_MAGIC, sizeof(h->magic));
        h->committed = sizeof(*h);
    }
    if (memcmp(h->magic, J_MAGIC, sizeof(h->magic)) ||
        h->committed < sizeof(*h) || h->committed > j->size)
        return -EINVAL;
    j->end = h->committed;
    j->touched = j->end & ~AHEAD_MASK;
    j->limit = MIN_LIMIT;
    return 0;
}

int jfile_open(const char *path, bool fresh, struct journal **out)
{
    struct journal *j = calloc(1, sizeof(*j));
    off_t size;
    int rc = -ENOMEM;

    if (!j)
        return rc;
    j->fd = -1;
    j->path = strdup(path);
    if (!j->path)
        goto fail;
    j->fd =
        open(path, O_RDWR | O_CREAT | O_CLOEXEC | (fresh ? O_TRUNC : 0), 0600);
    rc = -errno;
    if (j->fd < 0)
        goto fail;
    rc = flock(j->fd, LOCK_EX | LOCK_NB) ? -EBUSY : 0;
    if (rc)
        goto fail;
    size = lseek(j->fd, 0, SEEK_END);
    rc = grow(j, size < FIRST_SIZE ? FIRST_SIZE : size);
    if (!rc)
        rc = start(j, size == 0);
    if (rc)
        goto fail;
    *out = j;
    return 0;
fail:
    jfile_close(j);
    return rc;
}

/* Has the pages to come mapped, many at a time: one by one is ten times dear.
 */
static void touch_ahead(struct journal *j)
{
    size_t from = j->touched, len = AHEAD;

    if (from + len > j->size)
        len = j->size - from;
    if (len)
        madvise(j->map + from, len, MADV_POPULATE_WRITE);
    j->touched = from + len;
}

static bool reserve(struct journal *j, size_t len)
{
    if (j->broken)
        return false;
    if (j->end + len > j->size)
        j->broken = grow(j, (j->size * 2 + len + AHEAD) & ~AHEAD_MASK) != 0;
    if (!j->broken && j->end + len > j->touched)
        touch_ahead(j);
    return !j->broken;
}

void jrec_bytes(struct journal *j, const void *p, size_t len)
{
    if (!len || !reserve(j, len))
        return;
    memcpy(j->map + j->end, p, len);
    j->end += len;
}

void jrec_u32(struct journal *j, uint32_t v)
{
    jrec_bytes(j, &v, sizeof(v));
}

void jrec_string(struct journal *j, const char *s)
{
    jrec_bytes(j, s, strlen(s) + 1);
}

void jrec_data(struct journal *j, const struct ndata *d)
{
    jrec_u32(j, d->nr_perms);
    jrec_bytes(j, d->perms, d->nr_perms * sizeof(d->perms[0]));
    jrec_bytes(j, d->value, d->value_len);
}

void jrec_begin(struct journal *j, enum jtype type)
{
    struct jrecord r = {.type = type};

    j->record = j->end;
    jrec_bytes(j, &r, sizeof(r));
}

void jrec_end(struct journal *j)
{
    uint32_t len = j->end - j->record - sizeof(struct jrecord);

    if (!j->broken)
        memcpy(j->map + j->record + offsetof(struct jrecord, len), &len,
               sizeof(len));
}

void jrec_domain(struct journal *j, const struct sdom *d)
{
    jrec_begin(j, J_DOMAIN);
    jrec_u32(j, d->id);
    jrec_u32(j, d->introduced | d->shutdown << 1 | d->has_target << 2 |
                    d->features_set << 3);
    jrec_u32(j, d->target);
    jrec_u32(j, d->features);
    jrec_u32(j, d->port);
    jrec_bytes(j, &d->gfn, sizeof(d->gfn));
    jrec_bytes(j, d->handle, sizeof(d->handle));
    jrec_end(j);
}

void jrec_quota(struct journal *j, const struct sdom *d, int q, uint64_t value)
{
    jrec_begin(j, J_QUOTA);
    jrec_u32(j, d ? d->id : UINT32_MAX);
    jrec_u32(j, q);
    jrec_bytes(j, &value, sizeof(value));
    jrec_end(j);
}

void jrec_special(struct journal *j, int which, const struct ndata *d)
{
    jrec_begin(j, J_SPECIAL);
    jrec_u32(j, which);
    jrec_data(j, d);
    jrec_end(j);
}

void jrec_watch(struct journal *j, enum jtype type, const struct watch *w)
{
    jrec_begin(j, type);
    jrec_u32(j, w->conn->jkey);
    jrec_u32(j, w->hidden);
    jrec_u32(j, w->depth);
    jrec_string(j, w->point->path);
    jrec_string(j, w->token);
    jrec_end(j);
}

void jrec_touch(struct journal *j, uint32_t domid, uint32_t txn,
                const struct touch *t)
{
    jrec_begin(j, J_TOUCH);
    jrec_u32(j, domid);
    jrec_u32(j, txn);
    jrec_u32(j, (t->written ? TXN_WRITTEN : 0) | (t->fire ? TXN_FIRE : 0) |
                    (t->exact ? TXN_EXACT : 0));
    jrec_string(j, t->path);
    jrec_end(j);
}

void jrec_txn_node(struct journal *j, uint32_t domid, uint32_t txn,
                   const char *path, const struct ndata *d)
{
    jrec_begin(j, d ? J_TXN_NODE : J_TXN_RM);
    jrec_u32(j, domid);
    jrec_u32(j, txn);
    jrec_string(j, path);
    if (d)
        jrec_data(j, d);
    jrec_end(j);
}

/* A dump of the store as it is takes the place of the old journal. */
static void checkpoint(struct store *s)
{
    struct journal *old = s->journal, *j;
    char path[4096];
    int rc;

    old->limit *= 2; /* if this fails, not at once again */
    if (snprintf(path, sizeof(path), "%s.new", old->path) >= (int)sizeof(path))
        return;
    rc = jfile_open(path, true, &j);
    if (!rc) {
        journal_dump(s, j);
        ((struct jheader *)j->map)->committed = j->end;
        rc = j->broken ? -ENOSPC : 0;
        if (!rc && rename(path, old->path))
            rc = -errno;
        if (rc) {
            jfile_close(j);
            unlink(path);
        }
    }
    if (rc) {
        store_log(s, "cannot renew the journal %s: %s", old->path,
                  strerror(-rc));
        return;
    }
    strcpy(j->path, old->path); /* shorter than path was */
    j->limit = 3 * j->end > MIN_LIMIT ? 3 * j->end : MIN_LIMIT;
    s->journal = j;
    jfile_close(old);
}

void journal_commit(struct store *s)
{
    struct journal *j = s->journal;
    struct jheader *h = j ? (struct jheader *)j->map : NULL;

    if (!j || h->committed == j->end)
        return;
    if (j->broken) {
        store_log(s,
                  "the journal %s cannot grow: what follows would not survive "
                  "a crash of the store; make room there and restart it",
                  j->path);
        s->journal = NULL;
        jfile_close(j);
        return;
    }
    /* Ordered against a SIGKILL only; the bytes are in the page cache. */
    __atomic_store_n(&h->committed, j->end, __ATOMIC_RELEASE);
    /* Where the next group goes has never been in a cache. */
    for (size_t at = j->end + LINE; at < j->end + 3 * LINE; at += LINE)
        __builtin_prefetch(j->map + at, 1);
    if (j->end > j->limit)
        checkpoint(s);
}

int journal_open(struct store *s, const char *path)
{
    struct journal *j;
    int rc = jfile_open(path, false, &j);

    if (rc)
        return rc;
    store_lock(s);
    s->loading = true;
    rc = journal_load(s, j);
    s->loading = false;
    s->journal = j;
    checkpoint(s);
    store_unlock(s);
    if (rc)
        store_log(s,
                  "the journal %s is damaged (%s); going on with what could "
                  "be read",
                  path, strerror(-rc));
    return 0;
}

void journal_close(struct store *s, bool forget)
{
    struct journal *j = s->journal;

    if (!j)
        return;
    s->journal = NULL;
    if (forget)
        unlink(j->path);
    jfile_close(j);
}

void journal_node(struct store *s, const char *path, const struct ndata *d)
{
    if (!s->journal)
        return;
    jrec_begin(s->journal, J_NODE);
    jrec_string(s->journal, path);
    jrec_data(s->journal, d);
    jrec_end(s->journal);
}

void journal_rm(struct store *s, const char *path)
{
    if (!s->journal)
        return;
    jrec_begin(s->journal, J_RM);
    jrec_string(s->journal, path);
    jrec_end(s->journal);
}

void journal_special(struct store *s, int which)
{
    if (s->journal)
        jrec_special(s->journal, which, s->special[which].data);
}

void journal_quota(struct store *s, const struct sdom *d, int q)
{
    if (s->journal)
        jrec_quota(s->journal, d, q, d ? d->quota[q] : s->quota[q]);
}

void journal_domain(struct store *s, const struct sdom *d)
{
    if (s->journal)
        jrec_domain(s->journal, d);
}

/* A ring's record: type, domain, bytes. */
static void conn_record(struct sconn *c, enum jtype type, const void *bytes,
                        size_t len)
{
    struct journal *j = c->store->journal;

    if (!j)
        return;
    jrec_begin(j, type);
    jrec_u32(j, c->jkey);
    jrec_bytes(j, bytes, len);
    jrec_end(j);
}

void journal_conn(struct sconn *c)
{
    struct sconn_shadow *sh = c->shadow;
    uint32_t totals[2];

    if (!sh)
        return;
    sh->in_len = 0;
    totals[0] = sh->in_total;
    totals[1] = sh->out_total;
    conn_record(c, J_CONN, totals, sizeof(totals));
}

void journal_in(struct sconn *c, const void *bytes, size_t len)
{
    struct sconn_shadow *sh = c->shadow;

    if (!sh || sh->in_len + len > sizeof(sh->in))
        return;
    memcpy(sh->in + sh->in_len, bytes, len);
    sh->in_len += len;
    sh->in_total += len;
    conn_record(c, J_IN, bytes, len);
}

void journal_done(struct sconn *c, size_t len)
{
    struct sconn_shadow *sh = c->shadow;
    uint32_t n = len;

    if (!sh || len > sh->in_len)
        return;
    memmove(sh->in, sh->in + len, sh->in_len - len);
    sh->in_len -= len;
    conn_record(c, J_DONE, &n, sizeof(n));
}

void journal_out(struct sconn *c, const void *bytes, size_t len)
{
    if (!c->shadow)
        return;
    c->shadow->out_total += len;
    conn_record(c, J_OUT, bytes, len);
}

void journal_watch(const struct watch *w)
{
    if (w->conn->shadow && w->conn->store->journal)
        jrec_watch(w->conn->store->journal, J_WATCH, w);
}

void journal_unwatch(const struct watch *w)
{
    if (w->conn->shadow && w->conn->store->journal)
        jrec_watch(w->conn->store->journal, J_UNWATCH, w);
}

void journal_reset(struct sconn *c)
{
    if (c->shadow)
        conn_record(c, J_RESET, NULL, 0);
}

void journal_txn(struct sconn *c, const struct txn *t)
{
    if (c->shadow)
        conn_record(c, J_TXN, &t->id, sizeof(t->id));
}

void journal_txn_end(struct sconn *c, const struct txn *t)
{
    if (c->shadow)
        conn_record(c, J_TXN_END, &t->id, sizeof(t->id));
}

int journal_socket(struct sconn *c, int fd)
{
    struct store *s = c->store;
    struct journal *j = s->journal;

    c->shadow = calloc(1, sizeof(*c->shadow));
    if (!c->shadow)
        return -ENOMEM;
    c->jkey = JKEY_SOCKET + fd;
    c->shadow->in_len = c->in_end - c->in_start;
    memcpy(c->shadow->in, c->in + c->in_start, c->shadow->in_len);
    store_lock(s);
    jrec_begin(j, J_SOCKET);
    jrec_u32(j, c->jkey);
    jrec_u32(j, c->out_sent);
    jrec_string(j, c->name);
    jrec_end(j);
    journal_dump_conn(j, c);
    store_unlock(s);
    return 0;
}

static struct touch *find_touch(struct txn *t, const char *path)
{
    uint64_t hash = hmap_hash(path, strlen(path));
    struct hlink *l = hmap_first(&t->touched, hash);

    while (l && strcmp(hmap_entry(l, struct touch, link)->path, path))
        l = l->next;
    return l ? hmap_entry(l, struct touch, link) : NULL;
}

void journal_touch(const struct view *v, const char *path)
{
    struct journal *j = v->store->journal;
    struct touch *t;

    if (!j || !v->conn || !v->conn->shadow)
        return;
    t = find_touch(v->txn, path);
    if (t)
        jrec_touch(j, v->who->id, v->txn->id, t);
}

void journal_txn_node(const struct view *v, const char *path,
                      const struct ndata *d)
{
    if (v->store->journal && v->conn && v->conn->shadow)
        jrec_txn_node(v->store->journal, v->who->id, v->txn->id, path, d);
}
