/* SPDX-License-Identifier: MIT */
/*
 * Proves that no client harms the control socket: half messages, junk, too
 * long lines, hanging up before the answer and never reading it are each that
 * client's trouble alone, and the next one is served.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dom0/control.h"
#include "tests/unit/scratch.h"

struct server {
    char path[80];
    struct loop *loop;
    struct control *control;
    struct request *parked[128]; /* of "park", answered by "release" */
    unsigned nr_parked;
    pthread_t thread;
};

static void cmd_echo(void *owner, struct request *req, json_t *args)
{
    (void)owner;
    request_progress(req, "working on %s", "it");
    request_ok(req, json_pack("{s:O?}", "text", json_object_get(args, "text")));
}

static void cmd_park(void *owner, struct request *req, json_t *args)
{
    struct server *s = owner;

    (void)args;
    s->parked[s->nr_parked++] = req;
}

static void cmd_release(void *owner, struct request *req, json_t *args)
{
    struct server *s = owner;

    (void)args;
    while (s->nr_parked)
        request_fail(s->parked[--s->nr_parked], "hint", "parked %s", "enough");
    request_ok(req, NULL);
}

static void cmd_flood(void *owner, struct request *req, json_t *args)
{
    int i;

    (void)owner;
    (void)args;
    for (i = 0; i < 20000 && request_alive(req); i++)
        request_progress(req, "%01000d", i);
    request_ok(req, NULL);
}

static void cmd_stop(void *owner, struct request *req, json_t *args)
{
    struct server *s = owner;

    (void)args;
    request_ok(req, NULL);
    loop_stop(s->loop);
}

static const struct control_command commands[] = {
    {"echo", cmd_echo},   {"park", cmd_park}, {"release", cmd_release},
    {"flood", cmd_flood}, {"stop", cmd_stop}, {NULL, NULL},
};

static void *serve(void *arg)
{
    struct server *s = arg;

    loop_run(s->loop);
    return NULL;
}

static int dial(const struct server *s)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(sun.sun_path, s->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next message of fd; NULL when the server has hung up. */
static json_t *hear(int fd)
{
    char line[8192];
    size_t len = 0;

    while (len < sizeof(line)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (poll(&p, 1, 10000) <= 0)
            fail_msg("no answer in ten seconds");
        if (recv(fd, line + len, 1, 0) != 1)
            return NULL;
        if (line[len++] == '\n')
            return json_loadb(line, len, 0, NULL);
    }
    return NULL;
}

static json_t *hear_reply(int fd)
{
    json_t *msg = hear(fd);

    while (msg && json_object_get(msg, "event")) {
        json_decref(msg);
        msg = hear(fd);
    }
    return msg;
}

static void expect_ok(int fd, bool ok)
{
    json_t *msg = hear_reply(fd);

    assert_non_null(msg);
    assert_int_equal(json_is_true(json_object_get(msg, "ok")), ok);
    if (!ok)
        assert_true(json_is_string(json_object_get(msg, "error")));
    json_decref(msg);
}

static void still_serves(const struct server *s)
{
    int fd = dial(s);

    say(fd, "{\"id\":1,\"cmd\":\"echo\"}\n");
    expect_ok(fd, true);
    close(fd);
}

static int setup(void **state)
{
    static struct server s;
    char dir[64];

    memset(&s, 0, sizeof(s));
    if (!mkdtemp(scratch_name(dir, sizeof(dir))))
        return -1;
    snprintf(s.path, sizeof(s.path), "%s/sock", dir);
    *state = &s;
    if (loop_create(&s.loop) ||
        control_create(&s.control, s.loop, s.path, commands, &s))
        return -1;
    return pthread_create(&s.thread, NULL, serve, &s);
}

static int teardown(void **state)
{
    struct server *s = *state;
    int fd = dial(s);

    say(fd, "{\"cmd\":\"stop\"}\n");
    pthread_join(s->thread, NULL);
    close(fd);
    while (s->nr_parked)
        request_ok(s->parked[--s->nr_parked], NULL);
    control_destroy(s->control);
    loop_destroy(s->loop);
    *strrchr(s->path, '/') = 0;
    return rmdir(s->path);
}

static void answers_with_the_id(void **state)
{
    int fd = dial(*state);
    json_t *msg;

    say(fd, "{\"id\":\"a7\",\"cmd\":\"echo\",\"text\":\"hi\"}\n");
    msg = hear(fd);
    assert_string_equal(json_string_value(json_object_get(msg, "event")),
                        "progress");
    json_decref(msg);
    msg = hear(fd);
    assert_string_equal(json_string_value(json_object_get(msg, "id")), "a7");
    assert_string_equal(json_string_value(json_object_get(msg, "text")), "hi");
    json_decref(msg);
    close(fd);
}

static void byte_by_byte(void **state)
{
    const char *line = "{\"id\":1,\"cmd\":\"echo\"}\n{\"id\":2,\"cmd\":";
    int fd = dial(*state);

    for (; *line; line++)
        assert_int_equal(send(fd, line, 1, 0), 1);
    expect_ok(fd, true);
    still_serves(*state); /* while half a message waits */
    say(fd, "\"echo\"}\n");
    expect_ok(fd, true);
    close(fd);
}

static void junk_is_answered(void **state)
{
    static const char *const junk[] = {
        "hello\n",
        "[1,2]\n",
        "{\"cmd\":7}\n",
        "{\"cmd\":\"\"}\n",
        "{\"a\":1,\"a\":2}\n",
        "\"\\ud800\"\n",
        "\xff\xfe{}\n",
        "{\"cmd\":\"nope\"}\n",
    };
    int fd = dial(*state);
    size_t i;

    for (i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
        say(fd, junk[i]);
        expect_ok(fd, false);
    }
    say(fd, "\n\n{\"cmd\":\"echo\"}\n");
    expect_ok(fd, true);
    close(fd);
    still_serves(*state);
}

static void too_long_is_skipped(void **state)
{
    char *big = malloc(3 * CONTROL_LINE_MAX);
    int fd = dial(*state);
    size_t done = 0;

    memset(big, 'x', 3 * CONTROL_LINE_MAX);
    big[3 * CONTROL_LINE_MAX - 1] = '\n';
    while (done < 3 * CONTROL_LINE_MAX) {
        ssize_t n = send(fd, big + done, 3 * CONTROL_LINE_MAX - done, 0);

        assert_true(n > 0);
        done += n;
    }
    expect_ok(fd, false);
    say(fd, "{\"cmd\":\"echo\"}\n");
    expect_ok(fd, true);
    close(fd);
    free(big);
}

static void gone_before_the_answer(void **state)
{
    int fd = dial(*state);

    say(fd, "{\"cmd\":\"park\"}\n");
    still_serves(*state);
    close(fd);
    still_serves(*state);
    fd = dial(*state);
    say(fd, "{\"cmd\":\"release\"}\n");
    expect_ok(fd, true);
    close(fd);
}

/* "printf request | nc": all replies come although the client is done. */
static void half_closed_is_served(void **state)
{
    int fd = dial(*state);

    say(fd, "{\"id\":1,\"cmd\":\"park\"}\n{\"id\":2,\"cmd\":\"release\"}\n");
    shutdown(fd, SHUT_WR);
    expect_ok(fd, false);
    expect_ok(fd, true);
    assert_null(hear(fd));
    close(fd);
}

static void never_reading_is_cut_off(void **state)
{
    int fd = dial(*state);

    say(fd, "{\"cmd\":\"flood\"}\n");
    still_serves(*state);
    close(fd);
}

static void many_requests_are_refused(void **state)
{
    int fd = dial(*state), i, refused = 0;

    for (i = 0; i < 70; i++)
        say(fd, "{\"cmd\":\"park\"}\n");
    for (i = 0; i < 6; i++) {
        json_t *msg = hear_reply(fd);

        refused += json_is_false(json_object_get(msg, "ok"));
        json_decref(msg);
    }
    assert_int_equal(refused, 6);
    close(fd);
    still_serves(*state);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(answers_with_the_id),      T(byte_by_byte),
        T(junk_is_answered),         T(too_long_is_skipped),
        T(gone_before_the_answer),   T(half_closed_is_served),
        T(never_reading_is_cut_off), T(many_requests_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
