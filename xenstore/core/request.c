/* SPDX-License-Identifier: MIT */
#include "xenstore/core/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "xenstore/core/domain.h"
#include "xenstore/core/journal.h"

static const struct request_type types[] = {
    [XS_CONTROL] = {"CONTROL", do_control, REQ_PRIV | REQ_NOTX, 1, CALL_ARGS},
    [XS_DIRECTORY] = {"DIRECTORY", do_directory, REQ_PATH, 1, 1},
    [XS_READ] = {"READ", do_read, REQ_PATH, 1, 1},
    [XS_GET_PERMS] = {"GET_PERMS", do_get_perms, REQ_PATH | REQ_SPECIAL, 1, 1},
    [XS_WATCH] = {"WATCH", do_watch, REQ_NOTX | REQ_PATH | REQ_SPECIAL, 2, 3},
    [XS_UNWATCH] = {"UNWATCH", do_unwatch, REQ_NOTX | REQ_PATH | REQ_SPECIAL, 2,
                    3},
    [XS_TRANSACTION_START] = {"TRANSACTION_START", do_transaction_start,
                              REQ_TAIL, 0, 0},
    [XS_TRANSACTION_END] = {"TRANSACTION_END", do_transaction_end, 0, 1, 1},
    [XS_INTRODUCE] = {"INTRODUCE", do_introduce,
                      REQ_PRIV | REQ_NOTX | REQ_ADMIN, 3, 4},
    [XS_RELEASE] = {"RELEASE", do_release, REQ_PRIV | REQ_NOTX | REQ_ADMIN, 1,
                    1},
    [XS_GET_DOMAIN_PATH] = {"GET_DOMAIN_PATH", do_get_domain_path, REQ_NOTX, 1,
                            1},
    [XS_WRITE] = {"WRITE", do_write, REQ_PATH | REQ_TAIL, 1, 1},
    [XS_MKDIR] = {"MKDIR", do_mkdir, REQ_PATH, 1, 1},
    [XS_RM] = {"RM", do_rm, REQ_PATH, 1, 1},
    [XS_SET_PERMS] = {"SET_PERMS", do_set_perms,
                      REQ_PATH | REQ_SPECIAL | REQ_TAIL, 1, 1},
    [XS_IS_DOMAIN_INTRODUCED] = {"IS_DOMAIN_INTRODUCED",
                                 do_is_domain_introduced, REQ_PRIV | REQ_NOTX,
                                 1, 1},
    [XS_RESUME] = {"RESUME", do_resume, REQ_PRIV | REQ_NOTX | REQ_ADMIN, 1, 1},
    [XS_SET_TARGET] = {"SET_TARGET", do_set_target,
                       REQ_PRIV | REQ_NOTX | REQ_ADMIN, 2, 2},
    [XS_RESET_WATCHES] = {"RESET_WATCHES", do_reset_watches,
                          REQ_NOTX | REQ_TAIL, 0, 0},
    [XS_DIRECTORY_PART] = {"DIRECTORY_PART", do_directory_part, REQ_PATH, 2, 2},
    [XS_GET_FEATURE_] = {"GET_FEATURE", do_get_feature, REQ_PRIV | REQ_NOTX, 0,
                         1},
    [XS_SET_FEATURE_] = {"SET_FEATURE", do_set_feature,
                         REQ_PRIV | REQ_NOTX | REQ_ADMIN, 2, 2},
    [XS_GET_QUOTA_] = {"GET_QUOTA", do_get_quota, REQ_PRIV | REQ_NOTX, 0, 2},
    [XS_SET_QUOTA_] = {"SET_QUOTA", do_set_quota, REQ_PRIV | REQ_NOTX, 2, 3},
};

const struct request_type *request_find(uint32_t type)
{
    if (type >= sizeof(types) / sizeof(types[0]) || !types[type].fn)
        return NULL;
    return &types[type];
}

int call_reply(struct call *call, const void *payload, size_t len)
{
    if (len > XENSTORE_PAYLOAD_MAX)
        return -E2BIG;
    call->replied = true;
    return sconn_send(call->c, call->hdr->type, call->hdr->req_id,
                      call->hdr->tx_id, payload, len);
}

int call_reply_string(struct call *call, const char *s)
{
    return call_reply(call, s, strlen(s) + 1);
}

static const char *error_name(int err)
{
    for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
        if (xsd_errors[i].errnum == err)
            return xsd_errors[i].errstring;
    return "EINVAL";
}

static int reply_error(struct call *call, int err)
{
    const char *name = error_name(err);

    return sconn_send(call->c, XS_ERROR, call->hdr->req_id, call->hdr->tx_id,
                      name, strlen(name) + 1);
}

/* Cuts the payload into the strings the type wants and, maybe, a tail. */
static int split_args(struct call *call, const struct request_type *t)
{
    char *p = call->data, *end = p + call->hdr->len;

    while (call->argc < t->max_args && p < end) {
        char *nul = memchr(p, '\0', end - p);

        if (!nul)
            break;
        call->argv[call->argc++] = p;
        p = nul + 1;
    }
    call->tail = p;
    call->tail_len = end - p;
    if (call->argc < t->min_args || (call->tail_len && !(t->flags & REQ_TAIL)))
        return -EINVAL;
    return 0;
}

/* What a path may have for who; a domain's own quota needs the lock. */
static uint64_t path_limit(struct store *s, const struct caller *who)
{
    uint64_t max;

    if (caller_privileged(who))
        return XENSTORE_ABS_PATH_MAX;
    store_lock(s);
    max = sdom_quota(s, sdom_find(s, who->id), QUOTA_PATH_LEN);
    store_unlock(s);
    return max ? max : XENSTORE_ABS_PATH_MAX;
}

/* Says so if it was only the quota that a path did not keep to. */
static void log_long_path(struct call *call, const struct request_type *t,
                          uint64_t max)
{
    struct store *s = call->c->store;
    uint32_t id = call->c->who.id;

    if (max == XENSTORE_ABS_PATH_MAX ||
        path_canonical(call->path, call->argv[0], id, t->flags & REQ_SPECIAL,
                       XENSTORE_ABS_PATH_MAX))
        return;
    store_lock(s);
    quota_allows(s, id, QUOTA_PATH_LEN, max + 1);
    store_unlock(s);
}

static int check_path(struct call *call, const struct request_type *t)
{
    const struct caller *who = &call->c->who;
    uint64_t max;
    int rc;

    if (!(t->flags & REQ_PATH))
        return 0;
    max = path_limit(call->c->store, who);
    rc = path_canonical(call->path, call->argv[0], who->id,
                        t->flags & REQ_SPECIAL, max);
    if (rc)
        log_long_path(call, t, max);
    return rc;
}

static int find_txn(struct call *call, const struct request_type *t)
{
    if (t->flags & REQ_NOTX || !call->hdr->tx_id)
        return 0;
    call->v.txn = sconn_find_txn(call->c, call->hdr->tx_id);
    return call->v.txn ? 0 : -ENOENT;
}

static int run(struct call *call, const struct request_type *t)
{
    struct store *s = call->c->store;
    int rc = split_args(call, t);

    if (t->flags & REQ_PRIV && !caller_privileged(&call->c->who))
        return -EACCES;
    if (!rc)
        rc = find_txn(call, t);
    if (!rc)
        rc = check_path(call, t);
    if (rc)
        return rc;
    if (t->flags & REQ_ADMIN)
        pthread_mutex_lock(&s->admin);
    rc = t->fn(call);
    if (t->flags & REQ_ADMIN)
        pthread_mutex_unlock(&s->admin);
    return rc;
}

static void trace(struct call *call, const struct request_type *t, int rc)
{
    store_log(call->c->store, "%s: %s %s tx %u: %s", call->c->name,
              t ? t->name : "unknown request", call->argc ? call->argv[0] : "",
              call->hdr->tx_id, rc ? error_name(-rc) : "ok");
}

void sconn_run(struct sconn *c, const struct xsd_sockmsg *hdr, char *payload)
{
    const struct request_type *t = request_find(hdr->type);
    struct call call;
    int rc;

    call.c = c;
    call.v = (struct view){
        .store = c->store, .who = &c->who, .conn = c->shadow ? c : NULL};
    call.hdr = hdr;
    call.data = payload;
    call.argc = 0;
    call.replied = false;
    /* Of a ring, effect, reply and "done" are one group in the journal. */
    if (call.v.conn)
        store_lock(c->store);
    rc = t ? run(&call, t) : -ENOSYS;
    if (c->store->trace)
        trace(&call, t, rc);
    if (rc && !call.replied)
        rc = reply_error(&call, -rc);
    else if (!call.replied)
        rc = call_reply(&call, "OK", 3);
    /* A client that gets no answer would wait for ever. */
    if (rc && !call.replied)
        sconn_kill(c, "out of memory for its reply");
    if (!call.v.conn)
        return;
    journal_done(c, sizeof(*hdr) + hdr->len);
    store_unlock(c->store);
}
