/* SPDX-License-Identifier: MIT */
/*
 * Console over a trapped 16550A at 0x3f8, if the command line has
 * trapped_uart=1. An access is an exit: a FIFO's worth goes out for one look
 * at LSR, and nothing is read before an interrupt says that there is cause.
 * LSR is looked at behind the bytes: writes to THR may wait in the kernel (as
 * posted writes do on a bus) until the device is read.
 */
#include "frontends/include/console.h"
#include "frontends/trapped/trapped.h"
#include <linux/serial_reg.h>

#define BASE       0x3f8
#define PIRQ       4
#define FIFO_SIZE  16u
#define RX_TRIGGER 8u /* UART_FCR_R_TRIG_10 */
#define RX_BUF     256u

struct uart {
    struct console con;
    struct trapped_irq irq;
    unsigned int tx_room; /* bytes that surely fit */
    uint8_t ier;
    bool more; /* left in the FIFO for want of room */
    char rx[RX_BUF];
    unsigned int rx_head, rx_len;
};

static struct uart *uart(struct console *con)
{
    return container_of(con, struct uart, con);
}

static uint8_t get(unsigned int reg)
{
    return inb((uint16_t)(BASE + reg));
}

static void put(unsigned int reg, uint8_t v)
{
    outb((uint16_t)(BASE + reg), v);
}

static void set_ier(struct uart *u, uint8_t ier)
{
    if (u->ier != ier)
        put(UART_IER, ier);
    u->ier = ier;
}

static void receive(struct uart *u, unsigned int n)
{
    char buf[RX_TRIGGER];
    unsigned int i;

    insb(BASE + UART_RX, buf, n);
    for (i = 0; i < n; i++)
        u->rx[(u->rx_head + u->rx_len++) % RX_BUF] = buf[i];
}

/* One cause of an interrupt. At the trigger level that many may be read. */
static void serve(struct uart *u, uint8_t cause)
{
    switch (cause & UART_IIR_ID) {
    case UART_IIR_RDI:
        receive(u, RX_TRIGGER);
        break;
    case UART_IIR_RX_TIMEOUT:
        receive(u, 1);
        break;
    case UART_IIR_RLSI:
        get(UART_LSR);
        break;
    case UART_IIR_THRI:
        u->tx_room = FIFO_SIZE;
        break;
    default:
        get(UART_MSR);
    }
}

/*
 * The line is an edge: it comes again only after every cause has gone, so
 * each is served until IIR shows none.
 */
static void service(struct uart *u)
{
    uint8_t iir;

    if (!trapped_irq_take(&u->irq) && !u->more)
        return;
    for (;;) {
        u->more = u->rx_len + RX_TRIGGER > RX_BUF;
        if (u->more)
            return;
        iir = get(UART_IIR);
        if (iir & UART_IIR_NO_INT)
            return;
        serve(u, iir);
    }
}

static bool tx_has_room(struct uart *u)
{
    if (!u->tx_room && (get(UART_LSR) & UART_LSR_THRE))
        u->tx_room = FIFO_SIZE;
    return u->tx_room;
}

static int uart_write(struct console *con, const char *s, size_t len)
{
    struct uart *u = uart(con);
    unsigned int n;
    size_t done = 0;

    while (done < len && tx_has_room(u)) {
        n = (unsigned int)MIN(len - done, u->tx_room);
        outsb(BASE + UART_TX, s + done, n);
        done += n;
        u->tx_room = 0;
        tx_has_room(u);
    }
    return (int)done;
}

static bool uart_writable(struct console *con)
{
    struct uart *u = uart(con);

    service(u);
    if (tx_has_room(u)) {
        set_ier(u, UART_IER_RDI | UART_IER_RLSI);
        return true;
    }
    /* Interrupts at once if the FIFO has run empty just now. */
    set_ier(u, UART_IER_RDI | UART_IER_RLSI | UART_IER_THRI);
    return false;
}

static int uart_read(struct console *con, char *buf, size_t len)
{
    struct uart *u = uart(con);
    size_t n = 0;

    if (u->rx_len < len)
        service(u);
    for (; n < len && u->rx_len; n++) {
        buf[n] = u->rx[u->rx_head];
        u->rx_head = (u->rx_head + 1) % RX_BUF;
        u->rx_len--;
    }
    return (int)n;
}

static bool uart_readable(struct console *con)
{
    struct uart *u = uart(con);

    if (!u->rx_len)
        service(u);
    return u->rx_len;
}

static bool uart_drained(struct console *con)
{
    (void)con;
    return get(UART_LSR) & UART_LSR_TEMT;
}

static const struct console_ops uart_ops = {
    .write = uart_write,
    .read = uart_read,
    .readable = uart_readable,
    .writable = uart_writable,
    .drained = uart_drained,
};

/* 115200 baud, 8n1, FIFOs on and empty, no interrupts yet. */
static bool uart_reset(void)
{
    put(UART_SCR, 0x5a);
    if (get(UART_SCR) != 0x5a)
        return false;
    put(UART_IER, 0);
    put(UART_LCR, UART_LCR_DLAB);
    put(UART_DLL, 1);
    put(UART_DLM, 0);
    put(UART_LCR, UART_LCR_WLEN8);
    put(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR |
                      UART_FCR_CLEAR_XMIT | UART_FCR_R_TRIG_10);
    put(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
    return true;
}

static void uart_probe(void)
{
    static struct uart u = {.con = {.driver = "uart", .ops = &uart_ops}};
    int rc;

    if (!cmdline_u64(cmdline(), "trapped_uart", 0))
        return;
    rc = port_io_enable();
    if (!rc && !uart_reset())
        rc = -ENODEV;
    if (!rc)
        rc = trapped_irq_bind(&u.irq, PIRQ);
    if (rc) {
        printf("uart: none at port %x with interrupt %d (error %d), though the "
               "command line promises one\n",
               BASE, PIRQ, rc);
        return;
    }
    set_ier(&u, UART_IER_RDI | UART_IER_RLSI);
    u.tx_room = FIFO_SIZE;
    console_register(&u.con);
}

DRIVER(trapped_uart, uart_probe);
