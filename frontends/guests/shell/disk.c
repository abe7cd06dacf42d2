/* SPDX-License-Identifier: MIT */
/* The shell's words for the disks. */
#include "frontends/guests/shell/shell.h"
#include "frontends/include/blkdev.h"

#define DUMP_LINE 16

static int cmd_disks(int argc, char **argv)
{
    struct blkdev *d;

    (void)argc;
    (void)argv;
    for (d = blkdev_first(); d; d = d->next)
        printf("%-8s %-7s %10lu sectors%s; %lu done, %lu failed; %s\n", d->name,
               d->driver, d->sectors, d->read_only ? ", read-only" : "",
               d->completed, d->failed, d->detail);
    if (!blkdev_first())
        printf("no disks\n");
    return 0;
}

static void dump_line(const unsigned char *p, uint64_t at)
{
    int i;

    printf("%08lx ", at);
    for (i = 0; i < DUMP_LINE; i++)
        printf(" %02x", p[i]);
    printf("  ");
    for (i = 0; i < DUMP_LINE; i++)
        printf("%c", p[i] >= ' ' && p[i] < 0x7f ? p[i] : '.');
    printf("\n");
}

/* One request of the disk named argv[1]; NULL and a message if there is none */
static struct blkdev *find(char **argv, struct blkreq *req)
{
    struct blkdev *d = blkdev_find(argv[1]);

    if (!d) {
        printf("%s: no such disk; disks lists them\n", argv[1]);
        return NULL;
    }
    if (shell_number(argv[2], &req->sector))
        return NULL;
    req->count = 1;
    req->buf = blkdev_buf_alloc(d, BLK_SECTOR_SIZE);
    return req->buf ? d : NULL;
}

static int cmd_dump(int argc, char **argv)
{
    struct blkreq req = {.op = BLK_READ};
    uint64_t count = 1, at;
    struct blkdev *d;
    int rc = 0;

    if (argc > 3 && shell_number(argv[3], &count))
        return -EINVAL;
    d = find(argv, &req);
    for (; d && count-- && !rc && !shell_interrupted(); req.sector++) {
        rc = blkdev_do(d, &req);
        for (at = 0; at < BLK_SECTOR_SIZE && !rc; at += DUMP_LINE)
            dump_line((unsigned char *)req.buf + at,
                      req.sector * BLK_SECTOR_SIZE + at);
    }
    if (d)
        blkdev_buf_free(d, req.buf, BLK_SECTOR_SIZE);
    return rc;
}

/* The text as C would hold it, up to its end. */
static int cmd_dread(int argc, char **argv)
{
    struct blkreq req = {.op = BLK_READ};
    struct blkdev *d = find(argv, &req);
    int rc;

    (void)argc;
    if (!d)
        return 0;
    rc = blkdev_do(d, &req);
    if (!rc)
        printf("%.*s\n", (int)strnlen(req.buf, BLK_SECTOR_SIZE),
               (char *)req.buf);
    blkdev_buf_free(d, req.buf, BLK_SECTOR_SIZE);
    return rc;
}

static int cmd_dwrite(int argc, char **argv)
{
    struct blkreq req = {.op = BLK_WRITE};
    struct blkdev *d = find(argv, &req);
    char *to;
    int rc, i;

    if (!d)
        return 0;
    to = req.buf;
    for (i = 3; i < argc; i++)
        to += snprintf(to, (size_t)((char *)req.buf + BLK_SECTOR_SIZE - to),
                       "%s%s", i > 3 ? " " : "", argv[i]);
    rc = blkdev_do(d, &req);
    blkdev_buf_free(d, req.buf, BLK_SECTOR_SIZE);
    return rc;
}

static int cmd_flush(int argc, char **argv)
{
    struct blkreq req = {.op = BLK_FLUSH};
    struct blkdev *d = blkdev_find(argv[1]);

    (void)argc;
    if (!d) {
        printf("%s: no such disk; disks lists them\n", argv[1]);
        return 0;
    }
    return blkdev_do(d, &req);
}

const struct command disk_commands[] = {
    {"disks", "", "lists the disks", 1, 1, cmd_disks},
    {"dump", "DISK SECTOR [COUNT]", "hex dump of sectors", 3, 4, cmd_dump},
    {"dread", "DISK SECTOR", "a sector's text", 3, 3, cmd_dread},
    {"dwrite", "DISK SECTOR WORD...", "text into a sector, zeros behind it", 4,
     MAX_WORDS, cmd_dwrite},
    {"flush", "DISK", "makes what was written durable", 2, 2, cmd_flush},
    {0},
};
