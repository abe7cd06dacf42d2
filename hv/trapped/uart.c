/* SPDX-License-Identifier: MIT */
/*
 * A 16550A at eight I/O ports, its line a stream: pty, socket or pipe.
 *
 * Bytes go out in the vCPU's thread as they are written; only when the stream
 * is full do they stay in the FIFO until the line thread finds room.  That
 * thread also reads, so that input interrupts a guest that sleeps.  Baud rate
 * and framing are kept for the guest to read back and otherwise ignored.
 */
#include "hv/trapped/trapped.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIFO_SIZE  16u
#define NR_REGS    8
#define MODEM_UP   (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)
#define IIR_FIFOS  0xc0
#define FCR_LEVELS 0xc0
#define HANGUP_MS  200

struct fifo {
    uint8_t data[FIFO_SIZE];
    unsigned int len;
};

struct uart {
    struct trapped_dev *dev;
    int fd;       /* the line; -1 when the other end has gone for good */
    bool hung_up; /* a pty that nobody has open: ask again now and then */
    int wake_fd;
    pthread_t thread;
    bool stop;

    struct fifo rx, tx;
    uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
    uint8_t lsr_errors; /* overrun and break, until LSR is read */
    uint8_t msr_deltas;
    uint8_t msr_lines;
    bool thr_pending; /* THR became empty and nobody has been told */
    bool rx_idle;     /* below the trigger level, but nothing follows */
    bool irq;         /* the level of the line */
};

static unsigned int fifo_depth(const struct uart *u)
{
    return u->fcr & UART_FCR_ENABLE_FIFO ? FIFO_SIZE : 1;
}

static uint8_t fifo_pop(struct fifo *f)
{
    uint8_t c = f->data[0];

    if (f->len) {
        f->len--;
        memmove(f->data, f->data + 1, f->len);
    }
    return c;
}

static unsigned int rx_trigger(const struct uart *u)
{
    static const uint8_t levels[] = {1, 4, 8, 14};

    if (!(u->fcr & UART_FCR_ENABLE_FIFO))
        return 1;
    return levels[u->fcr >> 6];
}

/* The cause that IIR shows: by priority, without the FIFO bits. */
static uint8_t iir_cause(const struct uart *u)
{
    if ((u->ier & UART_IER_RLSI) && u->lsr_errors)
        return UART_IIR_RLSI;
    if ((u->ier & UART_IER_RDI) && u->rx.len >= rx_trigger(u))
        return UART_IIR_RDI;
    if ((u->ier & UART_IER_RDI) && u->rx.len && u->rx_idle)
        return UART_IIR_RX_TIMEOUT;
    if ((u->ier & UART_IER_THRI) && u->thr_pending)
        return UART_IIR_THRI;
    if ((u->ier & UART_IER_MSI) && u->msr_deltas)
        return UART_IIR_MSI;
    return UART_IIR_NO_INT;
}

static void update_irq(struct uart *u)
{
    /* As on a PC, OUT2 gates the line, and loopback cuts it off. */
    bool level = iir_cause(u) != UART_IIR_NO_INT && (u->mcr & UART_MCR_OUT2) &&
                 !(u->mcr & UART_MCR_LOOP);

    if (level && !u->irq)
        trapped_raise(u->dev);
    u->irq = level;
}

static void wake_thread(struct uart *u)
{
    eventfd_write(u->wake_fd, 1);
}

/* What the modem lines read as now; in loopback they follow MCR. */
static uint8_t modem_lines(const struct uart *u)
{
    uint8_t m = 0;

    if (!(u->mcr & UART_MCR_LOOP))
        return MODEM_UP;
    if (u->mcr & UART_MCR_RTS)
        m |= UART_MSR_CTS;
    if (u->mcr & UART_MCR_DTR)
        m |= UART_MSR_DSR;
    if (u->mcr & UART_MCR_OUT1)
        m |= UART_MSR_RI;
    if (u->mcr & UART_MCR_OUT2)
        m |= UART_MSR_DCD;
    return m;
}

static void update_modem(struct uart *u)
{
    uint8_t now = modem_lines(u), was = u->msr_lines;

    u->msr_deltas |= ((now ^ was) & MODEM_UP) >> 4;
    if (was & ~now & UART_MSR_RI) /* RI tells of its trailing edge only */
        u->msr_deltas |= UART_MSR_TERI;
    /* CTS, DSR, DCD and their deltas lie four bits apart; RI does too. */
    u->msr_lines = now;
}

static void rx_put(struct uart *u, uint8_t c)
{
    if (u->rx.len < fifo_depth(u)) {
        u->rx.data[u->rx.len++] = c;
    } else {
        /* The newest byte is lost: with a FIFO it keeps what it holds. */
        if (fifo_depth(u) == 1)
            u->rx.data[0] = c;
        u->lsr_errors |= UART_LSR_OE;
    }
    u->rx_idle = true;
}

/* send() spares hv a SIGPIPE where the line is a socket. */
static ssize_t line_write(int fd, const void *buf, size_t len)
{
    ssize_t n = send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno == ENOTSOCK)
        n = write(fd, buf, len);
    return n < 0 ? -errno : n;
}

/*
 * Gives bytes to the line: how many it took.  All of them when nobody is
 * there, as on a cable without a terminal.
 */
static unsigned int line_send(struct uart *u, const uint8_t *buf,
                              unsigned int len)
{
    unsigned int done = 0;

    while (done < len && u->fd >= 0) {
        ssize_t n = line_write(u->fd, buf + done, len - done);

        if (n == -EAGAIN)
            return done;
        if (n < 0 && n != -EINTR)
            break;
        if (n > 0)
            done += (unsigned int)n;
    }
    return len;
}

/* The FIFO's content has gone out, or part of it. */
static void tx_drain(struct uart *u)
{
    unsigned int n;

    if (!u->tx.len)
        return;
    n = line_send(u, u->tx.data, u->tx.len);
    u->tx.len -= n;
    memmove(u->tx.data, u->tx.data + n, u->tx.len);
    if (!u->tx.len)
        u->thr_pending = true;
}

/* Writes to THR: one byte, or a whole `rep outsb`. */
static void tx_put(struct uart *u, const uint8_t *buf, unsigned int len)
{
    unsigned int n;

    u->thr_pending = false;
    if (u->mcr & UART_MCR_LOOP) {
        for (n = 0; n < len; n++)
            rx_put(u, buf[n]);
        u->thr_pending = true;
        return;
    }
    n = u->tx.len ? 0 : line_send(u, buf, len);
    if (n == len) {
        u->thr_pending = true;
        return;
    }
    /* What does not fit is lost, as when a driver does not look at LSR. */
    for (; n < len && u->tx.len < fifo_depth(u); n++)
        u->tx.data[u->tx.len++] = buf[n];
    wake_thread(u);
}

static uint8_t read_lsr(struct uart *u)
{
    uint8_t v = u->lsr_errors;

    u->lsr_errors = 0;
    if (u->rx.len)
        v |= UART_LSR_DR;
    if (!u->tx.len)
        v |= UART_LSR_THRE | UART_LSR_TEMT;
    return v;
}

static uint8_t read_rbr(struct uart *u)
{
    bool was_full = u->rx.len >= fifo_depth(u);
    uint8_t c = fifo_pop(&u->rx);

    if (!u->rx.len)
        u->rx_idle = false;
    if (was_full)
        wake_thread(u); /* it reads the line only when there is room */
    return c;
}

static uint8_t read_iir(struct uart *u)
{
    uint8_t cause = iir_cause(u);

    if (cause == UART_IIR_THRI)
        u->thr_pending = false;
    return cause | (u->fcr & UART_FCR_ENABLE_FIFO ? IIR_FIFOS : 0);
}

static uint8_t read_reg(struct uart *u, unsigned int reg)
{
    uint8_t v;

    switch (reg) {
    case UART_RX:
        return u->lcr & UART_LCR_DLAB ? u->dll : read_rbr(u);
    case UART_IER:
        return u->lcr & UART_LCR_DLAB ? u->dlm : u->ier;
    case UART_IIR:
        return read_iir(u);
    case UART_LCR:
        return u->lcr;
    case UART_MCR:
        return u->mcr;
    case UART_LSR:
        return read_lsr(u);
    case UART_MSR:
        v = u->msr_lines | u->msr_deltas;
        u->msr_deltas = 0;
        return v;
    default:
        return u->scr;
    }
}

static void write_ier(struct uart *u, uint8_t val)
{
    /* Allowing THRE while the register is empty interrupts at once. */
    if ((val & ~u->ier & UART_IER_THRI) && !u->tx.len)
        u->thr_pending = true;
    u->ier = val & 0x0f;
}

static void write_fcr(struct uart *u, uint8_t val)
{
    if ((val ^ u->fcr) & UART_FCR_ENABLE_FIFO)
        val |= UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT;
    if (val & UART_FCR_CLEAR_RCVR) {
        u->rx.len = 0;
        u->rx_idle = false;
        wake_thread(u);
    }
    if (val & UART_FCR_CLEAR_XMIT) {
        if (u->tx.len)
            u->thr_pending = true;
        u->tx.len = 0;
    }
    u->fcr = val & (UART_FCR_ENABLE_FIFO | FCR_LEVELS);
}

static void write_reg(struct uart *u, unsigned int reg, uint8_t val)
{
    switch (reg) {
    case UART_TX:
        if (u->lcr & UART_LCR_DLAB)
            u->dll = val;
        else
            tx_put(u, &val, 1);
        break;
    case UART_IER:
        if (u->lcr & UART_LCR_DLAB)
            u->dlm = val;
        else
            write_ier(u, val);
        break;
    case UART_FCR:
        write_fcr(u, val);
        break;
    case UART_LCR:
        u->lcr = val;
        break;
    case UART_MCR:
        u->mcr = val & 0x1f;
        update_modem(u);
        break;
    case UART_SCR:
        u->scr = val;
        break;
    default: /* LSR and MSR are read-only */
        break;
    }
}

static uint32_t uart_read(struct trapped_dev *dev, unsigned int offset,
                          unsigned int size)
{
    struct uart *u = dev->priv;
    uint8_t v = read_reg(u, offset);

    (void)size; /* a byte-wide device: the rest of the bus floats */
    update_irq(u);
    return 0xffffff00u | v;
}

static void uart_write(struct trapped_dev *dev, unsigned int offset,
                       unsigned int size, uint32_t val)
{
    struct uart *u = dev->priv;

    (void)size;
    write_reg(u, offset, (uint8_t)val);
    update_irq(u);
}

/* `rep outsb` to THR: a FIFO's worth in one write to the line. */
static bool uart_string(struct trapped_dev *dev, unsigned int offset,
                        unsigned int size, bool write, uint8_t *data,
                        unsigned int len)
{
    struct uart *u = dev->priv;

    if (!write || size != 1 || offset != UART_TX || (u->lcr & UART_LCR_DLAB))
        return false;
    tx_put(u, data, len);
    update_irq(u);
    return true;
}

/* ---- the line thread ---- */

/*
 * Reads what fits.  A line that ended is not looked at again; a pty whose
 * other side is closed (EIO) may be opened once more.
 */
static void line_receive(struct uart *u)
{
    uint8_t buf[FIFO_SIZE];
    ssize_t n = read(u->fd, buf, fifo_depth(u) - u->rx.len);

    u->hung_up = n < 0 && errno == EIO;
    if (u->hung_up || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    if (n <= 0) {
        close(u->fd);
        u->fd = -1;
        return;
    }
    for (ssize_t i = 0; i < n; i++)
        rx_put(u, buf[i]);
}

static short line_interest(const struct uart *u)
{
    short events = 0;

    if (u->rx.len < fifo_depth(u) && !(u->mcr & UART_MCR_LOOP))
        events |= POLLIN;
    if (u->tx.len)
        events |= POLLOUT;
    return events;
}

static void line_serve(struct uart *u, short revents)
{
    if (u->fd < 0 || u->stop)
        return;
    if ((u->hung_up || (revents & (POLLIN | POLLHUP | POLLERR))) &&
        (line_interest(u) & POLLIN))
        line_receive(u);
    tx_drain(u);
    update_irq(u);
}

static void *line_thread(void *arg)
{
    struct uart *u = arg;
    struct pollfd p[2] = {{.events = POLLIN}, {0}};
    eventfd_t n;
    int timeout;

    pthread_mutex_lock(&u->dev->lock);
    p[0].fd = u->wake_fd;
    while (!u->stop) {
        p[1].events = line_interest(u);
        /* Without interest even a hang-up has to wait: it would spin. */
        p[1].fd = p[1].events && !u->hung_up ? u->fd : -1;
        timeout = u->hung_up ? HANGUP_MS : -1;
        pthread_mutex_unlock(&u->dev->lock);
        poll(p, 2, timeout);
        if (p[0].revents)
            eventfd_read(u->wake_fd, &n);
        pthread_mutex_lock(&u->dev->lock);
        line_serve(u, p[1].fd < 0 ? 0 : p[1].revents);
    }
    pthread_mutex_unlock(&u->dev->lock);
    return NULL;
}

static void uart_destroy(struct trapped_dev *dev)
{
    struct uart *u = dev->priv;

    pthread_mutex_lock(&dev->lock);
    u->stop = true;
    wake_thread(u);
    pthread_mutex_unlock(&dev->lock);
    pthread_join(u->thread, NULL);
    if (u->fd >= 0)
        close(u->fd);
    close(u->wake_fd);
    free(u);
}

static int uart_create(struct trapped_dev *dev, struct kxen_trapped *desc,
                       int fd)
{
    struct uart *u;
    int rc;

    if (desc->base > 0xffff)
        return -EINVAL;
    rc = trapped_claim_pio(dev, (uint16_t)desc->base, NR_REGS, 0);
    if (rc)
        return rc;
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK))
        return -errno;
    u = calloc(1, sizeof(*u));
    if (!u)
        return -ENOMEM;
    u->dev = dev;
    u->fd = fd;
    u->dll = 1; /* 115200 baud */
    u->msr_lines = MODEM_UP;
    u->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (u->wake_fd < 0) {
        rc = -errno;
        goto out_free;
    }
    rc = -pthread_create(&u->thread, NULL, line_thread, u);
    if (rc)
        goto out_close;
    dev->priv = u;
    /* Bytes for THR may wait for the guest's next exit, its look at LSR. */
    if (dev->env->coalesce_pio)
        dev->env->coalesce_pio(dev->env->opaque, (uint16_t)desc->base, 1, true);
    return 0;

out_close:
    close(u->wake_fd);
out_free:
    free(u);
    return rc;
}

const struct trapped_ops trapped_uart_ops = {
    .name = "uart",
    .create = uart_create,
    .destroy = uart_destroy,
    .read = uart_read,
    .write = uart_write,
    .string = uart_string,
};
