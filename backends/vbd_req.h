/* SPDX-License-Identifier: MIT */
/* From the copy of a blkif request to something proven harmless. */
#ifndef BACKENDS_VBD_REQ_H
#define BACKENDS_VBD_REQ_H

#include "backends/ring.h"
#include <xen/io/blkif.h>

#define VBD_SECTOR       512u
#define VBD_MAX_INDIRECT 256u /* segments */
#define VBD_SEGS_PER_PAGE                                                      \
    (RING_PAGE_SIZE / (unsigned int)sizeof(struct blkif_request_segment))
#define VBD_MAX_INDIRECT_PAGES                                                 \
    ((VBD_MAX_INDIRECT + VBD_SEGS_PER_PAGE - 1) / VBD_SEGS_PER_PAGE)

enum vbd_kind {
    VBD_READ,
    VBD_WRITE,
    VBD_FLUSH,   /* make durable, then write the data if there is any */
    VBD_BARRIER, /* all before it, it, durable, before all after it */
    VBD_DISCARD,
};

/* The disk as far as a request can go wrong on it. */
struct vbd_limits {
    uint64_t sectors; /* of 512 bytes */
    bool rdonly;
    bool discard;
};

struct vbd_seg {
    grant_ref_t ref;
    uint16_t offset; /* bytes in the page */
    uint16_t len;    /* bytes, not 0; offset + len <= 4096 */
};

struct vbd_req {
    enum vbd_kind kind;
    uint64_t sector, nr_sectors; /* within the disk */
    unsigned int nr_segs;
    unsigned int nr_indirect; /* pages of segments still to be read */
    grant_ref_t indirect[VBD_MAX_INDIRECT_PAGES];
    struct vbd_seg seg[VBD_MAX_INDIRECT];
};

/*
 * Judges a copied request. BLKIF_RSP_OKAY: *out is filled in, but for the
 * segments when nr_indirect is not 0; then vbd_req_segments() follows with
 * copies of those. Else the status to answer with.
 */
int16_t vbd_req_parse(const struct blkif_request *req,
                      const struct vbd_limits *lim, struct vbd_req *out);

/* Judges nr_segs segments (copies too). BLKIF_RSP_OKAY or _ERROR. */
int16_t vbd_req_segments(struct vbd_req *out, const struct vbd_limits *lim,
                         const struct blkif_request_segment *segs);

#endif
