/* SPDX-License-Identifier: MIT */
/*
 * The disk verifier. Each round fills a range of every disk with a pattern
 * made from seed, sector and round, with many requests of all sizes in flight
 * and all the disk offers (flush, barrier, discard) thrown in; then reads it
 * back in other pieces and compares every byte.
 */
#include "frontends/include/blkdev.h"
#include "frontends/include/kernel.h"
#include "frontends/include/xenbus.h"

#define MAX_DEPTH    128
#define STREAMS      4
#define SHOWN_ERRORS 5
#define CHUNK        128 /* sectors of a request, at most */
#define PER_PAGE     ((uint32_t)(PAGE_SIZE / BLK_SECTOR_SIZE))
#define BARRIER_MAX  (11 * PER_PAGE) /* no indirect segments for those */

/* One part of the range, walked from its start to its end. */
struct stream {
    uint64_t at, end;
};

struct job;

struct slot {
    struct blkreq req;
    struct job *job;
    char *buf; /* CHUNK sectors, and a page for odd starts */
    struct slot *next_free;
};

struct job {
    struct blkdev *disk;
    struct job *next;
    uint64_t start, sectors, seed, rng;
    uint32_t depth, chunk, round, flushes, barriers, discards;
    struct slot *slots, *free;
    struct stream streams[STREAMS];
    uint64_t errors, requests, fnv;
};

static struct job *jobs;

/* ---- one disk ------------------------------------------------------------ */

static void complain(struct job *j, uint64_t sector, const char *what, int err)
{
    if (j->errors++ < SHOWN_ERRORS)
        printf("verify: %s: round %u: sector %lu: FAILED: %s (%d)\n",
               j->disk->name, j->round, sector, what, err);
}

static void check_read(struct job *j, const struct blkreq *req)
{
    const char *why, *sector = req->buf;
    uint32_t i;
    int rc;

    for (i = 0; i < req->count; i++, sector += BLK_SECTOR_SIZE) {
        rc = pattern_check(sector, j->seed, req->sector + i, j->round, &why);
        if (rc)
            complain(j, req->sector + i, why, rc);
        /* The pattern's own sum is its last word; order must not matter. */
        j->fnv ^= fnv1a(FNV_INIT, sector + BLK_SECTOR_SIZE - 8, 8);
    }
}

static void fnv_read(struct job *j, const struct blkreq *req)
{
    uint32_t i;

    for (i = 0; i < req->count; i++)
        j->fnv ^=
            fnv1a(FNV_INIT + req->sector + i,
                  (char *)req->buf + i * BLK_SECTOR_SIZE, BLK_SECTOR_SIZE);
}

static void slot_done(struct blkreq *req)
{
    struct slot *s = req->priv;
    struct job *j = s->job;

    if (req->status)
        complain(j, req->sector, "the request failed", req->status);
    else if (req->op == BLK_READ && j->disk->read_only)
        fnv_read(j, req);
    else if (req->op == BLK_READ)
        check_read(j, req);
    s->next_free = j->free;
    j->free = s;
}

static struct slot *slot_wait(struct job *j)
{
    struct slot *s;

    if (!j->free) {
        blkdev_kick(j->disk);
        while (!j->free)
            blkdev_wait(j->disk);
    }
    s = j->free;
    j->free = s->next_free;
    return s;
}

static void submit(struct job *j, struct slot *s)
{
    int rc;

    j->requests++;
    s->req.done = slot_done;
    s->req.priv = s;
    while ((rc = blkdev_submit(j->disk, &s->req)) == -EAGAIN &&
           j->disk->in_flight) {
        blkdev_kick(j->disk);
        blkdev_wait(j->disk);
    }
    if (rc) {
        s->req.status = rc;
        slot_done(&s->req);
    }
    /* Not each by itself, or the ring never holds more than one. */
    if (j->requests % 8 == 0)
        blkdev_kick(j->disk);
}

/* Mostly whole pages, now and then a few sectors. */
static uint32_t piece_size(struct job *j, uint32_t limit)
{
    uint64_t r = prng_next(&j->rng);

    if (r % 8 == 0)
        return 1 + (uint32_t)(r >> 8) % (PER_PAGE - 1);
    return PER_PAGE * (1 + (uint32_t)(r >> 8) % (limit / PER_PAGE));
}

/* A piece of at most limit sectors from one of the streams; false: all done. */
static bool next_piece(struct job *j, struct slot *s, uint32_t limit)
{
    unsigned int first = prng_next(&j->rng) % STREAMS, i;
    uint32_t shift = prng_next(&j->rng) % PER_PAGE;
    struct stream *st;

    for (i = 0; i < STREAMS; i++) {
        st = &j->streams[(first + i) % STREAMS];
        if (st->at == st->end)
            continue;
        s->req.sector = st->at;
        s->req.count = piece_size(j, limit);
        s->req.count = (uint32_t)MIN(s->req.count, st->end - st->at);
        /* A buffer may begin anywhere in a page, if that adds no segment. */
        if (s->req.count > limit - PER_PAGE)
            shift = 0;
        s->req.buf = s->buf + shift * BLK_SECTOR_SIZE;
        st->at += s->req.count;
        return true;
    }
    return false;
}

static void special(struct job *j, enum blk_op op)
{
    struct slot *s = slot_wait(j);

    s->req.op = op;
    s->req.sector = op == BLK_FLUSH ? 0 : j->start;
    s->req.count =
        op == BLK_FLUSH ? 0 : (uint32_t)MIN(j->sectors, (uint64_t)j->chunk);
    s->req.buf = NULL;
    submit(j, s);
}

static bool write_piece(struct job *j)
{
    uint64_t r = prng_next(&j->rng);
    bool barrier = j->disk->can_barrier && r % 61 == 0;
    struct slot *s = slot_wait(j);
    uint32_t i;

    if (!next_piece(j, s, barrier ? MIN(j->chunk, BARRIER_MAX) : j->chunk)) {
        s->next_free = j->free;
        j->free = s;
        return false;
    }
    s->req.op = barrier ? BLK_BARRIER : BLK_WRITE;
    j->barriers += barrier;
    for (i = 0; i < s->req.count; i++)
        pattern_fill((char *)s->req.buf + i * BLK_SECTOR_SIZE, j->seed,
                     s->req.sector + i, j->round);
    submit(j, s);
    if (j->disk->can_flush && r % 127 == 0) {
        j->flushes++;
        special(j, BLK_FLUSH);
    }
    return true;
}

static bool read_piece(struct job *j)
{
    struct slot *s = slot_wait(j);

    if (!next_piece(j, s, j->chunk)) {
        s->next_free = j->free;
        j->free = s;
        return false;
    }
    s->req.op = BLK_READ;
    submit(j, s);
    return true;
}

static void start_pass(struct job *j)
{
    uint64_t at = j->start, part = j->sectors / STREAMS;
    unsigned int i;

    j->fnv = 0;
    for (i = 0; i < STREAMS; i++) {
        j->streams[i].at = at;
        at = i == STREAMS - 1 ? j->start + j->sectors : at + part;
        j->streams[i].end = at;
    }
}

/* ---- all disks together ---------------------------------------------------
 */

/* Each disk in turn adds a piece, so that all have requests in flight. */
static void run_pass(bool (*piece)(struct job *j), bool writing)
{
    bool more = true;
    struct job *j;

    for (j = jobs; j; j = j->next)
        if (!writing || !j->disk->read_only)
            start_pass(j);
    while (more) {
        more = false;
        for (j = jobs; j; j = j->next)
            if (!writing || !j->disk->read_only)
                more |= piece(j);
    }
    for (j = jobs; j; j = j->next)
        blkdev_drain(j->disk);
}

static void before_writing(struct job *j)
{
    if (!j->disk->can_discard || j->disk->read_only)
        return;
    /* What was discarded is written again later in the round. */
    special(j, BLK_DISCARD);
    blkdev_drain(j->disk);
    j->discards++;
}

static void flush_all(void)
{
    struct job *j;

    for (j = jobs; j; j = j->next)
        if (j->disk->can_flush && !j->disk->read_only) {
            special(j, BLK_FLUSH);
            blkdev_drain(j->disk);
            j->flushes++;
        }
}

/* A read-only disk must refuse a write before anything is sent. */
static void check_refusal(struct job *j)
{
    struct blkreq req = {.op = BLK_WRITE,
                         .sector = j->start,
                         .count = 1,
                         .buf = j->slots[0].buf};

    if (j->disk->read_only && blkdev_do(j->disk, &req) != -EROFS)
        complain(j, j->start, "a write to a read-only disk", req.status);
}

static void run_round(uint32_t round, bool writing)
{
    uint64_t start = time_ns(), requests = 0;
    struct job *j;

    for (j = jobs; j; j = j->next) {
        j->round = round;
        requests -= j->requests;
        check_refusal(j);
        if (writing)
            before_writing(j);
    }
    if (writing) {
        run_pass(write_piece, true);
        flush_all();
    }
    run_pass(read_piece, false);
    for (j = jobs; j; j = j->next) {
        requests += j->requests;
        printf("verify: %s: round %u done, %lu error%s, fnv %016lx\n",
               j->disk->name, round, j->errors, j->errors == 1 ? "" : "s",
               j->fnv);
    }
    printf("verify: %lu requests in %lu ms\n", requests,
           (time_ns() - start) / NSEC_PER_MSEC);
}

/* ---- set-up and result --------------------------------------------------- */

static struct slot *slots_alloc(struct job *j)
{
    uint32_t i;

    j->slots = heap_alloc(j->depth * sizeof(*j->slots));
    if (!j->slots)
        return NULL;
    for (i = 0; i < j->depth; i++) {
        j->slots[i].job = j;
        j->slots[i].buf =
            blkdev_buf_alloc(j->disk, (j->chunk + PER_PAGE) * BLK_SECTOR_SIZE);
        if (!j->slots[i].buf)
            break;
        j->slots[i].next_free = j->free;
        j->free = &j->slots[i];
    }
    j->depth = i;
    return j->free;
}

static int job_add(struct blkdev *disk)
{
    const char *cl = cmdline();
    struct job *j = heap_alloc(sizeof(*j)), **end = &jobs;

    if (!j)
        return -ENOMEM;
    j->disk = disk;
    j->seed = cmdline_u64(cl, "seed", 1);
    j->rng = j->seed + 1;
    j->start = MIN(cmdline_u64(cl, "start", 0), disk->sectors - 1);
    j->sectors = cmdline_u64(cl, "sectors", 0);
    if (j->sectors == 0 || j->sectors > disk->sectors - j->start)
        j->sectors = disk->sectors - j->start;
    j->chunk = MIN(disk->max_sectors & ~(PER_PAGE - 1), CHUNK);
    j->depth = (uint32_t)MIN(cmdline_u64(cl, "depth", 32), MAX_DEPTH);
    j->depth = MAX(MIN(j->depth, disk->queue_depth), 1);
    if (j->chunk < 2 * PER_PAGE || !slots_alloc(j))
        return -ENOMEM;
    printf("verify: %s (%s): %lu sectors from %lu, %u requests in flight; "
           "%s\n",
           disk->name, disk->driver, j->sectors, j->start, j->depth,
           disk->detail);
    while (*end)
        end = &(*end)->next;
    *end = j;
    return 0;
}

static int jobs_add(void)
{
    char mode[16] = "event", want[16] = "";
    struct blkdev *disk;
    int rc = 0;

    cmdline_get(cmdline(), "mode", 0, mode, sizeof(mode));
    cmdline_get(cmdline(), "disk", 0, want, sizeof(want));
    for (disk = blkdev_first(); disk && !rc; disk = disk->next) {
        if (want[0] && blkdev_find(want) != disk)
            continue;
        if (strcmp(mode, "polled") == 0)
            blkdev_set_polled(disk, true);
        rc = job_add(disk);
        if (rc)
            printf("verify: %s: FAILED: cannot be set up: error %d\n",
                   disk->name, rc);
    }
    if (!rc && !jobs) {
        printf("verify: FAILED: there is no disk%s%s\n", want[0] ? " " : "",
               want);
        rc = -ENODEV;
    }
    return rc;
}

static int report(uint32_t rounds)
{
    struct job *j;
    uint32_t disks = 0;
    uint64_t errors = 0;

    for (j = jobs; j; j = j->next, disks++) {
        errors += j->errors;
        printf("VERIFY %s disk=%s driver=%s sectors=%lu rounds=%u seed=%lu "
               "fnv=%016lx requests=%lu flushes=%u barriers=%u discards=%u "
               "readonly=%d errors=%lu\n",
               j->errors ? "FAILED" : "OK", j->disk->name, j->disk->driver,
               j->sectors, rounds, j->seed, j->fnv, j->requests, j->flushes,
               j->barriers, j->discards, j->disk->read_only, j->errors);
    }
    printf("verify: %u disk%s, %u rounds: %s\n", disks, disks == 1 ? "" : "s",
           rounds, errors ? "FAILED" : "OK");
    return errors ? -EIO : 0;
}

int guest_main(void)
{
    uint64_t rounds = cmdline_u64(cmdline(), "rounds", 1);
    bool writing = cmdline_u64(cmdline(), "writes", 1);
    uint32_t first = (uint32_t)cmdline_u64(cmdline(), "round", 1), round;
    int reason = -1;

    if (jobs_add())
        return SHUTDOWN_crash;
    for (round = first; !rounds || round < first + rounds; round++) {
        run_round(round, writing);
        reason = xenbus_shutdown_requested();
        if (reason >= 0) {
            round++;
            break;
        }
    }
    if (report(round - first))
        return SHUTDOWN_crash;
    return reason >= 0 ? reason : SHUTDOWN_poweroff;
}
