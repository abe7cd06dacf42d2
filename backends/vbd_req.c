/* SPDX-License-Identifier: MIT */
#include "backends/vbd_req.h"

_Static_assert(VBD_MAX_INDIRECT_PAGES <= BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST,
               "a request has room for their references");

static bool in_disk(const struct vbd_limits *lim, uint64_t sector, uint64_t nr)
{
    return sector <= lim->sectors && nr <= lim->sectors - sector;
}

int16_t vbd_req_segments(struct vbd_req *out, const struct vbd_limits *lim,
                         const struct blkif_request_segment *segs)
{
    unsigned int i;

    out->nr_sectors = 0;
    for (i = 0; i < out->nr_segs; i++) {
        unsigned int first = segs[i].first_sect, last = segs[i].last_sect;

        if (first > last || last >= RING_PAGE_SIZE / VBD_SECTOR)
            return BLKIF_RSP_ERROR;
        out->seg[i].ref = segs[i].gref;
        out->seg[i].offset = (uint16_t)(first * VBD_SECTOR);
        out->seg[i].len = (uint16_t)((last - first + 1) * VBD_SECTOR);
        out->nr_sectors += last - first + 1;
    }
    return in_disk(lim, out->sector, out->nr_sectors) ? BLKIF_RSP_OKAY
                                                      : BLKIF_RSP_ERROR;
}

/* What an operation code asks for; -1: nothing we know. */
static int to_kind(uint8_t op)
{
    switch (op) {
    case BLKIF_OP_READ:
        return VBD_READ;
    case BLKIF_OP_WRITE:
        return VBD_WRITE;
    case BLKIF_OP_WRITE_BARRIER:
        return VBD_BARRIER;
    case BLKIF_OP_FLUSH_DISKCACHE:
        return VBD_FLUSH;
    case BLKIF_OP_DISCARD:
        return VBD_DISCARD;
    default:
        return -1;
    }
}

static int16_t parse_discard(const struct blkif_request_discard *req,
                             const struct vbd_limits *lim, struct vbd_req *out)
{
    if (lim->rdonly)
        return BLKIF_RSP_ERROR;
    /* Secure discard was not offered, and hole punching is not that. */
    if (!lim->discard || (req->flag & BLKIF_DISCARD_SECURE))
        return BLKIF_RSP_EOPNOTSUPP;
    out->kind = VBD_DISCARD;
    out->sector = req->sector_number;
    out->nr_sectors = req->nr_sectors;
    return in_disk(lim, out->sector, out->nr_sectors) ? BLKIF_RSP_OKAY
                                                      : BLKIF_RSP_ERROR;
}

static int16_t parse_indirect(const struct blkif_request_indirect *req,
                              const struct vbd_limits *lim, struct vbd_req *out)
{
    unsigned int i;

    if (req->indirect_op != BLKIF_OP_READ && req->indirect_op != BLKIF_OP_WRITE)
        return BLKIF_RSP_ERROR;
    if (!req->nr_segments || req->nr_segments > VBD_MAX_INDIRECT)
        return BLKIF_RSP_ERROR;
    if (req->indirect_op == BLKIF_OP_WRITE && lim->rdonly)
        return BLKIF_RSP_ERROR;
    out->kind = req->indirect_op == BLKIF_OP_READ ? VBD_READ : VBD_WRITE;
    out->sector = req->sector_number;
    out->nr_segs = req->nr_segments;
    out->nr_indirect =
        (out->nr_segs + VBD_SEGS_PER_PAGE - 1) / VBD_SEGS_PER_PAGE;
    for (i = 0; i < out->nr_indirect; i++)
        out->indirect[i] = req->indirect_grefs[i];
    return BLKIF_RSP_OKAY;
}

static int16_t parse_direct(const struct blkif_request *req,
                            const struct vbd_limits *lim, struct vbd_req *out)
{
    bool empty_ok = out->kind == VBD_FLUSH || out->kind == VBD_BARRIER;

    if (req->nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST)
        return BLKIF_RSP_ERROR;
    if (!req->nr_segments && !empty_ok)
        return BLKIF_RSP_ERROR;
    if (out->kind != VBD_READ && req->nr_segments && lim->rdonly)
        return BLKIF_RSP_ERROR;
    out->nr_segs = req->nr_segments;
    /* An empty flush has no place; Linux sends whatever it has there. */
    out->sector = req->nr_segments ? req->sector_number : 0;
    return vbd_req_segments(out, lim, req->seg);
}

int16_t vbd_req_parse(const struct blkif_request *req,
                      const struct vbd_limits *lim, struct vbd_req *out)
{
    int kind = to_kind(req->operation);

    out->nr_segs = out->nr_indirect = 0;
    out->nr_sectors = 0;
    if (req->operation == BLKIF_OP_INDIRECT)
        return parse_indirect((const struct blkif_request_indirect *)req, lim,
                              out);
    if (kind < 0)
        return BLKIF_RSP_EOPNOTSUPP;
    out->kind = (enum vbd_kind)kind;
    if (kind == VBD_DISCARD)
        return parse_discard((const struct blkif_request_discard *)req, lim,
                             out);
    return parse_direct(req, lim, out);
}
