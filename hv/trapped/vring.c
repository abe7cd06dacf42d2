/* SPDX-License-Identifier: MIT */
#include "hv/trapped/vring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include "hv/trapped/trapped.h"

static uint16_t *used_event(struct vring_dev *vq)
{
    return &vq->avail->ring[vq->num];
}

static uint16_t *avail_event(struct vring_dev *vq)
{
    return (uint16_t *)&vq->used->ring[vq->num];
}

static void *area(struct vring_dev *vq, uint64_t addr, uint64_t len,
                  unsigned int align)
{
    return addr % align ? NULL : trapped_guest_ptr(vq->dev, addr, len);
}

int vring_start(struct vring_dev *vq)
{
    uint32_t n = vq->num;

    if (!n || n > VRING_MAX || (n & (n - 1)))
        return -EINVAL;
    /* avail and used each end in the other side's event index. */
    vq->desc = area(vq, vq->desc_addr, (uint64_t)n * sizeof(struct vring_desc),
                    VRING_DESC_ALIGN_SIZE);
    vq->avail =
        area(vq, vq->avail_addr,
             offsetof(struct vring_avail, ring) + 2 * n + sizeof(uint16_t),
             VRING_AVAIL_ALIGN_SIZE);
    vq->used = area(vq, vq->used_addr,
                    offsetof(struct vring_used, ring) +
                        n * sizeof(struct vring_used_elem) + sizeof(uint16_t),
                    VRING_USED_ALIGN_SIZE);
    if (!vq->desc || !vq->avail || !vq->used)
        return -EINVAL;
    vq->last_avail = vq->used_idx = vq->published = 0;
    vq->ready = true;
    return 0;
}

void vring_reset(struct vring_dev *vq)
{
    struct trapped_dev *dev = vq->dev;

    memset(vq, 0, sizeof(*vq));
    vq->dev = dev;
}

/* The guest may change the original at any time: judge a copy. */
static struct vring_desc copy_desc(const struct vring_dev *vq, uint16_t i)
{
    struct vring_desc d = *(const volatile struct vring_desc *)&vq->desc[i];

    __asm__ volatile("" ::: "memory");
    return d;
}

static const char *add_desc(struct vring_dev *vq, struct vring_chain *c,
                            const struct vring_desc *d)
{
    struct iovec *iov = &c->iov[c->nr_out + c->nr_in];

    if (d->flags & VRING_DESC_F_INDIRECT)
        return "indirect descriptor, which was not negotiated";
    if (c->nr_in && !(d->flags & VRING_DESC_F_WRITE))
        return "buffer to read behind one to write";
    iov->iov_base = trapped_guest_ptr(vq->dev, d->addr, d->len);
    iov->iov_len = d->len;
    if (!iov->iov_base)
        return "buffer outside guest memory";
    if (d->flags & VRING_DESC_F_WRITE)
        c->nr_in++;
    else
        c->nr_out++;
    return NULL;
}

static const char *walk(struct vring_dev *vq, struct vring_chain *c)
{
    struct vring_desc d;
    uint16_t i = c->head;
    const char *why;

    c->nr_out = c->nr_in = 0;
    do {
        if (i >= vq->num)
            return "descriptor index beyond the table";
        if (c->nr_out + c->nr_in == vq->num)
            return "descriptor chain runs in a circle";
        d = copy_desc(vq, i);
        why = add_desc(vq, c, &d);
        if (why)
            return why;
        i = d.next;
    } while (d.flags & VRING_DESC_F_NEXT);
    return NULL;
}

int vring_pop(struct vring_dev *vq, struct vring_chain *c, const char **why)
{
    /* Pairs with the driver's barrier before it raises avail->idx. */
    uint16_t idx = __atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE);
    uint16_t fresh = (uint16_t)(idx - vq->last_avail);

    if (!fresh)
        return 0;
    if (fresh > vq->num) {
        *why = "available index ran ahead of the ring";
        return -EPROTO;
    }
    c->head = __atomic_load_n(&vq->avail->ring[vq->last_avail % vq->num],
                              __ATOMIC_RELAXED);
    vq->last_avail++;
    *why = walk(vq, c);
    return *why ? -EPROTO : 1;
}

void vring_push(struct vring_dev *vq, uint16_t head, uint32_t len)
{
    struct vring_used_elem *e = &vq->used->ring[vq->used_idx % vq->num];

    e->id = head;
    e->len = len;
    vq->used_idx++;
}

bool vring_publish(struct vring_dev *vq)
{
    uint16_t was = vq->published;

    if (was == vq->used_idx)
        return false;
    vq->published = vq->used_idx;
    __atomic_store_n(&vq->used->idx, vq->used_idx, __ATOMIC_RELEASE);
    /*
     * The store above against the load below; the driver has the same fence
     * between asking for an interrupt and looking at used->idx once more.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!vq->event_idx)
        return !(__atomic_load_n(&vq->avail->flags, __ATOMIC_RELAXED) &
                 VRING_AVAIL_F_NO_INTERRUPT);
    return vring_need_event(__atomic_load_n(used_event(vq), __ATOMIC_RELAXED),
                            vq->used_idx, was);
}

void vring_disable_notify(struct vring_dev *vq)
{
    /* With event indices it is enough to leave avail_event where it is. */
    if (!vq->event_idx)
        __atomic_store_n(&vq->used->flags, VRING_USED_F_NO_NOTIFY,
                         __ATOMIC_RELAXED);
}

bool vring_enable_notify(struct vring_dev *vq)
{
    if (vq->event_idx)
        __atomic_store_n(avail_event(vq), vq->last_avail, __ATOMIC_RELAXED);
    else
        __atomic_store_n(&vq->used->flags, 0, __ATOMIC_RELAXED);
    /* Pairs with the driver's fence between avail->idx and its decision. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&vq->avail->idx, __ATOMIC_RELAXED) != vq->last_avail;
}
