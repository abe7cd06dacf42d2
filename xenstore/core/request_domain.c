/* SPDX-License-Identifier: MIT */
/* Requests about domains: introduction, features, quotas. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xen/xen.h>

#include "xenstore/core/domain.h"
#include "xenstore/core/journal.h"
#include "xenstore/core/request.h"

#define KNOWN_FEATURES                                                         \
    (XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR | 4u)

static int domid_arg(const char *s, uint32_t *domid)
{
    uint64_t value;

    if (number_parse(s, DOMID_FIRST_RESERVED - 1, &value))
        return -EINVAL;
    *domid = value;
    return 0;
}

/* A domain other than 0, which has no ring to introduce or release. */
static int guest_arg(const char *s, uint32_t *domid)
{
    int rc = domid_arg(s, domid);

    return rc ? rc : *domid ? 0 : -EINVAL;
}

int do_introduce(struct call *call)
{
    uint64_t gfn, port;
    uint32_t domid;

    if (guest_arg(call->argv[0], &domid) ||
        number_parse(call->argv[1], UINT64_MAX, &gfn) ||
        number_parse(call->argv[2], UINT32_MAX, &port) || !port)
        return -EINVAL;
    return sdom_introduce(call->v.store, domid, gfn, port);
}

int do_release(struct call *call)
{
    char why[80];
    uint32_t domid;

    if (guest_arg(call->argv[0], &domid))
        return -EINVAL;
    snprintf(why, sizeof(why), "asked for by %s", call->c->name);
    return sdom_release(call->v.store, domid, why);
}

int do_resume(struct call *call)
{
    uint32_t domid;

    if (guest_arg(call->argv[0], &domid))
        return -EINVAL;
    return sdom_resume(call->v.store, domid);
}

int do_set_target(struct call *call)
{
    uint32_t domid, target;

    if (guest_arg(call->argv[0], &domid) || guest_arg(call->argv[1], &target))
        return -EINVAL;
    return sdom_set_target(call->v.store, domid, target);
}

int do_is_domain_introduced(struct call *call)
{
    struct store *s = call->v.store;
    struct sdom *d;
    uint32_t domid;
    bool yes;

    if (domid_arg(call->argv[0], &domid))
        return -EINVAL;
    store_lock(s);
    d = sdom_find(s, domid);
    yes = domid == 0 || (d && d->introduced);
    store_unlock(s);
    return call_reply_string(call, yes ? "T" : "F");
}

int do_get_domain_path(struct call *call)
{
    char path[40];
    uint64_t domid;

    if (number_parse(call->argv[0], UINT16_MAX, &domid))
        return -EINVAL;
    snprintf(path, sizeof(path), "/local/domain/%" PRIu64, domid);
    return call_reply_string(call, path);
}

static int reply_number(struct call *call, uint64_t value)
{
    char buf[24];

    snprintf(buf, sizeof(buf), "%" PRIu64, value);
    return call_reply_string(call, buf);
}

int do_get_feature(struct call *call)
{
    struct store *s = call->v.store;
    struct sdom *d;
    uint32_t domid;
    uint64_t value = 0;
    int rc = 0;

    if (!call->argc)
        return reply_number(call, KNOWN_FEATURES);
    if (guest_arg(call->argv[0], &domid))
        return -EINVAL;
    store_lock(s);
    d = sdom_find(s, domid);
    if (d)
        value = d->features_set ? d->features : s->features;
    else
        rc = -ENOENT;
    store_unlock(s);
    return rc ? rc : reply_number(call, value);
}

/* Takes effect when the domain is introduced. */
int do_set_feature(struct call *call)
{
    struct store *s = call->v.store;
    struct sdom *d;
    uint32_t domid;
    uint64_t value;
    int rc = 0;

    if (guest_arg(call->argv[0], &domid) ||
        number_parse(call->argv[1], UINT32_MAX, &value) ||
        value & ~(uint64_t)KNOWN_FEATURES)
        return -EINVAL;
    store_lock(s);
    d = sdom_get(s, domid);
    if (!d)
        rc = -ENOMEM;
    else if (d->introduced)
        rc = -EBUSY;
    if (!rc) {
        d->features = value;
        d->features_set = true;
        journal_domain(s, d);
    }
    store_unlock(s);
    return rc;
}

static int reply_quota_names(struct call *call)
{
    char buf[512] = "";

    for (int q = 0; q < QUOTA_COUNT; q++) {
        if (q)
            strcat(buf, " ");
        strcat(buf, quota_name(q));
    }
    return call_reply_string(call, buf);
}

int do_get_quota(struct call *call)
{
    struct store *s = call->v.store;
    struct sdom *d = NULL;
    uint64_t value;
    uint32_t domid = 0;
    int q;

    if (!call->argc)
        return reply_quota_names(call);
    q = quota_by_name(call->argv[call->argc - 1]);
    if (q < 0)
        return -EINVAL;
    if (call->argc == 2 && domid_arg(call->argv[0], &domid))
        return -EINVAL;
    store_lock(s);
    if (call->argc == 2)
        d = sdom_find(s, domid);
    value = sdom_quota(s, d, q);
    store_unlock(s);
    if (call->argc == 2 && !d)
        return -ENOENT;
    return reply_number(call, value);
}

static int set_quota(struct store *s, const char *domain, int q, uint64_t value)
{
    struct sdom *d;
    uint32_t domid;

    if (!domain) {
        s->quota[q] = value;
        journal_quota(s, NULL, q);
        return 0;
    }
    if (domid_arg(domain, &domid))
        return -EINVAL;
    d = sdom_get(s, domid);
    if (!d)
        return -ENOMEM;
    d->quota[q] = value;
    d->quota_set[q] = true;
    journal_quota(s, d, q);
    return 0;
}

int do_set_quota(struct call *call)
{
    struct store *s = call->v.store;
    int q = quota_by_name(call->argv[call->argc - 2]), rc;
    uint64_t value;

    if (q < 0 || number_parse(call->argv[call->argc - 1], INT64_MAX, &value))
        return -EINVAL;
    store_lock(s);
    rc = set_quota(s, call->argc == 3 ? call->argv[0] : NULL, q, value);
    store_unlock(s);
    return rc;
}
