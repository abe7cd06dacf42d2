/* SPDX-License-Identifier: MIT */
/*
 * The device's side of a virtio 1.x split ring.  Its memory is the guest's:
 * indices are loaded once, descriptors copied before they are judged.
 * Not locked: the owner calls it with its device's lock held.
 */
#ifndef HV_TRAPPED_VRING_H
#define HV_TRAPPED_VRING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define VRING_MAX 256u

struct trapped_dev;

struct vring_dev {
    struct trapped_dev *dev;
    bool ready;
    bool event_idx; /* VIRTIO_RING_F_EVENT_IDX was negotiated */
    uint32_t num;   /* as the driver wrote it; checked by vring_start() */
    uint64_t desc_addr, avail_addr, used_addr;

    const struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    uint16_t last_avail; /* next entry of the available ring to look at */
    uint16_t used_idx;   /* next entry of the used ring to fill */
    uint16_t published;  /* used_idx as the driver was last shown it */
};

/* One descriptor chain: nr_out buffers to read, then nr_in to write. */
struct vring_chain {
    uint16_t head;
    unsigned int nr_out, nr_in;
    struct iovec iov[VRING_MAX];
};

/*
 * The driver set QueueReady: checks size, alignment, that all three areas are
 * guest memory.  0 or -EINVAL.
 */
int vring_start(struct vring_dev *vq);

/* Forgets everything; dev stays. */
void vring_reset(struct vring_dev *vq);

/*
 * Takes the next chain.  1; 0 when there is none; or -EPROTO when the driver
 * broke the rules, with the rule in *why (static): the ring is then unusable.
 */
int vring_pop(struct vring_dev *vq, struct vring_chain *c, const char **why);

/* Fills a used entry: len bytes were written.  Not visible until published. */
void vring_push(struct vring_dev *vq, uint16_t head, uint32_t len);

/* Shows the driver what was pushed; true when it wants an interrupt for it. */
bool vring_publish(struct vring_dev *vq);

/*
 * No need to be notified for now.  vring_enable_notify() asks for it again,
 * and returns true if something had come in between.
 */
void vring_disable_notify(struct vring_dev *vq);
bool vring_enable_notify(struct vring_dev *vq);

#endif
