/* SPDX-License-Identifier: MIT */
/*
 * The console service, with a real store and this test as guest and user:
 * nothing that a guest says is lost to whoever attaches, early or late or
 * again after a restart; input reaches the ring; a client that does not read,
 * one that says half a line and one that floods cost the others nothing; a
 * guest with impossible indices is closed alone; a second stream (the UART's)
 * has the same.
 */
#include "test_xenbus_fixture.h"

#include <sys/socket.h>

#include "backends/console.h"
#include "backends/console_ring.h"

/* Grant 0 is the console page. */
#define INTF ((struct xencons_interface *)fx.page[0])
#define PORT 5
#define HOME "/local/domain/1/console"

static void console_up(void)
{
    memset(fx.page[0], 0, 4096);
    fx_write(HOME, "ring-ref", "77");
    fx_write(HOME, "limit", "65536");
    fx_write(HOME, "type", "xenconsoled");
    fx_write(HOME, "tty", "");
    fx_num(HOME, "port", PORT);
    /* Without hv nobody is introduced; a new service looks around. */
    fx_backends_restart();
}

/* Says it, waiting for room as a frontend does. */
static void guest_says(const char *s, size_t n)
{
    struct xencons_interface *c = INTF;
    size_t i;

    for (i = 0; i < n; i++) {
        while (c->out_prod - __atomic_load_n(&c->out_cons, __ATOMIC_ACQUIRE) ==
               sizeof(c->out)) {
            eventfd_write(fx.to_back[PORT], 1);
            fx_wait_event(PORT);
        }
        c->out[MASK_XENCONS_IDX(c->out_prod, c->out)] = s[i];
        __atomic_store_n(&c->out_prod, c->out_prod + 1, __ATOMIC_RELEASE);
    }
    eventfd_write(fx.to_back[PORT], 1);
}

static void guest_puts(const char *s)
{
    guest_says(s, strlen(s));
}

static int attach(int64_t from)
{
    int64_t start;
    int fd = console_attach(fx.dir, 1, NULL, from, 3000, &start);

    if (fd < 0)
        fail_msg("attach: %s; log:\n%s", strerror(-fd), fx.log);
    return fd;
}

static void expect(int fd, const char *s)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    size_t n = strlen(s), got = 0;
    char buf[4096];
    ssize_t r;

    while (got < n) {
        if (poll(&p, 1, FX_WAITMS) != 1)
            fail_msg("waiting for \"%s\"", s);
        r = recv(fd, buf + got, n - got, 0);
        assert_true(r > 0);
        got += (size_t)r;
    }
    assert_memory_equal(buf, s, n);
}

static void test_attach(void **state)
{
    int a, b, c;

    (void)state;
    console_up();
    guest_puts("before anybody came\n");
    a = attach(0);
    expect(a, "before anybody came\n");
    guest_puts("more\n");
    expect(a, "more\n");
    b = attach(0);
    expect(b, "before anybody came\nmore\n");
    c = attach(7);
    expect(c, "anybody came\nmore\n");
    close(b);
    guest_puts("last\n");
    expect(a, "last\n");
    expect(c, "last\n");
    close(a);
    close(c);
}

static void await_input(const char *s)
{
    struct xencons_interface *c = INTF;
    unsigned int i;

    for (i = 0; i < strlen(s); i++) {
        while (__atomic_load_n(&c->in_prod, __ATOMIC_ACQUIRE) == c->in_cons)
            fx_wait_event(PORT);
        assert_int_equal(c->in[MASK_XENCONS_IDX(c->in_cons, c->in)], s[i]);
        c->in_cons++;
    }
}

static void test_input(void **state)
{
    char big[3000];
    char path[128] = "";
    unsigned int i;
    int fd, tty;
    char *v;

    (void)state;
    console_up();
    fd = attach(0);
    assert_int_equal(send(fd, "hello", 5, 0), 5);
    await_input("hello");
    /* More than the ring holds: the rest follows as the guest reads. */
    memset(big, 'x', sizeof(big));
    assert_int_equal(send(fd, big, sizeof(big), 0), sizeof(big));
    for (i = 0; i < 3; i++) {
        big[1000] = '\0';
        await_input(big);
        eventfd_write(fx.to_back[PORT], 1);
        big[1000] = 'x';
    }
    /* And by the pty that the store names. */
    v = xs_read(fx.xs, XBT_NULL, HOME "/tty", &(unsigned int){0});
    assert_non_null(v);
    snprintf(path, sizeof(path), "%s", v);
    free(v);
    tty = open(path, O_RDWR | O_NOCTTY);
    assert_true(tty >= 0);
    assert_int_equal(write(tty, "by pty", 6), 6);
    await_input("by pty");
    guest_puts("to pty\n");
    assert_int_equal(read(tty, big, 7), 7);
    assert_memory_equal(big, "to pty\n", 7);
    close(tty);
    close(fd);
}

static void test_restart(void **state)
{
    int fd, i;
    int64_t at;

    (void)state;
    console_up();
    fd = attach(0);
    guest_puts("one\n");
    expect(fd, "one\n");
    at = 4;
    for (i = 0; i < 3; i++) {
        backends_stop(fx.b);
        guest_puts("while nobody is there\n");
        fx_backends_start();
        close(fd);
        fd = attach(at);
        expect(fd, "while nobody is there\n");
        at += 22;
    }
    close(fd);
    fd = attach(0);
    expect(fd, "one\nwhile nobody is there\n");
    close(fd);
}

/* Half a line, no line, too long a line, junk; one that never reads. */
static void test_bad_clients(void **state)
{
    char path[160], junk[1000], line[64];
    struct pollfd p;
    int good, deaf, i, fd, bad[3];

    (void)state;
    console_up();
    good = attach(0);
    deaf = attach(0);
    memset(junk, 'j', sizeof(junk));
    assert_int_equal(console_path(path, sizeof(path), fx.dir, 1, NULL, "sock"),
                     0);
    for (i = 0; i < 3; i++) {
        struct sockaddr_un {
            sa_family_t f;
            char path[108];
        } sa = {.f = AF_UNIX};

        strcpy(sa.path, path);
        bad[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(bad[i], (struct sockaddr *)&sa, sizeof(sa)),
                         0);
    }
    assert_int_equal(send(bad[0], "{\"from\"", 7, 0), 7);
    send(bad[1], junk, sizeof(junk), MSG_NOSIGNAL);
    assert_int_equal(send(bad[2], "{\"from\": []}\n", 13, 0), 13);
    for (i = 1; i < 3; i++) { /* told by a close */
        p = (struct pollfd){.fd = bad[i], .events = POLLIN};
        assert_int_equal(poll(&p, 1, FX_WAITMS), 1);
        assert_true(recv(bad[i], line, sizeof(line), 0) <= 0);
    }
    /* Much output; `good` reads along, `deaf` never. */
    for (i = 0; i < 20000; i++) {
        snprintf(line, sizeof(line), "line %d of a flood of output\n", i);
        guest_puts(line);
        expect(good, line);
    }
    fd = attach(-1);
    guest_puts("end\n");
    expect(fd, "end\n");
    expect(deaf, "line 0 of a flood of output\n");
    close(fd);
    close(good);
    close(deaf);
    for (i = 0; i < 3; i++)
        close(bad[i]);
}

static void test_garbage_ring(void **state)
{
    int fd, sv[2], uart, i;

    (void)state;
    console_up();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    assert_int_equal(backends_console_add_stream(fx.b, 1, "uart", sv[0]), 0);
    fd = attach(0);
    guest_puts("fine\n");
    expect(fd, "fine\n");
    INTF->out_prod += 100000;
    for (i = 0; i < FX_WAITMS && !fx_logged("impossible"); i++) {
        eventfd_write(fx.to_back[PORT], 1);
        usleep(1000);
    }
    assert_true(fx_logged("d1 console: closed, its ring indices"));
    /* The other stream goes on. */
    uart = console_attach(fx.dir, 1, "uart", 0, 3000, NULL);
    assert_true(uart >= 0);
    assert_int_equal(write(sv[1], "serial", 6), 6);
    expect(uart, "serial");
    close(uart);
    close(fd);
    close(sv[1]);
}

static void test_uart(void **state)
{
    char path[64], buf[16];
    int master, fd, i;

    (void)state;
    console_up();
    assert_int_equal(backends_console_make_uart(&master, path, sizeof(path)),
                     0);
    for (i = 0; i < 3; i++) {
        fd = backends_console_open_uart(path);
        assert_true(fd >= 0);
        assert_int_equal(backends_console_add_stream(fx.b, 1, "uart", fd), 0);
        fd = console_attach(fx.dir, 1, "uart", -1, 3000, NULL);
        assert_true(fd >= 0);
        assert_int_equal(write(master, "out", 3), 3);
        expect(fd, "out");
        assert_int_equal(send(fd, "in\r", 3, 0), 3);
        while (read(master, buf, 3) != 3)
            usleep(100);
        assert_memory_equal(buf, "in\r", 3);
        close(fd);
        fx_backends_restart();
    }
    close(master);
    /* Under a name that is none. */
    assert_int_equal(backends_console_add_stream(fx.b, 1, "../x", dup(1)),
                     -EINVAL);
}

/* The domain goes: clients get the last words, then the end. */
static void test_domain_goes(void **state)
{
    char buf[8];
    int fd;

    (void)state;
    console_up();
    fd = attach(0);
    guest_puts("goodbye\n");
    assert_true(xs_rm(fx.xs, XBT_NULL, "/local/domain/1"));
    expect(fd, "goodbye\n");
    assert_int_equal(recv(fd, buf, sizeof(buf), 0), 0);
    close(fd);
    assert_int_equal(console_attach(fx.dir, 1, NULL, 0, 0, NULL), -ENOENT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_attach),      T(test_input),        T(test_restart),
        T(test_bad_clients), T(test_garbage_ring), T(test_uart),
        T(test_domain_goes),
    };
    char bin[600];

    if (!fx_find_store(bin, sizeof(bin))) {
        printf("SKIP: no kxenstored beside this test\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
