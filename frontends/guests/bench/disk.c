/* SPDX-License-Identifier: MIT */
/*
 * Disk: driver=xen|ata|virtio or disk=NAME, polled=0|1 (or mode=event|polled),
 * op=read|write|both, bs=4096, depth=1, pattern=random|seq. With depth above 1
 * a sample is still one request's life, from submit to completion.
 */
#include "frontends/guests/bench/bench.h"
#include "frontends/include/blkdev.h"

#define DEFAULT_OPS 4000
#define WARM_UP     50
#define MAX_DEPTH   256

struct run {
    struct blkdev *disk;
    enum blk_op op;
    uint32_t count; /* sectors */
    uint32_t depth;
    bool sequential;
    uint64_t rng, next;
    size_t started, finished, total;
    struct bench bench;
    struct blkreq *req;
    int error;
};

static uint64_t next_sector(struct run *r)
{
    uint64_t places = r->disk->sectors / r->count, at;

    at = r->sequential ? r->next++ : prng_next(&r->rng);
    return at % places * r->count;
}

static void start_one(struct run *r, struct blkreq *req);

static void one_done(struct blkreq *req)
{
    struct run *r = req->priv;

    r->bench.sample[r->finished++] = rdtsc_ordered() - req->start;
    if (req->status)
        r->error = req->status;
    if (r->started < r->total && !r->error)
        start_one(r, req);
}

static void start_one(struct run *r, struct blkreq *req)
{
    int rc;

    req->op = r->op;
    req->sector = next_sector(r);
    req->count = r->count;
    req->done = one_done;
    req->priv = r;
    r->started++;
    req->start = rdtsc_ordered();
    rc = blkdev_submit(r->disk, req);
    if (rc)
        r->error = rc;
}

static void run_ops(struct run *r, size_t total)
{
    uint32_t i;

    r->started = 0;
    r->finished = 0;
    r->total = total;
    for (i = 0; i < r->depth && r->started < total && !r->error; i++)
        start_one(r, &r->req[i]);
    blkdev_kick(r->disk);
    while (r->disk->in_flight) {
        blkdev_wait(r->disk);
        blkdev_kick(r->disk);
    }
}

static int measure(struct run *r)
{
    uint64_t start, events;
    char name[32];

    if (r->count % 2)
        snprintf(name, sizeof(name), "%s%u",
                 r->op == BLK_READ ? "read" : "write",
                 r->count * BLK_SECTOR_SIZE);
    else
        snprintf(name, sizeof(name), "%s%uk",
                 r->op == BLK_READ ? "read" : "write", r->count / 2);
    if (r->depth > 1)
        snprintf(name + strlen(name), sizeof(name) - strlen(name), "_qd%u",
                 r->depth);
    r->bench.name = name;
    run_ops(r, MIN(WARM_UP, r->bench.nr));
    start = time_ns();
    events = events_count();
    run_ops(r, r->bench.nr);
    r->bench.ns = time_ns() - start;
    r->bench.events = events_count() - events;
    if (r->error)
        return r->error;
    snprintf(r->bench.extra, sizeof(r->bench.extra),
             "\"driver\":\"%s\",\"mode\":\"%s\",\"bs\":%u,\"depth\":%u,",
             r->disk->driver, r->disk->polled ? "polled" : "event",
             r->count * BLK_SECTOR_SIZE, r->depth);
    bench_report(&r->bench);
    return 0;
}

static int buffers(struct run *r)
{
    uint32_t i;

    r->req = heap_alloc(r->depth * sizeof(*r->req));
    for (i = 0; r->req && i < r->depth; i++) {
        r->req[i].buf = blkdev_buf_alloc(r->disk, r->count * BLK_SECTOR_SIZE);
        if (!r->req[i].buf)
            return -ENOMEM;
    }
    return r->req ? 0 : -ENOMEM;
}

static struct blkdev *choose_disk(void)
{
    char name[16] = "xen";
    struct blkdev *disk;

    cmdline_get(cmdline(), "driver", 0, name, sizeof(name));
    cmdline_get(cmdline(), "disk", 0, name, sizeof(name));
    disk = blkdev_find(name);
    if (!disk)
        printf("bench: there is no disk or driver '%s'\n", name);
    return disk;
}

static bool wants_polled(void)
{
    char mode[16] = "";

    cmdline_get(cmdline(), "mode", 0, mode, sizeof(mode));
    return strcmp(mode, "polled") == 0 || cmdline_u64(cmdline(), "polled", 0);
}

static int run_both(struct run *r)
{
    char op[16] = "both";
    int rc = 0;

    cmdline_get(cmdline(), "op", 0, op, sizeof(op));
    if (strcmp(op, "write") != 0) {
        r->op = BLK_READ;
        rc = measure(r);
    }
    if (!rc && strcmp(op, "read") != 0 && !r->disk->read_only) {
        r->op = BLK_WRITE;
        rc = measure(r);
    }
    return rc;
}

int bench_disk(void)
{
    const char *cl = cmdline();
    char pattern[8] = "random";
    struct run r = {.rng = 88172645463325252ull};
    int rc;

    r.disk = choose_disk();
    if (!r.disk)
        return -ENODEV;
    cmdline_get(cl, "pattern", 0, pattern, sizeof(pattern));
    r.sequential = pattern[0] == 's';
    r.count = (uint32_t)(cmdline_u64(cl, "bs", PAGE_SIZE) / BLK_SECTOR_SIZE);
    r.depth = (uint32_t)MIN(cmdline_u64(cl, "depth", 1), MAX_DEPTH);
    r.depth = MAX(MIN(r.depth, r.disk->queue_depth), 1);
    if (r.count == 0 || r.count > r.disk->max_sectors ||
        r.count > r.disk->sectors) {
        printf("bench: bs=%lu does not suit %s (sectors of 512, at most %u)\n",
               cmdline_u64(cl, "bs", 0), r.disk->name, r.disk->max_sectors);
        return -EINVAL;
    }
    rc = bench_alloc(&r.bench, NULL, bench_count(DEFAULT_OPS), 1);
    if (!rc)
        rc = buffers(&r);
    if (!rc)
        rc = blkdev_set_polled(r.disk, wants_polled());
    if (!rc)
        rc = run_both(&r);
    bench_free(&r.bench);
    return rc;
}
