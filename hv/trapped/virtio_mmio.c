/* SPDX-License-Identifier: MIT */
/*
 * A virtio 1.x block device behind virtio-mmio registers (version 2), one
 * split ring.  Two ways to serve it:
 *
 * inline: the write to QueueNotify exits, and the requests are done, one after
 *   another, in the vCPU's thread before it returns: one exit, no wake-up.
 * worker (KXEN_TRAPPED_IOEVENTFD): the write signals an eventfd within the
 *   kernel; a thread takes the requests, keeps them all going by io_uring,
 *   and polls for a moment before it sleeps again.
 */
#include "hv/trapped/trapped.h"
#include "hv/trapped/io.h"
#include "hv/trapped/vring.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define SECTOR       512u
#define REGS_LEN     0x1000u     /* a page; nothing behind the configuration */
#define MAGIC        0x74726976u /* "virt" */
#define VENDOR       0x6e65784bu /* "Kxen" */
#define SEG_MAX      (VRING_MAX - 2) /* header and status take one each */
#define SIZE_MAX_SEG 0x20000u        /* bytes of a segment */
#define MAX_REQUEST  ((uint64_t)SEG_MAX * SIZE_MAX_SEG)
#define WORKER_SPIN  20000u /* ns */
#define BIT(n)       (1ull << (n))
#define BASE_FEATURES                                                          \
    (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) |                  \
     BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) |                  \
     BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_FLUSH))

/* A request between its chain and its used entry. */
struct vreq {
    struct io_req io; /* first: the engine gives it back */
    struct vring_chain chain;
    uint32_t in_len; /* bytes of data to the guest, status not counted */
    uint8_t *status;
    struct vreq *next; /* free list */
};

struct vblk {
    struct trapped_dev *dev;
    struct io_image img;
    struct virtio_blk_config config;
    uint64_t base;
    uint64_t features; /* offered */
    uint64_t driver_features;
    uint32_t features_sel, driver_features_sel, queue_sel;
    uint32_t status, isr;
    struct vring_dev vq;

    struct vreq *reqs, *free;
    unsigned int inflight;

    /* The worker's. */
    bool worker;
    bool stop;
    bool quiesce; /* take nothing new: someone waits for `drained` */
    int doorbell;
    bool doorbell_in_kernel;
    pthread_t thread;
    pthread_cond_t drained;
    struct io_ring ring;
};

static void raise_irq(struct vblk *v, uint32_t why)
{
    v->isr |= why;
    trapped_raise(v->dev);
}

/* The driver broke the protocol: nothing more until it resets the device. */
static void needs_reset(struct vblk *v, const char *why)
{
    trapped_log(v->dev, "driver error: %s; the device waits for its reset",
                why);
    v->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
    if (v->status & VIRTIO_CONFIG_S_DRIVER_OK)
        raise_irq(v, VIRTIO_MMIO_INT_CONFIG);
}

static bool runnable(const struct vblk *v)
{
    return v->vq.ready && !v->quiesce && !v->stop &&
           !trapped_stopping(v->dev) &&
           (v->status & VIRTIO_CONFIG_S_DRIVER_OK) &&
           !(v->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* ---- requests ---- */

static uint64_t iov_length(const struct iovec *iov, unsigned int n)
{
    uint64_t len = 0;

    while (n--)
        len += iov++->iov_len;
    return len;
}

/* Takes n bytes from the front of *iov into buf; false if there are less. */
static bool iov_take(struct iovec **iov, unsigned int *nr, void *buf, size_t n)
{
    char *to = buf;

    while (n && *nr) {
        size_t part = (*iov)->iov_len < n ? (*iov)->iov_len : n;

        memcpy(to, (*iov)->iov_base, part);
        to += part;
        n -= part;
        (*iov)->iov_base = (char *)(*iov)->iov_base + part;
        (*iov)->iov_len -= part;
        if (!(*iov)->iov_len) {
            (*iov)++;
            (*nr)--;
        }
    }
    return !n;
}

/* Cuts off the last byte of the chain; NULL if there is none. */
static uint8_t *iov_take_last(struct iovec *iov, unsigned int *nr)
{
    while (*nr && !iov[*nr - 1].iov_len)
        (*nr)--;
    if (!*nr)
        return NULL;
    iov += *nr - 1;
    return (uint8_t *)iov->iov_base + --iov->iov_len;
}

static void complete(struct vblk *v, struct vreq *r, uint8_t status)
{
    *r->status = status;
    if (v->vq.ready)
        vring_push(&v->vq, r->chain.head,
                   status == VIRTIO_BLK_S_OK ? r->in_len + 1 : 1);
    r->next = v->free;
    v->free = r;
    v->inflight--;
}

static void complete_io(struct vblk *v, struct vreq *r)
{
    complete(v, r, r->io.result ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

static void start_io(struct vblk *v, struct vreq *r)
{
    if (v->worker) {
        io_ring_queue(&v->ring, &r->io);
    } else {
        io_run(&v->img, &r->io);
        complete_io(v, r);
    }
}

static void start_rw(struct vblk *v, struct vreq *r, uint64_t sector)
{
    uint64_t len = iov_length(r->io.iov, r->io.nr_iov);
    uint64_t count = len / SECTOR;

    if (len % SECTOR || len > MAX_REQUEST || sector > v->config.capacity ||
        count > v->config.capacity - sector ||
        (r->io.op == IO_WRITE && v->img.rdonly)) {
        complete(v, r, VIRTIO_BLK_S_IOERR);
        return;
    }
    r->in_len = r->io.op == IO_READ ? (uint32_t)len : 0;
    r->io.offset = sector * SECTOR;
    start_io(v, r);
}

static void get_id(struct vblk *v, struct vreq *r)
{
    static const char id[VIRTIO_BLK_ID_BYTES] = "kxen-trapped-disk";
    size_t done = 0;

    while (done < sizeof(id) && r->io.nr_iov) {
        size_t part = sizeof(id) - done;

        if (part > r->io.iov->iov_len)
            part = r->io.iov->iov_len;
        memcpy(r->io.iov->iov_base, id + done, part);
        done += part;
        r->io.iov++;
        r->io.nr_iov--;
    }
    r->in_len = (uint32_t)done;
    complete(v, r, VIRTIO_BLK_S_OK);
}

/* A chain was popped into r.  Gives what is wrong with it, or NULL. */
static const char *start_request(struct vblk *v, struct vreq *r)
{
    struct iovec *out = r->chain.iov, *in = out + r->chain.nr_out;
    unsigned int nr_out = r->chain.nr_out, nr_in = r->chain.nr_in;
    struct virtio_blk_outhdr hdr;

    r->in_len = 0;
    r->status = iov_take_last(in, &nr_in);
    if (!r->status)
        return "request without room for its status";
    if (!iov_take(&out, &nr_out, &hdr, sizeof(hdr)))
        return "request shorter than its header";
    v->free = r->next;
    v->inflight++;
    r->io.iov = hdr.type == VIRTIO_BLK_T_OUT ? out : in;
    r->io.nr_iov = hdr.type == VIRTIO_BLK_T_OUT ? nr_out : nr_in;
    switch (hdr.type) {
    case VIRTIO_BLK_T_IN:
    case VIRTIO_BLK_T_OUT:
        r->io.op = hdr.type == VIRTIO_BLK_T_IN ? IO_READ : IO_WRITE;
        start_rw(v, r, hdr.sector);
        break;
    case VIRTIO_BLK_T_FLUSH:
        r->io.op = IO_FLUSH;
        start_io(v, r);
        break;
    case VIRTIO_BLK_T_GET_ID:
        get_id(v, r);
        break;
    default:
        complete(v, r, VIRTIO_BLK_S_UNSUPP);
    }
    return NULL;
}

/* Starts all that is available; whether there was anything. */
static bool take_requests(struct vblk *v)
{
    const char *why = NULL;
    bool any = false;

    while (v->free && runnable(v)) {
        int rc = vring_pop(&v->vq, &v->free->chain, &why);

        if (!rc)
            break;
        if (rc > 0)
            why = start_request(v, v->free);
        if (why)
            needs_reset(v, why);
        any = true;
    }
    return any;
}

static void publish(struct vblk *v)
{
    if (v->vq.ready && vring_publish(&v->vq))
        raise_irq(v, VIRTIO_MMIO_INT_VRING);
}

static void serve_inline(struct vblk *v)
{
    do {
        take_requests(v);
        publish(v);
    } while (runnable(v) && vring_enable_notify(&v->vq));
}

/* ---- the worker ---- */

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* One round: what finished, what is new. Whether there was either. */
static bool worker_round(struct vblk *v, struct io_req *done)
{
    bool any = done;

    pthread_mutex_lock(&v->dev->lock);
    while (done) {
        struct vreq *r = (struct vreq *)done;

        done = done->next;
        complete_io(v, r);
    }
    if (runnable(v)) {
        vring_disable_notify(&v->vq);
        any |= take_requests(v);
    }
    publish(v);
    if (!v->inflight)
        pthread_cond_broadcast(&v->drained);
    pthread_mutex_unlock(&v->dev->lock);
    return any;
}

/*
 * Waits a moment with notifications off: an exit and a wake-up saved for each
 * request of a busy driver.  True when there is something to do.
 */
static bool worker_spin(struct vblk *v)
{
    const uint16_t *idx = NULL;
    uint16_t seen = 0;
    uint64_t end;

    pthread_mutex_lock(&v->dev->lock);
    if (runnable(v) && v->free) {
        /* Guest memory stays mapped even if the queue is reset meanwhile. */
        idx = &v->vq.avail->idx;
        seen = v->vq.last_avail;
    }
    pthread_mutex_unlock(&v->dev->lock);
    if (!idx)
        return false;
    end = now_ns() + WORKER_SPIN;
    do {
        for (unsigned int i = 0; i < 16; i++) {
            if (__atomic_load_n(idx, __ATOMIC_RELAXED) != seen ||
                io_ring_ready(&v->ring))
                return true;
            __builtin_ia32_pause();
        }
    } while (now_ns() < end);
    return false;
}

/* Whether the worker may sleep: notifications are on, nothing came between. */
static bool worker_may_sleep(struct vblk *v, bool *stop)
{
    bool more;

    pthread_mutex_lock(&v->dev->lock);
    *stop = v->stop && !v->inflight;
    more = runnable(v) && vring_enable_notify(&v->vq) && v->free;
    pthread_mutex_unlock(&v->dev->lock);
    return !more && !*stop;
}

static void *worker_main(void *arg)
{
    struct vblk *v = arg;
    struct io_req *done = NULL;
    bool stop = false;

    while (!stop) {
        if (!done)
            done = io_ring_wait(&v->ring, false);
        if (worker_round(v, done) || worker_spin(v)) {
            done = NULL;
            continue;
        }
        done = worker_may_sleep(v, &stop) ? io_ring_wait(&v->ring, true) : NULL;
    }
    return NULL;
}

/* Waits until no request is under way; new ones are not taken. */
static void drain(struct vblk *v)
{
    v->quiesce = true;
    while (v->inflight)
        pthread_cond_wait(&v->drained, &v->dev->lock);
    v->quiesce = false;
}

/* ---- registers ---- */

static void reset(struct vblk *v)
{
    drain(v);
    vring_reset(&v->vq);
    v->status = v->isr = 0;
    v->driver_features = 0;
    v->features_sel = v->driver_features_sel = v->queue_sel = 0;
}

static void write_status(struct vblk *v, uint32_t val)
{
    if (!val) {
        reset(v);
        return;
    }
    if ((val & ~v->status & VIRTIO_CONFIG_S_FEATURES_OK) &&
        ((v->driver_features & ~v->features) ||
         !(v->driver_features & BIT(VIRTIO_F_VERSION_1))))
        val &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK;
    /* NEEDS_RESET is the device's: only a reset takes it away. */
    v->status = val | (v->status & VIRTIO_CONFIG_S_NEEDS_RESET);
    v->vq.event_idx = v->driver_features & BIT(VIRTIO_RING_F_EVENT_IDX);
}

static void write_ready(struct vblk *v, uint32_t val)
{
    if (!(val & 1)) {
        drain(v);
        v->vq.ready = false;
        return;
    }
    if (v->vq.ready)
        return;
    if (vring_start(&v->vq))
        needs_reset(v, "queue of a bad size, alignment or place");
}

static void write_notify(struct vblk *v, uint32_t queue)
{
    if (queue)
        return;
    if (v->worker)
        eventfd_write(v->doorbell, 1);
    else
        serve_inline(v);
}

static void set_half(uint64_t *reg, bool high, uint32_t val)
{
    if (high)
        *reg = (*reg & 0xffffffffu) | (uint64_t)val << 32;
    else
        *reg = (*reg & ~0xffffffffull) | val;
}

/* The queue's geometry, constant while it is ready. */
static void write_queue(struct vblk *v, unsigned int reg, uint32_t val)
{
    struct vring_dev *vq = &v->vq;

    if (v->queue_sel || vq->ready)
        return;
    switch (reg) {
    case VIRTIO_MMIO_QUEUE_NUM:
        vq->num = val;
        break;
    case VIRTIO_MMIO_QUEUE_DESC_LOW:
    case VIRTIO_MMIO_QUEUE_DESC_HIGH:
        set_half(&vq->desc_addr, reg & 4, val);
        break;
    case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
    case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
        set_half(&vq->avail_addr, reg & 4, val);
        break;
    case VIRTIO_MMIO_QUEUE_USED_LOW:
    case VIRTIO_MMIO_QUEUE_USED_HIGH:
        set_half(&vq->used_addr, reg & 4, val);
        break;
    }
}

static void write_driver_features(struct vblk *v, uint32_t val)
{
    if (!(v->status & VIRTIO_CONFIG_S_FEATURES_OK) &&
        v->driver_features_sel < 2)
        set_half(&v->driver_features, v->driver_features_sel, val);
}

static void vblk_write(struct trapped_dev *dev, unsigned int offset,
                       unsigned int size, uint32_t val)
{
    struct vblk *v = dev->priv;

    if (size != 4 || offset % 4)
        return;
    switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
        v->features_sel = val;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
        v->driver_features_sel = val;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES:
        write_driver_features(v, val);
        break;
    case VIRTIO_MMIO_QUEUE_SEL:
        v->queue_sel = val;
        break;
    case VIRTIO_MMIO_QUEUE_READY:
        if (!v->queue_sel)
            write_ready(v, val);
        break;
    case VIRTIO_MMIO_QUEUE_NOTIFY:
        write_notify(v, val);
        break;
    case VIRTIO_MMIO_INTERRUPT_ACK:
        v->isr &= ~val;
        break;
    case VIRTIO_MMIO_STATUS:
        write_status(v, val);
        break;
    default:
        write_queue(v, offset, val);
    }
}

static uint32_t read_config(const struct vblk *v, unsigned int offset,
                            unsigned int size)
{
    uint32_t val = 0;

    if (offset + size <= sizeof(v->config))
        memcpy(&val, (const char *)&v->config + offset, size);
    return val;
}

static uint32_t vblk_read(struct trapped_dev *dev, unsigned int offset,
                          unsigned int size)
{
    struct vblk *v = dev->priv;

    if (offset >= VIRTIO_MMIO_CONFIG)
        return read_config(v, offset - VIRTIO_MMIO_CONFIG, size);
    if (size != 4 || offset % 4)
        return 0;
    switch (offset) {
    case VIRTIO_MMIO_MAGIC_VALUE:
        return MAGIC;
    case VIRTIO_MMIO_VERSION:
        return 2;
    case VIRTIO_MMIO_DEVICE_ID:
        return VIRTIO_ID_BLOCK;
    case VIRTIO_MMIO_VENDOR_ID:
        return VENDOR;
    case VIRTIO_MMIO_DEVICE_FEATURES:
        return v->features_sel < 2
                   ? (uint32_t)(v->features >> (32 * v->features_sel))
                   : 0;
    case VIRTIO_MMIO_QUEUE_NUM_MAX:
        return v->queue_sel ? 0 : VRING_MAX;
    case VIRTIO_MMIO_QUEUE_READY:
        return !v->queue_sel && v->vq.ready;
    case VIRTIO_MMIO_INTERRUPT_STATUS:
        return v->isr;
    case VIRTIO_MMIO_STATUS:
        return v->status;
    case VIRTIO_MMIO_SHM_LEN_LOW: /* all ones: there is no such region */
    case VIRTIO_MMIO_SHM_LEN_HIGH:
    case VIRTIO_MMIO_SHM_BASE_LOW:
    case VIRTIO_MMIO_SHM_BASE_HIGH:
        return UINT32_MAX;
    default:
        return 0;
    }
}

/* ---- life ---- */

static int set_ioeventfd(struct vblk *v, bool add)
{
    const struct trapped_env *env = v->dev->env;

    if (!env->ioeventfd)
        return -ENOSYS;
    return env->ioeventfd(env->opaque, v->base + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0,
                          v->doorbell, add);
}

static int worker_create(struct vblk *v)
{
    int rc;

    v->doorbell = eventfd(0, EFD_CLOEXEC);
    if (v->doorbell < 0)
        return -errno;
    rc = io_ring_init(&v->ring, &v->img, VRING_MAX, v->doorbell);
    if (rc)
        goto out_close;
    rc = -pthread_create(&v->thread, NULL, worker_main, v);
    if (rc)
        goto out_ring;
    v->doorbell_in_kernel = !set_ioeventfd(v, true);
    if (!v->doorbell_in_kernel)
        trapped_log(v->dev, "no ioeventfd: each notification is an exit");
    return 0;

out_ring:
    io_ring_fini(&v->ring);
out_close:
    close(v->doorbell);
    return rc;
}

static void worker_destroy(struct vblk *v)
{
    pthread_mutex_lock(&v->dev->lock);
    v->stop = true;
    pthread_mutex_unlock(&v->dev->lock);
    eventfd_write(v->doorbell, 1);
    pthread_join(v->thread, NULL);
    if (v->doorbell_in_kernel)
        set_ioeventfd(v, false);
    io_ring_fini(&v->ring);
    close(v->doorbell);
}

static void vblk_destroy(struct trapped_dev *dev)
{
    struct vblk *v = dev->priv;

    if (v->worker)
        worker_destroy(v);
    pthread_cond_destroy(&v->drained);
    close(v->img.fd);
    free(v->reqs);
    free(v);
}

static void init_config(struct vblk *v)
{
    v->config.capacity = v->img.size / SECTOR;
    v->config.size_max = SIZE_MAX_SEG;
    v->config.seg_max = SEG_MAX;
    v->config.blk_size = SECTOR;
    v->features = BASE_FEATURES;
    if (v->img.rdonly)
        v->features |= BIT(VIRTIO_BLK_F_RO);
}

/* Inline service has one request at a time. */
static int init_reqs(struct vblk *v)
{
    unsigned int n = v->worker ? VRING_MAX : 1;

    v->reqs = calloc(n, sizeof(*v->reqs));
    if (!v->reqs)
        return -ENOMEM;
    while (n--) {
        v->reqs[n].next = v->free;
        v->free = &v->reqs[n];
    }
    return 0;
}

static int vblk_create(struct trapped_dev *dev, struct kxen_trapped *desc,
                       int fd)
{
    struct vblk *v = calloc(1, sizeof(*v));
    int rc;

    if (!v)
        return -ENOMEM;
    v->dev = v->vq.dev = dev;
    v->worker = desc->flags & KXEN_TRAPPED_IOEVENTFD;
    v->base = trapped_mmio_page(dev);
    pthread_cond_init(&v->drained, NULL);
    rc = io_image_init(&v->img, fd, desc->flags & KXEN_TRAPPED_RDONLY);
    if (rc)
        goto out;
    init_config(v);
    rc = trapped_claim_mmio(dev, v->base, REGS_LEN);
    if (!rc)
        rc = init_reqs(v);
    if (!rc && v->worker)
        rc = worker_create(v);
    if (rc)
        goto out;
    dev->priv = v;
    desc->base = v->base;
    return 0;

out:
    pthread_cond_destroy(&v->drained);
    free(v->reqs);
    free(v);
    return rc;
}

const struct trapped_ops trapped_virtio_ops = {
    .name = "virtio-blk",
    .flags = KXEN_TRAPPED_RDONLY | KXEN_TRAPPED_IOEVENTFD,
    .create = vblk_create,
    .destroy = vblk_destroy,
    .read = vblk_read,
    .write = vblk_write,
};
