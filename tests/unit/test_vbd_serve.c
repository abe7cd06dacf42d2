/* SPDX-License-Identifier: MIT */
/*
 * A whole disk backend, but for hv and the store: the real ring, log, grant
 * cache and io_uring engine over fake guest memory and a real image file.
 *
 * Proved: data goes where it should (direct, indirect, with and without
 * persistent grants); mappings are kept or given back as promised; what is
 * read-only stays so; bad references and bad indices cost the guest an error
 * and nobody else anything; barriers order; a server that ends leaves for the
 * next what it has not answered, and that one does it, also when the process
 * was killed with I/O under way (a real fork and SIGKILL).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/vbd_serve.h"
#include "tests/unit/scratch.h"

#define NR_PAGES   600u /* the guest's; grant reference == page */
#define BAD_REF    100000u
#define IMAGE_SECT 8192u

/* Shared, so that it outlives a killed child. */
struct guest {
    _Alignas(4096) char ring[16 * 4096];
    _Alignas(4096) char page[NR_PAGES][4096];
    struct vbd_log log;
};

struct fixture {
    struct guest *g;
    blkif_front_ring_t front;
    struct vbd_server *s;
    struct vbd_image img;
    char path[64];
    unsigned int mapped, maps, notified, failed;
    int held[NR_PAGES]; /* mappings of each page */
    uint64_t next_id;
};

static struct fixture fx;

/* ---- grants of the fake guest ---- */

static int fake_map(void *arg, const uint32_t *refs, unsigned int n, bool write,
                    void **addr, uint32_t *handles)
{
    unsigned int i;
    int good = 0;

    (void)arg;
    for (i = 0; i < n; i++) {
        addr[i] = NULL;
        if (refs[i] >= NR_PAGES || (write && refs[i] % 16 == 15))
            continue; /* every 16th is granted read-only */
        addr[i] = fx.g->page[refs[i]];
        handles[i] = refs[i];
        fx.held[refs[i]]++;
        good++;
    }
    fx.mapped += good;
    fx.maps++;
    return good;
}

static void fake_unmap(void *arg, const uint32_t *handles, unsigned int n)
{
    unsigned int i;

    (void)arg;
    for (i = 0; i < n; i++) {
        assert_in_range(handles[i], 0, NR_PAGES - 1);
        assert_true(fx.held[handles[i]]-- > 0);
    }
    fx.mapped -= n;
}

static const struct vbd_gnt_ops fake_gnt = {fake_map, fake_unmap};

static void on_notify(void *arg)
{
    (void)arg;
    fx.notified++;
}

static void on_fail(void *arg, const char *why)
{
    (void)arg;
    assert_non_null(strstr(why, "req_prod"));
    fx.failed++;
}

static void on_ready(void *arg, int fd)
{
    (void)arg;
    (void)fd;
}

/* ---- setting up ---- */

static int server_start(bool adopt, bool persistent)
{
    struct vbd_server_params p = {
        .sring = fx.g->ring,
        .ring_size = sizeof(fx.g->ring),
        .log = &fx.g->log,
        .adopt = adopt,
        .persistent = persistent,
        .img = &fx.img,
        .gnt = &fake_gnt,
    };

    fx.s = calloc(1, sizeof(*fx.s));
    fx.s->notify = on_notify;
    fx.s->fail = on_fail;
    fx.s->ready = on_ready;
    return vbd_server_init(fx.s, &p);
}

static void server_stop(bool keep)
{
    vbd_server_end(fx.s, keep);
    vbd_server_exit(fx.s);
    free(fx.s);
    fx.s = NULL;
    assert_int_equal(fx.mapped, 0);
}

static void image_make(bool rdonly)
{
    char err[256];
    int fd;

    fd = mkstemp(scratch_name(fx.path, sizeof(fx.path)));
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, IMAGE_SECT * 512), 0);
    close(fd);
    assert_int_equal(vbd_image_open(&fx.img, fx.path, rdonly, err, 256), 0);
}

static void setup(bool persistent, bool rdonly)
{
    memset(&fx, 0, sizeof(fx));
    fx.g = mmap(NULL, sizeof(*fx.g), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    SHARED_RING_INIT((blkif_sring_t *)fx.g->ring);
    FRONT_RING_INIT(&fx.front, (blkif_sring_t *)fx.g->ring, sizeof(fx.g->ring));
    image_make(rdonly);
    assert_int_equal(server_start(false, persistent), 0);
    vbd_server_begin(fx.s);
}

static void cleanup(void)
{
    if (fx.s)
        server_stop(false);
    vbd_image_close(&fx.img);
    unlink(fx.path);
    munmap(fx.g, sizeof(*fx.g));
}

/* ---- the frontend ---- */

static blkif_request_t *ask(uint8_t op, uint64_t sector, unsigned int nr,
                            uint32_t first_ref)
{
    blkif_request_t *r = RING_GET_REQUEST(&fx.front, fx.front.req_prod_pvt++);
    unsigned int i;

    memset(r, 0, sizeof(*r));
    r->operation = op;
    r->nr_segments = (uint8_t)nr;
    r->sector_number = sector;
    r->id = fx.next_id++;
    for (i = 0; i < nr && i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
        r->seg[i].gref = first_ref + i;
        r->seg[i].last_sect = 7;
    }
    return r;
}

static void ask_indirect(uint8_t op, uint64_t sector, unsigned int nr,
                         uint32_t first_ref, uint32_t table)
{
    struct blkif_request_indirect *r = (void *)ask(BLKIF_OP_INDIRECT, 0, 0, 0);
    struct blkif_request_segment *seg = (void *)fx.g->page[table];
    unsigned int i;

    r->indirect_op = op;
    r->nr_segments = (uint16_t)nr;
    r->id = fx.next_id - 1;
    r->sector_number = sector;
    r->indirect_grefs[0] = table;
    for (i = 0; i < nr; i++)
        seg[i] = (struct blkif_request_segment){
            .gref = first_ref + i, .first_sect = 0, .last_sect = 7};
}

static void push(void)
{
    RING_PUSH_REQUESTS(&fx.front);
}

static void serve(unsigned int responses)
{
    while (fx.front.sring->rsp_prod - fx.front.rsp_cons < responses)
        if (!vbd_server_turn(fx.s) && !vbd_server_arm(fx.s))
            vbd_server_wait(fx.s);
}

static uint8_t answered_op(void)
{
    return RING_GET_RESPONSE(&fx.front, fx.front.rsp_cons - 1)->operation;
}

static int16_t collect(uint64_t *id)
{
    blkif_response_t *rsp = RING_GET_RESPONSE(&fx.front, fx.front.rsp_cons++);

    if (id)
        *id = rsp->id;
    return rsp->status;
}

static int16_t one(void)
{
    push();
    serve(1);
    return collect(NULL);
}

static void fill(uint32_t page, unsigned int nr, unsigned char seed)
{
    unsigned char *p =
        (unsigned char *)fx.g + offsetof(struct guest, page) + page * 4096ul;
    unsigned int i;

    for (i = 0; i < nr * 4096; i++)
        p[i] = (unsigned char)(seed + i * 7 + i / 4096);
}

static void check_image(uint64_t sector, uint32_t page, unsigned int nr)
{
    static char buf[256 * 4096];

    assert_int_equal(pread(fx.img.fd, buf, nr * 4096, (off_t)sector * 512),
                     nr * 4096);
    assert_memory_equal(buf, fx.g->page[page], nr * 4096);
}

/* ---- tests ---- */

static void read_and_write(bool persistent)
{
    unsigned int round;

    setup(persistent, false);
    for (round = 0; round < 3; round++) {
        fill(0, 11, (unsigned char)round);
        ask(BLKIF_OP_WRITE, 8 + round, 11, 0);
        assert_int_equal(one(), BLKIF_RSP_OKAY);
        check_image(8 + round, 0, 11);
        ask(BLKIF_OP_READ, 8 + round, 11, 32);
        assert_int_equal(one(), BLKIF_RSP_OKAY);
        assert_memory_equal(fx.g->page[0], fx.g->page[32], 11 * 4096);
    }
    if (persistent) {
        assert_int_equal(vbd_grants_kept(fx.s->grants), 22);
        assert_int_equal(fx.maps, 2); /* not one more for the later rounds */
    } else {
        assert_int_equal(fx.mapped, 0);
        assert_int_equal(fx.maps, 6);
    }
    cleanup();
}

static void test_read_write(void **state)
{
    (void)state;
    read_and_write(false);
}

static void test_persistent(void **state)
{
    (void)state;
    read_and_write(true);
}

static void test_part_of_pages(void **state)
{
    blkif_request_t *r;

    (void)state;
    setup(true, false);
    fill(0, 2, 3);
    r = ask(BLKIF_OP_WRITE, 100, 2, 0);
    r->seg[0].first_sect = 5;
    r->seg[1].last_sect = 0;
    assert_int_equal(one(), BLKIF_RSP_OKAY);
    r = ask(BLKIF_OP_READ, 100, 1, 9);
    r->seg[0].last_sect = 3;
    assert_int_equal(one(), BLKIF_RSP_OKAY);
    assert_memory_equal(fx.g->page[9], fx.g->page[0] + 5 * 512, 4 * 512);
    assert_int_equal(fx.g->page[9][2048], 0); /* and not a byte more */
    cleanup();
}

static void test_indirect(void **state)
{
    int persistent;

    (void)state;
    for (persistent = 0; persistent < 2; persistent++) {
        setup(persistent, false);
        fill(16, 256, 9);
        ask_indirect(BLKIF_OP_WRITE, 1024, 256, 16, 0);
        assert_int_equal(one(), BLKIF_RSP_OKAY);
        assert_int_equal(answered_op(), BLKIF_OP_WRITE);
        check_image(1024, 16, 256);
        memset(fx.g->page[16], 0, 64 * 4096);
        ask_indirect(BLKIF_OP_WRITE, 1024, 256, 500, 0); /* beyond NR_PAGES */
        assert_int_equal(one(), BLKIF_RSP_ERROR);
        ask_indirect(BLKIF_OP_READ, 1024, 10, 16, BAD_REF % NR_PAGES);
        assert_int_equal(one(), BLKIF_RSP_OKAY);
        cleanup();
    }
}

/* A frontend that says it is persistent, and grants some pages read-only. */
static void test_lies_about_grants(void **state)
{
    int persistent;

    (void)state;
    for (persistent = 0; persistent < 2; persistent++) {
        setup(persistent, false);
        ask(BLKIF_OP_WRITE, 0, 1, 15); /* reading from it is all we need */
        assert_int_equal(one(), BLKIF_RSP_OKAY);
        ask(BLKIF_OP_READ, 0, 1, 15);
        assert_int_equal(one(), BLKIF_RSP_ERROR);
        ask(BLKIF_OP_READ, 0, 3, NR_PAGES - 1);
        assert_int_equal(one(), BLKIF_RSP_ERROR);
        ask(BLKIF_OP_WRITE, 0, 1, BAD_REF);
        assert_int_equal(one(), BLKIF_RSP_ERROR);
        ask_indirect(BLKIF_OP_WRITE, 0, 4, 0, 1);
        ((struct blkif_request_indirect *)RING_GET_REQUEST(
             &fx.front, fx.front.req_prod_pvt - 1))
            ->indirect_grefs[0] = BAD_REF;
        assert_int_equal(one(), BLKIF_RSP_ERROR);
        assert_int_equal(fx.failed, 0);
        ask(BLKIF_OP_READ, 0, 1, 0);
        assert_int_equal(one(), BLKIF_RSP_OKAY);
        cleanup();
    }
}

/* However many pages of a request are so: two calls, and nothing kept. */
static void test_read_only_grants_cost_two_calls(void **state)
{
    unsigned int i;

    (void)state;
    setup(true, false);
    for (i = 0; i < 3; i++) {
        ask_indirect(BLKIF_OP_WRITE, 0, 32, 1, 0);
        assert_int_equal(one(), BLKIF_RSP_OKAY);
        /* The table's page, 30 good ones, 2 bad; then the 2 alone. */
        assert_int_equal(fx.maps, 3 + 2 * i);
        assert_int_equal(vbd_grants_kept(fx.s->grants), 31);
        assert_int_equal(fx.mapped, 31);
    }
    cleanup();
}

/* A request may name a page twice, and one that cannot be kept, too. */
static void test_page_named_twice(void **state)
{
    blkif_request_t *r;

    (void)state;
    setup(true, false);
    fill(2, 1, 5);
    r = ask(BLKIF_OP_WRITE, 0, 4, 2);
    r->seg[1].gref = 2;
    r->seg[2].gref = r->seg[3].gref = 15;
    assert_int_equal(one(), BLKIF_RSP_OKAY);
    check_image(0, 2, 1);
    check_image(8, 2, 1);
    check_image(24, 15, 1);
    assert_int_equal(vbd_grants_kept(fx.s->grants), 1);
    r = ask(BLKIF_OP_READ, 0, 2, BAD_REF);
    r->seg[1].gref = BAD_REF;
    assert_int_equal(one(), BLKIF_RSP_ERROR);
    assert_int_equal(fx.mapped, 1);
    cleanup();
}

static void test_read_only(void **state)
{
    (void)state;
    setup(true, true);
    ask(BLKIF_OP_WRITE, 0, 1, 0);
    assert_int_equal(one(), BLKIF_RSP_ERROR);
    ask(BLKIF_OP_READ, 0, 1, 0);
    assert_int_equal(one(), BLKIF_RSP_OKAY);
    ask(BLKIF_OP_FLUSH_DISKCACHE, 0, 0, 0);
    assert_int_equal(one(), BLKIF_RSP_OKAY);
    cleanup();
}

static void test_discard(void **state)
{
    struct blkif_request_discard *d;
    int16_t want;

    (void)state;
    setup(true, false);
    want = fx.img.discard ? BLKIF_RSP_OKAY : BLKIF_RSP_EOPNOTSUPP;
    fill(0, 4, 1);
    ask(BLKIF_OP_WRITE, 64, 4, 0);
    assert_int_equal(one(), BLKIF_RSP_OKAY);
    d = (void *)ask(BLKIF_OP_DISCARD, 64, 0, 0);
    d->nr_sectors = 16;
    assert_int_equal(one(), want);
    if (!want) {
        memset(fx.g->page[0], 0, 2 * 4096);
        check_image(64, 0, 4);
    }
    cleanup();
}

/* XSA-39: indices that cannot be. The server says so once, and rests. */
static void test_garbage_indices(void **state)
{
    static const RING_IDX garbage[] = {~0u, 0x80000000u, 513, 100000};
    unsigned int i;

    (void)state;
    for (i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        setup(true, false);
        fx.front.sring->req_prod = garbage[i];
        assert_false(vbd_server_turn(fx.s));
        assert_false(vbd_server_turn(fx.s));
        assert_false(vbd_server_arm(fx.s));
        assert_int_equal(fx.failed, 1);
        assert_int_equal(fx.front.sring->rsp_prod, 0);
        cleanup();
    }
}

/* A full ring, among it barriers: none is overtaken by a later write. */
static void test_barriers(void **state)
{
    unsigned int i, round, next_barrier;
    uint64_t id, done[512];

    (void)state;
    setup(true, false);
    for (round = 0; round < 5; round++) {
        fx.next_id = 0;
        for (i = 0; i < 512; i++)
            ask(i % 32 == 31 ? BLKIF_OP_WRITE_BARRIER : BLKIF_OP_WRITE,
                i * 8 % 4096, i % 64 == 63 ? 0 : 1, i % 15);
        /* An empty one is a barrier, but an empty write is none. */
        push();
        serve(512);
        for (i = 0; i < 512; i++) {
            assert_int_equal(collect(&id), BLKIF_RSP_OKAY);
            done[id] = i;
        }
        for (i = 0; i < 512; i++) {
            next_barrier = i | 31;
            assert_true(done[i] <= done[next_barrier]);
            if (i >= 32)
                assert_true(done[i] > done[(i & ~31u) - 1]);
        }
    }
    cleanup();
}

static void test_flush_with_data(void **state)
{
    (void)state;
    setup(false, false);
    fill(4, 3, 5);
    ask(BLKIF_OP_FLUSH_DISKCACHE, 40, 3, 4);
    assert_int_equal(one(), BLKIF_RSP_OKAY);
    check_image(40, 4, 3);
    cleanup();
}

/* The image gets shorter behind our back. */
static void test_image_cut(void **state)
{
    (void)state;
    setup(false, false);
    assert_int_equal(truncate(fx.path, 4096), 0);
    ask(BLKIF_OP_READ, 4, 2, 0);
    assert_int_equal(one(), BLKIF_RSP_ERROR);
    ask(BLKIF_OP_READ, 0, 1, 0);
    assert_int_equal(one(), BLKIF_RSP_OKAY);
    cleanup();
}

/* Stopped in order, with a barrier held: the next server ends the work. */
static void test_handed_over(void **state)
{
    unsigned int i, seen[64] = {0};
    uint64_t id;

    (void)state;
    setup(true, false);
    for (i = 0; i < 64; i++)
        ask(i % 8 ? BLKIF_OP_WRITE : BLKIF_OP_WRITE_BARRIER, i * 8, 1, i % 15);
    push();
    vbd_server_turn(fx.s);
    server_stop(true);
    assert_true(fx.front.sring->rsp_prod < 64); /* else it proves nothing */
    assert_int_equal(server_start(true, true), 0);
    vbd_server_begin(fx.s);
    serve(64);
    for (i = 0; i < 64; i++) {
        assert_int_equal(collect(&id), BLKIF_RSP_OKAY);
        assert_int_equal(seen[id]++, 0);
    }
    cleanup();
}

/* Closed for good: the frontend hears nothing, nothing stays mapped. */
static void test_dropped(void **state)
{
    unsigned int i;
    RING_IDX before;

    (void)state;
    setup(false, false);
    for (i = 0; i < 100; i++)
        ask(i % 8 ? BLKIF_OP_WRITE : BLKIF_OP_WRITE_BARRIER, i * 8, 1, i % 15);
    push();
    vbd_server_turn(fx.s);
    before = fx.front.sring->rsp_prod;
    server_stop(false);
    assert_int_equal(fx.front.sring->rsp_prod, before);
    cleanup();
}

static void serve_till_killed(void)
{
    vbd_server_begin(fx.s);
    for (;;)
        if (!vbd_server_turn(fx.s) && !vbd_server_arm(fx.s))
            vbd_server_wait(fx.s);
}

/* A child serves and is killed; the image's lock tells when it is over. */
static void test_killed(void **state)
{
    unsigned int round, i, asked = 0, answered = 0, goal;
    static unsigned char seen[100000];
    char err[256];
    uint64_t id;
    pid_t pid;

    (void)state;
    setup(true, false);
    server_stop(true);
    memset(seen, 0, sizeof(seen));
    for (round = 0; round < 40; round++) {
        vbd_image_close(&fx.img);
        fflush(NULL);
        pid = fork();
        if (!pid) {
            while (vbd_image_open(&fx.img, fx.path, false, err, 256) == -EBUSY)
                usleep(100);
            if (server_start(true, round % 2))
                _exit(1);
            serve_till_killed();
        }
        /* Keep the ring full till it has got somewhere, then strike. */
        goal = answered + 600 + (unsigned int)rand() % 100;
        for (i = 0; i < 100000 && answered < goal; i++) {
            while (!RING_FULL(&fx.front)) {
                ask(asked % 50 ? BLKIF_OP_WRITE : BLKIF_OP_WRITE_BARRIER,
                    asked * 8ull % 8000, 1, asked % 15);
                asked++;
            }
            push();
            usleep(rand() % 50);
            while (fx.front.rsp_cons != ring_load(&fx.front.sring->rsp_prod)) {
                assert_int_equal(collect(&id), BLKIF_RSP_OKAY);
                assert_in_range(id, 0, asked - 1);
                assert_int_equal(seen[id % sizeof(seen)], 0);
                seen[id % sizeof(seen)] = 1;
                /* Far behind: nobody can still answer that. */
                seen[(id + sizeof(seen) / 2) % sizeof(seen)] = 0;
                answered++;
            }
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    while (vbd_image_open(&fx.img, fx.path, false, err, 256) == -EBUSY)
        usleep(100);
    assert_int_equal(server_start(true, true), 0);
    vbd_server_begin(fx.s);
    serve(asked - answered);
    assert_int_equal(fx.front.sring->rsp_prod, asked);
    assert_true(answered > 40 * 600);
    cleanup();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_write),
        cmocka_unit_test(test_persistent),
        cmocka_unit_test(test_part_of_pages),
        cmocka_unit_test(test_indirect),
        cmocka_unit_test(test_lies_about_grants),
        cmocka_unit_test(test_read_only_grants_cost_two_calls),
        cmocka_unit_test(test_page_named_twice),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_discard),
        cmocka_unit_test(test_garbage_indices),
        cmocka_unit_test(test_barriers),
        cmocka_unit_test(test_flush_with_data),
        cmocka_unit_test(test_image_cut),
        cmocka_unit_test(test_handed_over),
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
