/* SPDX-License-Identifier: MIT */
/* Connections that wait for their wire after a restart. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore/core/conn.h"
#include "xenstore/core/journal.h"
#include "xenstore/core/watch.h"

static const struct sconn_ops parked_ops = {0};

struct sconn *sconn_park(struct store *s, uint32_t jkey)
{
    uint32_t domid = jkey < JKEY_SOCKET ? jkey : 0;
    struct sconn *c = malloc(sizeof(*c));
    char name[32];

    if (!c)
        return NULL;
    snprintf(name, sizeof(name), "domain %u", domid);
    sconn_init(c, s, &parked_ops, domid, name);
    c->jkey = jkey;
    c->parked = true;
    c->shadow = calloc(1, sizeof(*c->shadow));
    if (c->shadow)
        return c;
    sconn_unpark(c);
    return NULL;
}

void sconn_unpark(struct sconn *c)
{
    sconn_fini(c);
    free(c);
}

void sconn_unpark_sockets(struct store *s)
{
    while (s->parked_sockets) {
        struct sconn *c = s->parked_sockets;

        s->parked_sockets = c->next_parked;
        sconn_unpark(c);
    }
}

/* Drops what is sent already from the front of the queue. */
static int skip_sent(struct sconn *c, uint32_t unsent)
{
    size_t sent;

    if (unsent > c->out_bytes)
        return -ERANGE;
    sent = c->out_bytes - unsent;
    while (c->out_first && sent >= c->out_first->len) {
        sent -= c->out_first->len;
        sconn_out_drop(c);
    }
    c->out_sent = sent;
    return 0;
}

static void move_watches(struct sconn *c, struct sconn *from)
{
    struct watch *w, *next;

    cds_list_for_each_entry_safe (w, next, &from->watches, of_conn) {
        cds_list_del(&w->of_conn);
        cds_list_add(&w->of_conn, &c->watches);
        w->conn = c;
    }
}

int sconn_take_over(struct sconn *c, struct sconn *parked, uint32_t unsent)
{
    int rc = skip_sent(parked, unsent);

    move_watches(c, parked);
    c->who = parked->who;
    c->txns = parked->txns;
    c->next_txn = parked->next_txn;
    parked->txns = NULL;
    memcpy(c->in, parked->shadow->in, parked->shadow->in_len);
    c->in_start = 0;
    c->in_end = parked->shadow->in_len;
    free(c->shadow);
    c->shadow = parked->shadow;
    parked->shadow = NULL;
    if (rc)
        return rc;
    c->out_first = parked->out_first;
    if (c->out_first)
        c->out_last = parked->out_last;
    c->out_sent = parked->out_sent;
    c->out_bytes = parked->out_bytes;
    c->out_count = parked->out_count;
    parked->out_first = NULL;
    sconn_index_events(c);
    return 0;
}
