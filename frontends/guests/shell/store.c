/* SPDX-License-Identifier: MIT */
/* The shell's words for the store. */
#include "frontends/guests/shell/shell.h"
#include "frontends/include/xenbus.h"

static char buf[XENSTORE_PAYLOAD_MAX + 1];

/* The guest's own place in the store, which has no short name. */
static int own_path(char *path, size_t size)
{
    int rc = xenbus_read(XBT_NIL, "domid", buf, sizeof(buf));

    snprintf(path, size, "/local/domain/%s", buf);
    return MIN(rc, 0);
}

static int cmd_ls(int argc, char **argv)
{
    char own[64];
    const char *path = argc > 1 ? argv[1] : own, *p;
    int len = argc > 1 ? 0 : own_path(own, sizeof(own));

    if (len < 0)
        return len;
    len = xenbus_directory(XBT_NIL, path, buf, sizeof(buf));
    for (p = buf; p < buf + MAX(len, 0); p += strlen(p) + 1)
        printf("%s\n", p);
    return MIN(len, 0);
}

static int cmd_read(int argc, char **argv)
{
    int len = xenbus_read(XBT_NIL, argv[1], buf, sizeof(buf));

    (void)argc;
    if (len >= 0)
        printf("%s\n", buf);
    return MIN(len, 0);
}

static int cmd_write(int argc, char **argv)
{
    const char *value = argc > 2 ? argv[2] : "";

    return xenbus_write(XBT_NIL, argv[1], value, strlen(value));
}

static int cmd_rm(int argc, char **argv)
{
    (void)argc;
    return xenbus_rm(XBT_NIL, argv[1]);
}

static int cmd_mkdir(int argc, char **argv)
{
    (void)argc;
    return xenbus_mkdir(XBT_NIL, argv[1]);
}

static int cmd_perms(int argc, char **argv)
{
    int len = xenbus_get_perms(XBT_NIL, argv[1], buf, sizeof(buf));
    const char *p;

    (void)argc;
    for (p = buf; p < buf + MAX(len, 0); p += strlen(p) + 1)
        printf("%s ", p);
    if (len >= 0)
        printf("\n");
    return MIN(len, 0);
}

static int cmd_watch(int argc, char **argv)
{
    static struct xenbus_watch w;
    uint32_t seen = 0;
    bool stop = false;
    int rc;

    (void)argc;
    w = (struct xenbus_watch){.path = argv[1]};
    rc = xenbus_watch(&w);
    if (rc)
        return rc;
    printf("watching %s; ^C ends it\n", argv[1]);
    while (!stop) {
        if (seen != w.fired) {
            seen = w.fired;
            rc = xenbus_read(XBT_NIL, w.last, buf, sizeof(buf));
            printf("%s%s%s\n", w.last, rc >= 0 ? " = " : " is gone",
                   rc >= 0 ? buf : "");
        }
        wait_event((stop = shell_interrupted()) ||
                   (xenbus_poll() && seen != w.fired));
    }
    printf("\n");
    return xenbus_unwatch(&w);
}

/* Reads, adds one, writes, in a transaction: again as long as others do. */
static int cmd_count(int argc, char **argv)
{
    xenbus_tx_t tx;
    uint64_t v;
    const char *p;
    int rc, tries = 0;

    (void)argc;
    do {
        tries++;
        rc = xenbus_transaction_start(&tx);
        if (rc)
            return rc;
        v = 0;
        p = buf;
        if (xenbus_read(tx, argv[1], buf, sizeof(buf)) >= 0)
            (void)parse_u64(&p, 10, &v);
        snprintf(buf, sizeof(buf), "%lu", v + 1);
        rc = xenbus_write(tx, argv[1], buf, strlen(buf));
        if (rc)
            xenbus_transaction_end(tx, false);
        else
            rc = xenbus_transaction_end(tx, true);
    } while (rc == -EAGAIN);
    if (!rc)
        printf("%s = %lu after %d tries\n", argv[1], v + 1, tries);
    return rc;
}

const struct command store_commands[] = {
    {"ls", "[PATH]", "children of a node of the store", 1, 2, cmd_ls},
    {"read", "PATH", "a node's value", 2, 2, cmd_read},
    {"write", "PATH [VALUE]", "sets it", 2, 3, cmd_write},
    {"mkdir", "PATH", "makes an empty node", 2, 2, cmd_mkdir},
    {"rm", "PATH", "removes a node and all below", 2, 2, cmd_rm},
    {"perms", "PATH", "a node's permissions", 2, 2, cmd_perms},
    {"watch", "PATH", "shows every change", 2, 2, cmd_watch},
    {"count", "PATH", "adds one in a transaction", 2, 2, cmd_count},
    {0},
};
