/* SPDX-License-Identifier: MIT */
/*
 * libxenstore against the daemon's own loop and socket, in one process:
 * every call does its job; several threads share a handle; watches reach
 * poll(); a client that sends half a message, or a store that goes away, is
 * nobody else's trouble.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenstore.h>

#include "xenstore/daemon/socket.h"
#include "tests/unit/scratch.h"

#define WORKERS 2

static struct {
    struct store *s;
    struct sworker w[WORKERS];
    pthread_t t[WORKERS];
    struct slistener *l;
    char dir[64], path[96];
} d;

static void *worker(void *arg)
{
    sworker_run(arg);
    return NULL;
}

static void quiet(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

static int setup(void **state)
{
    (void)state;
    store_thread_enter();
    assert_non_null(mkdtemp(scratch_name(d.dir, sizeof(d.dir))));
    snprintf(d.path, sizeof(d.path), "%s/socket", d.dir);
    d.s = store_create();
    d.s->log = quiet;
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(sworker_init(&d.w[i], d.s), 0);
    assert_int_equal(slistener_open(d.w, WORKERS, d.path, &d.l), 0);
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&d.t[i], NULL, worker, &d.w[i]);
    setenv("XENSTORED_PATH", d.path, 1);
    return 0;
}

static void stop_workers(void)
{
    for (int i = 0; i < WORKERS; i++) {
        sworker_stop(&d.w[i]);
        pthread_join(d.t[i], NULL);
    }
}

static int teardown(void **state)
{
    (void)state;
    stop_workers();
    slistener_close(d.l);
    for (int i = 0; i < WORKERS; i++)
        sworker_fini(&d.w[i]);
    store_destroy(d.s);
    rmdir(d.dir);
    store_thread_leave();
    return 0;
}

static bool put(struct xs_handle *h, const char *path, const char *value)
{
    return xs_write(h, XBT_NULL, path, value, strlen(value));
}

static void test_nodes(void **state)
{
    struct xs_handle *h = xs_open(0);
    struct xs_permissions perms[2] = {{.id = 0, .perms = XS_PERM_NONE},
                                      {.id = 7, .perms = XS_PERM_READ}},
                          *got;
    unsigned int n;
    char **names, *value;

    (void)state;
    assert_non_null(h);
    assert_true(put(h, "/t/b", "two"));
    assert_true(put(h, "/t/a", "one"));
    assert_true(xs_mkdir(h, XBT_NULL, "/t/c"));
    value = xs_read(h, XBT_NULL, "/t/b", &n);
    assert_string_equal(value, "two");
    assert_int_equal(n, 3);
    free(value);
    names = xs_directory(h, XBT_NULL, "/t", &n);
    assert_int_equal(n, 3);
    assert_string_equal(names[2], "c");
    free(names);
    assert_true(xs_set_permissions(h, XBT_NULL, "/t/a", perms, 2));
    got = xs_get_permissions(h, XBT_NULL, "/t/a", &n);
    assert_int_equal(n, 2);
    assert_memory_equal(got, perms, sizeof(perms));
    free(got);
    assert_true(xs_rm(h, XBT_NULL, "/t"));
    assert_null(xs_read(h, XBT_NULL, "/t/a", &n));
    assert_int_equal(errno, ENOENT);
    assert_false(put(h, "/bad path", "x"));
    assert_int_equal(errno, EINVAL);
    value = xs_get_domain_path(h, 5);
    assert_string_equal(value, "/local/domain/5");
    free(value);
    assert_true(xs_is_domain_introduced(h, 0));
    assert_false(xs_is_domain_introduced(h, 5));
    assert_false(xs_introduce_domain(h, 5, 1, 1)); /* no hv here */
    assert_false(xs_release_domain(h, 5));
    assert_int_equal(errno, ENOENT);
    value = xs_control_command(h, "help", NULL, 0);
    assert_non_null(strstr(value, "quota"));
    free(value);
    assert_false(xs_restrict(h, 5));
    xs_close(h);
    xs_close(NULL);
}

static void test_large(void **state)
{
    struct xs_handle *h = xs_open(0);
    char path[64], value[XENSTORE_PAYLOAD_MAX] = "", **names;
    unsigned int n;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        sprintf(path, "/big/child-number-%05d", i);
        assert_true(put(h, path, ""));
    }
    names = xs_directory(h, XBT_NULL, "/big", &n);
    assert_int_equal(n, 3000);
    assert_string_equal(names[2999], "child-number-02999");
    free(names);
    names = xs_directory(h, XBT_NULL, "/big/child-number-00000", &n);
    assert_non_null(names);
    assert_int_equal(n, 0);
    free(names);
    assert_true(xs_write(h, XBT_NULL, "/v", value, sizeof(value) - 3));
    assert_false(xs_write(h, XBT_NULL, "/v", value, sizeof(value) - 2));
    assert_int_equal(errno, E2BIG);
    xs_close(h);
}

static void test_transactions(void **state)
{
    struct xs_handle *h = xs_open(0), *o = xs_open(0);
    xs_transaction_t t = xs_transaction_start(h);
    unsigned int n;

    (void)state;
    assert_int_not_equal(t, XBT_NULL);
    assert_true(xs_write(h, t, "/x", "1", 1));
    assert_null(xs_read(o, XBT_NULL, "/x", &n));
    assert_true(put(o, "/x", "2"));
    assert_false(xs_transaction_end(h, t, false));
    assert_int_equal(errno, EAGAIN);
    t = xs_transaction_start(h);
    assert_true(xs_write(h, t, "/x", "3", 1));
    assert_true(xs_transaction_end(h, t, true));
    assert_false(xs_transaction_end(h, t, true));
    xs_close(o);
    xs_close(h);
}

static bool readable(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, ms) == 1;
}

static void expect_event(struct xs_handle *h, const char *path,
                         const char *token)
{
    char **e;

    assert_true(readable(xs_fileno(h), 5000));
    e = xs_check_watch(h);
    assert_non_null(e);
    assert_string_equal(e[XS_WATCH_PATH], path);
    assert_string_equal(e[XS_WATCH_TOKEN], token);
    free(e);
}

static void test_watches(void **state)
{
    struct xs_handle *h = xs_open(XS_UNWATCH_FILTER), *o = xs_open(0);
    unsigned int n;
    char **e;

    (void)state;
    assert_false(readable(xs_fileno(h), 0));
    assert_null(xs_check_watch(h));
    assert_int_equal(errno, EAGAIN);
    assert_true(xs_watch(h, "/w", "tok"));
    assert_false(xs_watch(h, "/w", "tok"));
    assert_int_equal(errno, EEXIST);
    expect_event(h, "/w", "tok");
    assert_true(put(o, "/w/x", "1"));
    expect_event(h, "/w/x", "tok");
    assert_null(xs_check_watch(h));
    assert_false(readable(xs_fileno(h), 0));
    assert_true(put(o, "/w/y", "1"));
    e = xs_read_watch(h, &n);
    assert_string_equal(e[XS_WATCH_PATH], "/w/y");
    assert_int_equal(n, 2);
    free(e);
    assert_true(put(o, "/w/z", "1"));
    assert_true(readable(xs_fileno(h), 5000));
    assert_true(xs_unwatch(h, "/w", "tok"));
    assert_null(xs_check_watch(h)); /* filtered */
    assert_false(readable(xs_fileno(h), 0));
    assert_false(xs_unwatch(h, "/w", "tok"));
    assert_int_equal(errno, ENOENT);
    xs_close(o);
    xs_close(h);
}

static struct xs_handle *shared;

static void *hammer(void *arg)
{
    char path[64], value[16];
    int id = (int)(intptr_t)arg;

    for (int i = 0; i < 500; i++) {
        unsigned int n;
        char *got;

        sprintf(path, "/hammer/%d", id);
        sprintf(value, "%d", i);
        if (!put(shared, path, value))
            return "write";
        got = xs_read(shared, XBT_NULL, path, &n);
        if (!got || strcmp(got, value))
            return "read";
        free(got);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t t[4];

    (void)state;
    for (int watching = 0; watching < 2; watching++) {
        shared = xs_open(0);
        if (watching)
            assert_true(xs_watch(shared, "/hammer", "t"));
        for (int i = 0; i < 4; i++)
            pthread_create(&t[i], NULL, hammer, (void *)(intptr_t)i);
        for (int i = 0; i < 4; i++) {
            void *why;

            pthread_join(t[i], &why);
            if (why)
                fail_msg("%s", (char *)why);
        }
        xs_close(shared);
    }
}

/* The parent's handle works on after the child threw its copy away. */
static void test_fork(void **state)
{
    struct xs_handle *h = xs_open(0);
    int status;
    pid_t pid;

    (void)state;
    assert_true(xs_watch(h, "/f", "t"));
    pid = fork();
    if (!pid) {
        xs_daemon_destroy_postfork(h);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(put(h, "/f", "1"));
    expect_event(h, "/f", "t");
    xs_close(h);
}

static int raw_connect(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(sa.sun_path, d.path);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

static void test_half_messages(void **state)
{
    struct xsd_sockmsg hdr = {.type = XS_WRITE, .len = 100};
    struct xsd_sockmsg big = {.type = XS_WRITE, .len = 1u << 30};
    struct xs_handle *h = xs_open(0);
    char c;
    int fd;

    (void)state;
    for (size_t n = 1; n < sizeof(hdr) + 1; n++) {
        fd = raw_connect();
        assert_int_equal(write(fd, &hdr, n > 16 ? 16 : n), n > 16 ? 16 : n);
        assert_true(put(h, "/still", "here"));
        close(fd);
    }
    fd = raw_connect();
    assert_int_equal(write(fd, &big, sizeof(big)), sizeof(big));
    assert_int_equal(read(fd, &c, 1), 0); /* shut at once */
    close(fd);
    /* One that asks and asks and never reads. */
    fd = raw_connect();
    hdr = (struct xsd_sockmsg){.type = XS_DIRECTORY, .len = 2};
    for (int i = 0; i < 20000; i++)
        if (send(fd, &hdr, 16, MSG_DONTWAIT) != 16 ||
            send(fd, "/", 2, MSG_DONTWAIT) != 2)
            break;
    assert_true(put(h, "/still", "here"));
    close(fd);
    xs_close(h);
}

static void test_store_goes(void **state)
{
    struct xs_handle *h = xs_open(0);
    unsigned int n;
    int fd;

    (void)state;
    assert_true(xs_watch(h, "/w", "t"));
    expect_event(h, "/w", "t");
    fd = *(int *)h; /* the library's socket: as if the store had died */
    shutdown(fd, SHUT_RDWR);
    assert_true(readable(xs_fileno(h), 5000));
    assert_null(xs_read_watch(h, &n));
    assert_false(put(h, "/w", "1"));
    xs_close(h);
    setenv("XENSTORED_PATH", "/nonexistent/socket", 1);
    assert_null(xs_open(0));
    assert_int_equal(errno, ENOENT);
    setenv("XENSTORED_PATH", d.path, 1);
}

static void test_helpers(void **state)
{
    struct xs_permissions p[2];

    (void)state;
    assert_true(xs_path_is_subpath("/a", "/a"));
    assert_true(xs_path_is_subpath("/a", "/a/b"));
    assert_true(xs_path_is_subpath("/", "/a/b"));
    assert_false(xs_path_is_subpath("/a", "/ab"));
    assert_false(xs_path_is_subpath("/a/b", "/a"));
    assert_true(xs_strings_to_perms(p, 2, "b3\0w12"));
    assert_int_equal(p[0].perms, XS_PERM_READ | XS_PERM_WRITE);
    assert_int_equal(p[1].id, 12);
    assert_false(xs_strings_to_perms(p, 1, "q3"));
    assert_false(xs_strings_to_perms(p, 1, "r3x"));
    assert_false(xs_strings_to_perms(p, 1, "r"));
    assert_false(xs_strings_to_perms(p, 1, ""));
    assert_string_equal(xs_daemon_socket(), d.path);
    unsetenv("XENSTORED_PATH");
    setenv("XENSTORED_RUNDIR", "/some/dir", 1);
    assert_string_equal(xs_daemon_socket(), "/some/dir/socket");
    assert_string_equal(xs_daemon_rundir(), "/some/dir");
    unsetenv("XENSTORED_RUNDIR");
    setenv("XENSTORED_PATH", d.path, 1);
}

static void test_second_daemon_refused(void **state)
{
    struct slistener *l;

    (void)state;
    assert_int_equal(slistener_open(d.w, WORKERS, d.path, &l), -EADDRINUSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_watches),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_half_messages),
        cmocka_unit_test(test_store_goes),
        cmocka_unit_test(test_helpers),
        cmocka_unit_test(test_second_daemon_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
