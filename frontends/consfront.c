/* SPDX-License-Identifier: MIT */
/* The console Xen gives to every domain. Protocol: xen/io/console.h */
#include "frontends/include/console.h"
#include "frontends/include/kernel.h"
#include <xen/io/console.h>

struct consfront {
    struct console con;
    struct xencons_interface *intf;
    evtchn_port_t port;
};

static struct consfront *front(struct console *con)
{
    return container_of(con, struct consfront, con);
}

static int consfront_write(struct console *con, const char *s, size_t len)
{
    struct consfront *f = front(con);
    struct xencons_interface *i = f->intf;
    int n = bytering_put(i->out, sizeof(i->out), &i->out_cons, &i->out_prod, s,
                         (uint32_t)MIN(len, sizeof(i->out)));

    if (n > 0)
        evtchn_send(f->port);
    return n;
}

static int consfront_read(struct console *con, char *buf, size_t len)
{
    struct consfront *f = front(con);
    struct xencons_interface *i = f->intf;
    int n = bytering_get(i->in, sizeof(i->in), &i->in_cons, &i->in_prod, buf,
                         (uint32_t)MIN(len, sizeof(i->in)));

    /* The other side may be waiting for room. */
    if (n > 0)
        evtchn_send(f->port);
    return n;
}

static bool consfront_readable(struct console *con)
{
    struct xencons_interface *i = front(con)->intf;

    return READ_ONCE(i->in_prod) != READ_ONCE(i->in_cons);
}

static bool consfront_writable(struct console *con)
{
    struct xencons_interface *i = front(con)->intf;

    return READ_ONCE(i->out_prod) - READ_ONCE(i->out_cons) != sizeof(i->out);
}

static bool consfront_drained(struct console *con)
{
    struct xencons_interface *i = front(con)->intf;

    return READ_ONCE(i->out_prod) == READ_ONCE(i->out_cons);
}

static const struct console_ops consfront_ops = {
    .write = consfront_write,
    .read = consfront_read,
    .readable = consfront_readable,
    .writable = consfront_writable,
    .drained = consfront_drained,
};

static void consfront_probe(void)
{
    const struct start_info *si = start_info();
    static struct consfront f = {.con = {.driver = "xen"}};

    if (!si->console.domU.mfn || (si->flags & SIF_INITDOMAIN))
        return;
    f.intf = mfn_to_virt(si->console.domU.mfn);
    f.port = si->console.domU.evtchn;
    if (!f.intf || evtchn_attach(f.port, evtchn_wake_only, NULL) < 0) {
        printf("consfront: frame %lx or port %u of the console is wrong\n",
               si->console.domU.mfn, f.port);
        return;
    }
    f.con.ops = &consfront_ops;
    console_register(&f.con);
}

DRIVER(consfront, consfront_probe);
