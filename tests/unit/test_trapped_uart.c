/* SPDX-License-Identifier: MIT */
/*
 * The trapped 16550A as a driver sees it: registers read back what a 16550A
 * gives, output reaches the line in order, input interrupts a guest that does
 * nothing, the transmit interrupt comes once per emptied FIFO, and a line that
 * is full, hung up or gone never holds up the vCPU or loses the device.
 */
#include "tests/unit/test_trapped.h"

#include <fcntl.h>
#include <linux/serial_reg.h>
#include <sys/socket.h>

#define BASE 0x3f8

struct line {
    struct fake *f;
    int peer;
};

static int setup(void **state)
{
    struct line *l = calloc(1, sizeof(*l));
    struct kxen_trapped desc = {
        .kind = KXEN_TRAPPED_UART, .base = BASE, .pirq = FAKE_PIRQ};
    int sv[2];

    assert_non_null(l);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    l->f = fake_new();
    l->peer = sv[0];
    assert_int_equal(trapped_bus_add(l->f->bus, &desc, sv[1]), 0);
    /* As a driver starts it: FIFOs on, OUT2 lets the interrupt through. */
    fake_outb(l->f, BASE + UART_FCR, UART_FCR_ENABLE_FIFO | 7);
    fake_outb(l->f, BASE + UART_MCR,
              UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    struct line *l = *state;

    fake_free(l->f);
    if (l->peer >= 0)
        close(l->peer);
    free(l);
    return 0;
}

static uint8_t get(struct line *l, unsigned int reg)
{
    return fake_inb(l->f, (uint16_t)(BASE + reg));
}

static void put(struct line *l, unsigned int reg, uint8_t v)
{
    fake_outb(l->f, (uint16_t)(BASE + reg), v);
}

static void test_registers(void **state)
{
    struct line *l = *state;

    put(l, UART_SCR, 0x5a);
    assert_int_equal(get(l, UART_SCR), 0x5a);
    assert_int_equal(get(l, UART_IIR), 0xc0 | UART_IIR_NO_INT);
    put(l, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
    put(l, UART_DLL, 12);
    put(l, UART_DLM, 3);
    assert_int_equal(get(l, UART_DLL), 12);
    assert_int_equal(get(l, UART_DLM), 3);
    put(l, UART_LCR, UART_LCR_WLEN8);
    assert_int_equal(get(l, UART_IER), 0); /* not the divisor */
    assert_int_equal(get(l, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
    assert_int_equal(get(l, UART_MSR) & 0xf0,
                     UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD);
    put(l, UART_FCR, 0);
    assert_int_equal(get(l, UART_IIR), UART_IIR_NO_INT);
}

static void test_output(void **state)
{
    struct line *l = *state;
    char text[] = " in one string\n", buf[64] = "";

    put(l, UART_TX, 'o');
    put(l, UART_TX, 'k');
    assert_true(trapped_pio(l->f->bus, BASE, 1, true, text, sizeof(text) - 1));
    assert_int_equal(read(l->peer, buf, sizeof(buf)), 2 + sizeof(text) - 1);
    assert_string_equal(buf, "ok in one string\n");
    assert_int_equal(fake_edges(l->f), 0); /* nobody asked */
}

static void test_transmit_interrupt(void **state)
{
    struct line *l = *state;

    put(l, UART_IER, UART_IER_THRI);
    assert_int_equal(fake_edges(l->f), 1);
    assert_int_equal(get(l, UART_IIR) & 0x0f, UART_IIR_THRI);
    assert_int_equal(get(l, UART_IIR) & 0x0f, UART_IIR_NO_INT);
    put(l, UART_TX, 'x');
    assert_int_equal(fake_edges(l->f), 1);
    put(l, UART_IER, 0);
    put(l, UART_TX, 'y');
    assert_int_equal(fake_edges(l->f), 0);
    put(l, UART_MCR, 0); /* OUT2 off: the line is cut */
    put(l, UART_IER, UART_IER_THRI);
    assert_int_equal(fake_edges(l->f), 0);
    assert_int_equal(get(l, UART_IIR) & 0x0f, UART_IIR_THRI);
}

static void test_input_interrupts(void **state)
{
    struct line *l = *state;

    put(l, UART_IER, UART_IER_RDI);
    assert_int_equal(write(l->peer, "abc", 3), 3);
    wait_until(__atomic_load_n(&l->f->edges, __ATOMIC_SEQ_CST));
    assert_int_equal(get(l, UART_IIR) & 0x04, 0x04); /* data, or timeout */
    wait_until(get(l, UART_LSR) & UART_LSR_DR);
    assert_int_equal(get(l, UART_RX), 'a');
    wait_until(get(l, UART_LSR) & UART_LSR_DR);
    assert_int_equal(get(l, UART_RX), 'b');
    wait_until(get(l, UART_LSR) & UART_LSR_DR);
    assert_int_equal(get(l, UART_RX), 'c');
    assert_int_equal(get(l, UART_LSR) & UART_LSR_DR, 0);
    fake_edges(l->f);
    assert_int_equal(write(l->peer, "d", 1), 1);
    wait_until(fake_edges(l->f));
}

/* More than the FIFO holds waits in the line; nothing is lost. */
static void test_long_input(void **state)
{
    struct line *l = *state;
    uint8_t in[500];

    for (unsigned int i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)i;
    assert_int_equal(write(l->peer, in, sizeof(in)), sizeof(in));
    for (unsigned int i = 0; i < sizeof(in); i++) {
        wait_until(get(l, UART_LSR) & UART_LSR_DR);
        assert_int_equal(get(l, UART_RX), (uint8_t)i);
    }
}

static void test_loopback(void **state)
{
    struct line *l = *state;

    put(l, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS | UART_MCR_OUT2);
    assert_int_equal(get(l, UART_MSR) & 0xf0, UART_MSR_CTS | UART_MSR_DCD);
    put(l, UART_TX, 'q');
    assert_int_equal(get(l, UART_LSR) & UART_LSR_DR, UART_LSR_DR);
    assert_int_equal(get(l, UART_RX), 'q');
    for (unsigned int i = 0; i < 17; i++)
        put(l, UART_TX, (uint8_t)('a' + i));
    assert_int_equal(get(l, UART_LSR) & UART_LSR_OE, UART_LSR_OE);
    assert_int_equal(get(l, UART_LSR) & UART_LSR_OE, 0);
    assert_int_equal(get(l, UART_RX), 'a');
    assert_int_equal(fake_edges(l->f), 0);
}

/* The far end does not read: THRE goes away, then comes with an interrupt. */
static void test_full_line(void **state)
{
    struct line *l = *state;
    size_t sent = 0, got = 0;
    char buf[4096];
    ssize_t n;

    while (get(l, UART_LSR) & UART_LSR_THRE) {
        put(l, UART_TX, (uint8_t)sent++);
        assert_true(sent < 10000000);
    }
    put(l, UART_IER, UART_IER_THRI);
    assert_int_equal(fake_edges(l->f), 0);
    fcntl(l->peer, F_SETFL, O_NONBLOCK);
    while ((n = read(l->peer, buf, sizeof(buf))) > 0)
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal((uint8_t)buf[i], (uint8_t)got++);
    wait_until(get(l, UART_LSR) & UART_LSR_THRE);
    wait_until(fake_edges(l->f));
    while ((n = read(l->peer, buf, sizeof(buf))) > 0)
        got += (size_t)n;
    assert_int_equal(got, sent);
}

static void test_peer_gone(void **state)
{
    struct line *l = *state;

    close(l->peer);
    l->peer = -1;
    for (unsigned int i = 0; i < 100; i++)
        put(l, UART_TX, 'x');
    assert_int_equal(get(l, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
    usleep(20000);
    put(l, UART_TX, 'x');
    assert_int_equal(get(l, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
}

/* Anything a guest may do, in any order and width. */
static void test_garbage(void **state)
{
    struct line *l = *state;
    uint32_t data[8];

    srand(1);
    for (unsigned int i = 0; i < 20000; i++) {
        uint16_t port = (uint16_t)(BASE + rand() % 8);

        for (unsigned int j = 0; j < 8; j++)
            data[j] = (uint32_t)rand();
        assert_true(trapped_pio(l->f->bus, port, 1u << (rand() % 3), rand() % 2,
                                data, 1 + rand() % 8u));
        if (i % 64 == 0)
            /* A line nobody listens to may be full. */
            assert_true(send(l->peer, data, 4, MSG_DONTWAIT) == 4 ||
                        errno == EAGAIN);
        while (recv(l->peer, data, sizeof(data), MSG_DONTWAIT) > 0)
            ;
    }
    assert_false(trapped_pio(l->f->bus, BASE + 8, 1, false, data, 1));
    assert_false(trapped_pio(l->f->bus, BASE, 3, false, data, 1));
}

static void test_bad_bus_use(void **state)
{
    struct line *l = *state;
    struct kxen_trapped d = {.kind = KXEN_TRAPPED_UART, .base = BASE + 4};

    assert_int_equal(trapped_bus_add(l->f->bus, &d, 0), -EEXIST);
    d.base = 0xfffc;
    assert_int_equal(trapped_bus_add(l->f->bus, &d, 0), -EINVAL);
    d.base = 0x2f8;
    d.flags = KXEN_TRAPPED_RDONLY;
    assert_int_equal(trapped_bus_add(l->f->bus, &d, 0), -EINVAL);
    d.kind = 77;
    assert_int_equal(trapped_bus_add(l->f->bus, &d, 0), -EINVAL);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_registers),  T(test_output),
        T(test_loopback),   T(test_transmit_interrupt),
        T(test_long_input), T(test_input_interrupts),
        T(test_full_line),  T(test_peer_gone),
        T(test_garbage),    T(test_bad_bus_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
