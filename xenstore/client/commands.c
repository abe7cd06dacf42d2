/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore/client/client.h"

int cmd_read(struct client *c, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        unsigned int len;
        char *value = xs_read(c->xs, XBT_NULL, argv[i], &len);

        if (!value)
            return client_fail("read", argv[i]);
        client_print_value(value, len);
        putchar('\n');
        free(value);
    }
    return 0;
}

static int unhex(char ch)
{
    static const char digits[] = "0123456789abcdef";
    const char *p = ch ? strchr(digits, ch | 0x20) : NULL;

    return p ? p - digits : -1;
}

/* Turns \xNN and \\ back into bytes, in place; the length. */
static unsigned int unescape(char *s)
{
    char *from = s, *to = s;

    while (*from) {
        if (from[0] == '\\' && from[1] == '\\') {
            from++;
        } else if (from[0] == '\\' && from[1] == 'x' && unhex(from[2]) >= 0 &&
                   unhex(from[3]) >= 0) {
            *to++ = unhex(from[2]) << 4 | unhex(from[3]);
            from += 4;
            continue;
        }
        *to++ = *from++;
    }
    return to - s;
}

static int write_all(struct client *c, xs_transaction_t t, int argc,
                     char **argv, const unsigned int *len)
{
    for (int i = 0; i < argc; i += 2)
        if (!xs_write(c->xs, t, argv[i], argv[i + 1], len[i / 2]))
            return client_fail("write", argv[i]);
    return 0;
}

/* One transaction, again for as long as others interfere. */
static int write_together(struct client *c, int argc, char **argv,
                          const unsigned int *len)
{
    for (;;) {
        xs_transaction_t t = xs_transaction_start(c->xs);
        int rc;

        if (!t)
            return client_fail("start", "a transaction");
        rc = write_all(c, t, argc, argv, len);
        if (xs_transaction_end(c->xs, t, rc != 0))
            return rc;
        if (rc || errno != EAGAIN)
            return rc ? rc : client_fail("commit", "the transaction");
    }
}

int cmd_write(struct client *c, int argc, char **argv)
{
    unsigned int *len = calloc(argc, sizeof(*len));
    int rc;

    if (argc % 2 || !len) {
        fprintf(stderr, "kxenstore: write takes pairs of PATH and VALUE\n");
        free(len);
        return 1;
    }
    for (int i = 0; i < argc; i += 2)
        len[i / 2] = unescape(argv[i + 1]);
    if (argc == 2)
        rc = write_all(c, XBT_NULL, argc, argv, len);
    else
        rc = write_together(c, argc, argv, len);
    free(len);
    return rc;
}

int cmd_list(struct client *c, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        unsigned int num;
        char **names = xs_directory(c->xs, XBT_NULL, argv[i], &num);

        if (!names)
            return client_fail("list", argv[i]);
        for (unsigned int k = 0; k < num; k++)
            puts(names[k]);
        free(names);
    }
    return 0;
}

int cmd_rm(struct client *c, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!xs_rm(c->xs, XBT_NULL, argv[i]))
            return client_fail("remove", argv[i]);
    return 0;
}

int cmd_exists(struct client *c, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        unsigned int len;
        char *value = xs_read(c->xs, XBT_NULL, argv[i], &len);

        if (!value)
            return errno == ENOENT ? 1 : client_fail("look for", argv[i]);
        free(value);
    }
    return 0;
}

static int chmod_below(struct client *c, const char *path,
                       struct xs_permissions *perms, int nr)
{
    unsigned int num = 0;
    char **names;
    int rc = 0;

    if (!xs_set_permissions(c->xs, XBT_NULL, path, perms, nr))
        return client_fail("set permissions of", path);
    if (!c->recursive)
        return 0;
    names = xs_directory(c->xs, XBT_NULL, path, &num);
    if (!names)
        return client_fail("list", path);
    for (unsigned int i = 0; i < num && !rc; i++) {
        char *child;

        if (asprintf(&child, "%s/%s", path[1] ? path : "", names[i]) < 0)
            rc = client_fail("list", path);
        if (!rc) {
            rc = chmod_below(c, child, perms, nr);
            free(child);
        }
    }
    free(names);
    return rc;
}

int cmd_chmod(struct client *c, int argc, char **argv)
{
    int nr = argc - 1, rc = 0;
    struct xs_permissions *perms = calloc(nr, sizeof(*perms));

    if (!perms)
        return client_fail("set permissions of", argv[0]);
    for (int i = 0; i < nr && !rc; i++)
        if (!xs_strings_to_perms(&perms[i], 1, argv[i + 1])) {
            fprintf(stderr,
                    "kxenstore: '%s' is not a permission: n, r, w or b and a "
                    "domain's number, as r0\n",
                    argv[i + 1]);
            rc = 1;
        }
    if (!rc)
        rc = chmod_below(c, argv[0], perms, nr);
    free(perms);
    return rc;
}

int cmd_watch(struct client *c, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!xs_watch(c->xs, argv[i], argv[i]))
            return client_fail("watch", argv[i]);
    while (c->count < 0 || c->count-- > 0) {
        unsigned int num;
        char **event = xs_read_watch(c->xs, &num);

        if (!event)
            return client_fail("wait for events of", argv[0]);
        puts(event[XS_WATCH_PATH]);
        fflush(stdout);
        free(event);
    }
    return 0;
}

int cmd_control(struct client *c, int argc, char **argv)
{
    char buf[XENSTORE_PAYLOAD_MAX], *reply;
    size_t len = 0;

    for (int i = 1; i < argc; i++) {
        size_t n = strlen(argv[i]) + 1;

        if (len + n > sizeof(buf)) {
            errno = E2BIG;
            return client_fail("send", argv[0]);
        }
        memcpy(buf + len, argv[i], n);
        len += n;
    }
    reply = xs_control_command(c->xs, argv[0], buf, len);
    if (!reply)
        return client_fail("run command", argv[0]);
    fputs(reply, stdout);
    if (*reply && reply[strlen(reply) - 1] != '\n')
        putchar('\n');
    free(reply);
    return 0;
}
