/* SPDX-License-Identifier: MIT */
/* CONTROL: the store about itself.  A new command is a row in the table. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xenstore/core/domain.h"
#include "xenstore/core/journal.h"
#include "xenstore/core/request.h"

struct report {
    char buf[XENSTORE_PAYLOAD_MAX];
    size_t len;
};

static void add(struct report *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct report *r, const char *fmt, ...)
{
    size_t room = sizeof(r->buf) - r->len;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(r->buf + r->len, room, fmt, ap);
    va_end(ap);
    r->len += (size_t)n < room ? (size_t)n : room - 1;
}

struct tally {
    struct store *s;
    unsigned long nodes;
    size_t bytes;
    unsigned long bad;
};

static int tally_node(const struct tnode *n, const char *path, void *arg)
{
    struct tally *t = arg;

    t->nodes++;
    t->bytes += ndata_size(n->data);
    if (!path_valid(path, false, XENSTORE_ABS_PATH_MAX))
        t->bad++;
    return 0;
}

/* Counts under the lock: a check is rare, and must see one moment. */
static struct tally take_tally(struct store *s)
{
    struct tally t = {.s = s};

    store_lock(s);
    tree_walk(s->root, "/", tally_node, &t);
    store_unlock(s);
    return t;
}

static int control_check(struct call *call)
{
    struct tally t = take_tally(call->v.store);

    store_log(t.s, "check: %lu nodes, %zu bytes, %lu with a bad name", t.nodes,
              t.bytes, t.bad);
    return t.bad ? -EIO : 0;
}

static int control_log(struct call *call)
{
    if (call->argc != 2)
        return -EINVAL;
    if (!strcmp(call->argv[1], "on"))
        call->v.store->trace = true;
    else if (!strcmp(call->argv[1], "off"))
        call->v.store->trace = false;
    else
        return -EINVAL;
    return 0;
}

/* Sends stderr, where the log goes, to a file. */
static int control_logfile(struct call *call)
{
    FILE *f;

    if (call->argc != 2 || !(f = fopen(call->argv[1], "a")))
        return -EINVAL;
    fflush(stderr);
    dup2(fileno(f), STDERR_FILENO);
    fclose(f);
    return 0;
}

static int control_memreport(struct call *call)
{
    struct tally t = take_tally(call->v.store);
    FILE *f = call->argc > 1 ? fopen(call->argv[1], "a") : NULL;

    if (call->argc > 1 && !f)
        return -EINVAL;
    if (!f) {
        store_log(t.s, "memory: %lu nodes, %zu bytes in them, %lu watches",
                  t.nodes, t.bytes, t.s->nr_watches);
        return 0;
    }
    fprintf(f, "nodes: %lu\nbytes in nodes: %zu\nwatches: %lu\n", t.nodes,
            t.bytes, t.s->nr_watches);
    fclose(f);
    return 0;
}

static int control_print(struct call *call)
{
    if (call->argc != 2)
        return -EINVAL;
    store_log(call->v.store, "control: %s", call->argv[1]);
    return 0;
}

static bool is_soft(int q)
{
    return q == QUOTA_MEMORY_SOFT;
}

/* What a domain was refused, behind each quota. */
static void add_quotas(struct report *r, struct store *s, const struct sdom *d,
                       bool soft)
{
    for (int q = 0; q < QUOTA_COUNT; q++) {
        if (is_soft(q) != soft)
            continue;
        add(r, "%-20s: %8" PRIu64, quota_name(q), sdom_quota(s, d, q));
        if (d && d->refused[q])
            add(r, " (refused %lu times)", d->refused[q]);
        add(r, "\n");
    }
}

/* Of all domains, those that were refused anything. */
static void add_refused(struct report *r, struct store *s)
{
    struct hlink *l, *tmp;
    size_t i;

    hmap_for_each(&s->domains, l, tmp, i)
    {
        struct sdom *d = hmap_entry(l, struct sdom, link);

        for (int q = 0; q < QUOTA_COUNT; q++)
            if (d->refused[q])
                add(r, "domain %u was refused %s %lu times\n", d->id,
                    quota_name(q), d->refused[q]);
    }
}

static int show_quota(struct call *call, bool soft)
{
    struct store *s = call->v.store;
    struct sdom *d = NULL;
    struct report r = {.len = 0};
    uint64_t domid;

    if (call->argc == 2 && number_parse(call->argv[1], UINT16_MAX, &domid))
        return -EINVAL;
    store_lock(s);
    if (call->argc == 2)
        d = sdom_find(s, domid);
    add_quotas(&r, s, d, soft);
    if (d)
        add(&r, "in use: %ld nodes, %ld watches, %ld bytes\n", d->nodes,
            d->watches, d->memory);
    else if (call->argc == 1 && !soft)
        add_refused(&r, s);
    store_unlock(s);
    if (call->argc == 2 && !d)
        return -ENOENT;
    return call_reply_string(call, r.buf);
}

static int quota_command(struct call *call, bool soft)
{
    uint64_t value;
    int q;

    if (call->argc <= 2)
        return show_quota(call, soft);
    if (call->argc != 4 || strcmp(call->argv[1], "set"))
        return -EINVAL;
    q = quota_by_name(call->argv[2]);
    if (soft && !strcmp(call->argv[2], "memory"))
        q = QUOTA_MEMORY_SOFT;
    if (q < 0 || is_soft(q) != soft ||
        number_parse(call->argv[3], INT64_MAX, &value))
        return -EINVAL;
    store_lock(call->v.store);
    call->v.store->quota[q] = value;
    journal_quota(call->v.store, NULL, q);
    store_unlock(call->v.store);
    return 0;
}

static int control_quota(struct call *call)
{
    return quota_command(call, false);
}

static int control_quota_soft(struct call *call)
{
    return quota_command(call, true);
}

/* Remembers what -s is to run; NULL: what runs now. */
static int remember(struct store *s, char **where, const char *what)
{
    char *copy = what ? strdup(what) : NULL;

    if (what && !copy)
        return -ENOMEM;
    store_lock(s);
    free(*where);
    *where = copy;
    store_unlock(s);
    return 0;
}

static int forget_update(struct store *s)
{
    remember(s, &s->new_binary, NULL);
    return remember(s, &s->new_arguments, NULL);
}

/*
 * As xenstore-control says it: "-f <binary>", "-c <arguments>", then "-s -t
 * <seconds> [-F]"; "-a" thinks better of it.  Transactions go on and rings may
 * be in any state, so the update never has to wait for a moment (-t) that it
 * could force (-F).
 */
static int control_live_update(struct call *call)
{
    struct store *s = call->v.store;
    bool go = false;
    uint64_t seconds;
    int rc = call->argc > 1 ? 0 : -EINVAL;

    for (unsigned int i = 1; i < call->argc && !rc; i++) {
        const char *word = call->argv[i];
        const char *next = i + 1 < call->argc ? call->argv[i + 1] : "";

        if (!strcmp(word, "-s"))
            go = true;
        else if (!strcmp(word, "-a"))
            rc = forget_update(s);
        else if (!strcmp(word, "-f") && ++i)
            rc = access(next, X_OK) ? -EINVAL
                                    : remember(s, &s->new_binary, next);
        else if (!strcmp(word, "-c") && ++i)
            rc = remember(s, &s->new_arguments, next);
        else if (!strcmp(word, "-t") && ++i)
            rc = number_parse(next, UINT32_MAX, &seconds);
        else if (strcmp(word, "-F"))
            rc = -EINVAL;
    }
    if (rc || !go)
        return rc;
    return s->live_update ? s->live_update(s->live_update_ctx, s->new_binary,
                                           s->new_arguments)
                          : -ENOSYS;
}

static int control_help(struct call *call);

static const struct {
    const char *name;
    int (*fn)(struct call *call);
    const char *args;
} commands[] = {
    {"check", control_check, ""},
    {"help", control_help, ""},
    {"live-update", control_live_update,
     "-f <binary>|-c <arguments>|-s [-t <s>] [-F]|-a"},
    {"log", control_log, "on|off"},
    {"logfile", control_logfile, "<file>"},
    {"memreport", control_memreport, "[<file>]"},
    {"print", control_print, "<string>"},
    {"quota", control_quota, "[set <name> <val>|<domid>]"},
    {"quota-soft", control_quota_soft, "[set <name> <val>]"},
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int control_help(struct call *call)
{
    struct report r = {.len = 0};

    for (size_t i = 0; i < NR_COMMANDS; i++)
        add(&r, "%-15s %s\n", commands[i].name, commands[i].args);
    return call_reply_string(call, r.buf);
}

int do_control(struct call *call)
{
    for (size_t i = 0; i < NR_COMMANDS; i++)
        if (!strcmp(commands[i].name, call->argv[0]))
            return commands[i].fn(call);
    return -EINVAL;
}
