/* SPDX-License-Identifier: MIT */
/*
 * Backends against a real store, with this test as toolstack and guest: the
 * handshake of a disk and of the echo device, reconnection as pvgrub2 does
 * it, a restart that leaves `state` alone, removal, and what a hostile guest
 * writes in its nodes or its ring.  After each hostility another device works.
 */
#include "test_xenbus_fixture.h"

#include "backends/ring.h"
#include <xen/io/blkif.h>
#include "backends/echo.h"

/* The archive's backends that this program wants. */
extern const struct backend_ops *const backend_reg_echo_ops;
extern const struct backend_ops *const backend_reg_vbd_ops;
const struct backend_ops *const *wanted[] = {&backend_reg_echo_ops,
                                             &backend_reg_vbd_ops};

struct echo_front {
    echo_front_ring_t ring;
    char fe[128], be[128];
    int port;
};

/* Ring in page `page`, event channel `port`. */
static void echo_publish(struct echo_front *f, unsigned int page, int port)
{
    XEN_FRONT_RING_INIT(&f->ring, (echo_sring_t *)fx.page[page], 4096);
    f->port = port;
    fx_num(f->fe, "ring-ref", page);
    fx_num(f->fe, "event-channel", (unsigned int)port);
    fx_write(f->fe, "state", "3");
}

static void echo_up(struct echo_front *f, const char *id, unsigned int page,
                    int port)
{
    fx_front("echo", id, f->fe);
    fx_back("echo", id, f->be);
    fx_add_device("echo", id, NULL);
    fx_await(f->be, "state", XenbusStateInitWait);
    echo_publish(f, page, port);
    fx_await(f->be, "state", XenbusStateConnected);
    fx_write(f->fe, "state", "4");
}

static void echo_works(struct echo_front *f)
{
    struct echo_request *req;
    struct echo_response *rsp;
    int notify, more, i;

    for (i = 0; i < 50; i++) {
        req = RING_GET_REQUEST(&f->ring, f->ring.req_prod_pvt++);
        req->id = (uint64_t)i;
        req->value = 41;
        RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&f->ring, notify);
        if (notify)
            eventfd_write(fx.to_back[f->port], 1);
        for (;;) {
            RING_FINAL_CHECK_FOR_RESPONSES(&f->ring, more);
            if (more)
                break;
            fx_wait_event(f->port);
        }
        rsp = RING_GET_RESPONSE(&f->ring, f->ring.rsp_cons++);
        assert_int_equal(rsp->id, i);
        assert_int_equal(rsp->value, 42);
    }
}

static void test_echo(void **state)
{
    struct echo_front f;

    (void)state;
    (void)wanted;
    echo_up(&f, "0", 10, 1);
    echo_works(&f);
    fx_write(f.be, "poll-us", "-1"); /* polled, from now on */
    echo_works(&f);
    fx_write(f.be, "poll-us", "0");
    echo_works(&f);
}

/* pvgrub2: 6, wait for 6, blank the keys, 1, wait for InitWait; then Linux. */
static void test_reconnect(void **state)
{
    struct echo_front f;
    int i;

    (void)state;
    echo_up(&f, "0", 10, 1);
    for (i = 0; i < 3; i++) {
        echo_works(&f);
        fx_write(f.fe, "state", "6");
        fx_await(f.be, "state", XenbusStateClosed);
        fx_write(f.fe, "ring-ref", "");
        fx_write(f.fe, "event-channel", "");
        fx_write(f.fe, "state", "1");
        fx_await(f.be, "state", XenbusStateInitWait);
        echo_publish(&f, 11 + (unsigned int)i, 2);
        fx_await(f.be, "state", XenbusStateConnected);
    }
    echo_works(&f);
}

static void test_unplug(void **state)
{
    struct echo_front f;

    (void)state;
    echo_up(&f, "0", 10, 1);
    fx_write(f.be, "online", "0");
    fx_write(f.be, "state", "5");
    usleep(20000);
    echo_works(&f); /* the frontend has not let go */
    fx_write(f.fe, "state", "6");
    fx_await(f.be, "state", XenbusStateClosed);
    assert_true(xs_rm(fx.xs, XBT_NULL, f.be));
    assert_true(xs_rm(fx.xs, XBT_NULL, f.fe));
    echo_up(&f, "0", 12, 3); /* and plugged again */
    echo_works(&f);
    /* Destroyed: the frontend's nodes vanish. */
    assert_true(xs_rm(fx.xs, XBT_NULL, "/local/domain/1"));
    fx_await(f.be, "state", XenbusStateClosed);
}

static void test_restart(void **state)
{
    struct echo_front f;
    char path[160];
    int i;

    (void)state;
    echo_up(&f, "0", 10, 1);
    snprintf(path, sizeof(path), "%s/state", f.be);
    assert_true(xs_watch(fx.xs, path, "t"));
    free(xs_read_watch(fx.xs, &(unsigned int){0})); /* the first, at once */
    for (i = 0; i < 5; i++) {
        fx_backends_restart();
        echo_works(&f);
    }
    assert_int_equal(fx_read_num(f.be, "state"), XenbusStateConnected);
    assert_null(xs_check_watch(fx.xs)); /* nobody wrote it meanwhile */
    assert_int_equal(errno, EAGAIN);
}

/* ---- disks ---- */

struct blk_front {
    blkif_front_ring_t ring;
    char fe[128], be[128];
    int port;
};

static void blk_up(struct blk_front *f, const char *id, unsigned int page,
                   unsigned int order, int port)
{
    unsigned int i;
    char node[24];

    fx_front("vbd", id, f->fe);
    fx_back("vbd", id, f->be);
    fx_add_device("vbd", id, fx.image);
    fx_await(f->be, "state", XenbusStateInitWait);
    assert_int_equal(fx_read_num(f->be, "max-ring-page-order"), 4);
    assert_int_equal(fx_read_num(f->be, "feature-flush-cache"), 1);
    XEN_FRONT_RING_INIT(&f->ring, (blkif_sring_t *)fx.page[page],
                        4096u << order);
    f->port = port;
    fx_num(f->fe, "event-channel", (unsigned int)port);
    if (!order)
        fx_num(f->fe, "ring-ref", page);
    else
        fx_num(f->fe, "ring-page-order", order);
    for (i = 0; order && i < 1u << order; i++) {
        sprintf(node, "ring-ref%u", i);
        fx_num(f->fe, node, page + i);
    }
    fx_write(f->fe, "protocol", "x86_64-abi");
    fx_write(f->fe, "feature-persistent", "1");
    fx_write(f->fe, "state", "3");
    fx_await(f->be, "state", XenbusStateConnected);
    assert_int_equal(fx_read_num(f->be, "sectors"), 2048);
    fx_write(f->fe, "state", "4");
}

static int16_t blk_do(struct blk_front *f, uint8_t op, uint64_t sector,
                      unsigned int page)
{
    blkif_request_t *r = RING_GET_REQUEST(&f->ring, f->ring.req_prod_pvt++);
    blkif_response_t *rsp;
    int notify, more;

    memset(r, 0, sizeof(*r));
    r->operation = op;
    r->nr_segments = 1;
    r->sector_number = sector;
    r->id = sector;
    r->seg[0].gref = page;
    r->seg[0].last_sect = 7;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&f->ring, notify);
    if (notify)
        eventfd_write(fx.to_back[f->port], 1);
    for (;;) {
        RING_FINAL_CHECK_FOR_RESPONSES(&f->ring, more);
        if (more)
            break;
        fx_wait_event(f->port);
    }
    rsp = RING_GET_RESPONSE(&f->ring, f->ring.rsp_cons++);
    assert_int_equal(rsp->id, sector);
    return rsp->status;
}

static void blk_works(struct blk_front *f)
{
    unsigned int i;

    for (i = 0; i < 30; i++) {
        memset(fx.page[100], (int)i + 1, 4096);
        assert_int_equal(blk_do(f, BLKIF_OP_WRITE, i * 8, 100), 0);
        assert_int_equal(blk_do(f, BLKIF_OP_READ, i * 8, 101), 0);
        assert_memory_equal(fx.page[100], fx.page[101], 4096);
    }
    assert_int_equal(blk_do(f, BLKIF_OP_READ, 2041, 101), BLKIF_RSP_ERROR);
}

static void test_disk(void **state)
{
    struct blk_front f;
    json_t *stats, *dev;

    (void)state;
    blk_up(&f, "51712", 20, 0, 1);
    blk_works(&f);
    fx_backends_restart();
    blk_works(&f);
    stats = backends_stats_json(fx.b);
    dev = json_array_get(json_object_get(stats, "devices"), 0);
    assert_string_equal(json_string_value(json_object_get(dev, "state")),
                        "Connected");
    assert_int_equal(
        json_integer_value(json_object_get(dev, "sectors_written")), 240);
    assert_int_equal(json_integer_value(json_object_get(dev, "errors")), 1);
    json_decref(stats);
}

static void test_disk_big_ring(void **state)
{
    struct blk_front f;

    (void)state;
    blk_up(&f, "51728", 20, 4, 1);
    blk_works(&f);
    fx_backends_restart();
    blk_works(&f);
}

/* ---- a disk with several queues ---- */

#define QUEUES 3

/* Queue i has its ring at page + i and port port + i. */
static void mq_up(struct blk_front *q, const char *id, unsigned int page,
                  int port)
{
    char node[48];
    int i;

    for (i = 0; i < QUEUES; i++) {
        fx_front("vbd", id, q[i].fe);
        fx_back("vbd", id, q[i].be);
        q[i].port = port + i;
    }
    /* Before the device is there; whatever CPUs this machine has. */
    fx_write(q->be, "max-queues", "4");
    fx_add_device("vbd", id, fx.image);
    fx_await(q->be, "state", XenbusStateInitWait);
    fx_num(q->fe, "multi-queue-num-queues", QUEUES);
    for (i = 0; i < QUEUES; i++) {
        XEN_FRONT_RING_INIT(&q[i].ring,
                            (blkif_sring_t *)fx.page[page + (unsigned)i], 4096);
        snprintf(node, sizeof(node), "queue-%d/ring-ref", i);
        fx_num(q->fe, node, page + (unsigned)i);
        snprintf(node, sizeof(node), "queue-%d/event-channel", i);
        fx_num(q->fe, node, (unsigned)(port + i));
    }
    fx_write(q->fe, "state", "3");
    fx_await(q->be, "state", XenbusStateConnected);
    fx_write(q->fe, "state", "4");
}

static json_int_t disk_stat(const char *name)
{
    json_t *stats = backends_stats_json(fx.b);
    json_t *dev = json_array_get(json_object_get(stats, "devices"), 0);
    json_int_t v = json_integer_value(json_object_get(dev, name));

    json_decref(stats);
    return v;
}

/* Each ring works by itself, what one wrote the others read, also after us. */
static void test_queues(void **state)
{
    struct blk_front q[QUEUES];
    int i, round;

    (void)state;
    mq_up(q, "51712", 20, 1);
    for (round = 0; round < 2; round++) {
        for (i = 0; i < QUEUES; i++)
            blk_works(&q[i]);
        memset(fx.page[100], 0x5a, 4096);
        assert_int_equal(blk_do(&q[0], BLKIF_OP_WRITE, 800, 100), 0);
        assert_int_equal(blk_do(&q[2], BLKIF_OP_READ, 800, 101), 0);
        assert_memory_equal(fx.page[100], fx.page[101], 4096);
        assert_int_equal(disk_stat("queues"), QUEUES);
        assert_int_equal(disk_stat("requests"), QUEUES * 61 + 2);
        fx_backends_restart();
    }
    /* Unanswered requests of each queue are found in its own log. */
    for (i = 0; i < QUEUES; i++)
        blk_works(&q[i]);
    /* Reconnected with one queue it is what a disk always was. */
    fx_write(q->fe, "state", "6");
    fx_await(q->be, "state", XenbusStateClosed);
    fx_write(q->fe, "multi-queue-num-queues", "1");
    fx_write(q->fe, "state", "1");
    fx_await(q->be, "state", XenbusStateInitWait);
    XEN_FRONT_RING_INIT(&q->ring, (blkif_sring_t *)fx.page[30], 4096);
    fx_num(q->fe, "ring-ref", 30);
    fx_num(q->fe, "event-channel", 5);
    q->port = 5;
    fx_write(q->fe, "state", "3");
    fx_await(q->be, "state", XenbusStateConnected);
    blk_works(q);
    assert_int_equal(disk_stat("queues"), 1);
}

/* One bad ring of several costs the guest the disk, once. */
static void test_garbage_in_two_queues(void **state)
{
    struct blk_front q[QUEUES];
    int i;

    (void)state;
    mq_up(q, "51712", 20, 1);
    for (i = 1; i < QUEUES; i++) {
        q[i].ring.sring->req_prod += 1000;
        eventfd_write(fx.to_back[q[i].port], 1);
    }
    fx_await(q->be, "state", XenbusStateClosing);
    assert_true(fx_logged("req_prod is 1000"));
}

static void test_no_image(void **state)
{
    char be[128];

    (void)state;
    fx_add_device("vbd", "51712", "/nowhere/disk.img");
    fx_back("vbd", "51712", be);
    fx_await(be, "state", XenbusStateClosed);
    assert_true(fx_logged("/nowhere/disk.img does not exist"));
}

/* XSA-39: the device is closed, the line says whose and why. */
static void test_garbage_ring(void **state)
{
    struct blk_front bad;
    struct echo_front good;

    (void)state;
    echo_up(&good, "0", 10, 2);
    blk_up(&bad, "51712", 20, 0, 1);
    bad.ring.sring->req_prod += 1000;
    eventfd_write(fx.to_back[1], 1);
    fx_await(bad.be, "state", XenbusStateClosing);
    assert_true(fx_logged("d1 vbd/51712: closing the device"));
    assert_true(fx_logged("req_prod is 1000"));
    echo_works(&good);
    fx_write(bad.fe, "state", "6");
    fx_await(bad.be, "state", XenbusStateClosed);
    /* Having closed, it may try again. */
    fx_write(bad.fe, "state", "1");
    fx_await(bad.be, "state", XenbusStateInitWait);
    XEN_FRONT_RING_INIT(&bad.ring, (blkif_sring_t *)fx.page[30], 4096);
    fx_num(bad.fe, "ring-ref", 30);
    fx_write(bad.fe, "state", "3");
    fx_await(bad.be, "state", XenbusStateConnected);
    blk_works(&bad);
}

static const char *const junk[][2] = {
    {"ring-ref", "999999"},
    {"ring-ref", "-1"},
    {"ring-ref", "0x10"},
    {"ring-ref", "99999999999999999999999"},
    {"event-channel", "4000000"},
    {"event-channel", "port"},
    {"ring-page-order", "5"},
    {"ring-page-order", "4294967296"},
    {"protocol", "x86_32-abi"},
    {"multi-queue-num-queues", "2"}, /* and no queue-0/ */
    {"multi-queue-num-queues", "0"},
    {"multi-queue-num-queues", "17"},
    {"multi-queue-num-queues", "4294967297"},
    {"ring-ref", ""},
};

static void test_junk_nodes(void **state)
{
    struct echo_front good;
    char fe[128], be[128], id[8];
    unsigned int i;

    (void)state;
    echo_up(&good, "0", 10, 2);
    for (i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
        char image[128];

        sprintf(id, "%u", 100 + i);
        snprintf(image, sizeof(image), "%s.%u", fx.image, i);
        close(creat(image, 0600));
        assert_int_equal(truncate(image, 4096), 0);
        fx_front("vbd", id, fe);
        fx_back("vbd", id, be);
        fx_add_device("vbd", id, image);
        fx_await(be, "state", XenbusStateInitWait);
        fx_write(fe, "ring-ref", "20");
        fx_write(fe, "event-channel", "1");
        fx_write(fe, junk[i][0], junk[i][1]);
        fx_write(fe, "state", "3");
        fx_await(be, "state", XenbusStateClosing);
    }
    echo_works(&good);
}

static void test_junk_states(void **state)
{
    static const char *const states[] = {
        "", "x", "99", "-4", "4294967300", "18446744073709551620", "7", "8",
    };
    struct echo_front f;
    unsigned int i;

    (void)state;
    echo_up(&f, "0", 10, 2);
    for (i = 0; i < 8; i++) {
        fx_write(f.fe, "state", states[i]);
        echo_works(&f);
    }
    usleep(20000);
    assert_int_equal(fx_read_num(f.be, "state"), XenbusStateConnected);
}

/* XSA-349: a guest that writes its state for ever delays nobody for long. */
static void test_state_flood(void **state)
{
    struct echo_front f, g;
    unsigned int i;

    (void)state;
    echo_up(&f, "0", 10, 2);
    for (i = 0; i < 5000; i++)
        fx_write(f.fe, "state", i & 1 ? "4" : "3");
    echo_up(&g, "1", 11, 3);
    echo_works(&f);
    echo_works(&g);
}

/* The store is killed and comes back: rings go on, new devices come. */
static void test_store_dies(void **state)
{
    struct echo_front f, g;

    (void)state;
    echo_up(&f, "0", 10, 2);
    kill(fx.store, SIGKILL);
    waitpid(fx.store, NULL, 0);
    echo_works(&f);
    xs_close(fx.xs);
    fx.xs = NULL;
    assert_int_equal(fx_store_start(), 0);
    assert_true(fx_logged("lost the store"));
    echo_up(&g, "1", 11, 3);
    echo_works(&g);
    echo_works(&f);
    assert_int_equal(fx_read_num(f.be, "state"), XenbusStateConnected);
    assert_false(fx_logged("taken over"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_echo),        T(test_reconnect),
        T(test_unplug),      T(test_restart),
        T(test_disk),        T(test_disk_big_ring),
        T(test_queues),      T(test_garbage_in_two_queues),
        T(test_no_image),    T(test_garbage_ring),
        T(test_junk_nodes),  T(test_junk_states),
        T(test_state_flood), T(test_store_dies),
    };
    char bin[600];

    if (!fx_find_store(bin, sizeof(bin))) {
        printf("SKIP: no kxenstored beside this test\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
