/* SPDX-License-Identifier: MIT */
/*
 * The socket wire reads lazily (daemon/lazy.h) without a client seeing any of
 * it: who has hardly any room to send waits for none, who will send no more
 * gets all answers and then the end, and the store's end is no reset.
 */
#include "tests/unit/test_store_host.h"

#define CLIENTS_REQUEST "/client"

static struct host host;

static int setup(void **state)
{
    int rc = sf_setup(state);

    if (rc)
        return rc;
    host_open(&host, false);
    return 0;
}

static int teardown(void **state)
{
    host_close(&host);
    return sf_teardown(state);
}

/* A client that fails rather than wait for ever. */
static int impatient_client(void)
{
    struct timeval patience = {.tv_sec = 10};
    int fd = client_open(&host);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return fd;
}

/* A READ of a node that is not there, by its number. */
static size_t request(char *buf, uint32_t number)
{
    struct xsd_sockmsg hdr = {
        .type = XS_READ, .req_id = number, .len = sizeof(CLIENTS_REQUEST)};

    memcpy(buf, &hdr, sizeof(hdr));
    memcpy(buf + sizeof(hdr), CLIENTS_REQUEST, sizeof(CLIENTS_REQUEST));
    return sizeof(hdr) + sizeof(CLIENTS_REQUEST);
}

static void expect_answer(int fd, uint32_t number)
{
    char buf[sizeof(struct xsd_sockmsg) + 7]; /* ENOENT */
    struct xsd_sockmsg hdr;

    assert_int_equal(recv(fd, buf, sizeof(buf), MSG_WAITALL), sizeof(buf));
    memcpy(&hdr, buf, sizeof(hdr));
    assert_int_equal(hdr.req_id, number);
    assert_string_equal(buf + sizeof(hdr), "ENOENT");
}

/* Each byte takes a good part of the little room that there is. */
static void test_little_room(void **state)
{
    int fd = impatient_client(), room = 1;
    char buf[64];

    (void)state;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    for (uint32_t i = 0; i < 50; i++) {
        size_t len = request(buf, i);

        for (size_t at = 0; at < len; at++)
            assert_int_equal(send(fd, buf + at, 1, MSG_NOSIGNAL), 1);
        expect_answer(fd, i);
    }
    close(fd);
}

/* More at once than one turn deals with. */
static void test_many_at_once(void **state)
{
    char buf[300 * 64];
    int fd = impatient_client();
    size_t len = 0;

    (void)state;
    for (int round = 0; round < 20; round++) {
        len = 0;
        for (uint32_t i = 0; i < 300; i++)
            len += request(buf + len, i);
        assert_int_equal(send(fd, buf, len, MSG_NOSIGNAL), len);
        for (uint32_t i = 0; i < 300; i++)
            expect_answer(fd, i);
    }
    close(fd);
}

static void test_no_more_requests(void **state)
{
    char buf[256];

    (void)state;
    for (int round = 0; round < 200; round++) {
        int fd = impatient_client();
        size_t len = 0;

        for (uint32_t i = 0; i < 3; i++)
            len += request(buf + len, i);
        assert_int_equal(send(fd, buf, len, MSG_NOSIGNAL), len);
        shutdown(fd, SHUT_WR);
        for (uint32_t i = 0; i < 3; i++)
            expect_answer(fd, i);
        assert_int_equal(recv(fd, buf, sizeof(buf), 0), 0);
        close(fd);
    }
}

/* A store that stops: to its clients an end, as of old, not a reset. */
static void test_end_of_store(void **state)
{
    int fd = impatient_client();
    char buf[64];

    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        size_t len = request(buf, i);

        assert_int_equal(send(fd, buf, len, MSG_NOSIGNAL), len);
        expect_answer(fd, i);
    }
    host_close(&host);
    assert_int_equal(recv(fd, buf, sizeof(buf), 0), 0);
    close(fd);
    host_open(&host, false);
}

/* What was looked at only is taken off after a while of silence. */
static void test_left_alone(void **state)
{
    int fd = impatient_client();
    char buf[64];

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        size_t len = request(buf, i);

        assert_int_equal(send(fd, buf, len, MSG_NOSIGNAL), len);
        expect_answer(fd, i);
        usleep(i * 30000);
    }
    close(fd);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_little_room),  T(test_many_at_once), T(test_no_more_requests),
        T(test_end_of_store), T(test_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
