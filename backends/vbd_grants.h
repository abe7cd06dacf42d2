/* SPDX-License-Identifier: MIT */
/*
 * The guest's data pages, mapped.  With persistent grants a mapping is kept
 * and found again by its reference, so that a request costs no call to hv;
 * else one call maps a request's pages, and one unmaps those of all requests
 * that are answered together.
 */
#ifndef BACKENDS_VBD_GRANTS_H
#define BACKENDS_VBD_GRANTS_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#include "backends/vbd_req.h"

/* The most references, or handles, of one call below. */
#define VBD_GNT_BATCH VBD_MAX_INDIRECT

/* Where mappings come from; a test's is plain memory. */
struct vbd_gnt_ops {
    /*
     * An address and a handle for each of n pages that can be mapped so, NULL
     * for the others; how many were.  Or -Exxx, and none was.
     */
    int (*map)(void *arg, const uint32_t *refs, unsigned int n, bool write,
               void **addr, uint32_t *handles);
    void (*unmap)(void *arg, const uint32_t *handles, unsigned int n);
};

struct vbd_grants;

/* One request's pages. */
struct vbd_map {
    void *addr[VBD_MAX_INDIRECT];
    struct vbd_gpage *page[VBD_MAX_INDIRECT]; /* NULL: this request's alone */
    uint32_t handle[VBD_MAX_INDIRECT];        /* of those, in a row */
    unsigned int nr_own, nr;
};

/* NULL without memory. ops and arg must outlive it. */
struct vbd_grants *vbd_grants_new(const struct vbd_gnt_ops *ops, void *arg,
                                  bool persistent);
/* Unmaps all; nothing may be in use. */
void vbd_grants_free(struct vbd_grants *g);

/*
 * Maps n <= VBD_MAX_INDIRECT pages; `write`: we are going to write to them.
 * 0, or -EFAULT: one of the references is not good for it.
 */
int vbd_grants_map(struct vbd_grants *g, const uint32_t *refs, unsigned int n,
                   bool write, struct vbd_map *map);
/* Gives the pages up; unmapped they are with the next vbd_grants_flush(). */
void vbd_grants_unmap(struct vbd_grants *g, struct vbd_map *map);
/* Before any request that used them is answered for the guest to see. */
void vbd_grants_flush(struct vbd_grants *g);

/* How many mappings are kept. */
unsigned int vbd_grants_kept(const struct vbd_grants *g);

#endif
