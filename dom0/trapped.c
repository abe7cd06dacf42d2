/* SPDX-License-Identifier: MIT */
#include "dom0/dom0.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dom0/dom0_log.h"

/* Where PCs have them; virtio devices follow above the ISA interrupts. */
#define UART_BASE    0x3f8
#define UART_PIRQ    4
#define ATA_BASE     0x1f0
#define ATA_PIRQ     14
#define VIRTIO_PIRQ0 16
#define VIRTIO_SIZE  0x200

static int append(char *buf, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int append(char *buf, size_t size, const char *fmt, ...)
{
    size_t len = strlen(buf);
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = snprintf(buf + len, size - len, "%s", len ? " " : "");
    n += vsnprintf(buf + len + n, size - len - n, fmt, ap);
    va_end(ap);
    return len + n < size ? 0 : -E2BIG;
}

static int open_uart(struct dom *dom, struct why *why)
{
    int fd, rc = backends_console_make_uart(&fd, dom->uart, sizeof(dom->uart));

    if (rc)
        return why_set(why, rc, NULL, "trapped UART: cannot make a pty: %s",
                       strerror(-rc));
    return fd;
}

static int open_disk(const struct trapped_spec *spec, struct why *why)
{
    char err[1024] = "";
    int fd = vbd_open_image(spec->target, spec->readonly, err, sizeof(err));

    if (fd < 0)
        return why_set(why, fd, NULL, "%s: %s", trapped_kind_name(spec->kind),
                       *err ? err : strerror(-fd));
    return fd;
}

static void describe(const struct trapped_spec *spec, unsigned nr_virtio,
                     struct kxen_trapped *dev)
{
    memset(dev, 0, sizeof(*dev));
    if (spec->readonly)
        dev->flags |= KXEN_TRAPPED_RDONLY;
    switch (spec->kind) {
    case TRAPPED_UART:
        dev->kind = KXEN_TRAPPED_UART;
        dev->base = UART_BASE;
        dev->pirq = UART_PIRQ;
        break;
    case TRAPPED_ATA:
        dev->kind = KXEN_TRAPPED_ATA;
        dev->base = ATA_BASE;
        dev->pirq = ATA_PIRQ;
        break;
    case TRAPPED_VIRTIO:
        dev->kind = KXEN_TRAPPED_VIRTIO;
        dev->pirq = VIRTIO_PIRQ0 + nr_virtio;
        if (spec->ioeventfd)
            dev->flags |= KXEN_TRAPPED_IOEVENTFD;
        break;
    }
}

static int announce(const struct kxen_trapped *dev, char *cmdline, size_t size)
{
    switch (dev->kind) {
    case KXEN_TRAPPED_UART:
        return append(cmdline, size, "trapped_uart=1");
    case KXEN_TRAPPED_ATA:
        return append(cmdline, size, "trapped_ata=1");
    default:
        return append(cmdline, size, "virtio_mmio.device=0x%x@0x%llx:%u",
                      VIRTIO_SIZE, (unsigned long long)dev->base, dev->pirq);
    }
}

static int add_one(struct dom *dom, const struct trapped_spec *spec,
                   unsigned nr_virtio, char *cmdline, size_t size,
                   struct why *why)
{
    struct kxen_trapped dev;
    int rc, fd;

    fd =
        spec->kind == TRAPPED_UART ? open_uart(dom, why) : open_disk(spec, why);
    if (fd < 0)
        return fd;
    describe(spec, nr_virtio, &dev);
    rc = kxctrl_trapped_add(dom->d0->hv, dom->domid, &dev, fd);
    close(fd);
    if (rc)
        return why_set(why, rc, "see kxl dmesg",
                       "hv cannot add the trapped %s device: %s",
                       trapped_kind_name(spec->kind), strerror(-rc));
    rc = announce(&dev, cmdline, size);
    if (rc)
        return why_set(why, rc, "shorten extra= or cmdline=",
                       "no room on the command line for the trapped devices");
    return 0;
}

int trapped_add_all(struct dom *dom, char *cmdline, size_t size,
                    struct why *why)
{
    unsigned nr_virtio = 0;
    size_t i;
    int rc = 0;

    cmdline[0] = 0;
    for (i = 0; i < dom->cfg->nr_trapped && !rc; i++) {
        const struct trapped_spec *spec = &dom->cfg->trapped[i];

        rc = add_one(dom, spec, nr_virtio, cmdline, size, why);
        nr_virtio += spec->kind == TRAPPED_VIRTIO;
    }
    return rc;
}

int trapped_attach_uart(struct dom *dom)
{
    int fd;

    if (!dom->uart[0])
        return 0;
    fd = backends_console_open_uart(dom->uart);
    if (fd < 0) {
        dom0_warn("d%u: %s: cannot open the trapped UART: %s", dom->domid,
                  dom->uart, strerror(-fd));
        return fd;
    }
    return backends_console_add_stream(dom->d0->backends, dom->domid, "uart",
                                       fd);
}
