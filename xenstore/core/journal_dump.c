/* SPDX-License-Identifier: MIT */
/* A checkpoint: records that make the store as it is now out of nothing. */
#include <stdlib.h>
#include <string.h>

#include "xenstore/core/conn.h"
#include "xenstore/core/domain.h"
#include "xenstore/core/journal_file.h"
#include "xenstore/core/txn.h"
#include "xenstore/core/watch.h"

static int dump_node(const struct tnode *n, const char *path, void *arg)
{
    struct journal *j = arg;

    jrec_begin(j, J_NODE);
    jrec_string(j, path);
    jrec_data(j, n->data);
    jrec_end(j);
    return 0;
}

static void dump_output(struct journal *j, struct sconn *c)
{
    for (struct outmsg *m = c->out_first; m; m = m->next) {
        jrec_begin(j, J_OUT);
        jrec_u32(j, c->jkey);
        jrec_bytes(j, m->bytes, m->len);
        jrec_end(j);
    }
}

/* The stream's place before what is queued, then the queue. */
static void dump_stream(struct journal *j, struct sconn *c)
{
    struct sconn_shadow *sh = c->shadow;
    uint32_t queued = 0;

    pthread_mutex_lock(&c->out_lock);
    for (struct outmsg *m = c->out_first; m; m = m->next)
        queued += m->len;
    jrec_begin(j, J_CONN);
    jrec_u32(j, c->jkey);
    jrec_u32(j, sh->in_total - sh->in_len);
    jrec_u32(j, sh->out_total - queued);
    jrec_end(j);
    dump_output(j, c);
    pthread_mutex_unlock(&c->out_lock);
    jrec_begin(j, J_IN);
    jrec_u32(j, c->jkey);
    jrec_bytes(j, sh->in, sh->in_len);
    jrec_end(j);
}

/*
 * An open transaction restarts from the live tree: what others changed since
 * is either nothing it looked at, or dooms it.
 */
static void dump_txn(struct journal *j, struct sconn *c, struct txn *t)
{
    uint32_t id[2] = {c->jkey, t->id};
    bool doomed = t->doomed || txn_conflicts(t, c->store->root);

    jrec_begin(j, J_TXN);
    jrec_bytes(j, id, sizeof(id));
    jrec_end(j);
    for (struct touch *e = t->first; e; e = e->next) {
        const struct tnode *n = tree_lookup(t->root, e->path, strlen(e->path));

        if (e->written && !doomed)
            jrec_txn_node(j, id[0], id[1], e->path, n ? n->data : NULL);
        jrec_touch(j, id[0], id[1], e);
    }
    if (!doomed)
        return;
    jrec_begin(j, J_TXN_DOOMED);
    jrec_bytes(j, id, sizeof(id));
    jrec_end(j);
}

void journal_dump_conn(struct journal *j, struct sconn *c)
{
    struct watch *w;

    if (!c || !c->shadow)
        return;
    dump_stream(j, c);
    cds_list_for_each_entry (w, &c->watches, of_conn)
        jrec_watch(j, J_WATCH, w);
    for (struct txn *t = c->txns; t; t = t->next)
        dump_txn(j, c, t);
}

static void dump_domain(struct journal *j, struct sdom *d)
{
    jrec_domain(j, d);
    for (int q = 0; q < QUOTA_COUNT; q++)
        if (d->quota_set[q])
            jrec_quota(j, d, q, d->quota[q]);
    journal_dump_conn(j, d->conn);
}

void journal_dump(struct store *s, struct journal *j)
{
    struct hlink *l, *tmp;
    size_t i;

    tree_walk(s->root, "/", dump_node, j);
    for (int k = 0; k < STORE_NR_SPECIAL; k++)
        jrec_special(j, k, s->special[k].data);
    for (int q = 0; q < QUOTA_COUNT; q++)
        jrec_quota(j, NULL, q, s->quota[q]);
    hmap_for_each(&s->domains, l, tmp, i)
        dump_domain(j, hmap_entry(l, struct sdom, link));
}
