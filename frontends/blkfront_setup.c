/* SPDX-License-Identifier: MIT */
/*
 * Disk over Xen's ring: negotiate, connect, close. Protocol: xen/io/blkif.h
 * blk.order=, blk.segs= and blk.persistent=0 on the command line ask for less
 * than the backend offers.
 */
#include "frontends/blkfront.h"
#include <xen/io/protocols.h>

#define WAIT_NS    (30 * NSEC_PER_SEC)
#define STATE(s)   (1u << XenbusState##s)
#define ALIVE      (STATE(InitWait) | STATE(Initialised) | STATE(Connected))
#define GONE       (STATE(Unknown) | STATE(Closed) | STATE(Closing))
#define VDEV_MAJOR 202

static uint64_t offered(struct blkfront *f, const char *node, uint64_t dflt)
{
    uint64_t v;

    return xenbus_read_u64(XBT_NIL, f->xenbus.backend, node, &v) ? dflt : v;
}

/* ---- negotiate ----------------------------------------------------------- */

/* The least of what we can, what the backend offers and what is asked for. */
static uint32_t settle(struct blkfront *f, const char *node, const char *option,
                       uint32_t can)
{
    uint64_t offer = offered(f, node, 0);
    uint64_t wish = cmdline_u64(cmdline(), option, can);

    return (uint32_t)MIN(MIN(offer, wish), can);
}

static int negotiate(struct blkfront *f)
{
    int rc = xenbus_wait_backend(&f->xenbus, ALIVE, WAIT_NS);

    if (rc < 0)
        return xenbus_error(&f->xenbus, rc, "the backend does not get ready");
    f->order =
        settle(f, "max-ring-page-order", "blk.order", BLKFRONT_MAX_ORDER);
    f->max_segs = settle(f, "feature-max-indirect-segments", "blk.segs",
                         BLKFRONT_MAX_SEGS);
    f->max_segs = MAX(f->max_segs, BLKIF_MAX_SEGMENTS_PER_REQUEST);
    f->persistent = settle(f, "feature-persistent", "blk.persistent", 1);
    if (!f->persistent)
        return 0;
    f->ref_of_pfn = heap_alloc(start_info()->nr_pages * sizeof(grant_ref_t));
    return f->ref_of_pfn ? 0 : -ENOMEM;
}

/* ---- connect ------------------------------------------------------------- */

static int ring_init(struct blkfront *f)
{
    size_t pages = 1u << f->order, i;
    blkif_sring_t *sring = page_alloc(pages);
    int ref;

    if (!sring)
        return -ENOMEM;
    SHARED_RING_INIT(sring);
    FRONT_RING_INIT(&f->ring, sring, pages * PAGE_SIZE);
    for (i = 0; i < pages; i++) {
        ref = gnttab_grant(f->xenbus.backend_id, (char *)sring + i * PAGE_SIZE,
                           false);
        if (ref < 0)
            return ref;
        f->ring_refs[i] = (grant_ref_t)ref;
    }
    ref = evtchn_alloc_unbound(f->xenbus.backend_id, evtchn_wake_only, NULL);
    if (ref < 0)
        return ref;
    f->port = (evtchn_port_t)ref;
    return blkfront_slots_init(f);
}

static int publish_refs(struct blkfront *f, xenbus_tx_t tx)
{
    const char *path = f->xenbus.path;
    unsigned int i;
    char node[16];
    int rc;

    if (f->order == 0)
        return xenbus_printf(tx, path, "ring-ref", "%u", f->ring_refs[0]);
    rc = xenbus_printf(tx, path, "ring-page-order", "%u", f->order);
    for (i = 0; i < 1u << f->order && !rc; i++) {
        snprintf(node, sizeof(node), "ring-ref%u", i);
        rc = xenbus_printf(tx, path, node, "%u", f->ring_refs[i]);
    }
    return rc;
}

static int publish_once(struct blkfront *f)
{
    const char *path = f->xenbus.path;
    xenbus_tx_t tx;
    int rc = xenbus_transaction_start(&tx), end;

    if (rc)
        return rc;
    rc = publish_refs(f, tx);
    if (!rc)
        rc = xenbus_printf(tx, path, "event-channel", "%u", f->port);
    if (!rc)
        rc = xenbus_printf(tx, path, "protocol", "%s", XEN_IO_PROTO_ABI_X86_64);
    if (!rc)
        rc = xenbus_printf(tx, path, "feature-persistent", "%d", f->persistent);
    end = xenbus_transaction_end(tx, rc == 0);
    return rc ? rc : end;
}

static int publish(struct blkfront *f)
{
    int rc;

    do
        rc = publish_once(f);
    while (rc == -EAGAIN);
    return rc;
}

static int read_properties(struct blkfront *f)
{
    struct blkdev *d = &f->disk;
    uint64_t size = offered(f, "sector-size", 0), info = offered(f, "info", 0);
    char mode[4] = "";

    d->sectors = offered(f, "sectors", 0);
    if (size != BLK_SECTOR_SIZE || d->sectors == 0 ||
        d->sectors > UINT64_MAX / BLK_SECTOR_SIZE)
        return xenbus_error(&f->xenbus, -EPROTO,
                            "backend offers %lu sectors of %lu bytes",
                            d->sectors, size);
    xenbus_read_node(XBT_NIL, f->xenbus.backend, "mode", mode, sizeof(mode));
    d->read_only = (info & VDISK_READONLY) || mode[0] == 'r';
    d->can_flush = offered(f, "feature-flush-cache", 0) == 1;
    d->can_barrier = offered(f, "feature-barrier", 0) == 1;
    d->can_discard = offered(f, "feature-discard", 0) == 1;
    d->max_sectors = f->max_segs * (PAGE_SIZE / BLK_SECTOR_SIZE);
    snprintf(d->detail, sizeof(d->detail), "ring of %u, %u segments%s%s%s%s%s",
             d->queue_depth, f->max_segs, f->persistent ? ", persistent" : "",
             d->can_flush ? ", flush" : "", d->can_barrier ? ", barrier" : "",
             d->can_discard ? ", discard" : "",
             d->read_only ? ", read-only" : "");
    return 0;
}

static int connect(struct blkfront *f)
{
    int rc = ring_init(f);

    if (!rc)
        rc = publish(f);
    if (!rc)
        rc = xenbus_switch_state(&f->xenbus, XenbusStateInitialised);
    if (rc)
        return xenbus_error(&f->xenbus, rc, "cannot set up the ring");
    rc = xenbus_wait_backend(&f->xenbus, STATE(Connected) | GONE, WAIT_NS);
    if (rc != XenbusStateConnected)
        return xenbus_error(
            &f->xenbus, rc < 0 ? rc : -EIO,
            "the backend did not connect (it is %s)",
            xenbus_state_name(xenbus_backend_state(&f->xenbus)));
    rc = read_properties(f);
    return rc ? rc : xenbus_switch_state(&f->xenbus, XenbusStateConnected);
}

/* ---- close --------------------------------------------------------------- */

void blkfront_disconnect(struct blkfront *f)
{
    static const char *const nodes[] = {"ring-ref", "event-channel",
                                        "ring-page-order"};
    char path[96];
    size_t i;

    xenbus_switch_state(&f->xenbus, XenbusStateClosing);
    xenbus_wait_backend(&f->xenbus, GONE, NSEC_PER_SEC);
    xenbus_switch_state(&f->xenbus, XenbusStateClosed);
    xenbus_wait_backend(&f->xenbus,
                        STATE(Closed) | STATE(InitWait) | STATE(Unknown),
                        NSEC_PER_SEC);
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        snprintf(path, sizeof(path), "%s/%s", f->xenbus.path, nodes[i]);
        xenbus_rm(XBT_NIL, path);
    }
    xenbus_device_close(&f->xenbus);
}

/* ---- probe --------------------------------------------------------------- */

/* "xvda" from the toolstack's own words, else from the number. */
static void name_disk(struct blkfront *f)
{
    char dev[16];
    int rc =
        xenbus_read_node(XBT_NIL, f->xenbus.backend, "dev", dev, sizeof(dev));

    if (rc > 0 && rc < (int)sizeof(dev))
        snprintf(f->disk.name, sizeof(f->disk.name), "%s", dev);
    else if (f->handle >> 8 == VDEV_MAJOR)
        snprintf(f->disk.name, sizeof(f->disk.name), "xvd%c",
                 'a' + (f->handle >> 4 & 0xf));
    else
        snprintf(f->disk.name, sizeof(f->disk.name), "vbd%u", f->handle);
}

static void probe_one(const char *path)
{
    struct blkfront *f = heap_alloc(sizeof(*f));
    uint64_t vdev = 0;
    int rc;

    if (!f)
        return;
    f->disk.driver = "xen";
    f->disk.ops = &blkfront_ops;
    rc = xenbus_device_open(&f->xenbus, path);
    if (rc)
        goto out;
    if (xenbus_read_u64(XBT_NIL, path, "virtual-device", &vdev))
        vdev = 0;
    f->handle = (blkif_vdev_t)vdev;
    name_disk(f);
    rc = negotiate(f);
    if (!rc)
        rc = connect(f);
    if (!rc) {
        blkdev_register(&f->disk);
        return;
    }
    xenbus_switch_state(&f->xenbus, XenbusStateClosed);
    blkfront_release(f);
    xenbus_device_close(&f->xenbus);
out:
    printf("blkfront: %s cannot be used: error %d\n", path, rc);
    heap_free(f);
}

static void blkfront_probe(void)
{
    xenbus_for_each_device("vbd", probe_one);
}

DRIVER(blkfront, blkfront_probe);
